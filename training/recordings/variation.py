"""Make more of few recordings: speed, level, polarity, and two at once."""

import math
from dataclasses import dataclass

import numpy as np
import soxr

from .reading import SILENT_DB


@dataclass(frozen=True)
class Variation:
    """One way to vary a recording: `speed` (as a tape: pitch and tempo together), gain in dB, polarity.

    Apply the same one to both stretches of a pair: they must stay two stretches of one recording.
    """

    speed: float = 1.0
    gain_db: float = 0.0
    inverted: bool = False

    SPEEDS = (0.85, 1.18)  # three semitones either way: a voice stays a voice
    GAINS_DB = (-6.0, 6.0)

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Variation":
        """Draw one: the speed evenly in pitch, the gain evenly in dB, the polarity by a coin."""
        speed = math.exp(rng.uniform(*np.log(cls.SPEEDS)))
        return cls(speed, rng.uniform(*cls.GAINS_DB), bool(rng.random() < 0.5))

    def apply(self, x: np.ndarray, sample_rate: int) -> np.ndarray:
        """Vary `x`, `(frames, channels)`; about `frames / speed` frames come back."""
        gain = 10.0 ** (self.gain_db / 20.0) * (-1.0 if self.inverted else 1.0)
        if self.speed != 1.0:
            x = soxr.resample(x, sample_rate * self.speed, sample_rate, quality="HQ")
        return (x * gain).astype(np.float32)


def mix(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, low_db: float = -18.0, high_db: float = 0.0
) -> np.ndarray:
    """Add `y` to `x` with a random RMS of `low_db` to `high_db` relative to that of `x`.

    Both are `(frames, channels)` and as long as each other; one channel goes to all of the other's. If either is
    silent, nothing is added. For a pair, mix the two stretches end to end, so that one gain holds for both.
    """
    if len(x) != len(y) or (x.shape[1] != y.shape[1] and 1 not in (x.shape[1], y.shape[1])):
        raise ValueError(f"mix: shapes {x.shape} and {y.shape} differ")
    level_db = rng.uniform(low_db, high_db)
    rms_x, rms_y = (float(np.sqrt(np.mean(np.square(z, dtype=np.float64)))) for z in (x, y))
    gain = 10.0 ** (level_db / 20.0) * rms_x / rms_y if rms_y > 10.0 ** (SILENT_DB / 20.0) else 0.0
    return (x + gain * y).astype(np.float32)
