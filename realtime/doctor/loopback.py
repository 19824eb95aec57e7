"""`afx-live doctor --loopback`: how long sound takes from the output back to the input, to the sample."""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np

from ...chain import ChainSettings
from ..audio.devices import DeviceError
from ..audio.engine import LATENCY
from ..audio.live_engine import LiveEngine
from ..audio.stream_process import CLIENT
from ..audio.test_signal import LEVEL, PERIOD, Echo, find
from ..cli.main import result

PATIENCE_S = 20.0
"""Wait for somebody to plug in the cable."""
OPENINGS, TAKES = 3, 2
"""Takes in each of so many streams: some drivers begin with another delay each time."""
LONGEST_S = 1.0
"""No round trip is longer: what came in before is not listened to."""
TRY = "Try: afx-live doctor --loopback"


@dataclass(frozen=True)
class RoundTrip:
    """What was measured: takes in frames, and the stream they were taken from (delays claimed by PortAudio in s)."""

    takes: tuple[Echo, ...]
    status: Mapping[str, Any]

    @property
    def frames(self) -> int:
        return median_low(take.frames for take in self.takes)

    @property
    def parts(self) -> dict[str, int]:
        """Give the frames of block and device, and of the engine's look-ahead, which comes on top of both."""
        block = min(self.status["block_size"], self.frames)
        return {"algorithmic": LATENCY, "block": block, "device": self.frames - block}

    @property
    def claimed(self) -> int:
        """PortAudio's word for block and device, in frames."""
        return round((self.status["input_latency"] + self.status["output_latency"]) * self.status["sample_rate"])

    @property
    def alike(self) -> bool:
        return len({take.frames for take in self.takes}) == 1


def measure(options: Mapping[str, Any], say: Callable[[str], None]) -> RoundTrip:
    """Send noise round and time it, in several streams (under JACK in one: connections end with their client).

    options: as for `LiveEngine`; `say` hears what somebody may have to do. Raises DeviceError E310 if
    the noise does not come back, or by two ways, E307 if the stream is lost.
    """
    takes: list[Echo] = []
    status: Mapping[str, Any] = {}
    for _ in range(OPENINGS):
        with LiveEngine(ChainSettings(), probe=LEVEL, **options) as engine:
            status = engine.status
            cable = _cable(options, status["api"])
            _await_loop(engine, cable, say)
            takes += [_take(engine, cable) for _ in range(TAKES)]
        if status["api"] == "JACK":
            break
    return RoundTrip(tuple(takes), status)


def _ends(options: Mapping[str, Any]) -> tuple[int, int]:
    """Give the output and the input that the test uses, which count from 1."""
    return (options.get("output_channels") or [1])[0], (options.get("input_channels") or [1])[0]


def _cable(options: Mapping[str, Any], api: str) -> str:
    output, input = _ends(options)
    name = CLIENT.decode()
    patch = f", or: jack_connect {name}:out_{output - 1} {name}:in_{input - 1}" if api == "JACK" else ""
    return f"connect output {output} to input {input} with a cable{patch}"


def _listen(engine: LiveEngine) -> np.ndarray:
    """Wait for a new period of sound; returns input and noise (frames, 2)."""
    rate = engine.sample_rate
    wanted = max(engine.meters()["ring"], LONGEST_S * rate) + PERIOD
    while engine.meters()["ring"] < wanted:
        if not engine.running:
            raise DeviceError("E307", "The stream was lost while it was measured. Try again, with a longer --blocksize")
        time.sleep(0.05)
    return engine.heard((PERIOD + 1) / rate)


def _await_loop(engine: LiveEngine, cable: str, say: Callable[[str], None]) -> None:
    """Wait until somebody has made the loop."""
    deadline, told = time.monotonic() + PATIENCE_S, False
    while find(_listen(engine)) is None:
        if time.monotonic() > deadline:
            raise DeviceError("E310", f"No loop heard: {cable}, and turn the input up. {TRY}")
        if not told:
            say(f"Nothing comes back yet: {cable} (waiting {PATIENCE_S:.0f} s)")
            told = True


def _take(engine: LiveEngine, cable: str) -> Echo:
    echo = find(_listen(engine))
    if echo is None:
        raise DeviceError("E310", f"The loop broke off: {cable}. {TRY}")
    if echo.other is not None:
        raise DeviceError(
            "E310",
            f"The noise came back by two ways, after {echo.frames} and {echo.other} frames. Switch off the "
            f"interface's direct monitoring and loop-back, and {cable}, and nothing else. {TRY}",
        )
    return echo


# --- telling --------------------------------------------------------------------------------------


def loopback(a: argparse.Namespace, options: Mapping[str, Any]) -> int:
    """Measure and tell; 0, or a DeviceError (3)."""

    def say(text: str) -> None:
        if not a.quiet:
            print(text, file=sys.stderr, flush=True)

    output, input = _ends(options)
    say(f"Plays noise at -26 dBFS on output {output} and listens to input {input}; turn loudspeakers off.")
    trip = measure({**options, "block_size": a.blocksize}, say)
    result(a, _plain(trip), _told(trip))
    return 0


def _plain(trip: RoundTrip) -> dict[str, Any]:
    s, rate = trip.status, trip.status["sample_rate"]
    total = trip.frames + LATENCY
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
        "total_frames": total,
        "total_ms": 1000 * total / rate,
    }


def _told(trip: RoundTrip) -> str:
    rate, parts = trip.status["sample_rate"], trip.parts

    def row(name: str, frames: int, more: str) -> str:
        return f"{name:12} {frames:6} frames {1000 * frames / rate:8.3f} ms  {more}"

    gain = trip.takes[-1].gain
    level = f"level {20 * np.log10(abs(gain)):+.1f} dB{', upside down' if gain < 0 else ''}"
    several = f"{len(trip.takes)} takes alike"
    if not trip.alike:
        each = [take.frames for take in trip.takes]
        several = f"TAKES DIFFER: {', '.join(map(str, each))}; this is their median"
    claim = f"PortAudio claims {trip.claimed} for block and device: {_off(trip.frames - trip.claimed)}"
    return "\n".join(
        [
            row("round trip", trip.frames, f"measured at {rate:g} Hz, {several}, {level}"),
            row("  block", parts["block"], ""),
            row("  device", parts["device"], f"the rest of it: drivers, converters, cable ({claim})"),
            row("algorithmic", LATENCY, "the limiter's look-ahead, in bypass, too; the noise went round it"),
            row("in to out", trip.frames + LATENCY, "what a player hears of afx-live"),
        ]
    )


def _off(frames: int) -> str:
    return "just that" if frames == 0 else f"{abs(frames)} too {'few' if frames > 0 else 'many'}"
