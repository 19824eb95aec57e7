"""The drop-out test: play the full chain, muted, with several block sizes, and say which are safe and why."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from time import monotonic, sleep

from ...chain import ChainSettings, EffectSettings
from ..audio.devices import DeviceError
from ..audio.latency import total_ms
from ..audio.live_engine import LiveEngine
from ..audio.options import StreamOptions
from .system import LIMITS, Check

BLOCKS = (512, 256, 128, 64, 32)
"""Frames; the longest first, so that a first start compiles where time is not short."""
FULL = ChainSettings(
    (
        EffectSettings("equaliser", {"low_shelf_db": 3.0, "peak_2_db": 6.0, "high_shelf_db": -4.0}),
        EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}),
        EffectSettings("distortion"),
        EffectSettings("reverb"),
        EffectSettings("limiter", {"ceiling_db": -6.0}),
    ),
    output_gain_db=-48.0,
)
"""A chain with every effect at work; turned down as well as muted, as a microphone may pick up the speakers."""
SETTLE_S = 0.5
START_S = 2.0
"""What opening and closing a stream takes, about."""
MIN_SPEED = 0.98
"""Share of real time that has to be played for a block size to be safe."""


@dataclass(frozen=True)
class DropOuts:
    """How a block size did. Loads are shares of a block's time, `speed` of real time; `latency_ms` is claimed.

    `xruns` are what PortAudio reports; one that it reports of input and output counts once. `error` says
    why the stream did not open, or got lost; what was counted until then stands.
    """

    block: int
    callbacks: int = 0
    late: int = 0
    xruns: int = 0
    speed: float = 0.0
    load: float = 0.0
    load_max: float = 0.0
    latency_ms: float = 0.0
    priority: int = 0
    error: str = ""

    @property
    def safe(self) -> bool:
        return not (self.error or self.late or self.xruns) and self.speed > MIN_SPEED


def drop_outs(
    block: int,
    seconds: float,
    options: StreamOptions,
    step: Callable[[float], None],
    empty: bool = False,
    env: Mapping[str, str] | None = None,
) -> DropOuts:
    """Play the full chain, muted, with blocks of so many frames, and count what goes wrong.

    options: on which devices; its block size is not used. `step` is called with the seconds that have passed. `empty`
    plays silence through the same counters: what drops out then is the machine's doing. (Not the engine's own empty
    callback, which copies the input: a microphone might hear its speakers.)
    """
    lost: list[str] = []

    def event(kind: str, text: str) -> None:
        if kind == "lost":
            lost.append(text)

    try:
        silence = 0.0 if empty else None
        options = replace(options, block_size=block)
        with LiveEngine(FULL, options, env=env, test_level=silence, on_event=event) as engine:
            engine.play(FULL, muted=True)
            sleep(SETTLE_S)
            begin, before = monotonic(), engine.meters()
            while (passed := monotonic() - begin) < seconds and not lost:
                sleep(min(0.1, seconds - passed))
                step(min(monotonic() - begin, seconds))
            after, status = engine.meters(), engine.status
            took = monotonic() - begin
    except DeviceError as error:
        return DropOuts(block, error=str(error))
    late, over, under, callbacks = (
        after[name] - before[name] for name in ("late", "input_overflows", "output_underflows", "callbacks")
    )
    rate = status["sample_rate"]
    return DropOuts(
        block,
        callbacks,
        late,
        max(over, under),
        callbacks * block / rate / took,
        after["load"],
        after["load_max"],
        total_ms(status, rate),
        status["priority"],
        "; ".join(lost),
    )


def smallest(rows: Sequence[DropOuts]) -> DropOuts | None:
    """Find the smallest safe block without an unsafe one between it and the longest safe one."""
    best = None
    for row in sorted(rows, key=lambda r: -r.block):
        if row.safe:
            best = row
        elif best:
            break  # a shorter one that was safe was so by luck
    return best


def diagnosis(rows: Sequence[DropOuts], empty: DropOuts | None) -> Iterator[Check]:
    """Say what the counts mean; `empty` is the silent callback's row, if there was reason to run it."""
    priorities = [row.priority for row in rows if row.callbacks]
    if priorities and sys.platform == "linux":
        if min(priorities) > 0:
            yield Check("audio thread", "ok", f"SCHED_FIFO, priority {min(priorities)}")
        else:
            fix = f"JACK: start it with jackd -R -P 70 …, ALSA: {LIMITS}"
            yield Check("audio thread", "problem", "it has no real-time priority: any program can delay it", fix)
    shortest = min((row.block for row in rows if row.safe), default=0)
    if shortest and any(row.block > shortest for row in rows if not row.safe):
        yield Check(
            "drop-outs",
            "warning",
            "a longer block dropped out where a shorter one did not: something interfered",
            "close other programs, and run again with a longer --seconds",
        )
    if empty is None:
        return
    full = next(row for row in rows if row.block == empty.block)
    if empty.safe and full.load_max > 1.0:
        text = f"at {full.block} frames the effects took up to {full.load_max:.0%} of a block's time"
        yield Check("drop-outs", "warning", text, "use a longer block, or a preset with fewer effects")
    elif empty.safe:
        count = full.late + full.xruns
        text = f"at {full.block} frames an empty callback had no drop-outs: the {count} of the full chain may be chance"
        yield Check("drop-outs", "warning", text, "run again with a longer --seconds")
    else:
        text = f"at {full.block} frames an empty callback drops out as well: it is the machine, not the effects"
        fix = "follow the warnings above, close other programs, try another USB port, or use a longer block"
        yield Check("drop-outs", "warning", text, fix)
