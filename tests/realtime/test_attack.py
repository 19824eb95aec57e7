"""Attack: whatever comes over the network or lies in a file ends in an answer, a count or an error, and nothing else.

AFX_ATTACK=1000000 makes the number of datagrams the full one; `bench/fuzz.py` looks for new inputs.
"""

import gc
import hashlib
import json
import math
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from onnx import helper

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.effects import names
from afx_live.matching import ClipError, MatchModel, ModelError, given_settings, read_clip
from afx_live.matching import format as model_format
from afx_live.matching import model as predictor
from afx_live.matching.onnx_sandbox import run_in_sandbox
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.audio.engine import CEILING
from afx_live.realtime.audio.render import render
from afx_live.realtime.cli import main
from afx_live.realtime.osc import messages
from afx_live.realtime.osc import server as osc
from afx_live.realtime.osc.messages import BURST, MESSAGE_RATE, Budget
from afx_live.realtime.osc.packets import MAX_MESSAGES, MAX_SIZE, BadPacket, check, decode, encode
from afx_live.realtime.session import session
from support.in_process import InProcess
from support.osc_client import BAD, Fake, bundle, message, mutate, nested, ntp, text, wait_until

COUNT = int(os.environ.get("AFX_ATTACK", "100000"))
PING = bundle(*[message("/afx/ping")] * 3)  # as nothing else here asks for it
PONG = encode([("/afx/ping", 0.0)] * 3, 1000)
OUTSIDE = (
    "../secret.wav",
    "../../etc/passwd",
    "/etc/passwd",
    "~/secret.wav",
    "~root",
    "link.wav",
    "away/secret.wav",
    "loop",
    ".",
    "..",
    "",
    "/",
    "a" * 300,
    "a/" * 2000,
    "\u2025/secret.wav",
    "\uff0e\uff0e\uff0fsecret.wav",
    "..\\secret.wav",
    "%2e%2e/secret.wav",
    "file:///etc/passwd",
    "pipe",
    "secret",
    "../secret",
    "../presets/../secret",
    "secret.json",
    "mine.json",
    "mine/",
    "./mine",
    "/dev/zero",
    "/proc/self/mem",
    "con",
    "nul:",
    "good.wav/..",
    "\u202e",
    "mine ",
    "good.wav/../../secret.wav",
)


def datagrams(count, seed=3):
    """Give hostile datagrams: bits and words of good ones changed, and what somebody who knows OSC would think of."""
    rnd = random.Random(seed)
    table = osc.addresses()
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


def memory_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


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


@contextmanager
def most_memory(bound_mb):
    """Fail if Python and numpy together ever take more than this at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 1e6 * bound_mb
    finally:
        tracemalloc.stop()


# --- datagrams ------------------------------------------------------------------------------------


def test_the_decoder_refuses_or_decodes_at_once_and_keeps_nothing():
    fates, slowest, levels = Counter(), 0.0, []
    for n, datagram in enumerate(datagrams(COUNT)):
        if n % (COUNT // 10) == 0:
            gc.collect()
            levels.append(memory_mb())
        begin = time.thread_time()
        try:
            check(datagram)
            found = decode(datagram)
        except BadPacket:
            fates["refused"] += 1
        else:
            fates["decoded"] += 1
            assert len(found) <= MAX_MESSAGES
            values = [v for timed in found for v in timed.message.params]
            assert all(isinstance(v, str) or math.isfinite(v) for v in values)
        slowest = max(slowest, time.thread_time() - begin)
    assert fates.total() == COUNT
    assert min(fates.values()) > COUNT / 10  # both ways were tried
    assert slowest < 0.05
    assert levels[-1] - levels[2] < 10.0
    print(f"{fates}, slowest {1e3 * slowest:.1f} ms of CPU, memory {levels[2]:.0f} to {levels[-1]:.0f} MB")


class Attacker:
    """A socket that sends no faster than the server reads, so that nothing is lost and every fate is known."""

    def __init__(self, server, source="127.0.0.1"):
        self.server, self.sent, self.waiting = server, server.counters["packets"], 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((source, 0))
        self.socket.settimeout(5.0)

    def send(self, datagram):
        self.socket.sendto(datagram, ("127.0.0.1", self.server.address[1]))
        self.sent += 1
        self.waiting += len(datagram) + 1000
        if self.waiting > 100_000:
            self.settle()

    def settle(self):
        wait_until(lambda: self.server.counters["packets"] == self.sent)
        self.waiting = 0

    def answers(self):
        """Ping, and give all datagrams that come before the answer."""
        self.send(PING)
        found = []
        while (answer := self.socket.recv(65536)) != PONG:
            found.append(answer)
        return found


@pytest.fixture
def live(monkeypatch):
    """A server without a speed limit, and with the real session and engine behind it."""
    monkeypatch.setattr(Budget, "left", lambda self: True)
    monkeypatch.setattr(osc, "APPLY_RATE", 1e5)
    engine: Any = InProcess()
    playing = session.Session(engine, None, ChainSettings.default(tuple(n for n in names() if n != "gain")))
    with osc.OscServer(playing, port=0) as server:
        yield server, engine
    playing.close()


def test_a_server_counts_every_datagram_and_keeps_nothing(live, monkeypatch):
    server, engine = live
    spent, refused, decoded = [], 0, 0
    take = server._take

    def timed(*words):
        begin = time.thread_time()
        batch = take(*words)
        spent.append(time.thread_time() - begin)
        return batch

    monkeypatch.setattr(server, "_take", timed)
    attacker = Attacker(server)
    for n, datagram in enumerate(datagrams(COUNT // 5, seed=4)):
        if n == COUNT // 50:
            attacker.settle()
            before = sized(server), memory_mb()
        attacker.send(datagram)
        engine.asked.clear()  # the test's own notes
        try:
            check(datagram)
        except BadPacket:
            refused += 1
        else:
            decoded += len(decode(datagram))
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


def test_no_reply_is_larger_than_twice_its_question_and_64_bytes(live, monkeypatch):
    server, _ = live
    attacker = Attacker(server)
    answered = 0
    monkeypatch.setattr(server._controls, "_reference_name", "ä" * 300)
    questions = [message(a.path) for a in osc.addresses()]
    questions += [bundle(*[message("/afx/reference")] * n, message("/afx/compressor/ratio/n")) for n in (1, 9, 60)]
    for datagram in [*questions, *datagrams(1500, seed=5)]:
        if b"subscribe" in datagram:
            continue  # who subscribes gets what was asked for; see test_feedback.py
        attacker.send(datagram)
        found = sum(map(len, attacker.answers()))
        assert found <= 2 * len(datagram) + 64
        answered += found > 0
    attacker.socket.close()
    assert answered > 100


def test_many_sources_are_no_way_to_memory(live):
    server, _ = live
    flood = list(datagrams(60, seed=6)) + [message("/afx/subscribe", "i", 9000 + n) for n in range(20)]
    levels = []
    for n in range(60):
        attacker = Attacker(server, f"127.0.{n}.{n + 2}")
        for datagram in flood:
            attacker.send(datagram)
        attacker.settle()
        attacker.socket.close()
        levels.append(sized(server))
    assert len(server._feedback._all) <= 8
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


def test_a_flood_at_full_speed_is_counted_to_the_last_datagram(caplog):
    count, fake = 150_000, Fake()
    with osc.OscServer(fake, port=0) as server:
        begin, used = time.monotonic(), time.process_time()
        subprocess.run([sys.executable, "-c", FLOOD, str(server.address[1]), str(count)], check=True, timeout=60)
        wall, used = time.monotonic() - begin, time.process_time() - used
        attacker = Attacker(server)
        attacker.socket.sendto(message("/afx/ping"), ("127.0.0.1", server.address[1]))
        wait_until(lambda: server.counters["packets"] + server.counters["lost"] == count + 1)
        counters = dict(server.counters)
        attacker.socket.close()
        taken = counters["packets"] - counters["dropped"]
        assert taken <= BURST + MESSAGE_RATE * (wall + 1.0) + 1
        assert counters["messages"] + counters["bad"] == taken
        assert len(fake.calls) <= 500 * (wall + 1.0)
        assert used < 1.1 * wall  # one thread, never more than a core
        wait_until(lambda: server._budgets["local", False].left())
        attacker = Attacker(server)
        attacker.send(message("/afx/panic", "T"))
        attacker.settle()
        attacker.answers()
        assert fake.state["/afx/panic"] == 1.0
        attacker.socket.close()
    assert len(caplog.records) < 8 * (wall + 2)
    print(f"{count / wall:.0f} datagrams a second: {counters}, {used / wall:.0%} of a core")


def test_what_is_slow_to_apply_does_not_keep_anyone_from_muting(monkeypatch):
    monkeypatch.setattr(messages, "MESSAGE_RATE", 0.0)  # the burst alone, however slow this computer is just now
    fake = Fake()
    with osc.OscServer(fake, port=0) as server, closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as client:
        slow = [message("/afx/preset/load", "s", "x"), message("/afx/amount", "f", 0.5)]
        for n in range(300):
            client.sendto(slow[n % 2], ("127.0.0.1", server.address[1]))
        client.sendto(message("/afx/panic", "T"), ("127.0.0.1", server.address[1]))
        wait_until(lambda: fake.state.get("/afx/panic") == 1.0)
        assert len(fake.events) < 50  # each takes 2 ms; the rest are over what a sender may ask for


# --- who may send, and what a name may open -------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "0", "::", "::0", "::ffff:0.0.0.0", "", "*", "0.0.0.0.", "localhost", socket.gethostname()]
)
def test_without_a_list_of_peers_only_loop_back_is_listened_on(host):
    try:
        server = osc.OscServer(Fake(), host=host, port=0)
    except (ValueError, osc.PortError):
        return
    with server:
        assert server.address[0].startswith("127.") or server.address[0] in ("::1", "::ffff:127.0.0.1")


@pytest.mark.parametrize(
    ("allow", "source", "heard"),
    [
        (["::1"], "::1", True),
        (["::1"], "127.0.0.1", False),
        (["127.0.0.1"], "127.0.0.1", True),
        (["::ffff:127.0.0.1"], "127.0.0.1", True),
        (["127.0.0.1"], "::1", False),
        (["127.0.0.2", "fe80::1"], "127.0.0.1", False),
    ],
)
def test_peers_are_told_apart_whatever_they_call_themselves(allow, source, heard):
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("there is no IPv6 here")
    fake = Fake()
    family = socket.AF_INET6 if ":" in source else socket.AF_INET
    with osc.OscServer(fake, host="::", port=0, allow=allow) as server:
        with closing(socket.socket(family, socket.SOCK_DGRAM)) as client:
            client.sendto(message("/afx/panic", "T"), (source, server.address[1]))
        wait_until(lambda: server.counters["packets"] == 1)
        wait_until(lambda: server.counters["dropped"] == 1 or fake.state)
    assert fake.state == ({"/afx/panic": 1.0} if heard else {})


OPENED: list[str] = []
sys.addaudithook(lambda event, words: OPENED.append(str(words[0])) if event == "open" and OPENED else None)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A clip folder and a preset folder, and around them all that must not be opened."""
    clips, home = tmp_path / "clips", tmp_path / "home"
    (clips / "sub").mkdir(parents=True)
    (home / "presets").mkdir(parents=True)
    monkeypatch.setenv("AFX_LIVE_HOME", str(home))
    monkeypatch.setenv("HOME", str(tmp_path))
    sound = presets.clip("voice").read_bytes()
    for path in (clips / "good.wav", clips / "sub/deep.wav", tmp_path / "secret.wav", tmp_path / "away/secret.wav"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(sound)
    (clips / "link.wav").symlink_to(tmp_path / "secret.wav")
    (clips / "away").symlink_to(tmp_path / "away")
    (clips / "loop").symlink_to("loop")
    os.mkfifo(clips / "pipe")
    for path in (home / "presets/mine.json", home / "secret.json"):
        path.write_text(presets.to_json(presets.Preset("mine", ChainSettings())))
    return clips, home, tmp_path


def test_no_address_opens_anything_outside_the_clip_and_preset_folders(places, monkeypatch):
    clips, home, around = places
    listened = []

    def read(path, model):
        listened.append(Path(path))
        raise session.ClipError("not now")

    monkeypatch.setattr(session, "read_reference", read)
    before = sorted(around.rglob("*"))
    engine: Any = InProcess()
    model: Any = object()  # it is never asked
    playing = session.Session(engine, model, ChainSettings(), clip_folders=[clips])
    playing.start()
    OPENED.append("")
    try:
        with osc.OscServer(playing, port=0) as server:
            attacker = Attacker(server)
            for path in [a.path for a in osc.addresses() if a.kind == "string"]:
                for name in (*OUTSIDE, "sub/../good.wav", "sub/deep.wav", "mine"):
                    attacker.send(message(path, "s", name))
                    attacker.answers()
                    wait_until(playing._work.empty)
            attacker.send(message("/afx/preset/load", "s", "mine"))
            wait_until(lambda: playing.value("/afx/preset/load") == "mine")
            attacker.socket.close()
    finally:
        opened = {os.path.realpath(path) for path in OPENED}
        OPENED.clear()
        playing.close()
    assert set(listened) == {clips / "good.wav", clips / "sub/deep.wav"}
    ours = {path for path in opened if path.startswith((str(around.resolve()), "/etc", "/dev", "/proc", "/root"))}
    assert {path for path in ours if "/lib/python" not in path} == {str((home / "presets/mine.json").resolve())}
    assert sorted(around.rglob("*")) == before


# --- files ----------------------------------------------------------------------------------------

HEAD = '{"format": "afx-live-preset", "version": 1, '
PRESETS = {
    "number as text": HEAD + '"amount": "1"}',
    "not a number": HEAD + '"amount": NaN}',
    "1e400": HEAD + '"input_gain_db": 1e400}',
    "5000 digits": HEAD + '"amount": ' + "9" * 5000 + "}",
    "truth as a number": HEAD + '"amount": true}',
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "deep in the chain": HEAD + '"chain": ' + "[" * 900 + "]" * 900 + "}",
    "a key twice": HEAD + '"amount": 1, "amount": 0}',
    "version as text": '{"format": "afx-live-preset", "version": "1"}',
    "version 2": '{"format": "afx-live-preset", "version": 2}',
    "version -1": '{"format": "afx-live-preset", "version": -1}',
    "version 1.0": '{"format": "afx-live-preset", "version": 1.0}',
    "UTF-16": (HEAD + '"amount": 1}').encode("utf-16"),
    "a mark twice": b"\xef\xbb\xbf\xef\xbb\xbf" + HEAD.encode() + b'"amount": 1}',
    "not UTF-8": b'{"format": "\xff"}',
    "zeros": bytes(1000),
    "half a pair": HEAD + '"name": "\\ud800"}',
    "a name that is a path": HEAD + '"name": "../../x"}',
    "an escape": HEAD + '"notes": "\\u001b[2J"}',
    "nine effects": HEAD + '"chain": [' + ",".join(['{"effect": "gain"}'] * 9) + "]}",
    "effect that is none": HEAD + '"chain": [{"effect": "__init__"}]}',
    "effect from elsewhere": HEAD + '"chain": [{"effect": "../../os"}]}',
    "many references": HEAD + '"source": {"references": [' + ",".join(["3"] * 1000) + "]}}",
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_hostile_preset_is_a_preset_error(tmp_path, name):
    data = PRESETS[name] if isinstance(PRESETS[name], bytes) else PRESETS[name].encode()
    path = tmp_path / "p.json"
    path.write_bytes(data)
    begin = time.thread_time()
    with pytest.raises(presets.PresetError) as error:
        presets.load(path)
    assert time.thread_time() - begin < 0.5
    assert len(str(error.value)) < 1000
    assert str(error.value).isprintable()


def test_a_mark_in_front_is_no_offence(tmp_path):
    assert presets.from_json(b"\xef\xbb\xbf" + HEAD.encode() + b'"amount": 0.5}').amount == 0.5


def exit_code(*words, capsys):
    with pytest.raises(SystemExit) as stop:
        main.main([str(word) for word in words])
    said = capsys.readouterr().err
    assert "a bug" not in said
    return stop.value.code


def test_a_file_without_end_is_not_read(tmp_path, capsys):
    huge = tmp_path / "huge.json"
    huge.touch()
    os.truncate(huge, 1 << 30)
    level = memory_mb()
    assert exit_code("preset", "check", huge, capsys=capsys) == 5
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("zero.json", "pipe.json"):
        assert exit_code("preset", "check", tmp_path / name, capsys=capsys) == 5
    assert memory_mb() - level < 20.0


def wav(rate=48000, channels=1, bits=16, kind=1, data=bytes(48000), claim=None, frame=None):
    """Write a WAV file whose header says what it likes."""
    frame = channels * bits // 8 if frame is None else frame
    size = len(data) if claim is None else claim
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * frame & 0xFFFFFFFF, frame & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", (36 + size) & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + (b"data" + struct.pack("<I", size & 0xFFFFFFFF) + data)
    )


def rf64(frames):
    """Write a file that claims any number of frames, in 64 bits."""
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 2 * frames + 72, 2 * frames, frames, 0)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48000, 96000, 2, 16)
    return b"RF64\xff\xff\xff\xffWAVE" + ds64 + form + b"data\xff\xff\xff\xff" + bytes(4000)


NOISE = np.random.default_rng(1).normal(0.0, 0.1, 48000).astype("<f4")
SOUNDS = {
    "no channels": wav(channels=0, frame=2),
    "65535 channels": wav(channels=65535),
    "1 Hz": wav(rate=1, data=(NOISE * 3e4).astype("<i2").tobytes()),
    "10 MHz": wav(rate=10_000_000, data=(NOISE * 3e4).astype("<i2").tobytes()),
    "0 Hz": wav(rate=0),
    "2 GHz": wav(rate=2**31 - 1),
    "0 bits": wav(bits=0, frame=2),
    "a frame of 0 bytes": wav(frame=0),
    "unknown coding": wav(kind=0x4242),
    "claims 4 GB, holds silence": wav(claim=2**32 - 40),
    "claims 10^12 frames": rf64(10**12),
    "claims 2^63 frames": rf64(2**62),
    "NaN": wav(bits=32, kind=3, data=np.where(np.arange(48000) == 40000, np.nan, NOISE).astype("<f4").tobytes()),
    "Inf": wav(bits=32, kind=3, data=np.where(np.arange(48000) == 3, -np.inf, NOISE).astype("<f4").tobytes()),
    "silence of 90 s": wav(rate=8000, bits=8, data=b"\x80" * 720_000),
    "cut in the header": wav()[:30],
    "only a header": wav(data=b""),
    "a FLAC of 2^36 frames": b"fLaC\x80\0\0\x22\x10\0\x10\0" + bytes(6) + b"\x0b\xb8\1" + b"\xff" * 5 + bytes(16),
    "an Ogg that ends": b"OggS\0\x02" + bytes(22) + b"\xff" + b"\xff" * 255,
    "an AIFF of 2^32 frames": b"FORM\0\0\0\x2eAIFFCOMM\0\0\0\x12\0\1\xff\xff\xff\xff\0\x10\x40\x0e\xbb\x80\0\0\0\0\0\0"
    b"SSND\0\0\0\x08" + bytes(8),
    "an AU of no encoding": b".snd\0\0\0\x18\xff\xff\xff\xff\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(200),
    "a CAF of negative size": b"caff\0\1\0\0desc" + struct.pack(">q", -5) + bytes(60),
}


@pytest.fixture(scope="module")
def compiled():
    read_clip(presets.clip("drums"))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", SOUNDS)
def test_a_hostile_sound_is_a_clip_error(tmp_path, name, capsys):
    path = tmp_path / "sound.wav"
    path.write_bytes(SOUNDS[name])
    begin = time.thread_time()
    with most_memory(20.0), pytest.raises(ClipError) as error:
        read_clip(path)
    assert time.thread_time() - begin < 5.0
    assert len(str(error.value)) < 1000
    words = "render", path, "--preset", "warm", "-o", tmp_path / "out.wav", "-q"
    assert exit_code(*words, capsys=capsys) == 4
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.usefixtures("compiled")
def test_a_thousand_channels_take_no_more_memory_than_two(tmp_path):
    noise = np.resize(NOISE, (8000, 1000)) * np.linspace(0.5, 1.0, 1000)
    soundfile.write(tmp_path / "wide.wav", noise, 8000, "PCM_16")
    with most_memory(10.0):
        heard = read_clip(tmp_path / "wide.wav")
    assert heard.excerpts.shape == (8000, 1)
    with pytest.raises(ClipError, match="1000 channels"):
        render(heard, given_settings(heard, ChainSettings(), None), tmp_path / "out.wav", lambda frames: None)


# --- models ---------------------------------------------------------------------------------------


def graph(*nodes, weights=(), outputs=("statistics", "embedding"), kind=1):
    """Make an ONNX file: nodes are (operator, inputs, outputs, attributes)."""
    made = [helper.make_node(op, ins.split(), outs.split(), **more) for op, ins, outs, more in nodes]
    sound = helper.make_tensor_value_info("waveform", 1, [1, 240000])
    ends = [helper.make_tensor_value_info(n, kind, None) for n in outputs]
    whole = helper.make_graph(made, "g", [sound], ends, initializer=list(weights))
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def ints(name, *values):
    return helper.make_tensor(name, 7, [len(values)], values)


def looping():
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"])],
        "b",
        [helper.make_tensor_value_info("i", 7, []), helper.make_tensor_value_info("go", 9, [])],
        [helper.make_tensor_value_info("on", 9, [])],
    )
    loop = ("Loop", "n yes", "", {"body": body})
    n, yes = helper.make_tensor("n", 7, [], [1 << 62]), helper.make_tensor("yes", 9, [], [True])
    ends = [("Identity", "waveform", name, {}) for name in ("statistics", "embedding")]
    return graph(loop, *ends, weights=(n, yes))


def elsewhere():
    made = graph(("Identity", "w", "statistics", {}), ("Identity", "w", "embedding", {}))
    tensor = made.graph.initializer.add(name="w", data_type=1, dims=[1, 4], data_location=1)
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return made


def foreign():
    made = graph(("Identity", "waveform", "statistics", {}), ("Gelu", "waveform", "embedding", {}))
    made.graph.node[1].domain = "com.microsoft"
    made.opset_import.add(domain="com.microsoft", version=1)
    return made


def greedy():
    size, axes = ints("size", 1, 1 << 34), ints("axes", 1)
    huge = [("ConstantOfShape", "size", "huge", {}), ("ReduceSum", "huge axes", "statistics", {})]
    return graph(*huge, ("Identity", "waveform", "embedding", {}), weights=(size, axes))


def undefined():
    zero = helper.make_tensor("zero", 1, [1, 584], [0.0] * 584)
    part = ("Slice", "waveform from to axes", "embedding", {})
    weights = zero, ints("from", 0), ints("to", 128), ints("axes", 1)
    return graph(("Div", "zero zero", "statistics", {}), part, weights=weights)


GRAPHS = {
    "a loop without end": (looping, "loops or branches"),
    "data in another file": (elsewhere, "another file"),
    "foreign operators": (foreign, "beyond ONNX"),
    "64 GB": (greedy, "cannot run it"),
    "one answer": (lambda: graph(("Identity", "waveform", "x", {}), outputs=["x"]), "answers with"),
    "whole numbers": (
        lambda: graph(("Cast", "waveform", "x", {"to": 7}), ("Identity", "x", "y", {}), outputs=["x", "y"], kind=7),
        "float32",
    ),
    "no answer": (lambda: graph(), "onnxruntime cannot load it"),
    "cut": (lambda: (SHIPPED_MODEL / "encoder.onnx").read_bytes()[:300_000], "not an ONNX graph"),
    "a length of 2^63": (lambda: b"\x3a" + b"\xff" * 8 + b"\x7f", "not an ONNX graph"),
    "a number without end": (lambda: b"\xff" * 100, "not an ONNX graph"),
}


def put_graph(folder, data):
    """Put an encoder into a copy of the shipped model, with the right checksum."""
    data = data if isinstance(data, bytes) else data.SerializeToString()
    shutil.copytree(SHIPPED_MODEL, folder)
    (folder / "encoder.onnx").write_bytes(data)
    spec = json.loads((folder / "model.json").read_text())
    spec["sha256"]["encoder.onnx"] = hashlib.sha256(data).hexdigest()
    (folder / "model.json").write_text(json.dumps(spec))
    return folder


@pytest.mark.parametrize("name", GRAPHS)
def test_a_hostile_graph_is_a_model_error(tmp_path, name):
    make, words = GRAPHS[name]
    with pytest.raises(ModelError, match=words) as error:
        MatchModel(put_graph(tmp_path / "model", make()))
    assert str(tmp_path) in str(error.value)


def test_a_graph_that_answers_with_nonsense_says_so_when_it_is_heard(tmp_path):
    model = MatchModel(put_graph(tmp_path / "model", undefined()))
    with pytest.raises(ModelError, match="NaN or Inf"):
        model.analyse(NOISE, 48000)


def test_a_graph_that_kills_its_process_kills_only_a_child(tmp_path, monkeypatch):
    folder = put_graph(tmp_path / "model", (SHIPPED_MODEL / "encoder.onnx").read_bytes())
    MatchModel(folder)  # the copy is fine
    with pytest.raises(ModelError, match="do not end within"):
        run_in_sandbox(
            folder, model_format.GRAPHS, [(folder / g.file).read_bytes() for g in model_format.GRAPHS], 240000, 0.01
        )
    killer = tmp_path / "killer"
    killer.write_text("#!/bin/sh\nkill -SEGV $$\n")
    killer.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(killer))
    with pytest.raises(ModelError, match="signal 11"):
        MatchModel(folder)


SPECS = {
    "rate": lambda s: s.update(sample_rate=1),
    "rate as text": lambda s: s.update(sample_rate="48000"),
    "window of 10^9 s": lambda s: s.update(window_s=1e9),
    "window that is none": lambda s: s.update(window_s=float("nan")),
    "loudness": lambda s: s.update(lufs=float("inf")),
    "name": lambda s: s.update(name=["x"]),
    "a name with an escape": lambda s: s.update(name="\x1b[2J"),
    "bands": lambda s: s.update(bands_hz=[0.0] * 64),
    "bands that are text": lambda s: s.update(bands_hz="x" * 64),
    "fewer weights": lambda s: s["band_weights"].pop(),
    "threshold": lambda s: s["threshold"].update(reverb=[1.0]),
    "threshold that is none": lambda s: s["threshold"].update(reverb=[None, 1.0]),
    "strength": lambda s: s.update(strength={}),
    "too much strength": lambda s: s.update(strength={e: [1.0, 2.0] for e in s["threshold"]}),
    "fixed": lambda s: s.update(fixed=[[["x"], {}]]),
    "an effect twice": lambda s: s["chain"].append(s["chain"][0]),
    "an effect that is a list": lambda s: s["chain"][0].update(effect=[1]),
    "an effect less": lambda s: s["chain"].pop(),
    "no effects": lambda s: s.update(chain=[]),
    "no effects, by name": lambda s: s.update(chain={}),
    "file names": lambda s: s["sha256"].update({"a\0b": "0"}),
    "dots": lambda s: s["sha256"].update({"..": "0"}),
    "a pipe": lambda s: s["sha256"].update({"pipe": "0"}),
    "a device": lambda s: s["sha256"].update({"zero": "0"}),
    "a long word": lambda s: s.update(format="x" * 100_000),
}


@pytest.mark.parametrize("name", SPECS)
def test_a_hostile_description_is_a_model_error(tmp_path, monkeypatch, name):
    monkeypatch.setattr(predictor, "run_in_sandbox", lambda *words: None)  # it has its own tests
    folder = shutil.copytree(SHIPPED_MODEL, tmp_path / "model")
    os.mkfifo(folder / "pipe")
    (folder / "zero").symlink_to("/dev/zero")
    spec = json.loads((folder / "model.json").read_text())
    SPECS[name](spec)
    (folder / "model.json").write_text(json.dumps(spec))
    with pytest.raises(ModelError) as error:
        MatchModel(folder)
    assert len(str(error.value)) < 1200
    assert str(error.value).isprintable()


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' + "9" * 5000 + "}", " " * 2_000_000, '{"format": null'])
def test_a_description_that_is_no_json_is_a_model_error(tmp_path, text, capsys):
    (tmp_path / "model.json").write_text(text)
    with pytest.raises(ModelError):
        MatchModel(tmp_path)
    words = "render", presets.clip("voice"), "--model", tmp_path, "--reference", presets.clip("drums"), "-o", "x.wav"
    assert exit_code(*words, "-q", capsys=capsys) == 5
