"""The long-term spectrum of a clip, in thirds of an octave, as a match equaliser sees it."""

from functools import cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

ACTIVE_DB = 30.0
"""Frames this far under the loud ones (95th percentile) are pauses and don't count."""
BANDS = 31.5 * 2.0 ** (np.arange(29) / 3)
"""Centres in Hz, from 31.5 Hz to 20 kHz."""


def long_term_spectrum(x: np.ndarray, sample_rate: float, bands: np.ndarray = BANDS) -> np.ndarray:
    """Give levels in dB (bands,) of a mono clip (frames,).

    Frames of 200 ms, hop 100 ms, Hann; those of pauses are left out; a band is a triangle that reaches to
    centres a third of an octave away; its level is that of its mean magnitude over the frames.
    """
    size = round(sample_rate / 10) * 2
    frames = sliding_window_view(np.pad(x, (0, max(0, size - len(x)))), size)[:: size // 2]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size))))
    level = 10 * np.log10(power.sum(axis=1) + 1e-20)
    power = power[level >= np.percentile(level, 95) - ACTIVE_DB]
    mean = np.sqrt(power @ _triangles(size, float(sample_rate), tuple(bands))).mean(axis=0)
    return 20 * np.log10(mean + 1e-9)


@cache
def _triangles(size: int, sample_rate: float, bands: tuple[float, ...]) -> np.ndarray:
    bins = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 1e-3)[:, None]
    weight = np.maximum(0.0, 1 - 3 * np.abs(np.log2(bins / np.array(bands))))
    return weight / weight.sum(axis=0)
