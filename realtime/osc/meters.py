"""The engine's meters, under their OSC addresses."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

from .addresses import METER

FLOOR_DB = -100.0
"""What silence reads."""


class Metered(Protocol):
    """What is read of a `LiveEngine`."""

    @property
    def sample_rate(self) -> float: ...

    @property
    def status(self) -> Mapping[str, Any]: ...

    def meters(self) -> Mapping[str, Any]: ...


def readings(engine: Metered, effects: list[str]) -> dict[str, float]:
    """Read all meters, by address; `effects` are those that play, in order. That of OSC itself is the server's."""
    from ...effects import load, names
    from ..audio.latency import total_ms

    m = engine.meters()
    found = {
        "in_peak_db": _db(m["in_peak"]),
        "out_peak_db": _db(m["out_peak"]),
        "in_lufs": max(m["in_lufs"], FLOOR_DB),
        "out_lufs": max(m["out_lufs"], FLOOR_DB),
        "ceiling/reduction_db": _db(m["ceiling_gain"]),
        "load": m["load"],
        "xruns": m["input_overflows"] + m["output_underflows"],
        "late": m["late"],
        "muted": m["muted_blocks"],
        "latency_ms": total_ms(engine.status, engine.sample_rate),
    }
    slots = {effect: i for i, effect in enumerate(effects, 1)}  # slot 0 is the input gain
    for name in names():
        if load(name).meter is not None:
            found[f"{name}/reduction_db"] = m["gain_reduction_db"][slots[name]] if name in slots else 0.0
    return {METER + name: float(value) for name, value in found.items()}


def _db(level: float) -> float:
    return max(20.0 * math.log10(level), FLOOR_DB) if level > 0.0 else FLOOR_DB
