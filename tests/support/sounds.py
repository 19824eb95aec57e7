"""Bundled clips by their paths, and noise."""

import numpy as np
import scipy.signal

from afx_live import presets

VOICE, GUITAR = str(presets.clip("voice")), str(presets.clip("guitar"))
GUITAR_REFERENCE = str(presets.clip("guitar_reference"))


def without_dc(x, rate=48000):
    """What the engine's input stage leaves of x (frames, channels): a first-order high-pass at 5 Hz, by SciPy."""
    sections = scipy.signal.butter(1, 5.0, "highpass", output="sos", fs=rate)
    return np.asarray(scipy.signal.sosfilt(sections, x, axis=0))


def noise(seconds, level=0.2, channels=2, rate=48000):
    """Make float32 noise (frames, channels), always the same."""
    return np.random.default_rng(7).normal(0, level, (int(seconds * rate), channels)).astype(np.float32)
