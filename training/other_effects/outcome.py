"""What a law of another kind than our own effects' gives: a sound, and the settings of ours that come nearest.

A model that has heard only our own compressor, distortion and reverb learns their peculiarities, and
a reference was made by somebody else's. So part of the training data is made by laws of many kinds,
for data only: `law_filters`, `law_compressors`, `law_clippers` and `law_rooms` draw them, `variants`
puts them in a row. Every law measures on the clip that it plays what our effect would have to be set
to, and says which of that is to be believed. None copies the constants of a known product.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class RenderedLabel:
    """A clip after a law: mono float64, and how our own effect does nearly the same.

    again: plays another clip exactly so, with what was measured on the first one.
    values: our effect's parameters that are known; trust: how far each may be believed, 0 to 1 (1
    if not named). on: whether the law did anything that can be heard; sure: whether that, as an
    answer to learn, is beyond doubt. curve_db: a filter's magnitude at the model's bands. colours:
    the law filters on the side, so that nothing is to be learned of an equaliser from this clip.
    """

    audio: np.ndarray
    again: Callable[[np.ndarray], np.ndarray]
    values: Mapping[str, float] = field(default_factory=dict)
    trust: Mapping[str, float] = field(default_factory=dict)
    on: bool = True
    sure: bool = True
    curve_db: np.ndarray | None = None
    colours: bool = False


@dataclass(frozen=True)
class OtherEffect:
    """A drawn law: its kind in words, and how it plays a clip (frames,) at a sample rate."""

    kind: str
    play: Callable[[np.ndarray, float], RenderedLabel]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw evenly in equal ratios."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


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
