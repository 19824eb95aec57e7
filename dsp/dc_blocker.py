"""Direct current taken off a stream: a first-order high-pass at 5 Hz.

A sound card with an offset, or a one-sided recording, holds power that no loudness meter sees and every gain,
compressor and limiter does. The filter is the one-pole by trapezoidal integration (V. Zavalishin, The Art of VA
Filter Design, 2.1.2, 2018, ch. 3): exactly nothing of a constant is left, 20 Hz loses 0.26 dB, and an offset that
comes or goes is forgotten with a time constant of 32 ms.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .compiler import jit
from .cpu import flush_denormals, restore_denormals
from .entry import FLOAT, MATRIX, VECTOR

CUTOFF_HZ = 5.0
AUDIBLE_DC = 10 ** (-50 / 20)
"""An offset under -50 dBFS is not worth a word: many converters have one."""


@jit
def dc_share(sample_rate):
    """Give the filter's coefficient at a sample rate in Hz. With 0 in its place every bit passes."""
    g = math.tan(math.pi * CUTOFF_HZ / sample_rate)
    return g / (1.0 + g)


@jit(fastmath=False)  # the same bits wherever it is inlined: files, engine and plug-ins agree
def block_dc(x, state, share):
    """Filter a block x (frames, channels) in place; `state` (channels,) is the offset found so far, zeros at first.

    Runs in the audio callback. Any partition of a stream gives the same bits.
    """
    frames, channels = x.shape
    if share == 0.0:
        return
    for c in range(0, channels, 2):  # two go together, as each waits for its own last frame
        d = min(c + 1, channels - 1)
        offset, other = state[c], state[d]
        for n in range(frames):
            v, w = x[n, c], x[n, d]
            half_step, other_half = (v - offset) * share, (w - other) * share
            x[n, c], x[n, d] = v - (offset + half_step), w - (other + other_half)
            offset, other = offset + 2.0 * half_step, other + 2.0 * other_half
        state[c], state[d] = offset, other


@jit(entry=(MATRIX, VECTOR, FLOAT))
def _block_alone(x, state, sample_rate):
    mode = flush_denormals()
    block_dc(x, state, dc_share(sample_rate))
    restore_denormals(mode)


class DcBlocker:
    """Take the direct current off a stream, block after block, from Python.

    >>> bool(abs(DcBlocker(48000, channels=1)(np.full((48000, 1), 0.5))[-1, 0]) < 1e-9)
    True
    """

    def __init__(self, sample_rate: float, channels: int, offset: ArrayLike = 0.0) -> None:
        """`offset` (channels,): what an excerpt out of the middle of a stream would have found before it."""
        self._rate, self._state = float(sample_rate), np.zeros(channels) + np.asarray(offset)

    def __call__(self, block: np.ndarray) -> NDArray[np.float64]:
        """Filter a block (frames, channels); returns float64 of the same shape."""
        x = np.array(block, np.float64, order="C")
        _block_alone(x, self._state, self._rate)
        return x
