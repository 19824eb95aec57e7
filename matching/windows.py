"""Where there is sound in a clip: what is heard of it does not depend on where its silences stand."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dsp.loudness import LoudnessMeter

HOP_S = 0.1
RELATIVE_GATE_LU = 20.0
"""Windows of 5 s this far below the loudest one are left out."""
QUIET_DB = 45.0
"""Hops this far under the loudest one are silence."""
REST_HOPS = 10
"""Rests of up to a second are part of the playing."""


def sounds(powers: ArrayLike) -> NDArray[np.bool_]:
    """Say of each hop of 100 ms, by the mean squares (hops,), whether it is sound or within a short rest."""
    powers = np.asarray(powers, np.float64)
    found = np.ones(len(powers), np.bool_)
    loud = np.flatnonzero(powers > powers.max(initial=0.0) * 10 ** (-QUIET_DB / 10))
    edges = np.concatenate([[-1], loud, [len(powers)]])
    for before in np.flatnonzero(np.diff(edges) - 1 > REST_HOPS):
        found[edges[before] + 1 : edges[before + 1]] = False
    return found


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
