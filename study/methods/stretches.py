"""Two stretches of one recording, and one chain played on them: what the study's trainings are rendered from."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...chain import ChainPlayer, ChainSettings
from ...dsp.loudness import integrated_loudness
from ...training.features import SAMPLE_RATE, WINDOW_S, level, window
from ...training.recordings import (
    NoRecordings,
    Recording,
    Variation,
    mix,
    read_mono,
    stretch,
    two_stretches,
    usable_for_pairs,
)


@dataclass(frozen=True)
class Take:
    """Two stretches of one recording, mono float64 at 48 kHz and -23 LUFS, and where they come from."""

    a: np.ndarray
    b: np.ndarray
    recording: int


def render(x: np.ndarray, settings: ChainSettings) -> np.ndarray:
    """Play a mono clip (frames,) through a chain, by the live code, and level the result."""
    return level(ChainPlayer(settings, SAMPLE_RATE, 1).play(x[:, None])[:, 0])


def draw_take(recordings: Sequence[Recording], rng: np.random.Generator, vary: bool = True) -> Take:
    """Draw a recording and two stretches of it; `vary` changes speed and sometimes mixes another in.

    Raises ValueError if no recording has two audible stretches of 2 s.
    """
    usable = [i for i, r in enumerate(recordings) if usable_for_pairs(r)]
    for _ in range(100 if usable else 0):
        index = usable[rng.integers(len(usable))]
        variation = Variation.draw(rng) if vary and rng.random() < 0.9 else Variation()
        places = two_stretches(recordings[index], WINDOW_S * variation.speed, rng)
        if places is None:
            continue
        a, b = (_read(recordings[index], p.start_s, p.seconds, variation) for p in places)
        if vary and rng.random() < 0.25:
            a, b = _mixed(recordings[usable[rng.integers(len(usable))]], a, b, rng)
        if min(integrated_loudness(a, SAMPLE_RATE), integrated_loudness(b, SAMPLE_RATE)) > -60.0:
            return Take(level(window(a)), level(window(b)), index)
    raise NoRecordings("no recording has two audible stretches of 2 s; see `afx_live.training.recordings.find`")


def _read(recording: Recording, start_s: float, seconds: float, variation: Variation) -> np.ndarray:
    x = read_mono(recording, start_s, seconds, SAMPLE_RATE)[:, None]
    return variation.apply(x, SAMPLE_RATE)[:, 0].astype(np.float64)


def _mixed(other: Recording, a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    place = stretch(other, 2 * WINDOW_S, rng)
    if place is None:
        return a, b
    whole = np.concatenate([a, b])[:, None].astype(np.float32)
    second = np.resize(_read(other, place.start_s, place.seconds, Variation()), len(whole))[:, None]
    whole = mix(whole, second.astype(np.float32), rng)[:, 0].astype(np.float64)
    return whole[: len(a)], whole[len(a) :]
