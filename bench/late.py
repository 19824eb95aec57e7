"""Benchmark 2: how often a callback is late on JACK, and what a busy program does to that.

    pip install '.[dev]' pedalboard          # here only: pedalboard is GPL-3; Debian: jackd2 libportaudio2
    python bench/late.py --minutes 10 > bench/LATE.md

Four callbacks, two block sizes, idle and loaded, on a JACK server without a sound card (dummy driver,
real-time priority if the system grants it). Slices of 20 s come round and round, so that all see the
same machine. --minutes is what the engine and the empty callback get together beside the busy program, where the
difference is small; the others and the idle cases get a tenth of it. The whole takes 4 times as long.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from contextlib import nullcontext
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from afx_live.realtime.audio.shared_memory import METERS, Shared
from support.jack import Jack  # pyright: ignore[reportMissingImports]
from support.under_load import RATE, TURN_S, load, noise, taking_turns  # pyright: ignore[reportMissingImports]

SLICE_S, WINDOW_S = 20.0, 2.0
BLOCKS = (128, 256)
PACKAGES = ("numba", "sounddevice", "pedalboard", "onnxruntime-gpu")
CALLBACKS = {
    "engine": "afx-live: every effect, limiter, meters",
    "empty": "empty compiled callback",
    "python": "sounddevice, `out[:] = in`",
    "pedalboard": "sounddevice, pedalboard's chain",
}
PROGRAMS = (("engine", "empty"), ("python",), ("pedalboard",))
"""Callbacks that are measured at once; the first two take turns in one stream."""
Cell = tuple[str, int, bool]
TEXT = """\
# Late callbacks on JACK

    pip install '.[dev]' pedalboard
    python bench/late.py --minutes {minutes:g} > bench/LATE.md

A callback is late if it takes longer than its block lasts, waiting for the interpreter included, or if it is called
after twice its block's time. The same compiled code counts all of them; all hear noise.

{machine}
JACK's dummy driver at 48 kHz, slices of {slice:g} s in alternation: {minutes:g} min at each block size for the engine
and the empty callback together beside the busy program, a tenth of that for the others and the idle cases.
Load average {before:.1f} before the run and {after:.1f} at its end.

*Loaded*: in the program, one Python thread spins, one calls `gc.collect()` over 300,000 objects, one runs the shipped
model without a pause, and OSC arrives at 5,000 messages a second. afx-live's stream is a process beside the program;
a Python callback lives in it, as sounddevice's documentation has it. pedalboard's chain: low shelf, four peaks, high
shelf, Compressor, Distortion, Reverb, Limiter. Rates with 95 % intervals (bootstrap over windows of {window:g} s);
after a zero stands what the rate can be at most.
"""


# --- one slice, in a process of its own -------------------------------------------------------------


def _ours(block: int) -> Any:
    """The stream process beside this busy one, as `afx-live` has it."""
    return taking_turns({}, block)


class _Theirs:
    """A sounddevice stream in this very process, as its documentation has it.

    What PortAudio calls is compiled: it takes the time, with the engine's own counters, around the
    function that sounddevice made, so waiting for the interpreter counts. It hears the same noise.
    """

    def __init__(self, name: str, block: int) -> None:
        self._play, self._block = {"python": _copy, "pedalboard": _pedalboard}[name], block

    def __enter__(self) -> "_Theirs":
        import sounddevice as sd

        self.shared = Shared.create(None, RATE)
        self._meters, self._sound = np.zeros(1, METERS), noise(8192)
        sd._lib = _Between(sd, self._meters, self._sound)  # pyright: ignore[reportAttributeAccessIssue]
        self._stream = sd.Stream(RATE, self._block, channels=2, dtype="float32", latency="low", callback=self._play)
        self._stream.start()
        while not self.counts()[:, 1].all():
            time.sleep(0.05)
        return self

    def __exit__(self, kind: object, error: BaseException | None, *_: object) -> None:
        """End the process at once: PortAudio may hang when it is closed."""
        if error:
            traceback.print_exception(error)
        os._exit(int(error is not None))

    def counts(self) -> np.ndarray:
        return np.array([[int(self._meters[0][name]) for name in ("late", "callbacks")]])


def _copy(indata: np.ndarray, outdata: np.ndarray, frames: int, when: Any, status: Any) -> None:
    outdata[:] = indata


def _pedalboard(indata: np.ndarray, outdata: np.ndarray, frames: int, when: Any, status: Any) -> None:
    outdata[:] = _board()(indata.T, RATE, buffer_size=frames, reset=False).T


def _board(made: list[Any] = []) -> Any:  # noqa: B006 (made once, before the stream)
    if not made:
        import pedalboard as p  # pyright: ignore[reportMissingImports]

        peaks = [p.PeakFilter(hz, 3.0, 1.0) for hz in (200, 800, 2500, 6000)]
        tone = [p.LowShelfFilter(100, 3.0), *peaks, p.HighShelfFilter(8000, -3.0)]
        made.append(p.Pedalboard([*tone, p.Compressor(-20, 3), p.Distortion(9), p.Reverb(), p.Limiter(-3)]))
        made[0](noise(8192).T, RATE)
    return made[0]


class _Between:
    """PortAudio as sounddevice sees it, but for `Pa_OpenStream`, which gets the compiled callback."""

    def __init__(self, sd: Any, meters: np.ndarray, sound: np.ndarray) -> None:
        self._lib, self._ffi, self._meters, self._sound = sd._lib, sd._ffi, meters, sound

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lib, name)

    def Pa_OpenStream(self, stream: Any, source: Any, sink: Any, *rest: Any) -> int:
        rate, block, flags, function, user = rest
        plain = int(self._ffi.cast("intptr_t", function)), int(self._ffi.cast("intptr_t", user))
        self._kept = timed(plain, self._meters, self._sound)
        address, mine = (self._ffi.cast("void *", n) for n in self._kept[:2])
        address = self._ffi.cast(self._ffi.typeof(function), address)
        return self._lib.Pa_OpenStream(stream, source, sink, rate, block, flags, address, mine)


def timed(plain: tuple[int, int], meters: np.ndarray, sound: np.ndarray) -> tuple[Any, ...]:
    """Compile a callback that takes the time around another one; address, user pointer, and what must live."""
    from numba import types

    from afx_live.dsp.compiler import at_address, c_function, caller, carray
    from afx_live.realtime.audio.callback import CALLBACK, PORT, enter, leave

    row = np.dtype([("address", "i8"), ("user", "i8"), ("port", "i8"), ("meters", "i8"), ("noise", "i8")])
    call = caller(CALLBACK)

    def run(indata, outdata, frames, when, flags, user):
        t = carray(at_address(user), (1,), row)[0]
        port, m = carray(at_address(t.port), (1,), PORT)[0], carray(at_address(t.meters), (1,), METERS)[0]
        late = enter(port, m, types.int64(frames), flags)
        call(t.address, (t.noise, outdata, frames, when, flags, t.user))
        leave(port, m, types.int64(frames), late)
        return 0

    port, mine = np.zeros(1, PORT), np.zeros(1, row)
    port["rate"] = RATE
    mine[0] = (*plain, port.ctypes.data, meters.ctypes.data, sound.ctypes.data)
    function = c_function(CALLBACK, run)
    return function.address, mine.ctypes.data, function, port, mine, meters, sound


def measure(name: str, block: int, loaded: bool, seconds: float) -> None:
    """Print, for each callback, [late, calls] in each window."""
    if name == "pedalboard":
        _board()
    with _ours(block) if name == "engine" else _Theirs(name, block) as stream:
        with load(stream.shared) if loaded else nullcontext():
            time.sleep(1.0)
            seen, end = [stream.counts()], time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(WINDOW_S)
                seen.append(stream.counts())
        print(json.dumps(np.diff(seen, axis=0).swapaxes(0, 1).tolist()), flush=True)


# --- all of it --------------------------------------------------------------------------------------


def slices(block: int, loaded: bool, programs: Sequence[tuple[str, ...]]) -> dict[Cell, list[list[int]]]:
    """Measure each of the programs for one slice, on a server of its own."""
    rows: dict[Cell, list[list[int]]] = {}
    jack = Jack()
    try:
        jack.start()
        jack.tool("jack_bufsize", str(block))
        for program in programs:
            command = [sys.executable, __file__, "--slice", program[0], str(block), str(int(loaded))]
            command.append(str(SLICE_S))
            done = subprocess.run(command, env={**os.environ, **jack.env}, capture_output=True, text=True)
            if not done.stdout:
                raise SystemExit(f"{program[0]} at {block} frames: {done.stderr[-2000:]}")
            rows |= {(n, block, loaded): r for n, r in zip(program, json.loads(done.stdout), strict=True)}
    finally:
        jack.stop()
    return rows


def interval(values: np.ndarray) -> tuple[float, float]:
    """95 % of the bootstrapped means of a ratio's windows: (windows, [late, calls] or more pairs)."""
    picks = np.random.default_rng(0).integers(len(values), size=(4000, len(values)))
    sums = values[picks].sum(1)
    rates = sums[:, 0] / sums[:, 1]
    if values.shape[1] == 4:
        rates = rates - sums[:, 2] / sums[:, 3]
    return tuple(np.quantile(rates, (0.025, 0.975)))


def rate(values: np.ndarray) -> str:
    late, calls = values.sum(0)
    if late == 0:
        return f"**0** (< {300 / calls:.3f} %)"  # the rule of three
    low, high = interval(values)
    return f"{100 * late / calls:.3f} % [{100 * low:.3f}, {100 * high:.3f}]"


def against_empty(rows: dict[Cell, np.ndarray], block: int, loaded: bool) -> str:
    """Say how the engine's rate differs from the empty callback's, and whether 1 in 100,000 is kept."""
    both = np.hstack([rows[name, block, loaded] for name in ("engine", "empty")])
    late, calls, empty_late, empty_calls = both.sum(0)
    low, high = interval(both)
    more = late / calls - empty_late / empty_calls
    words = "at most 1 in 100,000 more" if more <= 1e-5 else "more than 1 in 100,000 more"
    words += "" if low > 1e-5 or high < 1e-5 else ", within the chance of this run"
    text = f"{1e5 * more:+.1f} in 100,000 [{1e5 * low:+.1f}, {1e5 * high:+.1f}]: {words}"
    return (
        f"| {block} | {'loaded' if loaded else 'idle'} | {late} of {calls} | {empty_late} of {empty_calls} | {text} |"
    )


def machine() -> str:
    """Describe what this was measured on, in one paragraph."""
    cpu = next(
        (line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU"
    )
    server = subprocess.run(["jackd", "--version"], capture_output=True, text=True).stdout.splitlines()
    told = [line for line in server if line.startswith("jackdmp ")] or server[:1]
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES if find_spec(name.partition("-")[0]))
    urgent = "real-time" if os.environ.get("AFX_JACK_REALTIME") else "ordinary"
    return (
        f"{os.cpu_count()} cores of {cpu}, Linux {platform.release()}, Python {platform.python_version()}, {packages}, "
        f"{told[0].split(' Copyright')[0]}, {urgent} priority."
    )


def page(rows: dict[Cell, np.ndarray], minutes: float, busy: tuple[float, float]) -> str:
    """Write the Markdown page."""
    cases = [(block, loaded) for block in BLOCKS for loaded in (False, True)]
    head = TEXT.format(
        machine=machine(), slice=SLICE_S, window=WINDOW_S, minutes=minutes, before=busy[0], after=busy[1]
    )
    lines = [
        head,
        "| callback | " + " | ".join(f"{block}, {'loaded' if loaded else 'idle'}" for block, loaded in cases) + " |",
        "|---" * (1 + len(cases)) + "|",
    ]
    for name, words in CALLBACKS.items():
        lines.append(f"| {words} | " + " | ".join(rate(rows[(name, *case)]) for case in cases) + " |")
    lines += [
        "",
        f"Against the empty compiled callback, with which the engine's takes turns of {TURN_S:g} s in one stream:",
        "",
        "| frames | program | engine late | empty late | difference |",
        "|---|---|---|---|---|",
        *(against_empty(rows, *case) for case in cases),
    ]
    return "\n".join(lines)


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--minutes", type=float, default=10.0, help="for each callback in each case (%(default)g)")
    words.add_argument("--slice", nargs=4, help=argparse.SUPPRESS)
    a = words.parse_args()
    if a.slice:
        name, block, loaded, seconds = a.slice
        return measure(name, int(block), loaded == "1", float(seconds))
    os.environ.setdefault("AFX_JACK_REALTIME", "1")
    before, rows = os.getloadavg()[0], defaultdict(list)
    for turn in range(max(1, round(60 * a.minutes / SLICE_S))):
        everybody = turn % 10 == 0
        for block in BLOCKS:
            for loaded in (False, True) if everybody else (True,):
                for cell, more in slices(block, loaded, PROGRAMS if everybody else PROGRAMS[:1]).items():
                    rows[cell] += more
        print(f"{(turn + 1) * SLICE_S / 60:.1f} of {a.minutes:g} minutes", file=sys.stderr)
    print(page({cell: np.array(found) for cell, found in rows.items()}, a.minutes, (before, os.getloadavg()[0])))


if __name__ == "__main__":
    main()
