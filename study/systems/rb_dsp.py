"""RB-DSP, the rule-based baseline of DeepAFx-ST: a match EQ, then a compressor by search.

Audio is mono, shape (frames,), float64, full scale 1. Filters, knee and smoothing here are the authors', not
our effects'.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...dsp.loudness import integrated_loudness
from ..metrics.audio import Audio, mono
from ..pairs.deepafx_compressor import gain_reduction_db, pole, smoothed

PEAK = 10 ** (-12 / 20)
SPECTRUM = 65536
"""Frames of its spectra."""
SMOOTH = 1025
"""Bins over which they are smoothed (0.75 kHz at 48 kHz), by a parabola."""
RATIO, KNEE_DB = 3.0, 6.0
GAP_LU = 0.5
MIN_THRESHOLD_DB = -80.0


def rb_dsp(x: Audio, reference: Audio, sample_rate: float, taps: int = 63, aligned: bool = False) -> Audio:
    """Play DeepAFx-ST's rule-based baseline (RB-DSP): a linear-phase match EQ, then a compressor by search.

    As published it has 63 taps, delays by 31 frames, and its compressor's knee is wrong; all three are kept
    unless `aligned`: then the delay is removed (which needs an odd number of taps) and the knee is the
    textbook's. Peaks are at -12 dBFS, in between and at the end. Raises ValueError for an even number of taps if
    aligned.
    C. J. Steinmetz, N. J. Bryan, J. D. Reiss, Style Transfer of Audio Effects with Differentiable Signal
    Processing, JAES 70(9), 2022; rewritten from what their code does.
    """
    from scipy.signal import firwin2, oaconvolve

    if aligned and taps % 2 == 0:
        raise ValueError(f"taps = {taps} has its middle between two frames; an odd number can be aligned")
    x, reference = _peak(mono(x)), _peak(mono(reference))
    wanted = _smooth_spectrum(reference) / _smooth_spectrum(x)
    wanted[-1] = 0.0  # at half the sample rate
    fir = firwin2(taps, np.linspace(0.0, 1.0, len(wanted)), wanted)
    delay = taps // 2 if aligned else 0
    x = _peak(np.asarray(oaconvolve(x, fir))[delay : delay + len(x)])
    target_lufs = integrated_loudness(reference, sample_rate)
    return _peak(_compressed(x, target_lufs, sample_rate, corrected=aligned))


def _peak(x: Audio) -> Audio:
    return x * (PEAK / max(np.abs(x).max(), 1e-12))


def _smooth_spectrum(x: Audio) -> Audio:
    """Return the mean magnitude of overlapping frames without a window, smoothed along the bins."""
    from scipy.signal import savgol_filter

    edge = SPECTRUM // 2
    x = np.pad(x, edge, "reflect" if len(x) > edge else "constant")
    frames = sliding_window_view(x, SPECTRUM)[:: SPECTRUM // 4]
    mean = np.mean([np.abs(np.fft.rfft(frame)) for frame in frames], axis=0)
    smooth = np.asarray(savgol_filter(mean, SMOOTH, 2))
    return np.maximum(smooth, 1e-6 * smooth.max())  # a parabola may dip below zero


def _compressed(x: Audio, target_lufs: float, sample_rate: float, corrected: bool) -> Audio:
    """Lower the threshold until the clip, normalised to its peak, reaches the loudness; return the clip before that.

    Where x is already loud enough, or within 0.5 LU, it is unchanged. Where fast attacks pass and the rest is
    attenuated, the normalised clip only gets quieter, and the search ends at -80 dB, as published.
    """
    attack, release = pole(sample_rate, 0.001), pole(sample_rate, 0.05)
    level_db = 20 * np.log10(np.maximum(np.abs(x), 10 ** (-96 / 20)))
    loudness, threshold_db, before, now = integrated_loudness(x, sample_rate), 0.0, x, x
    while target_lufs - loudness > GAP_LU and threshold_db > MIN_THRESHOLD_DB:
        wanted_db = gain_reduction_db(level_db, threshold_db, RATIO, KNEE_DB, corrected)
        before, now = now, _peak(x * 10 ** (-smoothed(wanted_db, attack, release) / 20))
        loudness, threshold_db = integrated_loudness(now, sample_rate), threshold_db - 0.5
    return before
