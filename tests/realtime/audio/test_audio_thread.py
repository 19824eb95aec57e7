"""The audio thread: it allocates nothing, waits for nobody, and what else the program does is nothing to it.

Run as a program it is a process of its own for interposer.c to watch, or one that plays for an hour.
"""

import ctypes
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.dsp.compiler import c_function
from afx_live.effects import load as effect
from afx_live.effects import names, number_of
from afx_live.realtime.audio.callback import CALLBACK, INPUT_OVERFLOW, Callback, callback
from afx_live.realtime.audio.engine import memory
from afx_live.realtime.audio.safety import CEILING
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.osc.udp import lost
from support.jack import need
from support.under_load import CHAIN, OSC_RATE, RATE, TURN_S, load, noise, taking_turns

LATE_S = float(os.environ.get("AFX_LATE_SECONDS", "8"))
"""Seconds of streaming in which late callbacks are counted; set it higher for a proof."""
WINDOW_S = 2 * TURN_S
SOAK_S = 3600.0 * float(os.environ.get("AFX_SOAK_HOURS", "0.1667"))
"""Seconds of audio for the long run, which takes a hundredth of that."""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="seccomp, /proc and LD_PRELOAD are Linux's"),
]
SCENES, CALLS = 300, 20
BLOCK = 128


def fresh(settings: ChainSettings = CHAIN, empty: bool = False) -> tuple[Shared, Callback]:
    shared = Shared.create(None, RATE)
    shared.play(settings)
    return shared, callback(memory(shared, RATE, fade_in=False), RATE, 2, 2, empty)


def blow_up(bound: Callback) -> None:
    """Leave the equaliser with NaN in its memory, if it is there."""
    bound.memory.effect_state[bound.memory.players["kind"] == number_of("equaliser")] = np.nan


# --- no allocation, no lock, no system call --------------------------------------------------------


class Watched:
    """The thread of interposer.c, which this process has been started with."""

    def __init__(self, library: str, seal: bool) -> None:
        self._c = ctypes.CDLL(library)
        self.refused = self._c.open_thread(int(seal))

    def begin(self, address, x, y, frames, user=0, step=8) -> None:
        """Have a C function called with each of `frames` on the way through x and y, which are addresses."""
        long, pointer = ctypes.c_ulong, ctypes.c_void_p
        self._frames = np.array(frames, np.dtype("L"))
        self._c.begin_calls(
            pointer(address),
            pointer(x),
            pointer(y),
            pointer(self._frames.ctypes.data),
            long(len(frames)),
            long(step),
            long(step),
            long(0),
            pointer(user),
        )

    def end(self) -> None:
        self._c.end_calls()

    def counts(self) -> dict[str, int]:
        words = ctypes.string_at(ctypes.addressof(ctypes.c_char.in_dll(self._c, "names"))).decode().split()
        return dict(zip(words, (ctypes.c_long * len(words)).in_dll(self._c, "counts"), strict=True))


def random_settings(random, effects) -> ChainSettings:
    steps = [
        EffectSettings(
            str(e), {p.name: p.clip(p.value(random.uniform())) for p in effect(e).params}, bool(random.integers(2))
        )
        for e in effects
    ]
    return ChainSettings(tuple(steps), *random.uniform(-20, 20, 2))


def _callback_calls(thread: Watched) -> dict:
    """Play everything there is to play, while the settings change, and tell what came out and what was counted."""
    random = np.random.default_rng(3)
    shared, bound = fresh()
    peak, order = 0.0, [step.effect for step in CHAIN.effects]
    for scene in range(SCENES):
        frames = random.integers(1, 700, CALLS)
        x = noise(int(frames.sum()))
        y = np.zeros_like(x)
        if scene % 5 == 0:
            x[random.integers(0, len(x), 40)] = random.choice([np.nan, np.inf, -3e38, 1e-40], (40, 1))
        if scene % 10 == 1:
            blow_up(bound)
        thread.begin(bound.address, x.ctypes.data, y.ctypes.data, frames, bound.user)
        if scene % 3 == 0:
            order = list(random.permutation([e for e in names() if e != "gain"])[: random.integers(0, 6)])
        flags = {"bypass": bool(random.integers(2)), "muted": scene % 7 == 0, "cross_over": scene % 4 == 0}
        shared.play(random_settings(random, order), **flags)
        thread.end()
        peak = max(peak, float(np.abs(y).max()))  # NaN, if there is one
    return {"counts": thread.counts(), "meters": dict(shared.read()), "peak": peak}


def _control_calls(thread: Watched) -> dict:
    """Call each function that is watched once, as if it were the callback, and one callback that allocates."""
    c, room = ctypes.CDLL(None), np.zeros((32, 64))
    c.sem_init(ctypes.c_void_p(room[0].ctypes.data), 0, 9)
    c.pthread_spin_init(ctypes.c_void_p(room[1].ctypes.data), 0)
    plain = {
        "malloc": (64, 0, 0),
        "calloc": (8, 8, 0),
        "realloc": (0, 64, 0),
        "free": (0, 0, 0),
        "memalign": (64, 64, 0),
        "aligned_alloc": (64, 64, 0),
        "posix_memalign": (room[2].ctypes.data, 64, 64),
        "mmap": (0, 4096, 3),
        "munmap": (0, 0, 0),
        "system_calls": (0, 0, 0),
    }
    at = {"sem_post": 0, "sem_wait": 0, "sem_trywait": 0, "pthread_spin_lock": 1}
    found = {}
    for i, name in enumerate(thread.counts()):
        arguments = plain.get(name, (room[at.get(name, 3 + i)].ctypes.data, 0, 0))
        address = ctypes.cast(getattr(c, "getpid" if name == "system_calls" else name), ctypes.c_void_p).value
        before = thread.counts()[name]
        thread.begin(address, arguments[0], arguments[1], [arguments[2]], step=0)
        thread.end()
        found[name] = thread.counts()[name] - before
    before = thread.counts()
    allocating = c_function(CALLBACK, _allocating)
    thread.begin(allocating.address, room.ctypes.data, room.ctypes.data, [16, 16])
    thread.end()
    found["a callback"] = thread.counts()["malloc"] - before["malloc"]
    return {"counts": found}


def _allocating(indata, outdata, frames, when, flags, user):
    return np.int32(np.ones(np.int64(frames)).sum() < 0)


def _clock_calls(thread: Watched) -> int:
    """Count the system calls of reading the clock: none, except on machines that have no other way."""
    before, room = thread.counts()["system_calls"], np.zeros(2)
    address = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value
    thread.begin(address, 1, room.ctypes.data, [0], step=0)
    thread.end()
    return thread.counts()["system_calls"] - before


def _watched(library: str, what: str, seal: str) -> None:
    thread = Watched(library, seal == "sealed")
    clock = _clock_calls(thread)
    told = {"calls": _callback_calls, "controls": _control_calls}[what](thread)
    print(json.dumps({**told, "refused": thread.refused, "clock": clock}), flush=True)
    os._exit(0)  # the thread is busy for ever


@pytest.fixture(scope="module")
def interposer(tmp_path_factory):
    out = tmp_path_factory.mktemp("interposer") / "interposer.so"
    source = Path(__file__).parents[2] / "support" / "interposer.c"
    subprocess.run([need("cc", "gcc libc6-dev"), "-O2", "-shared", "-fPIC", "-o", out, source, "-ldl", "-pthread"])
    return out


def watched(library, what, seal="sealed", *before):
    """Run one of the programs above with the interposer."""
    command = [*before, sys.executable, __file__, "watched", library, what, seal]
    done = subprocess.run(command, env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True, timeout=100)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_callback_neither_allocates_nor_locks_nor_enters_the_kernel(interposer):
    told = watched(interposer, "calls")
    meters, calls = told["meters"], SCENES * CALLS
    assert meters["callbacks"] == calls
    assert meters["muted_blocks"] > 0
    assert meters["applied"] > SCENES // 2
    assert meters["clipped"] > 0
    assert 0.5 < told["peak"] <= np.float32(CEILING)
    # Two looks at the clock, each a system call only where the machine's clock can not be mapped.
    known = {"system_calls": 2 * calls * told["clock"]}
    assert {name: n for name, n in told["counts"].items() if n != known.get(name, 0)} == {}
    if told["refused"]:
        pytest.skip(f"system calls not counted: seccomp is refused here ({os.strerror(told['refused'])})")


def test_what_is_not_allowed_is_counted(interposer):
    told = watched(interposer, "controls")
    assert told["counts"].pop("a callback") >= 2
    assert told["refused"] or told["counts"].pop("system_calls") == 1
    assert set(told["counts"].values()) == {1}, told["counts"]


def traced(interposer, what, file):
    """List the system calls that strace saw in the callbacks."""
    strace = need("strace", "strace")
    if subprocess.run([strace, "-o", os.devnull, "true"], capture_output=True).returncode:
        pytest.skip("ptrace is not allowed here")
    watched(interposer, what, "open", strace, "-f", "-qq", "-o", file)
    inside, seen, marks = None, [], 0
    for line in file.read_text().splitlines():
        thread, call = line.split(None, 1)
        if call.startswith('write(-1, "begin"'):
            inside, marks = thread, marks + 1
        elif call.startswith('write(-1, "end"'):
            inside = None
        elif thread == inside and not call.startswith("<... write resumed"):  # the mark's own end
            seen.append(call)
    return seen, marks


def test_strace_sees_nothing_in_the_callback(interposer, tmp_path):
    seen, marks = traced(interposer, "calls", tmp_path / "trace")
    assert marks == SCENES + 1
    assert [call for call in seen if not call.startswith("clock_gettime")] == []


def test_strace_sees_what_is_not_allowed(interposer, tmp_path):
    seen, _ = traced(interposer, "controls", tmp_path / "trace")
    assert [call for call in seen if call.startswith("getpid(")]


# --- denormal numbers -----------------------------------------------------------------------------


def cost(bound: Callback, x: np.ndarray, y: np.ndarray) -> int:
    """CPU time in ns of one block."""
    began = time.thread_time_ns()
    bound.call(x, y)
    return time.thread_time_ns() - began


def relative_cost(one: Callback, x: np.ndarray, other: Callback, loud: np.ndarray) -> float:
    """What `one` costs for x, as a multiple of what `other` costs for noise, by turns of 50 ms.

    A processor may slow down by half for a second or more; within two turns it seldom does.
    """
    turn = RATE // 20
    y = np.zeros((turn, 2), np.float32)
    turns = [slice(i, i + turn) for i in range(0, len(x), turn)]
    return float(np.median([cost(one, x[at], y) / cost(other, loud[at], y) for at in turns]))


def test_denormal_input_costs_no_more_than_noise():
    loud, tiny = noise(RATE // 2), noise(RATE // 2, 1e-40)
    assert 0 < np.abs(tiny).max() < np.finfo(np.float32).tiny
    (_, one), (_, other) = fresh(), fresh()
    ratio = np.median([relative_cost(one, tiny, other, loud) for _ in range(21)])
    print(f"denormal / noise: {ratio:.3f}")
    assert ratio < 1.15


def test_tails_that_end_in_denormal_numbers_cost_no_more_than_noise():
    """For 20 s: a float64 needs 6160 dB to get there, which the shortest reverb takes 16 s for."""
    settings = CHAIN.with_effect("reverb", None, rt60_s=effect("reverb").param("rt60_s").low)
    loud, silence = noise(RATE // 2), np.zeros((RATE // 2, 2), np.float32)
    found = []
    for _ in range(3):
        (_, one), (_, other) = fresh(settings), fresh(settings)
        one.call(loud, np.zeros_like(loud))
        found.append([relative_cost(one, silence, other, loud) for _ in range(40)])
    ratios = np.median(found, 0)
    print(f"tail / noise: at most {ratios.max():.3f}, {np.argmax(ratios) / 2:.1f} s after the noise")
    assert ratios.max() < 1.15


# --- hours ----------------------------------------------------------------------------------------


def _resident() -> int:
    """Memory that this process has, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _soak(seconds: str) -> None:
    """Play so many seconds as fast as possible, and count along."""
    total, period = int(float(seconds)), BLOCK / RATE
    quiet = replace(CHAIN, output_gain_db=-20.0)
    shared, bound = fresh(quiet)
    bound.memory.ring[...] = 0.0  # as the stream process does: pages are mapped when first written
    pointer, long = ctypes.c_void_p, ctypes.c_ulong
    call = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, long, pointer, long, pointer)(bound.address)
    x, y = noise(RATE), np.zeros((RATE, 2), np.float32)
    plain = x.copy()
    counts = dict.fromkeys(("clipped", "muted_blocks", "input_overflows"), 0)
    early, late_fits, good, began = 0, True, True, time.monotonic()
    for second in range(total):
        x[:] = plain
        loud, broken, drop = second % 13 == 5, second % 17 == 6, second % 7 == 3
        if loud:  # bypassed, so that exactly these are over the ceiling
            x[RATE // 4 : RATE // 4 + 100] = 2.0
        if second % 5 == 1:
            x[second % RATE] = np.nan
        if broken:
            blow_up(bound)
        peak = {"peak_1_db": float(second % 19 - 9)}
        shared.play(quiet.with_effect("equaliser", None, **peak), bypass=loud, cross_over=second % 11 == 9)
        before, start = int(shared.meters[0]["late"]), time.monotonic()
        for at in range(0, RATE, BLOCK):
            flags = INPUT_OVERFLOW if drop and at == 0 else 0
            call(x.ctypes.data + 8 * at, y.ctypes.data + 8 * at, BLOCK, None, flags, bound.user)
        spent, late = time.monotonic() - start, int(shared.meters[0]["late"]) - before
        late_fits &= late * period <= spent  # each had to take a block's time, at least
        good &= float(np.abs(y).max()) <= float(np.float32(CEILING))  # and not NaN
        for name, more in zip(counts, (200 * loud, broken, drop), strict=True):
            counts[name] += int(more)
        if second == total // 10:
            early = _resident()
    frames = total * RATE
    counts |= {"callbacks": frames // BLOCK, "clock": frames, "ring": frames, "applied": total + 1}
    grown, took = _resident() - early, time.monotonic() - began
    told = {"expected": {**counts, "sequence": total + 1, "output_underflows": 0}, "meters": dict(shared.read())}
    print(json.dumps({**told, "good": good, "late_fits": late_fits, "grown": grown, "took": took}))


def test_hours_leave_memory_flat_and_every_counter_right():
    command = [sys.executable, __file__, "soak", str(SOAK_S)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    meters = told["meters"]
    print(f"{SOAK_S:.0f} s in {told['took']:.1f} s, memory grown by {told['grown'] / 1024:.0f} KiB, {meters}")
    assert {name: meters[name] for name in told["expected"]} == told["expected"]
    assert told["good"], "output that is not finite, or over the ceiling"
    assert told["late_fits"]
    assert meters["late"] > 0 or meters["load_max"] <= 1.0
    assert told["grown"] < 256 * 1024


# --- the rest of the program ------------------------------------------------------------------------


def arrived(server) -> int:
    """Count the datagrams that came: those that were read, and those that the kernel had no room left for."""
    return server.counters["packets"] + lost(server._socket)


@pytest.fixture(params=[128, 256])
def urgent(jack, request, monkeypatch):
    """The server again, with this period, and at real-time priority where the system grants it."""
    jack.kill()
    monkeypatch.setenv("AFX_JACK_REALTIME", "1")
    jack.start("-p", str(request.param))
    yield jack, request.param
    jack.kill()
    monkeypatch.undo()
    jack.start()


@pytest.mark.jack
@pytest.mark.slow
def test_a_busy_program_makes_no_callback_late(urgent):
    """At most as often as an empty callback, by turns in one stream, and once in 100,000."""
    jack, block = urgent
    with taking_turns(jack.env, block) as turns, load(turns.shared) as server:
        seen, came, began = [turns.counts()], arrived(server), time.monotonic()
        while (seconds := time.monotonic() - began) < LATE_S:
            time.sleep(WINDOW_S)
            seen.append(turns.counts())
        came = arrived(server) - came
        meters = turns.shared.read()
    rows = np.diff(seen, axis=0)
    (late, calls), (empty_late, empty_calls) = rows.sum(0)
    print(
        f"{block}: late {late} of {calls}, empty {empty_late} of {empty_calls}, load {meters['load']:.4f}, "
        f"OSC {came / seconds:.0f}/s, applied {meters['applied']}, priority {turns.status['priority']}"
    )
    assert came > 0.8 * OSC_RATE * seconds
    assert meters["applied"] > 1
    assert server.error is None
    # What is left are the scheduler's dice: three standard deviations, which a longer run makes small. Late
    # calls come in bursts on a busy machine, so the windows tell how far they scatter.
    rates = rows[:, :, 0] / np.maximum(rows[:, :, 1], 1)
    poisson = np.sqrt(late + empty_late + 1) / min(calls, empty_calls)
    chance = 3 * max(poisson, (rates[:, 0] - rates[:, 1]).std(ddof=1) / np.sqrt(len(rates)))
    assert late / calls <= empty_late / empty_calls + 1e-5 + chance


if __name__ == "__main__":
    {"watched": _watched, "soak": _soak}[sys.argv[1]](*sys.argv[2:])
