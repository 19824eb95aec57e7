"""Bundled clips by their paths, and noise."""

import numpy as np

from afx_live import presets

VOICE, GUITAR = str(presets.clip("voice")), str(presets.clip("guitar"))
GUITAR_REFERENCE = str(presets.clip("guitar_reference"))


def noise(seconds, level=0.2, channels=2, rate=48000):
    """Make float32 noise (frames, channels), always the same."""
    return np.random.default_rng(7).normal(0, level, (int(seconds * rate), channels)).astype(np.float32)
