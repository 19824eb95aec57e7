"""Where settings come from: references, model, program, time."""

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol


class ReferenceFile(Protocol):
    """What is known of a reference; `matching.ReferenceClip` is one."""

    @property
    def path(self) -> Path: ...
    @property
    def sha256(self) -> str: ...
    @property
    def lufs(self) -> float: ...


def provenance(
    references: Iterable[ReferenceFile] = (),
    model: str = "",
    paths: bool = False,
    by_hand: Iterable[str] = (),
    choices: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Describe where settings come from: reference files with SHA-256 and loudness in LUFS, the model, now.

    Keeps the files' names, and their folders only with `paths`. `by_hand` are the values that a model must
    leave alone, as "effect/parameter". `choices` is what the user asked of the matching, see `choices_data`.
    """
    files = [
        {
            "file": _readable(r.path.name),
            **({"sha256": r.sha256} if r.sha256 else {}),
            "lufs": r.lufs,
            **({"path": _readable(os.path.abspath(r.path))} if paths else {}),
        }
        for r in references
    ]
    try:
        app = f"afx-live {version('afx-live')}"
    except PackageNotFoundError:
        app = "afx-live"
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    more = {**({"by_hand": list(by_hand)} if by_hand else {}), **({"choices": dict(choices)} if choices else {})}
    return {"references": files, **({"model": model} if model else {}), "app": app, "created": now, **more}


def choices_data(
    boldness: float | None = None,
    only: Iterable[str] = (),
    without: Iterable[str] = (),
    locked: Iterable[str] = (),
    shares: Mapping[str, Mapping[str, float]] | None = None,
) -> dict[str, Any]:
    """Write down what the user asked of the matching; what was not said is left out.

    shares: of each effect of which not all is used, by name: the `amount`, 0 to 1, and its values at 1.
    """
    named = {"only": sorted(only), "without": sorted(without), "locked": sorted(locked)}
    bold = {} if boldness is None else {"boldness": boldness}
    return {**bold, **{name: found for name, found in {**named, "shares": dict(shares or {})}.items() if found}}


def _readable(name: str) -> str:
    """Write a file's name as text: bytes that are no UTF-8, and control characters, are replaced."""
    text = os.fsencode(name).decode("utf-8", "replace")
    return "".join("\N{REPLACEMENT CHARACTER}" if c < " " or c == "\x7f" else c for c in text)
