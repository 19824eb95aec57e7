"""What a sound is in an array: checked once, with words that say what is allowed."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

INPUT_CLIP = 8.0
"""Samples are let into a chain up to +18 dBFS: beyond that it is a fault, not a sound."""


def frames_of(x: Any) -> NDArray[np.float64]:
    """Copy a sound to float64 (frames, channels): x is (frames,) or (frames, channels), one or two channels.

    Raises TypeError if x is no array of floats, ValueError for another shape, NaN or Inf.
    """
    if not isinstance(x, np.ndarray) or x.dtype not in (np.float32, np.float64):
        kind = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
        raise TypeError(f"a sound is an array of float32 or float64 with a full scale of 1, not {kind}")
    if x.ndim not in (1, 2) or (x.ndim == 2 and x.shape[1] not in (1, 2)):
        hint = "; it looks like (channels, frames): give its transpose" if x.ndim == 2 and len(x) in (1, 2) else ""
        raise ValueError(f"a sound is (frames,) or (frames, channels) with one or two channels, not {x.shape}{hint}")
    if not np.isfinite(x).all():
        raise ValueError("the sound holds NaN or Inf")
    return np.array(x if x.ndim == 2 else x[:, None], np.float64, order="C")


def check_sample_rate(sample_rate: Any) -> float:
    """Return a sample rate in Hz as a float; ValueError if it is none."""
    rate = float(sample_rate)
    if not 0.0 < rate < float("inf"):
        raise ValueError(f"sample_rate: {rate:g} Hz is not above 0")
    return rate
