"""Long-term spectra of clips, and minimum-phase filters from curves."""

import numpy as np

from ...dsp import spectrum
from .audio import Audio

TAPS = 4096
"""Length of a minimum-phase filter, in frames; for the match EQ, half or twice as many score the same."""


def long_term_spectrum(x: Audio, sample_rate: float) -> tuple[Audio, Audio]:
    """Give third-octave centres in Hz and levels in dB, both (bands,), from 31.5 Hz to 20 kHz at most.

    See `dsp.spectrum.long_term_spectrum`.
    """
    centres = spectrum.third_octaves(31.5, min(20000.0, 0.475 * sample_rate))
    return centres, spectrum.long_term_spectrum(x, sample_rate, centres)


def minimum_phase(hz: Audio, gain_db: Audio, sample_rate: float) -> Audio:
    """Design an FIR filter, shape (TAPS,), of minimum phase from a curve: gains in dB at rising frequencies.

    Straight lines over log frequency, level beyond the ends; phase as in `dsp.spectrum.minimum_phase`.
    """
    size = 4 * TAPS
    bins = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 1.0)
    magnitude = 10 ** (np.interp(np.log(bins), np.log(hz), gain_db) / 20)
    fir = np.fft.irfft(spectrum.minimum_phase(magnitude), size)[:TAPS]
    fade = TAPS // 16
    fir[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return fir
