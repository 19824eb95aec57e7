"""Long-term spectra of clips, and minimum-phase filters from curves."""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from .audio import Audio

TAPS = 4096
"""Length of a minimum-phase filter, in frames; for the match EQ, half or twice as many score the same."""
ACTIVE_DB = 30.0
"""Frames this far below the loud ones (95th percentile) are pauses and do not count."""


def long_term_spectrum(x: Audio, sample_rate: float) -> tuple[Audio, Audio]:
    """Give third-octave centres in Hz and levels in dB, both (bands,), from 31.5 Hz to 20 kHz at most.

    Frames of 200 ms, hop 100 ms, Hann; those of pauses are left out; a band is a triangle that
    reaches to its neighbours' centres; its level is that of its mean magnitude over the frames.
    """
    size = round(sample_rate / 10) * 2
    frames = sliding_window_view(np.pad(x, (0, max(0, size - len(x)))), size)[:: size // 2]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(size))))
    level = 10 * np.log10(power.sum(axis=1) + 1e-20)
    power = power[level >= np.percentile(level, 95) - ACTIVE_DB]
    centre = 31.5 * 2 ** (np.arange(1 + int(3 * np.log2(min(20000.0, 0.95 * sample_rate / 2) / 31.5))) / 3)
    bins = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 1e-3)[:, None]
    weight = np.maximum(0.0, 1 - 3 * np.abs(np.log2(bins / centre)))
    mean = np.sqrt(power @ (weight / weight.sum(axis=0))).mean(axis=0)
    return centre, 20 * np.log10(mean + 1e-9)


def minimum_phase(hz: Audio, gain_db: Audio, sample_rate: float) -> Audio:
    """Design an FIR filter, shape (TAPS,), of minimum phase from a curve: gains in dB at rising frequencies.

    Straight lines over log frequency, level beyond the ends; the phase from the folded cepstrum
    (A. V. Oppenheim, R. W. Schafer, Discrete-Time Signal Processing, 3rd ed., 2010, chapter 13).
    """
    size = 4 * TAPS
    bins = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 1.0)
    cepstrum = np.fft.irfft(np.interp(np.log(bins), np.log(hz), gain_db) * np.log(10) / 20, size)
    cepstrum[1 : size // 2] *= 2
    cepstrum[size // 2 + 1 :] = 0
    fir = np.fft.irfft(np.exp(np.fft.rfft(cepstrum)), size)[:TAPS]
    fade = TAPS // 16
    fir[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return fir
