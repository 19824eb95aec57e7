"""A reference recording: everything that is asked of it, found out once."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..files.streams import shown
from .clips import read_clip
from .level import MAX_LUFS

if TYPE_CHECKING:
    from .model import Features, MatchModel


@dataclass(frozen=True, eq=False)
class ReferenceClip:
    """A reference file as a model analysed it: features, loudness, length, checksum of the file.

    note: what does not fit between the file's header and what was read; "" if all is well.
    """

    path: Path
    features: "Features"
    lufs: float
    seconds: float
    sha256: str = ""
    note: str = ""


def read_reference(path: str | os.PathLike[str], model: "MatchModel") -> ReferenceClip:
    """Read and analyse a reference file of any sample rate, channel count and length. Raises ClipError."""
    path = Path(path)
    clip = read_clip(path)
    features = model.analyse(clip.excerpts, clip.sample_rate, shown(path))
    return ReferenceClip(path, features, clip.lufs, clip.seconds, file_sha256(path), clip.note)


def file_sha256(path: Path) -> str:
    """Give a file's SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def mean_lufs(references: Sequence[ReferenceClip]) -> float:
    """Give the mean loudness of references, at most full scale: nothing can be louder."""
    return min(float(np.mean([r.lufs for r in references])), MAX_LUFS)
