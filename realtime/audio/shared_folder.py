"""Where a running afx-live keeps what other processes may map or read: a folder of its own, owner only.

It imports nothing heavy: `afx-live watch` looks for such folders and starts at once.
"""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = "/dev/shm"
"""Preferred: writing a disk's pages back would stop the audio thread."""
PREFIX = "afx-live-"
SHARED = "shared"
"""The file that the audio thread maps."""


def places() -> list[str]:
    """Name the folders where it may be, the preferred one first."""
    return [*[p for p in (MEMORY,) if os.path.isdir(p)], tempfile.gettempdir()]


def folders() -> Iterator[Path]:
    """List the folders of running afx-lives, everybody's."""
    for place in dict.fromkeys(places()):
        yield from Path(place).glob(f"{PREFIX}*")
