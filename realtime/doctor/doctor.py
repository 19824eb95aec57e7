"""`afx-live doctor`: what is there, what stands in the way, which block is safe, how long the way round takes."""

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from time import monotonic, sleep
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from ...chain import ChainSettings, EffectSettings
from ..audio.devices import Device, DeviceError, Listing, choose_pair, query, table
from ..audio.engine import LATENCY
from ..audio.live_engine import LiveEngine
from ..cli.commands import prepare
from ..cli.main import EXIT, result
from .system import LIMITS, Check, checks, no_device

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
"""A chain with every effect at work; its output is muted, too, as a microphone may hear the speakers."""
SETTLE_S = 0.5
START_S = 2.0
"""What opening and closing a stream takes, about."""
LEAST_SPEED = 0.98
"""Share of real time that has to be played for a block to be safe."""

# --- drop-outs ------------------------------------------------------------------------------------


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
        return not (self.error or self.late or self.xruns) and self.speed > LEAST_SPEED

    def __str__(self) -> str:
        if self.error:
            return f"{self.block:6}  {self.error}"
        return (
            f"{self.block:6} {self.late:6} {self.xruns:6} {self.callbacks:10} {100 * self.load:9.1f} % "
            f"{100 * self.load_max:6.1f} % {self.latency_ms:8.2f} ms  {'safe' if self.safe else 'drops out'}"
        )


HEAD = " block   late  xruns  callbacks   load mean      max     latency"


def drop_outs(
    block: int, seconds: float, options: Mapping[str, Any], step: Callable[[float], None], empty: bool = False
) -> DropOuts:
    """Play the full chain, muted, with blocks of so many frames, and count what goes wrong.

    options: which devices, as for `LiveEngine`. `step` hears of the seconds that go by. `empty` plays
    nothing through the same counters: what drops out then is the machine's doing. (Not the engine's
    own empty callback, which copies the input: a microphone might hear its speakers.)
    """
    lost: list[str] = []

    def event(kind: str, text: str) -> None:
        if kind == "lost":
            lost.append(text)

    try:
        probe = 0.0 if empty else None
        with LiveEngine(FULL, block_size=block, probe=probe, on_event=event, **options) as engine:
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
    claimed_s = status["input_latency"] + status["output_latency"] + LATENCY / rate
    return DropOuts(
        block,
        callbacks,
        late,
        max(over, under),
        callbacks * block / rate / took,
        after["load"],
        after["load_max"],
        1000.0 * claimed_s,
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
            break  # what is shorter and safe was so by luck
    return best


def diagnosis(rows: Sequence[DropOuts], empty: DropOuts | None) -> Iterator[Check]:
    """Say what the counts mean."""
    priorities = [row.priority for row in rows if row.callbacks]
    if priorities and sys.platform == "linux":
        if min(priorities) > 0:
            yield Check("audio thread", "ok", f"SCHED_FIFO, priority {min(priorities)}")
        else:
            fix = f"JACK: start it with jackd -R -P 70 …, ALSA: {LIMITS}"
            yield Check("audio thread", "problem", "it has no real-time priority: anything may hold it up", fix)
    shortest = min((row.block for row in rows if row.safe), default=0)
    if shortest and any(row.block > shortest for row in rows if not row.safe):
        yield Check(
            "drop-outs",
            "warning",
            "a longer block dropped out where a shorter one did not: something disturbed",
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
        text = f"at {full.block} frames an empty callback came through: {count} drop-outs may be chance"
        yield Check("drop-outs", "warning", text, "run again with a longer --seconds")
    else:
        text = f"at {full.block} frames an empty callback drops out as well: it is the machine, not the effects"
        fix = "see to the warnings above, close other programs, try another USB port, or use a longer block"
        yield Check("drop-outs", "warning", text, fix)


# --- the command ----------------------------------------------------------------------------------


def doctor(a: argparse.Namespace) -> int:
    """Examine everything; 0 if there is a safe block, 3 if there is none, or no device."""
    if a.loopback:
        from .loopback import loopback

        return loopback(a, _options(a))
    told: list[Check] = []

    def tell(check: Check) -> None:
        told.append(check)
        if not a.json:
            print(check, flush=True)

    for check in checks():
        tell(check)
    found, pair = _devices(a, tell)
    rows, empty = _test(a) if pair else ([], None)
    if rows and not a.json:
        print("\n".join([HEAD, *map(str, rows), *([f"{empty}, empty"] if empty else [])]), flush=True)
    for check in diagnosis(rows, empty):
        tell(check)
    best = smallest(rows)
    if a.json:
        result(a, _plain(told, found, pair, rows, empty), "")
    elif rows:
        print(_verdict(best), flush=True)
    return EXIT["done"] if best else EXIT["device"]


def _plain(
    told: Sequence[Check],
    found: Listing | None,
    pair: tuple[Device, Device] | None,
    rows: Sequence[DropOuts],
    empty: DropOuts | None,
) -> dict[str, Any]:
    best = smallest(rows)
    return {
        "checks": [asdict(c) for c in told],
        "devices": [asdict(d) for d in found.devices] if found else [],
        "chosen": {"input": pair[0].name, "output": pair[1].name, "api": pair[0].api} if pair else None,
        "drop_outs": [{**asdict(row), "safe": row.safe} for row in rows],
        "empty": {**asdict(empty), "safe": empty.safe} if empty else None,
        "safe_block": best.block if best else None,
        "latency_ms": best.latency_ms if best else None,
    }


def _verdict(best: DropOuts | None) -> str:
    if best is None:
        return "No block is safe here: see to the problems above, from the first one down."
    return (
        f"Smallest safe block: {best.block} frames, {best.latency_ms:.1f} ms from input to output: the limiter's "
        f"look-ahead of {LATENCY} frames, and what PortAudio claims (afx-live doctor --loopback measures it).\n"
        f"Use: afx-live --blocksize {best.block} --reference YOUR.wav"
    )


def _devices(
    a: argparse.Namespace, tell: Callable[[Check], None]
) -> tuple[Listing | None, tuple[Device, Device] | None]:
    """List the devices and choose two as `run` would; None where that fails, which is told."""
    try:
        found = query(rates=True)
    except DeviceError as error:
        tell(no_device(str(error)))
        return None, None
    if not found.devices:
        tell(no_device(f"PortAudio found none under {', '.join(found.apis) or 'no host API'}."))
        return found, None
    if not a.json:
        print(table(found), flush=True)
    try:
        pair = choose_pair(found, a.input_device, a.output_device)
    except DeviceError as error:
        tell(Check("devices", "problem", str(error), "afx-live devices"))
        return found, None
    input, output = pair
    text = f"plays from {input} to {output}, at {a.samplerate or output.rate:g} Hz"
    if input.name == output.name:
        tell(Check("devices", "ok", text))
    else:
        fix = "use input and output of one interface: -i NAME -o NAME"
        tell(Check("devices", "warning", f"{text}: two devices, whose clocks may drift apart", fix))
    return found, pair


def _options(a: argparse.Namespace) -> dict[str, Any]:
    return {
        "input_device": a.input_device,
        "output_device": a.output_device,
        "input_channels": a.input_channels,
        "output_channels": a.output_channels,
        "sample_rate": a.samplerate,
        "latency": a.latency,
    }


def _test(a: argparse.Namespace) -> tuple[list[DropOuts], DropOuts | None]:
    """Try every block; then the empty callback with the longest one that dropped out."""
    prepare(a)
    each = a.seconds + SETTLE_S + START_S
    if not a.quiet and not a.json:
        sizes = ", ".join(map(str, BLOCKS))
        total = f"about {len(BLOCKS) * each:.0f} s, {each:.0f} s more if one drops out"
        text = f"Drop-outs: the full chain, muted, {a.seconds:g} s each with {sizes} frames: {total}."
        print(text, file=sys.stderr, flush=True)
    with _bar(a, a.seconds * len(BLOCKS)) as step:
        rows = [
            drop_outs(block, a.seconds, _options(a), lambda s, i=i: step(i * a.seconds + s))
            for i, block in enumerate(BLOCKS)
        ]
    bad = [row for row in rows if row.callbacks and not row.safe]
    if not bad:
        return rows, None
    with _bar(a, a.seconds) as step:
        return rows, drop_outs(bad[0].block, a.seconds, _options(a), step, empty=True)


@contextmanager
def _bar(a: argparse.Namespace, total_s: float) -> Iterator[Callable[[float], None]]:
    """Show on standard error, if that is a terminal, how much of a test is done; call it with seconds."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("drop-out test"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        disable=a.quiet or a.json or not console.is_terminal,
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=total_s)
        yield lambda seconds: bar.update(task, completed=seconds)
