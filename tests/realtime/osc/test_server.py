"""OSC, driven from outside: by liblo's `oscsend`, and by datagrams written out byte for byte."""

import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from afx_live import effects, realtime
from afx_live.matching.reference import ReferenceClip
from afx_live.realtime.osc.addresses import NUMBERED, addresses, numbered, table, table_markdown
from afx_live.realtime.osc.packets import decode
from afx_live.realtime.osc.server import OscServer
from support.jack import need
from support.osc_client import RATIO, THRESHOLD, Client, bundle, message, ntp
from support.waiting import until


def named(name):
    """A reference of which only the name matters."""
    features: Any = None
    return ReferenceClip(Path(name), features, -20.0, 1.0)


@pytest.fixture
def oscsend(server):
    program = need("oscsend", "liblo-tools")
    host, port = server.address
    return lambda *words: subprocess.run([program, host, str(port), *map(str, words)], check=True, timeout=10)


def test_table_has_every_parameter():
    paths = [a.path for a in addresses()]
    assert len(set(paths)) == len(paths)
    for name in effects.names():
        if name != "gain":
            assert f"/afx/{name}/bypass" in paths
            assert {f"/afx/{name}/{p}{n}" for p in effects.load(name).defaults for n in ("", "/n")} <= set(paths)
    for path in paths:
        decode(message(path))


def test_table_is_printed():
    plain, markdown = table(), table_markdown()
    for address in addresses():
        if address.param is None:
            assert f"\n{address.path} " in plain
            assert f"`{address.path}`" in markdown
    assert "-60 to 0 dB" in plain
    assert max(map(len, plain.splitlines())) < 120


def test_addresses_are_spelled_in_one_file():
    room = Path(str(realtime.__file__)).parent
    assert [f.name for f in room.rglob("*.py") if "/afx/" in f.read_text(encoding="utf-8")] == ["addresses.py"]


def test_importing_it_is_cheap():
    code = "import sys, afx_live.realtime.osc.server; print(*{'torch', 'numba', 'afx_live.effects'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""


def test_every_address_is_settable_by_oscsend(oscsend, client, session):
    for address in addresses():
        if address.kind in ("request", "meter", "told"):
            continue
        before = len(session.calls), len(session.requests)
        if address.kind == "string":
            oscsend(address.path, "s", "my voice.wav")
            client.sync()
            assert session.requests[before[1] :] == [(address.path, "my voice.wav")]
        elif address.kind == "trigger":
            oscsend(address.path, "i", 1)
            client.sync()
            assert session.calls[before[0] :] == (
                [] if address.path in ("/afx/ping", "/afx/dump") else [{address.path: 1.0}]
            )
        else:
            middle = struct.unpack("f", struct.pack("f", 0.7 * address.high + 0.3 * address.low))[0]
            oscsend(address.path, "f", repr(middle))
            client.sync()
            wanted = address.param.value(middle) if address.param else 1.0 if address.kind == "bool" else middle
            assert session.calls[before[0] :] == [{address.target: pytest.approx(wanted, rel=1e-5)}]
            assert not address.target.endswith("/n")
    assert client.server.counters["bad"] == client.server.counters["unknown"] == 0


@pytest.mark.parametrize(
    ("words", "value"),
    [(("i", 4), 4.0), (("f", 4.5), 4.5), (("d", 4.25), 4.25), (("h", 5), 5.0), (("T",), 1.0), (("s", "4.5"), 4.5)],
)
def test_every_numeric_type_fits_a_number(oscsend, client, session, words, value):
    oscsend(RATIO, *words)
    client.sync()
    assert session.calls == [{RATIO: value}]


@pytest.mark.parametrize(
    ("words", "value"),
    [(("T",), 1.0), (("F",), 0.0), (("i", 1), 1.0), (("f", 0.49), 0.0), (("d", 0.5), 1.0), (("h", 127), 1.0)],
)
def test_every_numeric_type_fits_a_switch(oscsend, client, session, words, value):
    oscsend("/afx/bypass", *words)
    client.sync()
    assert session.calls == [{"/afx/bypass": value}]


def test_an_impulse_pulls_a_trigger_and_asks_for_a_value(client, session):
    assert client.ask(message("/afx/undo", "I"))
    client.sync()
    assert session.calls == [{"/afx/undo": 1.0}]
    assert client.ask(message(RATIO, "I")) == client.ask(message(RATIO))
    client.sync()
    assert session.calls == [{"/afx/undo": 1.0}]


@pytest.mark.parametrize("text", ["loud", "", "nan", "inf", "50%"])
def test_text_that_is_no_number_is_refused(client, session, text):
    client.send(message(RATIO, "s", text))
    client.sync()
    assert session.calls == []
    assert client.server.counters["bad"] == 1


@pytest.mark.parametrize("words", [("i", 1), ("f", 1.0), ("d", 1.0), ("h", 1), ("T",)])
def test_an_integer_1_is_the_number_1(oscsend, client, session, words):
    for path, value in ((f"{RATIO}/n", 20.0), ("/afx/reverb/mix", 1.0), ("/afx/amount", 1.0), (RATIO, 1.0)):
        oscsend(path, *words)
        client.sync()
        assert session.read(path.removesuffix("/n")) == pytest.approx(value)


def test_senders_of_0_to_127(session):
    with OscServer(session, port=0, integer_range=127.0) as server:
        client = Client(server)
        param = effects.load("compressor").param("ratio")
        for tags, value, wanted in (("i", 127, 1.0), ("i", 64, 64 / 127), ("h", 1, 1 / 127), ("f", 0.5, 0.5)):
            client.send(message(f"{RATIO}/n", tags, value))
            client.send(message("/afx/amount", tags, value))
            client.send(message(f"{NUMBERED}1", tags, value))
            client.sync()
            assert session.read(RATIO) == pytest.approx(param.value(wanted))
            assert session.read("/afx/amount") == pytest.approx(wanted)
        client.send(message(RATIO, "i", 4))
        client.sync()
        assert session.read(RATIO) == 4.0
        client.send(bundle(message("/afx/bypass", "i", 1), message(f"{RATIO}/n", "T")))
        client.send(message("/afx/reverb/mix", "i", 1))
        client.sync()
        assert session.read(RATIO) == pytest.approx(20.0)  # T is no integer
        assert session.read("/afx/bypass") == session.read("/afx/reverb/mix") == 1.0  # nor is it asked for here
        client.socket.close()


def test_what_can_be_moved_has_a_number(client, session):
    for address in numbered():
        client.send(message(address.path, "f", 1.0))
        client.sync()
        high = address.param.high if address.param else 1.0
        assert session.read(address.target) == pytest.approx(high)
        assert client.ask(message(address.path)) == message(address.path, "f", 1.0)
    client.send(message("/afx/reaper/2/1/1", "f", 0.0))
    client.sync()
    assert session.read("/afx/amount") == 1.0
    assert client.server.counters["unknown"] == 1


def test_a_trigger_needs_no_value(client, session):
    assert client.ask(message("/afx/undo")) == message("/afx/undo", "f", 0.0)
    assert session.calls == [{"/afx/undo": 1.0}]


@pytest.mark.parametrize("tags", [None, ""])
def test_no_value_is_a_question(client, session, tags):
    session.write(RATIO, 4.0)
    session.write("/afx/bypass", 1.0)
    session.state = replace(session.state, references=(named("Stimme.wav"),))
    assert client.ask(message(RATIO, tags)) == message(RATIO, "f", 4.0)
    unit = effects.load("compressor").param("ratio").unit(4.0)
    assert client.ask(message(f"{RATIO}/n", tags)) == message(f"{RATIO}/n", "f", unit)
    assert client.ask(message("/afx/reference", tags)) == message("/afx/reference", "s", "Stimme.wav")
    assert client.ask(message("/afx/bypass", tags)) == message("/afx/bypass", "f", 1.0)
    assert session.calls == []


def test_a_question_is_answered_after_what_was_set_before(client):
    client.send(message(RATIO, "f", 7.0))
    assert client.ask(message(RATIO)) == message(RATIO, "f", 7.0)


def test_out_of_range_is_clamped_and_told(client, session):
    assert client.ask(message(THRESHOLD, "f", 400.0)) == message(THRESHOLD, "f", 0.0)
    assert client.ask(message(f"{RATIO}/n", "d", -1e300)) == message(f"{RATIO}/n", "f", 0.0)
    assert session.calls == [{THRESHOLD: 0.0}, {RATIO: 1.0}]


def test_the_ends_of_a_range_are_in_it(client):
    for address in addresses():
        if address.kind == "float":  # as float32 they may lie a little outside: no news for the sender
            client.send(message(address.path, "f", address.low))
            client.send(message(address.path, "f", address.high))
            client.sync()
    client.send(message("/afx/amount", "d", 1.0 + 1e-7))
    client.sync()


def test_a_trigger_ignores_the_button_let_go(client, session):
    client.send(message("/afx/ping", "f", 0.0))
    assert client.ask(message("/afx/ping", "i", 1)) == message("/afx/ping", "f", 0.0)
    client.send(message("/afx/ping", "f", 0.0))  # the answer, sent back: two servers do not play ping-pong
    assert client.ask(message(RATIO)) == message(RATIO, "f", session.read(RATIO))


def test_panic_latches_whatever_a_pad_sends(client, session):
    """A momentary pad sends 1, then 0 when it is let go, perhaps in the same 2 ms."""
    client.send(message("/afx/panic", "i", 1))
    assert client.ask(message("/afx/panic", "f", 0.0)) == message("/afx/panic", "f", 1.0)  # its lamp stays lit
    assert session.calls == [{"/afx/panic": 1.0}]
    assert client.ask(message("/afx/panic/clear", "T")) == message("/afx/panic/clear", "f", 0.0)
    assert session.calls[-1] == {"/afx/panic/clear": 1.0}


def test_a_trigger_pulled_twice_is_two(client, session):
    for _ in range(3):
        assert client.ask(message("/afx/undo", "i", 1)) == message("/afx/undo", "f", 0.0)
    assert session.calls == [{"/afx/undo": 1.0}] * 3


def test_wrong_type_or_number_of_values_is_counted(server, client, session):
    for wrong in (message(RATIO, "s", "x"), message("/afx/reference", "i", 1), message(RATIO, "ff", 1.0, 2.0)):
        client.send(wrong)
    client.send(message("/afx/nothing", "f", 1.0))
    client.sync()
    assert (server.counters["bad"], server.counters["unknown"], session.calls) == (3, 1, [])
    assert server.error is None


def test_a_bundle_is_one_call(client, session):
    inner = bundle(message("/afx/reverb/mix", "f", 0.5), message("/afx/amount", "i", 1))
    client.send(bundle(message(RATIO, "f", 2.0), inner, message(THRESHOLD, "f", -30.0)))
    client.sync()
    assert session.calls == [{RATIO: 2.0, "/afx/reverb/mix": 0.5, "/afx/amount": 1.0, THRESHOLD: -30.0}]


def test_no_bundle_is_ever_split(client, session):
    for n in range(200):  # in one burst, of which a sender has 1000 messages
        value = -n / 10.0
        client.send(bundle(message("/afx/input/gain_db", "f", value), message("/afx/output/gain_db", "f", value)))
        if n % 50 == 0:
            client.send(message("/afx/reference", "s", str(n)))
    client.sync()
    assert session.calls
    assert all(len(call) == 2 and len(set(call.values())) == 1 for call in session.calls)


def test_the_last_value_wins(client, session):
    session.hold.clear()
    client.send(message(RATIO, "f", 2.0))
    until(lambda: session.calls)
    for value in (3.0, 4.0, 5.0):
        client.send(message(RATIO, "f", value))
    client.send(message(f"{THRESHOLD}/n", "f", 0.0))
    client.send(message(THRESHOLD, "f", -20.0))
    session.hold.set()
    client.sync()
    assert session.calls == [{RATIO: 2.0}, {RATIO: 5.0, THRESHOLD: -20.0}]


def test_a_preset_comes_between_what_came_before_and_after(client, session):
    session.hold.clear()
    client.send(message("/afx/amount", "f", 0.0))
    until(lambda: session.calls)
    client.send(message(RATIO, "f", 2.0))
    client.send(bundle(message(RATIO, "f", 4.0), message("/afx/preset/load", "s", "a")))
    session.hold.set()
    client.sync()
    assert session.events[1:] == [{RATIO: 2.0}, ("/afx/preset/load", "a"), {RATIO: 4.0}]


@pytest.mark.slow
def test_apply_is_called_500_times_a_second_at_most(client, session):
    start = time.monotonic()
    for n in range(800):
        client.send(message(RATIO, "f", 1.0 + n / 100.0))
        time.sleep(0.0005)
    client.sync()
    assert len(session.calls) <= 500 * (time.monotonic() - start) + 1
    assert session.read(RATIO) == pytest.approx(8.99)


@pytest.mark.parametrize(("ahead", "late"), [(3600.0, 1), (0.9, 0), (-3600.0, 0)])
def test_time_tags_are_not_waited_for(server, client, session, ahead, late):
    start = time.monotonic()
    client.send(bundle(message(RATIO, "f", 2.0), tag=ntp(ahead)))
    client.sync()
    assert time.monotonic() - start < 0.8
    assert (session.calls, server.counters["late"]) == ([{RATIO: 2.0}], late)
