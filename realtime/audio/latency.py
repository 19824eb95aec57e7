"""The delay from input to output: the engine's look-ahead, the block, and what the device claims beyond it.

A `status` is `LiveEngine.status`: sample_rate in Hz, block_size in frames, input_latency and output_latency in s.
"""

from collections.abc import Mapping
from typing import Any

from .safety import LOOKAHEAD

NONSENSE_S = 60.0


def claimed_s(status: Mapping[str, Any]) -> float:
    """Give the delay of block and device in s, as PortAudio claims it; 0 if it claims nothing, or nonsense.

    PipeWire's JACK library gives (2**32 - 1) frames for ports that are not connected yet.
    """
    claimed = status.get("input_latency", 0.0) + status.get("output_latency", 0.0)
    return claimed if 0.0 <= claimed < NONSENSE_S else 0.0


def total_ms(status: Mapping[str, Any], sample_rate: float) -> float:
    """Give the whole delay from input to output in ms."""
    return 1e3 * (claimed_s(status) + LOOKAHEAD / sample_rate)


def parts_ms(status: Mapping[str, Any]) -> dict[str, float]:
    """Split the delay from input to output in ms: algorithmic, block, device."""
    rate = status["sample_rate"]
    block = 1e3 * status["block_size"] / rate
    device = max(1e3 * claimed_s(status) - block, 0.0)
    parts = {"algorithmic": 1e3 * LOOKAHEAD / rate, "block": block, "device": device}
    return {name: round(ms, 2) for name, ms in parts.items()}
