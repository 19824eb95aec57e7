"""Long sounds, a block at a time: fetched ahead, played by two threads, measured without keeping them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from ...chain import ChainPlayer, ChainSettings
from ...dsp.loudness import gated_loudness, hop_powers, integrated_loudness, meter_block, meter_state

BLOCK = 1 << 14
"""Frames of a block: two channels of it stay in a second-level cache."""
THREAD_S = 30.0
"""What is shorter than this is not worth a thread, least of all beside a live stream."""

Item = TypeVar("Item")


def ahead(items: Iterator[Item], pool: ThreadPoolExecutor) -> Iterator[Item]:
    """Have the next item made, in a thread of the pool, while the last one is used: compiled code lets go of Python."""
    coming = pool.submit(next, items, None)
    while (item := coming.result()) is not None:
        coming = pool.submit(next, items, None)
        yield item


def parted(settings: ChainSettings) -> tuple[ChainSettings, ChainSettings]:
    """Cut a chain before its last effect that is on; one part after the other plays the bits of the whole."""
    last = max((i for i, step in enumerate(settings.effects) if step.enabled), default=0)
    front, back = settings.effects[:last], settings.effects[last:]
    return replace(settings, effects=front, output_gain_db=0.0), replace(settings, effects=back, input_gain_db=0.0)


class Meter:
    """The loudness of a sound that comes in blocks; grows with what was heard, not with what a header claims.

    whole: keep the beginning, so that `lufs` knows a sound that is too short for `powers`.
    """

    def __init__(self, sample_rate: float, channels: int, whole: bool = True) -> None:
        self._rate, self._hop, self._frames = sample_rate, round(sample_rate / 10), 0
        self._state = meter_state(sample_rate, channels, BLOCK // self._hop + 2)
        self._found: list[np.ndarray] = []
        self._begin = [np.zeros((0, channels))] if whole else []  # under 400 ms, loudness is not made of hops

    def hear(self, block: np.ndarray) -> None:
        """Listen to a block (frames, channels) of at most BLOCK frames."""
        meter_block(np.ascontiguousarray(block, np.float64), self._state)
        before, self._frames = self._frames // self._hop, self._frames + len(block)
        if new := self._frames // self._hop - before:
            self._found.append(hop_powers(self._state)[-new:])
        self._begin = [*self._begin, block.copy()] if self._begin and self._frames < 4 * self._hop else []

    def powers(self) -> np.ndarray:
        """Give the mean squares of all hops of 100 ms, oldest first."""
        return np.concatenate([np.zeros(0), *self._found])

    def lufs(self, gain_db: float = 0.0) -> float:
        """Give what `integrated_loudness` would say of the whole, were it so much louder: the absolute gate stays."""
        if self._begin:
            return integrated_loudness(np.concatenate(self._begin) * 10 ** (gain_db / 20), self._rate)
        return gated_loudness(self.powers() * 10 ** (gain_db / 10))


def loudness(x: np.ndarray, sample_rate: float, settings: ChainSettings | None = None) -> float:
    """Measure a sound (frames, channels) in LUFS, as it is or as a chain plays it."""
    return metered(x, sample_rate, settings).lufs()


def metered(x: np.ndarray, sample_rate: float, settings: ChainSettings | None = None) -> Meter:
    """Listen to a sound (frames, channels), as it is or as a chain plays it."""
    pieces = (x[at : at + BLOCK] for at in range(0, len(x), BLOCK))
    meter = Meter(sample_rate, x.shape[1])
    with ThreadPoolExecutor(1) as pool:
        if settings is not None:
            parts = parted(settings) if len(x) > THREAD_S * sample_rate else (settings,)
            for i, part in enumerate(parts):
                pieces = map(ChainPlayer(part, sample_rate, x.shape[1]).play, ahead(pieces, pool) if i else pieces)
        for piece in pieces:
            meter.hear(piece)
    return meter
