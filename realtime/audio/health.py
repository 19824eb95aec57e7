"""Drop-outs: which counters are one, and what helps against them."""

from collections.abc import Mapping
from typing import Any

DROP_OUTS = ("input_overflows", "output_underflows", "late")
"""The meters that count gaps: blocks that came or went too late."""
MAX_BLOCK = 2048
"""Frames of the largest block that is advised; beyond it nobody could play."""


def drop_outs(meters: Mapping[str, Any]) -> int:
    """Count the drop-outs since the start; a meter that is missing counts as none."""
    return sum(int(meters.get(name) or 0) for name in DROP_OUTS)


def advice(status: Mapping[str, Any]) -> str:
    """Say what helps against drop-outs: the next larger block, or closing other programs."""
    larger = 1 << int(status["block_size"]).bit_length()
    if larger <= MAX_BLOCK:
        return f"--blocksize {larger} is safer"
    return "the block is large already: close other programs, or ask afx-live doctor"
