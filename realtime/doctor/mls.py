"""Find a maximum-length sequence in what came back.

Correlated with a period of the noise, a sound that went through a cable has one peak, at the delay in frames, whatever
the gain, the polarity and (within reason) the hum and the noise on the way.
"""

from dataclasses import dataclass

import numpy as np

from ..audio.test_signal import PERIOD

PEAK_FRAMES = 64
"""Frames around a peak that belong to it: converters' filters ring."""
MIN_PEAK_RATIO = 12.0
"""A peak has to exceed the rest's RMS by this factor; the largest of 65,534 chance values has 4.5."""
HUM_RATIO = 8.0
"""The noise has a flat spectrum; bins that exceed the median by more are hum, and are cut down to this."""
SECOND_PEAK_RATIO = 0.5
"""A second peak of this share of the first one makes the delay ambiguous."""


@dataclass(frozen=True)
class Echo:
    """The noise as it came back: after how many frames, at what gain (negative: polarity inverted).

    `other` is the delay in frames of a second, similarly loud path, if there is one.
    """

    frames: int
    gain: float
    other: int | None = None


def find(heard: np.ndarray) -> Echo | None:
    """Find the noise in the last period of `heard` (frames, 2), which is input and noise side by side.

    None if it is not there. The noise must have played for a round trip before that period began. Raises ValueError for
    less than a period.
    """
    if len(heard) < PERIOD:
        raise ValueError(f"{len(heard)} frames; a period of {PERIOD} is needed")
    x, noise = np.nan_to_num(heard[-PERIOD:].T.astype(np.float64))
    bins = np.fft.rfft(x)
    size = np.abs(bins)
    bins *= np.minimum(1.0, HUM_RATIO * np.median(size) / np.maximum(size, 1e-30))
    response = np.fft.irfft(bins * np.fft.rfft(noise).conj(), PERIOD) / max(noise @ noise, 1e-30)
    at = int(np.argmax(np.abs(response)))
    rest = np.abs(np.roll(response, PEAK_FRAMES - at)[2 * PEAK_FRAMES + 1 :])
    if not abs(response[at]) > MIN_PEAK_RATIO * np.sqrt(np.mean(rest**2)):
        return None
    second = int(np.argmax(rest))
    clear = rest[second] < SECOND_PEAK_RATIO * abs(response[at])
    return Echo(at, float(response[at]), None if clear else (at + PEAK_FRAMES + 1 + second) % PERIOD)
