"""Sounds and chains that several test modules use."""

from pathlib import Path

import numpy as np
import soundfile
import soxr

from afx_live import presets
from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings

RATE = 48000
WORKING = ChainSettings(
    (
        EffectSettings("equaliser", {"low_shelf_db": 6.0, "peak_2_db": -5.0, "high_shelf_db": 4.0}),
        EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}),
        EffectSettings("distortion", {"drive_db": 18.0, "mix": 0.8}),
        EffectSettings("reverb", {"mix": 0.2}),
    )
)
"""Every effect at work."""


def bundled(name: str) -> np.ndarray:
    """Read a bundled clip (frames,), 48 kHz."""
    return soundfile.read(presets.clip(name))[0]


def played(settings: ChainSettings, x: np.ndarray) -> np.ndarray:
    """Play a sound (frames,) or (frames, channels) of 48 kHz through a chain: (frames, channels)."""
    x = x[:, None] if x.ndim == 1 else x
    return ChainPlayer(settings, RATE, x.shape[1]).play(x)


def sound(rate: int, channels: int, seconds: float = 2.0, clip: str = "voice", level: float = 1.0) -> np.ndarray:
    """Give a bundled clip at any rate (frames, channels), each channel a little different."""
    x = soxr.resample(bundled(clip), RATE, rate)[: int(seconds * rate)]
    return np.stack([np.roll(x, 7 * c) * level * 0.9**c for c in range(channels)], 1)


def put(path: Path, x: np.ndarray, rate: int, subtype: str = "PCM_24") -> Path:
    """Write a sound to a file, and give the file."""
    soundfile.write(path, x, rate, subtype)
    return path
