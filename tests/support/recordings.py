"""Folders of recordings."""

from pathlib import Path

import numpy as np
import soundfile

from afx_live.training.recordings import Recording, find


def noise(seconds: float, rate: int = 8000, channels: int = 1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (0.1 * rng.standard_normal((round(seconds * rate), channels))).astype(np.float32)


def write(path: Path, seconds: float = 1.0, rate: int = 8000, channels: int = 1, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, noise(seconds, rate, channels, seed), rate)
    return path


def one(tmp_path: Path, x: np.ndarray, rate: int = 8000, name: str = "x.wav") -> Recording:
    soundfile.write(tmp_path / name, x, rate, subtype="FLOAT" if name.endswith("wav") else None)
    (recording,) = find(tmp_path)
    return recording
