"""True peak of a stream: the level between samples, by four times oversampling (ITU-R BS.1770-4, Annex 2)."""

import numpy as np

from .compiler import jit
from .entry import MATRIX, VECTOR

_A = (
    0.0017089843750, 0.0109863281250, -0.0196533203125, 0.0332031250000, -0.0594482421875, 0.1373291015625,
    0.9721679687500, -0.1022949218750, 0.0476074218750, -0.0266113281250, 0.0148925781250, -0.0083007812500,
)  # fmt: skip
_B = (
    -0.0291748046875, 0.0292968750000, -0.0517578125000, 0.0891113281250, -0.1665039062500, 0.4650878906250,
    0.7797851562500, -0.2003173828125, 0.1015625000000, -0.0582275390625, 0.0330810546875, -0.0189208984375,
)  # fmt: skip
PHASES = np.array([_A, _B, _B[::-1], _A[::-1]])
"""The interpolator of Annex 2, as four filters of 12 taps."""
TAPS = PHASES.shape[1]
GAIN = np.abs(PHASES).sum(1).max()
"""No interpolated sample is higher than its neighbours by a greater factor."""
TILE = 64


@jit(entry=(MATRIX, VECTOR), fastmath={"contract", "nnan", "nsz"})  # what is compared is compared in lanes
def _raise_to_highest(x, highest):
    """Raise `highest` (1,) to what lies between the samples of x (channels, frames), the first 11 known."""
    channels, frames = x.shape
    peak = highest[0]
    for c in range(channels):
        for begin in range(TAPS - 1, frames, TILE):
            near = x[c, begin - TAPS + 1 : min(begin + TILE, frames)]
            level = 0.0
            for n in range(near.shape[0]):
                level = max(level, abs(near[n]))
            if level * GAIN <= peak:
                continue
            for phase in range(4):
                for n in range(near.shape[0] - TAPS + 1):
                    total = 0.0
                    for k in range(TAPS):
                        total += PHASES[phase, k] * near[n + TAPS - 1 - k]
                    peak = max(peak, abs(total))
    highest[0] = peak


class TruePeak:
    """Follow a stream in blocks.

    >>> meter = TruePeak(1)  # a quarter of the sample rate, hit between its crests
    >>> meter.add((np.hanning(999) * np.sin(np.pi / 4 + np.pi / 2 * np.arange(999)))[:, None])
    >>> round(meter.db(), 1)
    0.0
    """

    def __init__(self, channels: int) -> None:
        self._known, self._peak = np.zeros((channels, TAPS - 1)), np.zeros(1)

    def add(self, block: np.ndarray) -> None:
        """Measure a block (frames, channels)."""
        x = np.empty((len(self._known), TAPS - 1 + len(block)))
        x[:, : TAPS - 1], x[:, TAPS - 1 :] = self._known, block.T
        _raise_to_highest(x, self._peak)
        self._known = x[:, 1 - TAPS :]

    def db(self) -> float:
        """Give the true peak so far, in dBTP; -inf for silence."""
        x = np.concatenate([self._known, np.zeros_like(self._known)], 1)
        highest = self._peak.copy()
        _raise_to_highest(x, highest)
        return float(20.0 * np.log10(highest[0])) if highest[0] > 0.0 else -np.inf
