"""Long sounds in blocks: the next block is prepared in a thread while the last one is used."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from ..chain import ChainSettings

BLOCK = 1 << 14
"""Frames of a block: two channels of it stay in a second-level cache."""

Item = TypeVar("Item")


def prefetch(items: Iterator[Item], pool: ThreadPoolExecutor) -> Iterator[Item]:
    """Prepare the next item in a thread of the pool while the last one is used; compiled code releases the GIL."""
    coming = pool.submit(next, items, None)
    while (item := coming.result()) is not None:
        coming = pool.submit(next, items, None)
        yield item


def split_chain(settings: ChainSettings) -> tuple[ChainSettings, ChainSettings]:
    """Split a chain before its last enabled effect; one part after the other plays the bits of the whole."""
    last = max((i for i, each in enumerate(settings.effects) if each.enabled), default=0)
    front, back = settings.effects[:last], settings.effects[last:]
    return replace(settings, effects=front, output_gain_db=0.0), replace(settings, effects=back, input_gain_db=0.0)
