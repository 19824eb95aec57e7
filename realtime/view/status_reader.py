"""Read a running afx-live from another process: find it, read its state and meters, apply meter ballistics.

It imports neither numpy nor numba, so a reader starts at once. What there is to read: docs/status_file.md.
"""

import json
import math
import mmap
import os
import struct
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..audio.health import drop_outs
from ..audio.shared_folder import folders
from .panels import Meters, decibels

FILE = "state.json"
FRAME_S = 0.1
"""Between two readings of the meters."""
SLOW = 3
"""Numbers change every so many readings."""
HOLD_S, FALL_DB_S = 1.5, 20.0
"""How long a peak is held, and how fast it falls then."""
RECENT_S = 30.0
"""Drop-outs in this time are recent."""


class Ended(Exception):
    """The afx-live that was watched has ended."""


def running() -> list[Path]:
    """Find the folders of this user's running afx-lives, the most recently active first."""
    found: list[tuple[float, Path]] = []
    for folder in folders():
        with suppress(OSError, ValueError, KeyError, TypeError):
            about = (folder / FILE).stat()
            if about.st_uid == os.getuid():
                os.kill(int(json.loads((folder / FILE).read_text(encoding="utf-8"))["pid"]), 0)
                found.append((about.st_mtime, folder))
    return [folder for _, folder in sorted(found, reverse=True)]


class StatusReader:
    """The state and the meters in a folder. Raises Ended when they are gone."""

    def __init__(self, folder: Path) -> None:
        self._path, self._seen = folder / FILE, (0, 0)
        self._state: Mapping[str, Any] = {}
        self._memory: mmap.mmap | None = None

    def state(self) -> Mapping[str, Any]:
        """Give the state; the same object as long as nothing has changed."""
        try:
            about = os.stat(self._path)
            if (about.st_mtime_ns, about.st_ino) != self._seen:
                self._state = json.loads(self._path.read_text(encoding="utf-8"))
                self._seen = about.st_mtime_ns, about.st_ino
        except FileNotFoundError:
            raise Ended from None
        return self._state

    def meters(self) -> dict[str, Any]:
        """Read every meter, as the audio thread left it: numbers, and lists of them."""
        where = (self._state or self.state())["meters"]
        if self._memory is None:
            try:
                with open(self._path.parent / where["file"], "rb") as file:
                    self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except FileNotFoundError:
                raise Ended from None
        row = {}
        for name, (offset, letter, count) in where["fields"].items():
            values = struct.unpack_from(f"={count}{letter}", self._memory, offset)
            row[name] = values[0] if count == 1 else list(values)
        return row


class MeterBallistics:
    """Turns raw meters into what an eye can follow: held peaks, numbers that change slowly."""

    def __init__(self) -> None:
        self._round = 0
        self._slow: Mapping[str, Any] = {}
        self._hold, self._held_s = [-math.inf, -math.inf], [0.0, 0.0]
        self._limited = 0.0
        self._callbacks, self._still = -1, 0.0
        self._drops: deque[int] = deque(maxlen=round(RECENT_S / (SLOW * FRAME_S)))

    def follow(self, row: Mapping[str, Any], passed_s: float = FRAME_S) -> Meters:
        """Take a reading that was made so many seconds after the last one."""
        for i, which in enumerate(("in_peak", "out_peak")):
            now = decibels(row.get(which))
            self._held_s[i] += passed_s
            fallen = self._hold[i] - (FALL_DB_S * passed_s if self._held_s[i] > HOLD_S else 0.0)
            if now >= fallen:
                self._hold[i], self._held_s[i] = now, 0.0
            else:
                self._hold[i] = fallen
        limiting = decibels(row.get("ceiling_gain"))
        rising = min(self._limited + 0.5 * FALL_DB_S * passed_s, 0.0)
        self._limited = min(limiting, rising) if math.isfinite(limiting) else rising
        self._still = 0.0 if row.get("callbacks") != self._callbacks else self._still + passed_s
        self._callbacks = row.get("callbacks")
        if self._round % SLOW == 0:
            self._slow = row
            self._drops.append(drop_outs(row))
        self._round += 1
        recent = self._drops[-1] - self._drops[0]
        return Meters(row, self._slow, (self._hold[0], self._hold[1]), self._limited, recent, self._still)
