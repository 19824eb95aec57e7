"""Sounds that several test modules use."""

from pathlib import Path

import numpy as np
import soundfile
import soxr

from afx_live import presets
from afx_live.chain import ChainPlayer, ChainSettings

RATE = 48000


def bundled(name: str, seconds: float | None = None) -> np.ndarray:
    """Read a bundled clip (frames,), 48 kHz; so long, over and over, if that is said."""
    x = soundfile.read(presets.clip(name))[0]
    return x if seconds is None else np.resize(x, int(seconds * RATE))


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
