"""Provenance of rows: versions, the machine, hashes of recordings and models."""

import hashlib
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...matching.format import DESCRIPTION
from ...matching.reference import file_sha256
from ...training.recordings import Recording
from ..systems import registry

PACKAGES = ("afx-live", "numpy", "torch", "numba", "onnxruntime-gpu", "onnxruntime", "soxr", "soundfile")


@cache
def versions() -> dict[str, str | None]:
    """List the versions of everything that affects a result; None for SoX where it is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found | {"sox": _sox()}


def _sox() -> str | None:
    try:
        said = subprocess.run(["sox", "--version"], capture_output=True, text=True, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.split("SoX")[-1].strip(" \nv") or None


def machine() -> dict[str, str | int | None]:
    """Describe the machine, for the times in rows."""
    model = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")), model)
    return {"processor": model, "cores": os.cpu_count(), "system": platform.platform()}


class Hashes:
    """SHA-256 of recordings; each file is read once in a process. `whole` is the hash of all of them together."""

    def __init__(self, recordings: Sequence[Recording]) -> None:
        self._recordings = recordings
        pairs = sorted(self.all_files().items())
        self.whole = hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in pairs).encode()).hexdigest()

    def all_files(self) -> dict[str, str]:
        """Return every file's name (folder and file) and hash."""
        return self.of(self._recordings)

    def of(self, recordings: Iterable[Recording]) -> dict[str, str]:
        """Return the names and hashes of some recordings' files."""
        paths = {part.path for r in recordings for part in r.parts or (r,)}
        return {f"{path.parent.name}/{path.name}": file_hash(path) for path in sorted(paths)}


file_hash = cache(file_sha256)
"""A file's SHA-256, read once."""


def model_hash(name: str, models: Path) -> str | None:
    """Return the hash of a learned system's checkpoint, or of its model's description; None for the others.

    (A model's description holds the hashes of its graphs.)
    """
    base, _ = registry.parse(name)
    if base in registry.TRAININGS:
        return file_hash(registry.checkpoint(models, base))
    return file_hash(registry.ours_folder(models) / DESCRIPTION) if base == "ours" else None
