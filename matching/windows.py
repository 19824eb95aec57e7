"""Where there is sound in a clip: what is heard of it does not depend on where its silences stand."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dsp.loudness import LoudnessMeter

HOP_S = 0.1
QUIET_DB = 45.0
"""Hops this far under the loudest one are silence."""
BEFORE_HOPS, AFTER_HOPS = 2, 8
"""Kept around each hop of sound: rests of up to a second are part of the playing."""


def sounds(powers: ArrayLike) -> NDArray[np.bool_]:
    """Say of each hop of 100 ms, by the mean squares (hops,), whether it is sound or within a short rest."""
    powers = np.asarray(powers, np.float64)
    if not len(powers):
        return np.zeros(0, np.bool_)
    loud = powers > powers.max() * 10 ** (-QUIET_DB / 10)
    near = np.convolve(loud, np.ones(BEFORE_HOPS + AFTER_HOPS + 1))
    return near[BEFORE_HOPS : BEFORE_HOPS + len(loud)] > 0.5


def sounding(x: NDArray[np.float64], sample_rate: float) -> NDArray[np.float64]:
    """Leave the silences of more than a second out of x (frames,); digital silence comes back as it is."""
    meter = LoudnessMeter(sample_rate, 1, keep_start=False)
    meter.add(x[:, None])
    kept = sounds(meter.powers())
    if kept.all() or not kept.any():
        return x
    hop = round(sample_rate * HOP_S)
    rest = np.full(len(x) - len(kept) * hop, kept[-1])
    return x[np.concatenate([np.repeat(kept, hop), rest])]
