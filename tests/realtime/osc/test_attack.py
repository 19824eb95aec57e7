"""Attack over the network: whatever comes ends in an answer, a count or an error, and nothing else.

AFX_ATTACK=1000000 makes the number of datagrams the full one; `bench/fuzz.py` looks for new inputs.
"""

import gc
import math
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afx_live.chain import ChainSettings
from afx_live.effects import names
from afx_live.matching.reference import ReferenceClip
from afx_live.realtime.audio.safety import CEILING
from afx_live.realtime.osc import admission
from afx_live.realtime.osc import server as osc
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.osc.admission import BURST, MESSAGE_RATE, Budget
from afx_live.realtime.osc.packets import MAX_MESSAGES, MAX_SIZE, BadPacket, decode
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from support.attack import OUTSIDE, Attacker
from support.fake_session import FakeSession
from support.in_process import InProcess
from support.memory import memory_mb
from support.osc_client import BAD, bundle, message, mutate, nested, ntp, text
from support.waiting import until

COUNT = int(os.environ.get("AFX_ATTACK", "100000"))


def hostile(count, seed=3):
    """Give hostile datagrams: bits and words of good ones changed, and what somebody who knows OSC would think of."""
    rnd = random.Random(seed)
    table = addresses()
    good = [message(a.path, "s" if a.kind == "string" else "f", "x" if a.kind == "string" else 1.0) for a in table]
    good += [bundle(*rnd.sample(good, 4)) for _ in range(40)] + [
        nested(3),
        bundle(good[3], bundle(good[5], tag=ntp(9))),
    ]
    bad, words, pool = list(BAD.values()), [a.path for a in table], list(good)

    def number():
        return rnd.choice((0.0, 1.0, -1.0, 1e30, -1e300, 5e-324, math.nan, math.inf, 1e9, rnd.uniform(-100.0, 100.0)))

    def sizes():
        lies = (-4, 0, 4, 8, 2**31 - 4, -(2**31), len(good[0]), rnd.randrange(-64, 8192))
        parts = [struct.pack(">i", rnd.choice(lies)) + rnd.choice(good) for _ in range(rnd.randrange(1, 5))]
        return b"#bundle\0" + rnd.randbytes(8) + b"".join(parts)

    makers = (
        lambda: rnd.randbytes(rnd.choice((rnd.randrange(64), rnd.randrange(64), rnd.randrange(MAX_SIZE + 100)))),
        lambda: rnd.choice(good),
        lambda: rnd.choice(bad),
        sizes,
        lambda: bundle(*rnd.choices(good, k=rnd.randrange(4)), tag=ntp(rnd.choice((1e9, 3600.0, -1e9, 0.5)))),
        lambda: nested(rnd.randrange(12)),
        lambda: message("/afx/" + "".join(rnd.choices("*?[]{},!-a/", k=rnd.randrange(60)))),
        lambda: text(rnd.choice(words)) + text("," + rnd.choice("[]bNITFifdhsScrmt") * rnd.randrange(8000)),
        lambda: text(rnd.choice(words)) + text(",b") + struct.pack(">i", rnd.choice((-1, 4, 2**31 - 1))) + bytes(4),
        lambda: message(rnd.choice(words), "d" * rnd.randrange(5), *[number()] * 0) + struct.pack(">d", number()),
        lambda: message(rnd.choice(words), "d", number()),
        lambda: message(rnd.choice(words), "h", rnd.randrange(-(2**63), 2**63)),
        lambda: message(rnd.choice(words), "s", rnd.choice((rnd.choice(OUTSIDE), rnd.randbytes(20).strip(b"\0")))),
        lambda: message("/afx/subscribe", "i" * rnd.randrange(1, 3), rnd.randrange(65536)) + bytes(4),
        lambda: message("/afx/subscribe", "ii", rnd.randrange(65536), rnd.randrange(2**31)),
    )
    for n in range(count):
        if n % 3:
            datagram = bytearray(rnd.choice(pool))
            for _ in range(rnd.choice((1, 1, 2, 4))):
                mutate(rnd, datagram, rnd.randrange(len(datagram)))
            made = bytes(datagram)
            if len(made) < 600 and n % 5 == 0:  # mutate mutants, too
                pool = [*good, *pool[len(good) :][-200:], made]
        else:
            try:
                made = rnd.choice(makers)()
            except (ValueError, struct.error):  # more tags than values: nothing to send
                made = b""
        yield made


def sized(thing, seen=None):
    """Count all that hangs on an object of ours: what grows with what is sent, grows this."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, str | bytes | int | float | threading.Thread | socket.socket | type):
        return 1
    seen.add(id(thing))
    inside = list(thing.values()) if isinstance(thing, dict) else thing if isinstance(thing, list | set | tuple) else []
    if type(thing).__module__.startswith("afx_live.realtime.") and not callable(thing):
        inside = [*vars(thing).values()] if hasattr(thing, "__dict__") else []
    return 1 + sum(sized(x, seen) for x in inside)


@pytest.mark.slow
def test_the_decoder_refuses_or_decodes_at_once_and_keeps_nothing():
    fates, slowest, levels = Counter(), 0.0, []
    for n, datagram in enumerate(hostile(COUNT)):
        if n % (COUNT // 10) == 0:
            gc.collect()
            levels.append(memory_mb())
        begin = time.thread_time()
        try:
            found = decode(datagram)
        except BadPacket:
            fates["refused"] += 1
        else:
            fates["decoded"] += 1
            assert len(found) <= MAX_MESSAGES
            values = [v for each in found for v in each.arguments]
            assert all(isinstance(v, str) or math.isfinite(v) for v in values)
        slowest = max(slowest, time.thread_time() - begin)
    assert fates.total() == COUNT
    assert min(fates.values()) > COUNT / 10  # both ways were tried
    assert slowest < 0.05
    assert levels[-1] - levels[2] < 10.0
    print(f"{fates}, slowest {1e3 * slowest:.1f} ms of CPU, memory {levels[2]:.0f} to {levels[-1]:.0f} MB")


@pytest.fixture
def live(monkeypatch):
    """A server without a speed limit, and with the real session and engine behind it."""
    monkeypatch.setattr(Budget, "left", lambda self: True)
    monkeypatch.setattr(osc, "APPLY_RATE", 1e5)
    engine: Any = InProcess()
    playing = Session(engine, None, SessionState(ChainSettings.default(n for n in names() if n != "gain")))
    with osc.OscServer(playing, port=0) as server:
        yield server, engine, playing
    playing.close()


@pytest.mark.slow
def test_a_server_counts_every_datagram_and_keeps_nothing(live, monkeypatch):
    server, engine, _ = live
    spent, refused, decoded = [], 0, 0
    take = server._take

    def timed(*words):
        begin = time.thread_time()
        batch = take(*words)
        spent.append(time.thread_time() - begin)
        return batch

    monkeypatch.setattr(server, "_take", timed)
    attacker = Attacker(server)
    for n, datagram in enumerate(hostile(COUNT // 5, seed=4)):
        if n == COUNT // 50:
            attacker.settle()
            before = sized(server), memory_mb()
        attacker.send(datagram)
        engine.asked.clear()  # the test's own notes
        try:
            decoded += len(decode(datagram))
        except BadPacket:
            refused += 1
    attacker.settle()
    counters = dict(server.counters)
    assert (counters["packets"], counters["messages"], counters["lost"]) == (COUNT // 5, decoded, 0)
    assert counters["dropped"] == 0
    assert refused < counters["bad"] < refused + decoded
    assert server.error is None
    assert max(spent) < 0.1
    assert sized(server) - before[0] < 2000  # what eight subscribers know, at most
    assert memory_mb() - before[1] < 20.0
    loud = np.random.default_rng(0).normal(0.0, 10.0, (24000, 2))
    loud[5000:5010] = np.nan
    loud[7000] = np.inf
    assert np.abs(engine.feed(loud)).max() <= CEILING
    attacker.socket.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            attacker.socket.recv(65536)
    attacker.socket.settimeout(5.0)
    attacker.answers()
    attacker.socket.close()


@pytest.mark.slow
def test_no_reply_is_larger_than_twice_its_question_and_64_bytes(live):
    server, _, session = live
    attacker = Attacker(server)
    answered = 0
    features: Any = None
    long = ReferenceClip(Path("ä" * 300), features, -20.0, 1.0)
    session.edit(lambda state: replace(state, references=(long,), frozen=True))
    questions = [message(a.path) for a in addresses()]
    questions += [bundle(*[message("/afx/reference")] * n, message("/afx/compressor/ratio/n")) for n in (1, 9, 60)]
    for datagram in [*questions, *hostile(1500, seed=5)]:
        if b"subscribe" in datagram:
            continue  # who subscribes gets what was asked for; see test_feedback.py
        attacker.send(datagram)
        found = sum(map(len, attacker.answers()))
        assert found <= 2 * len(datagram) + 64
        answered += found > 0
    attacker.socket.close()
    assert answered > 100


@pytest.mark.slow
def test_many_sources_are_no_way_to_memory(live):
    server, *_ = live
    flood = list(hostile(60, seed=6)) + [message("/afx/subscribe", "i", 9000 + n) for n in range(20)]
    levels = []
    for n in range(60):
        attacker = Attacker(server, f"127.0.{n}.{n + 2}")
        for datagram in flood:
            attacker.send(datagram)
        attacker.settle()
        attacker.socket.close()
        levels.append(sized(server))
    assert len(server._subscribers) <= 8
    assert levels[-1] - levels[10] < 2000
    assert levels[-1] == levels[-2] or levels[-1] - levels[-10] < 50


FLOOD = """
import socket, sys
port, count = map(int, sys.argv[1:])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
value = b"/afx/amount\\0,f\\0\\0\\0\\0\\0\\0"
for n in range(count):
    s.sendto(value if n % 4 else b"#bundle\\0" + bytes(8) + b"\\xff\\xff\\xff\\xfc", ("127.0.0.1", port))
"""


@pytest.mark.slow
def test_a_flood_at_full_speed_is_counted_to_the_last_datagram(caplog):
    count, session = 150_000, FakeSession()
    with osc.OscServer(session, port=0) as server:
        begin, used = time.monotonic(), time.process_time()
        subprocess.run([sys.executable, "-c", FLOOD, str(server.address[1]), str(count)], check=True, timeout=60)
        wall, used = time.monotonic() - begin, time.process_time() - used
        attacker = Attacker(server)
        attacker.socket.sendto(message("/afx/ping"), ("127.0.0.1", server.address[1]))
        until(lambda: server.counters["packets"] + server.counters["lost"] == count + 1)
        counters = dict(server.counters)
        attacker.socket.close()
        taken = counters["packets"] - counters["dropped"]
        assert taken <= BURST + MESSAGE_RATE * (wall + 1.0) + 1
        assert counters["messages"] + counters["bad"] == taken
        assert len(session.calls) <= 500 * (wall + 1.0)
        assert used < 1.1 * wall  # one thread, never more than a core
        until(lambda: server._admission.budget("127.0.0.1", b""))
        attacker = Attacker(server)
        attacker.send(message("/afx/panic", "T"))
        attacker.settle()
        attacker.answers()
        assert session.state.muted
        attacker.socket.close()
    assert len(caplog.records) < 8 * (wall + 2)
    print(f"{count / wall:.0f} datagrams a second: {counters}, {used / wall:.0%} of a core")


def test_what_is_slow_to_apply_does_not_keep_anyone_from_muting(monkeypatch):
    monkeypatch.setattr(admission, "MESSAGE_RATE", 0.0)  # the burst alone, however slow this computer is just now
    session = FakeSession()
    with osc.OscServer(session, port=0) as server, closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        slow = [message("/afx/preset/load", "s", "x"), message("/afx/amount", "f", 0.5)]
        for n in range(300):
            client.sendto(slow[n % 2], ("127.0.0.1", server.address[1]))
        client.sendto(message("/afx/panic", "T"), ("127.0.0.1", server.address[1]))
        until(lambda: session.state.muted)
        assert len(session.events) < 50  # each takes 2 ms; the rest are over what a sender may ask for
