"""Recordings decoded once: 16-bit mono at 48 kHz in one memory-mapped file, so that a stretch costs a copy.

Beside the samples lie the recordings' places in them and the power of each half second, by which
silent stretches are passed over.
"""

import csv
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soxr

from ...files.atomic_write import atomic_path
from ..features import SAMPLE_RATE
from .layouts import find
from .reading import read, read_mono, usable_for_pairs
from .recording import NoRecordings, Recording

BLOCK = SAMPLE_RATE // 2
"""Frames over which power is noted."""
AUDIBLE_DB = -60.0
IMPULSES = "rooms"
"""The kind that is no playing: impulse responses of rooms and loudspeakers, as `afx-train gather` sorts them."""
CABINET_S = 0.25
"""Impulse responses shorter than this are loudspeakers'."""


def playing(folders: str, layout: str = "auto") -> list[Recording]:
    """Find recordings below a folder, or several, separated by commas, but impulse responses.

    Where a MANIFEST.csv names a recording's `group`, that is its group.
    A group is what a listener would call one source: a speaker, a kit, an instrument of one maker, a song.
    Raises as `find` does.
    """
    found: list[Recording] = []
    for root in _each(folders):
        groups = _groups(root)
        for recording in find(root, layout):
            group = groups.get(recording.path.relative_to(root).as_posix(), recording.group)
            if recording.kind != IMPULSES:
                found.append(replace(recording, group=group))
    return found


def impulse_responses(folders: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read the impulse responses below the same folders, if there are any, at 48 kHz: of rooms, and of loudspeakers."""
    rooms: list[np.ndarray] = []
    cabinets: list[np.ndarray] = []
    for root in _each(folders):
        home = root / IMPULSES
        for recording in find(home, "folder") if home.is_dir() else []:
            x = read(recording, 0.0, recording.seconds, recording.sample_rate)[:, 0].astype(np.float64)
            x = soxr.resample(x, recording.sample_rate, SAMPLE_RATE, quality="HQ")
            (cabinets if recording.seconds < CABINET_S else rooms).append(x)
    return rooms, cabinets


def _each(folders: str) -> list[Path]:
    if (one := Path(folders).expanduser()).is_dir():  # its name may have commas in it
        return [one.resolve()]
    return [Path(folder.strip()).expanduser().resolve() for folder in folders.split(",")]


def _groups(folder: Path) -> dict[str, str]:
    if not (folder / "MANIFEST.csv").is_file():
        return {}
    with open(folder / "MANIFEST.csv", newline="", encoding="utf-8") as file:
        return {row["path"]: row["group"] for row in csv.DictReader(file) if row.get("group")}


@dataclass(frozen=True)
class Decoded:
    """Decoded recordings: samples (frames,) int16; begin and length (recordings,) in frames, scale (recordings,).

    power: of each half second, one array a recording. groups: for each kind, the recordings of each of its groups.
    """

    samples: np.ndarray
    begin: np.ndarray
    length: np.ndarray
    scale: np.ndarray
    power: list[np.ndarray]
    groups: dict[str, list[list[int]]]

    def read(self, index: int, start: int, frames: int) -> np.ndarray:
        """Read a stretch as float64 (frames,); past the recording's end it begins again."""
        at = self.begin[index]
        if start + frames <= self.length[index]:
            x = self.samples[at + start : at + start + frames]
        else:
            x = np.resize(self.samples[at + start : at + self.length[index]], frames)
        return x.astype(np.float64) * self.scale[index]

    def is_heard(self, index: int, start: int, frames: int) -> bool:
        """Tell whether at least half of a stretch is audible."""
        blocks = self.power[index][start // BLOCK : max(start // BLOCK + 1, (start + frames) // BLOCK)]
        return len(blocks) > 0 and float(np.mean(blocks > 10 ** (AUDIBLE_DB / 10))) >= 0.5

    def check_heard(self, side: str) -> None:
        """Say before any rendering what cannot work: raises NoRecordings if no recording is heard in both halves."""
        halves = (np.array_split(power > 10 ** (AUDIBLE_DB / 10), 2) for power in self.power)
        if not any(_stretch_is_heard(early) and _stretch_is_heard(late) for early, late in halves):
            raise NoRecordings(
                f"all {len(self.power)} recordings to {side} are silent in one of their halves or both: "
                f"no 5 s of it are mostly louder than {AUDIBLE_DB:.0f} dBFS"
            )


def _stretch_is_heard(heard: np.ndarray) -> bool:
    """Tell whether at least half of any 5 s is heard, or of all if it is shorter."""
    size = min(len(heard), 10)
    return size > 0 and bool(np.convolve(heard, np.ones(size) / size, "valid").max() >= 0.5)


def decoded(recordings: Sequence[Recording], folder: Path) -> Decoded:
    """Open the recordings' samples, which are decoded into `folder` if they are not there yet.

    Recordings too short for two stretches are left out.
    """
    usable = [r for r in recordings if usable_for_pairs(r)]
    key = json.dumps([(str(r.path), r.start_s, r.seconds) for r in usable])
    home = folder / f"decoded-{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    if not (home / "places.npz").exists():
        _decode(usable, home)
    with np.load(home / "places.npz") as places:
        begin, length, scale, powers = (places[k] for k in ("begin", "length", "scale", "power"))
    ends = np.cumsum([-(-n // BLOCK) for n in length])
    groups: dict[str, dict[str, list[int]]] = {}
    for i, r in enumerate(usable):
        groups.setdefault(r.kind, {}).setdefault(r.group, []).append(i)
    samples = np.memmap(home / "samples.int16", np.int16, "r")
    of_kind = {kind: list(members.values()) for kind, members in groups.items()}
    return Decoded(samples, begin, length, scale, np.split(powers, ends[:-1]), of_kind)


def _decode(recordings: Sequence[Recording], home: Path) -> None:
    home.mkdir(parents=True, exist_ok=True)
    lengths: list[int] = []
    scales: list[float] = []
    powers: list[float] = []
    with atomic_path(home / "samples.int16", durable=False) as partial, open(partial, "wb") as file:
        for recording in recordings:
            x = read_mono(recording, 0.0, recording.seconds, SAMPLE_RATE).astype(np.float32)
            scale = max(float(np.abs(x).max()), 1e-6) / 32767.0
            np.round(x / scale).astype(np.int16).tofile(file)
            blocks = np.array_split(np.square(x), range(BLOCK, len(x), BLOCK))
            lengths.append(len(x))
            scales.append(scale)
            powers += [float(block.mean()) for block in blocks]
    begin = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    with atomic_path(home / "places.npz", durable=False) as partial, open(partial, "wb") as file:  # says both are whole
        np.savez(file, begin=begin, length=lengths, scale=scales, power=powers)
