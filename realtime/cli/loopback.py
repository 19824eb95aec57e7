"""`afx-live doctor --loopback`: measure the round trip through a cable."""

from typing import Any

import numpy as np

from ..audio.options import StreamOptions
from ..audio.safety import LOOKAHEAD
from ..doctor.loopback import RoundTrip, ends, measure
from .errors import ExitCode
from .printer import Printer


def loopback(options: StreamOptions, printer: Printer) -> int:
    """Measure and report; returns 0. Raises DeviceError."""
    output, input = ends(options)
    printer.note(f"Plays noise at -26 dBFS on output {output} and records input {input}; turn loudspeakers off.")
    trip = measure(options, printer.note)
    printer.result(data(trip), text(trip))
    return ExitCode.DONE


def data(trip: RoundTrip) -> dict[str, Any]:
    """Give a round trip as plain data."""
    s, rate = trip.status, trip.status["sample_rate"]
    return {
        "input": s["input"],
        "output": s["output"],
        "api": s["api"],
        "sample_rate": rate,
        "block_size": s["block_size"],
        "takes_frames": [take.frames for take in trip.takes],
        "gain": trip.takes[-1].gain,
        "round_trip_frames": trip.frames,
        "round_trip_ms": 1000 * trip.frames / rate,
        "parts_frames": trip.parts,
        "claimed_frames": trip.claimed,
        "total_frames": trip.total,
        "total_ms": 1000 * trip.total / rate,
    }


def text(trip: RoundTrip) -> str:
    """Give a round trip as text for people."""
    rate, parts = trip.status["sample_rate"], trip.parts

    def row(name: str, frames: int, more: str) -> str:
        return f"{name:12} {frames:6} frames {1000 * frames / rate:8.3f} ms  {more}"

    gain = trip.takes[-1].gain
    level = f"level {20 * np.log10(abs(gain)):+.1f} dB{', polarity inverted' if gain < 0 else ''}"
    several = f"{len(trip.takes)} takes alike"
    if not trip.alike:
        each = [take.frames for take in trip.takes]
        several = f"TAKES DIFFER: {', '.join(map(str, each))}; this is their median"
    claim = f"PortAudio claims {trip.claimed} for block and device: {_difference(trip.frames - trip.claimed)}"
    return "\n".join(
        [
            row("round trip", trip.frames, f"measured at {rate:g} Hz, {several}, {level}"),
            row("  block", parts["block"], ""),
            row("  device", parts["device"], f"the rest: drivers, converters, cable ({claim})"),
            row("algorithmic", LOOKAHEAD, "the limiter's look-ahead, also in bypass; the noise did not pass it"),
            row("in to out", trip.total, "the delay a player hears"),
        ]
    )


def _difference(frames: int) -> str:
    return "exactly right" if frames == 0 else f"{abs(frames)} too {'few' if frames > 0 else 'many'}"
