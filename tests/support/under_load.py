"""A busy program, and a stream that measures what it does to the audio.

In the stream the engine's callback and the empty one take turns of TURN_S: one thread, one client, one
priority, the same minute. JACK couples its clients (a late one takes cycles from the
others), so two streams at the same time would hide what one of them does wrong.

`python under_load.py stream EMPTY` is that stream process, `python under_load.py send PORT` sends OSC.
"""

import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.effects import names
from afx_live.matching.model import MatchModel
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.osc.packets import encode
from afx_live.realtime.osc.server import OscServer
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState

RATE = 48000
CHAIN = ChainSettings(tuple(EffectSettings(name) for name in names() if name != "gain"))
"""Every effect there is, at work."""
OSC_RATE = 5000.0
TURN_S = 0.25
CONTAINERS = 300_000
"""What each garbage collection goes through: a program of some size."""


def noise(frames: int, level: float = 0.1) -> np.ndarray:
    """Make stereo noise (frames, 2), always the same."""
    return np.random.default_rng(7).normal(0.0, level, (frames, 2)).astype(np.float32)


class Desk:
    """What a session and OSC need of an engine: its shared memory."""

    sample_rate = float(RATE)

    def __init__(self, shared: Shared) -> None:
        self.shared = shared
        self.status: Mapping[str, Any] = {}
        self.play, self.meters = shared.play, shared.read

    def recent_input(self, seconds: float) -> np.ndarray:
        return self.shared.recent_input(seconds, self.sample_rate)


# --- the load -------------------------------------------------------------------------------------


def _spin(done: threading.Event) -> None:
    while not done.is_set():
        sum(range(1000))


def _collect(done: threading.Event) -> None:
    kept = [[] for _ in range(CONTAINERS)]
    while not done.is_set():
        gc.collect()
    kept.clear()


def _predict(predictor: MatchModel, done: threading.Event) -> None:
    clip = noise(5 * RATE)
    while not done.is_set():
        heard = predictor.analyse(clip, RATE)
        predictor.settings(predictor.predict(heard, [heard]))


@contextmanager
def load(shared: Shared) -> Iterator[OscServer]:
    """Compute, collect garbage, predict and be sent OSC, all the time; the OSC moves the settings in `shared`."""
    predictor, done = MatchModel(SHIPPED_MODEL), threading.Event()
    session = Session(Desk(shared), predictor, SessionState(CHAIN))
    jobs: Sequence[tuple[Callable[..., None], tuple]] = ((_spin, ()), (_collect, ()), (_predict, (predictor,)))
    threads = [threading.Thread(target=job, args=(*more, done)) for job, more in jobs]
    with ExitStack() as stack:
        session.start()
        stack.callback(session.close)
        server = stack.enter_context(OscServer(session, port=0))
        sender = subprocess.Popen([sys.executable, __file__, "send", str(server.address[1])])
        stack.callback(sender.wait)
        stack.callback(sender.kill)
        for thread in threads:
            thread.start()
            stack.callback(thread.join)
        stack.callback(done.set)
        while not server.counters["messages"]:
            time.sleep(0.02)
        yield server


def _send(port: int) -> None:
    """Send OSC_RATE messages a second, each a new value of some parameter of the chain, until killed."""
    random = np.random.default_rng(1)
    effects = {step.effect for step in CHAIN.effects}
    knobs = [a for a in addresses() if a.kind == "float" and a.path.split("/")[2] in effects]
    chosen = [knobs[i] for i in random.integers(len(knobs), size=1000)]
    messages = [encode(a.path, float(random.uniform(a.low, a.high))) for a in chosen]
    sent, began = 0, time.monotonic()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        while True:
            due = int((time.monotonic() - began) * OSC_RATE)
            for i in range(sent, due):
                out.sendto(messages[i % len(messages)], ("127.0.0.1", port))
            sent = due
            time.sleep(0.002)


# --- the stream -----------------------------------------------------------------------------------


class Turns:
    """The stream as its parent sees it; `shared` belongs to the engine, `empty` to the empty callback."""

    def __init__(self, shared: Shared, empty: Shared, status: dict[str, Any]) -> None:
        self.shared, self.empty, self.status = shared, empty, status

    def counts(self) -> np.ndarray:
        """Give [[late, callbacks] of the engine, the same of the empty one]."""
        return np.array([[int(s.meters[0][name]) for name in ("late", "callbacks")] for s in (self.shared, self.empty)])


@contextmanager
def taking_turns(env: dict[str, str], block: int) -> Iterator[Turns]:
    """Open the stream on the JACK server of `env`, and wait until both callbacks have been called."""
    from afx_live.realtime.audio.devices import choose_pair, query
    from afx_live.realtime.audio.stream_process import Config

    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        shared, empty = (Shared.create(Path(folder) / name, RATE) for name in ("shared", "empty"))
        shared.play(CHAIN)
        pair = choose_pair(query(env), None, None)
        config = Config(str(shared.path), *pair, (1, 2), (1, 2), block_size=block)
        with subprocess.Popen(
            [sys.executable, __file__, "stream", str(empty.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **env},
        ) as child:
            assert child.stdin
            assert child.stdout
            print(config.to_json(), file=child.stdin, flush=True)
            said = {"event": "none: the stream process ended"}
            while said["event"] != "running":
                line = child.stdout.readline()
                said = json.loads(line) if line else said
                assert said["event"] in ("loaded", "running"), said
            turns = Turns(shared, empty, said)
            while not turns.counts()[:, 1].all():
                assert child.poll() is None, "the stream process ended"
                time.sleep(0.05)
            try:
                yield turns
            finally:
                with suppress(BrokenPipeError):
                    print("stop", file=child.stdin, flush=True)


def _stream(empty: str) -> None:
    """Be the stream process that the engine has, with another callback."""
    from afx_live.realtime.audio import callback as ours
    from afx_live.realtime.audio import stream_process

    bind, kept = ours.callback, Shared.open(Path(empty))
    ours.callback = lambda memory, rate, *channels: _in_turn(bind, memory, rate, kept)  # pyright: ignore
    stream_process.main()


def _in_turn(bind: Callable[..., Any], memory: Any, rate: float, empty: Shared) -> Any:
    """Bind a callback that calls the engine's for a turn, then the empty one, and so on; both hear noise."""
    from numba import types

    from afx_live.dsp.compiler import at_address, c_function, caller, carray
    from afx_live.realtime.audio.callback import CALLBACK, PORT, Callback
    from afx_live.realtime.audio.engine import memory as engine_memory

    row = np.dtype([("address", "i8", 2), ("user", "i8", 2), ("frames", "i8"), ("noise", "i8")])
    call, turn = caller(CALLBACK), int(TURN_S * RATE)

    def run(indata, outdata, frames, when, flags, user):
        t = carray(at_address(user), (1,), row)[0]
        which = (t.frames // turn) % 2
        if t.frames % turn < types.int64(frames):  # its clock must not count the other's turn as a pause
            carray(at_address(t.user[which]), (1,), PORT)[0].entered = 0
        t.frames += types.int64(frames)
        call(t.address[which], (t.noise, outdata, frames, when, flags, t.user[which]))
        return 0

    pair = bind(memory, rate, 2, 2), bind(engine_memory(empty, rate), rate, 2, 2, True)
    sound, port = noise(8192), np.zeros(1, row)
    port["address"], port["user"], port["noise"] = (
        [p.address for p in pair],
        [p.user for p in pair],
        sound.ctypes.data,
    )
    bound = Callback(memory, port, c_function(CALLBACK, run).address)
    bound.kept = pair, sound  # pyright: ignore[reportAttributeAccessIssue]
    return bound


if __name__ == "__main__":
    {"stream": _stream, "send": lambda port: _send(int(port))}[sys.argv[1]](sys.argv[2])
