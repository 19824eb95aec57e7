"""The loop-back test: how long sound takes from the output back to the input, to the sample."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median_low
from typing import Any

import numpy as np

from ...chain import ChainSettings
from ..audio.devices import DeviceError
from ..audio.latency import claimed_s
from ..audio.live_engine import LiveEngine
from ..audio.options import StreamOptions
from ..audio.portaudio import CLIENT
from ..audio.safety import LOOKAHEAD
from ..audio.test_signal import LEVEL, PERIOD
from .mls import Echo, find

PATIENCE_S = 20.0
"""How long somebody has to plug in the cable."""
OPENINGS, TAKES = 3, 2
"""Takes in each of so many streams: some drivers begin with another delay each time."""
MAX_TRIP_S = 1.0
"""No round trip is longer; what came in earlier is not used."""
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
    def total(self) -> int:
        """Frames from input to output: the round trip and the engine's look-ahead, which the noise bypasses."""
        return self.frames + LOOKAHEAD

    @property
    def parts(self) -> dict[str, int]:
        """Split the total into frames of look-ahead, block and device."""
        block = min(self.status["block_size"], self.frames)
        return {"algorithmic": LOOKAHEAD, "block": block, "device": self.frames - block}

    @property
    def claimed(self) -> int:
        """The frames that PortAudio claims for block and device."""
        return round(claimed_s(self.status) * self.status["sample_rate"])

    @property
    def alike(self) -> bool:
        return len({take.frames for take in self.takes}) == 1


def measure(options: StreamOptions, say: Callable[[str], None], env: Mapping[str, str] | None = None) -> RoundTrip:
    """Send noise round and time it, in several streams (under JACK in one: connections end with their client).

    `say` is called with what the user may have to do. Raises DeviceError E310 if the noise does not come back, or by
    two paths, E307 if the stream is lost.
    """
    takes: list[Echo] = []
    status: Mapping[str, Any] = {}
    for _ in range(OPENINGS):
        with LiveEngine(ChainSettings(), options, env=env, test_level=LEVEL) as engine:
            status = engine.status
            cable = _cable(options, status["api"])
            _await_loop(engine, cable, say)
            takes += [_take(engine, cable) for _ in range(TAKES)]
        if status["api"] == "JACK":
            break
    return RoundTrip(tuple(takes), status)


def ends(options: StreamOptions) -> tuple[int, int]:
    """Give the output and the input that the test uses, which count from 1."""
    return (options.output_channels or [1])[0], (options.input_channels or [1])[0]


def _cable(options: StreamOptions, api: str) -> str:
    output, input = ends(options)
    patch = f", or: jack_connect {CLIENT}:out_{output - 1} {CLIENT}:in_{input - 1}" if api == "JACK" else ""
    return f"connect output {output} to input {input} with a cable{patch}"


def listen(engine: LiveEngine) -> np.ndarray:
    """Wait for a new period of sound; returns input and noise (frames, 2). DeviceError E307 if the stream is lost."""
    rate = engine.sample_rate
    wanted = max(engine.meters()["ring"], MAX_TRIP_S * rate) + PERIOD
    while engine.meters()["ring"] < wanted:
        if not engine.running:
            raise DeviceError("E307", "The stream was lost during the measurement. Try again with a longer --blocksize")
        time.sleep(0.05)
    return engine.recent_input((PERIOD + 1) / rate)


def _await_loop(engine: LiveEngine, cable: str, say: Callable[[str], None]) -> None:
    """Wait until somebody has made the loop."""
    deadline, told = time.monotonic() + PATIENCE_S, False
    while find(listen(engine)) is None:
        if time.monotonic() > deadline:
            raise DeviceError("E310", f"No loop heard: {cable}, and turn the input up. {TRY}")
        if not told:
            say(f"Nothing comes back yet: {cable} (waiting {PATIENCE_S:.0f} s)")
            told = True


def _take(engine: LiveEngine, cable: str) -> Echo:
    echo = find(listen(engine))
    if echo is None:
        raise DeviceError("E310", f"The loop broke off: {cable}. {TRY}")
    if echo.other is not None:
        raise DeviceError(
            "E310",
            f"The noise came back by two paths, after {echo.frames} and {echo.other} frames. Switch off the "
            f"interface's direct monitoring and loop-back, and {cable}, and nothing else. {TRY}",
        )
    return echo
