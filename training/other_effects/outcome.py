"""What an effect that is not ours gives: a sound, and the settings of our own that come nearest.

A model that has heard only our own compressor, distortion and reverb learns their peculiarities, and
a reference was made with somebody else's. So part of the training data is made with effects of many other
designs, which exist for this only: `filters`, `compressors`, `distortions` and `reverbs` draw them, `chains`
puts them in series. Each measures, on the clip that it plays, what our own effect would have to be set to,
and how reliable each of these labels is. None copies the constants of a known product.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class RenderedLabel:
    """A clip after another effect: mono float64, and how our own effect does nearly the same.

    again: plays another clip in exactly the same way, with what was measured on the first one.
    values: our effect's parameters, where they are known; confidence: 0 to 1 for each of them (1 if not
    named). on: whether the effect did anything audible; on_certain: whether that is reliable enough to be a
    label. curve_db: a filter's magnitude at the model's bands. colours: the effect also changes the spectrum,
    so that this clip has no label for an equaliser.
    """

    audio: np.ndarray
    again: Callable[[np.ndarray], np.ndarray]
    values: Mapping[str, float] = field(default_factory=dict)
    confidence: Mapping[str, float] = field(default_factory=dict)
    on: bool = True
    on_certain: bool = True
    curve_db: np.ndarray | None = None
    colours: bool = False


@dataclass(frozen=True)
class OtherEffect:
    """An effect as drawn: its kind in words, and how it plays a clip (frames,) at a sample rate."""

    kind: str
    play: Callable[[np.ndarray, float], RenderedLabel]


def chosen(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """Draw a name by its weight."""
    names, chances = list(weights), np.array(list(weights.values()))
    return names[int(rng.choice(len(names), p=chances / chances.sum()))]


def loudest_part(x: np.ndarray, rate: float, below_db: float = 25.0) -> np.ndarray:
    """Tell where a clip is heard: 1 in blocks of 5 ms at most `below_db` under the mean level, else 0; (frames,)."""
    size = max(1, round(0.005 * rate))
    blocks = np.zeros(-(-len(x) // size) * size)
    blocks[: len(x)] = x
    power = np.square(blocks.reshape(-1, size)).mean(1)
    heard = (power > 1e-10) & (power > power.mean() * 10 ** (-below_db / 10))
    return np.repeat(heard, size)[: len(x)].astype(np.float64)
