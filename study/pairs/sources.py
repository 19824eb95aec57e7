"""What pairs are drawn from: random streams, recordings by kind, stretches of them, and levels.

Each random choice has a stream of its own, keyed by a hash of what may change it. Recordings and stretches
depend on index and seed; an effect's settings on generator, index and seed. So two conditions that differ in
effect set, intensity, sample rate or mode use the same stretches and the same settings: a difference between
them is due to the condition, not to the draw. Nothing depends on which process draws, or in which order.

Levels: inputs are at -23 LUFS (ITU-R BS.1770-4), reference and answer at one loudness of -26 to -14 LUFS,
drawn for each pair, because matching the reference's level is part of the task; all are lower where a peak
would exceed -1 dBFS. (DeepAFx-ST's generators set peaks instead; see `deepafx_pairs` and `deepafx_styles`.)
"""

import csv
import hashlib
import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from ...chain import GAIN, ChainSettings
from ...dsp.loudness import at_loudness, integrated_loudness
from ...training.features import LUFS, SAMPLE_RATE, WINDOW_S
from ...training.recordings import (
    NoRecordings,
    Recording,
    Stretch,
    read_mono,
    stretch,
    two_stretches,
    usable_for_pairs,
)
from .condition import SILENT_LUFS, Audio, Condition, Pair

KINDS = ("speech", "instrument", "mix", "any")
PEAK = 10 ** (-1 / 20)
LOUDNESS_LUFS = (-26.0, -14.0)

Play = Callable[[Audio, int], Audio]
"""An effect: a clip and its sample rate to a clip of the same length."""


@dataclass(frozen=True)
class Generator:
    """A generator's effect sets, and how it makes a pair: make(condition, recordings, index, seed)."""

    effect_sets: tuple[str, ...]
    make: Callable[[Condition, Sequence[Recording], int, int], Pair]


def stream(*key: str | int) -> np.random.Generator:
    """Return the random generator that belongs to a key."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(json.dumps(key).encode()).digest()[:16], "big"))


# --- recordings ------------------------------------------------------------------------------------

_WORDS = {
    "speech": "speech|spoken|voice[-_]over",
    "mix": "mix(ture|es)?|music|songs?|master|full",
    "instrument": "instruments?|stems?|loops?|drums|bass|other|vocals?|guitars?|keys|piano|synths?|strings|performance",
}


@cache
def kind_of(recording: Recording) -> str:
    """Classify a recording as "speech", "instrument" (one source, including a singer) or "mix".

    A table MANIFEST.csv with columns `path` and `kind` in a folder above the file takes precedence; then the
    recording's own kind, as its layout gives it (VCTK and LibriTTS: speech; MUSDB18: mixture is a mix, all
    else an instrument); then the names of folders, the nearest first. "any" if none of them tells.
    """
    listed = next((m[recording.path] for p in recording.path.parents[:4] if recording.path in (m := _manifest(p))), "")
    for text in (listed, recording.kind, *(folder.name for folder in recording.path.parents[:4])):
        words = re.split(r"[-_ /]", text.lower())
        for kind, pattern in _WORDS.items():
            if any(re.fullmatch(pattern, word) for word in (*words, text.lower())):
                return kind
    return "any"


@cache
def _manifest(folder: Path) -> dict[Path, str]:
    """Read the kinds in a folder's MANIFEST.csv, by path; a singing voice is not speech, whatever the table says."""
    if not (folder / "MANIFEST.csv").is_file():
        return {}
    with open(folder / "MANIFEST.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    listed = {folder / row["path"]: row["kind"] for row in rows if row.get("path") and row.get("kind")}
    return {path: "vocals" if "vocals" in path.parts else kind for path, kind in listed.items()}


def pool(condition: Condition, recordings: Sequence[Recording]) -> list[Recording]:
    """List the recordings that fit a condition; NoRecordings if there are none."""
    fitting = [r for r in recordings if usable_for_pairs(r) and condition.kind in ("any", kind_of(r))]
    if not fitting:
        raise NoRecordings(f"none of {len(recordings)} recordings is of kind {condition.kind} and lasts 4 s")
    return fitting


def others(recording: Recording, fitting: Sequence[Recording]) -> list[Recording]:
    """List the recordings of the same kind from other groups; NoRecordings if there are none."""
    kind = kind_of(recording)
    alike = [r for r in fitting if r.group != recording.group and kind_of(r) == kind]
    if not alike:
        raise NoRecordings(f"mode other: {recording.path.name} is the only recording of kind {kind}")
    return alike


def take(
    fitting: Sequence[Recording], rng: np.random.Generator, seconds: float, rate: int
) -> tuple[Audio, Audio, Recording]:
    """Draw a recording and two stretches of it that never overlap, (round(seconds * rate),) each, as on disk.

    A recording shorter than both gives its two halves, each repeated. Whether a stretch is loud enough is
    decided at one sample rate, so that every rate gets the same stretches.
    """
    for _ in range(100):
        recording = fitting[int(rng.integers(len(fitting)))]
        places = two_stretches(recording, seconds, rng)
        if places and min(loudness(recording, place) for place in places) > SILENT_LUFS:
            a, b = (np.resize(read_mono(recording, *p, rate), round(seconds * rate)) for p in places)
            return a.astype(np.float64), b.astype(np.float64), recording
    raise NoRecordings(f"no two audible stretches of {seconds:g} s in {len(fitting)} recordings")


def loudness(recording: Recording, place: Stretch) -> float:
    """Measure a stretch in LUFS, at the models' sample rate."""
    return integrated_loudness(read_mono(recording, *place, SAMPLE_RATE).astype(np.float64), SAMPLE_RATE)


def crop(recording: Recording, rng: np.random.Generator, frames: int, rate: int) -> Audio | None:
    """Draw one stretch of exactly `frames` as on disk; None if it is silent or the recording is shorter."""
    if recording.seconds < frames / rate:
        return None
    place = stretch(recording, frames / rate, rng)
    return None if place is None else read_mono(recording, place.start_s, frames / rate, rate).astype(np.float64)


# --- pairs ----------------------------------------------------------------------------------------


def sources(condition: Condition, recordings: Sequence[Recording], index: int, seed: int) -> tuple[Audio, Audio, str]:
    """Draw A and B, 5 s each, at -23 LUFS, and B's group."""
    fitting = pool(condition, recordings)
    a, b, recording = take(fitting, stream("input", index, seed), WINDOW_S, condition.sample_rate)
    if condition.mode == "other":
        rng = stream("reference", index, seed)
        a, _, _ = take(others(recording, fitting), rng, WINDOW_S, condition.sample_rate)
    a, b = (delivered([x], condition.sample_rate, LUFS)[0] for x in (a, b))
    return a, b, recording.group


def delivered(clips: Sequence[Audio], rate: int, lufs: float) -> list[Audio]:
    """Bring clips to one loudness, all of them lower where a peak of one would exceed -1 dBFS; silence stays."""
    levelled = [at_loudness(x, rate, lufs) for x in clips]
    return [x * min(1.0, PEAK / max(1e-9, *(np.abs(y).max() for y in levelled))) for x in levelled]


def played(
    condition: Condition,
    recordings: Sequence[Recording],
    index: int,
    seed: int,
    play: Play,
    about: str = "",
    settings: ChainSettings | None = None,
) -> Pair:
    """Make the pair of an effect that any clip can be played through; `settings` take on the answer's level."""
    a, b, group = sources(condition, recordings, index, seed)
    rate, target = condition.sample_rate, stream("level", index, seed).uniform(*LOUDNESS_LUFS)
    wet = play(b, rate)
    reference, answer = delivered([play(a, rate), wet], rate, target)
    if settings is not None and np.abs(wet).max() > 0:
        gain_db = 20 * math.log10(np.abs(answer).max() / np.abs(wet).max())
        settings = replace(settings, output_gain_db=GAIN.clip(gain_db))
    return Pair(b, reference, answer, rate, group, settings, about)
