"""Long-term spectra in bands, and the minimum phase of a magnitude."""

from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray

STFT_FLOOR = 1e-8
"""Powers of bins under this are this to an STFT error: magnitudes of 1e-4, as in auraloss."""
PAUSE_DB = 30.0
"""Frames this far under the loud ones (95th percentile) are pauses."""


def third_octaves(low_hz: float, high_hz: float) -> NDArray[np.float64]:
    """Give the centres in Hz of third octaves, from `low_hz` up to `high_hz` at most.

    >>> third_octaves(31.5, 126.0).round(1).tolist()
    [31.5, 39.7, 50.0, 63.0, 79.4, 100.0, 126.0]
    """
    return low_hz * 2 ** (np.arange(1 + int(3 * np.log2(high_hz / low_hz))) / 3)


def frame_powers(x: ArrayLike, sample_rate: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Give frequencies in Hz (bins,) and the powers (frames, bins) of Hann frames of 200 ms, hop 100 ms.

    x: (frames,). A sound shorter than a frame is filled up with silence.
    """
    x, size = np.asarray(x, np.float64), _frame_size(sample_rate)
    frames = sliding_window_view(np.pad(x, (0, max(0, size - len(x)))), size)[:: size // 2]
    return _frame_hz(sample_rate), np.square(np.abs(np.fft.rfft(frames * np.hanning(size))))


def _frame_size(sample_rate: float) -> int:
    return 2 * round(sample_rate / 10)


def _frame_hz(sample_rate: float) -> NDArray[np.float64]:
    size = _frame_size(sample_rate)
    return np.arange(size // 2 + 1, dtype=np.float64) * (sample_rate / size)


def sounding(powers: ArrayLike) -> NDArray[np.bool_]:
    """Tell frames that sound from pauses: powers (frames, bins) to (frames,)."""
    level = 10 * np.log10(np.sum(powers, axis=1) + 1e-20)
    return level >= np.percentile(level, 95) - PAUSE_DB


def triangles(hz: ArrayLike, centres_hz: ArrayLike) -> NDArray[np.float64]:
    """Give weights (bins, bands), each band's with a sum of 1: triangles over log frequency.

    They reach a third of an octave to either side of their centre; one that no bin is in has no weight.
    """
    bins = np.maximum(np.asarray(hz, np.float64), 1e-3)[:, None]
    weight = np.maximum(0.0, 1 - 3 * np.abs(np.log2(bins / np.asarray(centres_hz))))
    return weight / np.maximum(weight.sum(axis=0), 1e-30)


def long_term_spectrum(x: ArrayLike, sample_rate: float, centres_hz: ArrayLike) -> NDArray[np.float64]:
    """Give a sound's levels in dB in third octaves around `centres_hz`: (frames,) to (bands,).

    A level is that of the band's mean magnitude over the frames that sound; see `frame_powers`, `sounding`
    and `triangles`.
    """
    _, powers = frame_powers(x, sample_rate)
    weights = _frame_triangles(sample_rate, tuple(np.asarray(centres_hz)))
    mean = np.sqrt(powers[sounding(powers)] @ weights).mean(axis=0)
    return 20 * np.log10(mean + 1e-9)


@cache
def _frame_triangles(sample_rate: float, centres_hz: tuple[float, ...]) -> NDArray[np.float64]:
    return triangles(_frame_hz(sample_rate), centres_hz)


def mean_power(x: ArrayLike, sample_rate: float) -> NDArray[np.float64]:
    """Give the mean power spectrum (bins,) of x (frames,) or (frames, channels): frames of about 170 ms, Hann.

    Zeros for less than a frame. Means of several pieces may be averaged: for sounds that come in blocks.
    """
    x, size = np.asarray(x), 1 << round(np.log2(sample_rate / 6.0))
    x = x[:, None] if x.ndim == 1 else x
    if len(x) < size:
        return np.zeros(size // 2 + 1)
    frames = sliding_window_view(x, size, 0)[:: size // 2] * np.hanning(size)
    return np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=(0, 1)) / size


def band_powers(power: ArrayLike, sample_rate: float, centres_hz: ArrayLike) -> NDArray[np.float64]:
    """Add a power spectrum (bins,) up over a third of an octave around each centre: (bands,).

    Bins are spread evenly over their width, so that bands may be narrower than a bin.
    """
    power, centres = np.asarray(power), np.asarray(centres_hz)
    step = sample_rate / (2 * (len(power) - 1))
    below, edges = np.concatenate([[0.0], np.cumsum(power)]), (np.arange(len(power) + 1) - 0.5) * step
    low, high = centres * 2 ** (-1 / 6), centres * 2 ** (1 / 6)
    return np.interp(high, edges, below) - np.interp(low, edges, below)


def minimum_phase(magnitude: ArrayLike, floor: float = 1e-5) -> NDArray[Any]:
    """Give the response (bins,), complex, of minimum phase that has this magnitude from 0 to half the rate.

    The phase comes from the folded cepstrum (A. V. Oppenheim, R. W. Schafer, Discrete-Time Signal Processing,
    3rd ed., 2010, chapter 13). Magnitudes under `floor` count as that.
    """
    cepstrum = np.fft.irfft(np.log(np.maximum(magnitude, floor)))
    half = len(cepstrum) // 2
    cepstrum[1:half] *= 2.0
    cepstrum[half + 1 :] = 0.0
    return np.exp(np.fft.rfft(cepstrum))
