"""The loudness of a sound that comes in blocks, without keeping it."""

import numpy as np

from ..dsp.loudness import gated_loudness, hop_powers, integrated_loudness, meter_block, meter_state


class LoudnessMeter:
    """Integrated loudness of a stream; memory grows with what was measured, not with what a header claims.

    max_frames: the longest block. keep_start: keep the first 400 ms, so that `lufs` also measures a sound too
    short for `powers`.
    """

    def __init__(self, sample_rate: float, channels: int, max_frames: int, keep_start: bool = True) -> None:
        self._rate, self._hop, self._frames = sample_rate, round(sample_rate / 10), 0
        self._state = meter_state(sample_rate, channels, max_frames // self._hop + 2)
        self._powers: list[np.ndarray] = []
        self._start = [np.zeros((0, channels))] if keep_start else []  # a short sound's loudness is not made of hops

    def add(self, block: np.ndarray) -> None:
        """Measure a block (frames, channels) of at most `max_frames`."""
        meter_block(np.ascontiguousarray(block, np.float64), self._state)
        before, self._frames = self._frames // self._hop, self._frames + len(block)
        if new := self._frames // self._hop - before:
            self._powers.append(hop_powers(self._state)[-new:])
        self._start = [*self._start, block.copy()] if self._start and self._frames < 4 * self._hop else []

    def powers(self) -> np.ndarray:
        """Give the mean squares (hops,) of all hops of 100 ms, oldest first."""
        return np.concatenate([np.zeros(0), *self._powers])

    def lufs(self, gain_db: float = 0.0) -> float:
        """Give the `integrated_loudness` of the whole after a gain; the absolute gate makes that more than a sum."""
        if self._start:
            return integrated_loudness(np.concatenate(self._start) * 10 ** (gain_db / 20), self._rate)
        return gated_loudness(self.powers() * 10 ** (gain_db / 10))
