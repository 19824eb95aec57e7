"""Systems that need no learning: what a model has to beat.

A system is a function `system(x, reference, sample_rate) -> y`, all mono, shape (frames,), float64,
full scale 1; y has the length of x, the reference any length. ValueError for another shape, for NaN
or Inf. Silence, on either side, is left alone.
"""

from collections.abc import Callable

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from ..effects._loudness import integrated_loudness

Audio = NDArray[np.float64]
System = Callable[[Audio, Audio, float], Audio]

LIMIT_DB = 18.0
"""The most a match EQ lifts or cuts."""
TAPS = 4096
"""Length of the match EQ's filter, in frames."""
_ACTIVE_DB = 30.0  # frames this far under the loud ones (95th percentile) are pauses


def _audio(x: Audio) -> Audio:
    x = np.asarray(x, np.float64)
    if x.ndim != 1:
        raise ValueError(f"audio is mono, of shape (frames,), not {x.shape}")
    return x


def do_nothing(x: Audio, reference: Audio, sample_rate: float) -> Audio:
    """Give the input back."""
    return _audio(x).copy()


def only_loudness(x: Audio, reference: Audio, sample_rate: float) -> Audio:
    """Set the input to the reference's integrated loudness."""
    x, reference = _audio(x), _audio(reference)
    gain = integrated_loudness(reference, sample_rate) - integrated_loudness(x, sample_rate)
    return x * 10 ** (gain / 20) if np.isfinite(gain) else x.copy()
