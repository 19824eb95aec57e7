"""Several channels as one, without those of opposite polarity cancelling each other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

OPPOSITE = -0.3
"""Channels whose correlation is under this are taken for one sound with its sign changed."""


def polarity(products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the sign (channels,), 1 or -1, with which each channel adds to the others; the strongest has 1.

    products (channels, channels): the sums of products of every two channels over the sound.
    """
    power = np.diag(products)
    signs, order = np.zeros(len(power)), np.argsort(-power, kind="stable")
    for channel in order:
        together = signs @ products[:, channel]
        alone = np.sqrt(power[channel] * max(signs @ products @ signs, 0.0))
        signs[channel] = -1.0 if together < OPPOSITE * alone else 1.0
    return signs


def mono(x: NDArray[Any]) -> NDArray[Any]:
    """Give the mean (frames,) of the channels of x, (frames,) or (frames, channels), none cancelling another."""
    if x.ndim == 1:
        return x
    signs = polarity(x.T @ x)
    return x.mean(1) if signs.min(initial=1.0) > 0.0 else (x * signs).mean(1)
