"""Third-octave spectra of clips, and minimum-phase filters from curves, on `dsp.spectrum`'s definitions."""

import numpy as np

from ...dsp import spectrum
from .audio import Audio

TAPS = 4096
"""Length of a minimum-phase filter, in frames; for the match EQ, half or twice as many score the same."""


def third_octave_levels(x: Audio, sample_rate: float) -> tuple[Audio, Audio]:
    """Return third-octave centres in Hz and long-term levels in dB, both (bands,), from 31.5 Hz to 20 kHz at most."""
    centres_hz = spectrum.third_octaves(31.5, min(20000.0, 0.95 * sample_rate / 2))
    return centres_hz, spectrum.long_term_spectrum(x, sample_rate, centres_hz)


def minimum_phase_fir(hz: Audio, gain_db: Audio, sample_rate: float) -> Audio:
    """Design an FIR filter, shape (TAPS,), of minimum phase from a curve: gains in dB at rising frequencies.

    Straight lines over log frequency, constant beyond the ends; the last sixteenth is faded out.
    """
    size = 4 * TAPS
    bins = np.maximum(np.fft.rfftfreq(size, 1 / sample_rate), 1.0)
    magnitude = 10 ** (np.interp(np.log(bins), np.log(hz), gain_db) / 20)
    fir = np.fft.irfft(spectrum.minimum_phase(magnitude), size)[:TAPS]
    fade = TAPS // 16
    fir[-fade:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(1, fade + 1) / fade)
    return fir


def filtered(x: Audio, fir: Audio) -> Audio:
    """Convolve a clip with an FIR filter; as long as the clip."""
    size = 1 << (len(x) + len(fir)).bit_length()
    return np.fft.irfft(np.fft.rfft(x, size) * np.fft.rfft(fir, size), size)[: len(x)]
