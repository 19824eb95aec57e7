"""What a server lets nobody do: break it, flood it, send as a stranger."""

import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from afx_live.matching.reference import ReferenceClip
from afx_live.realtime.osc import admission
from afx_live.realtime.osc.addresses import addresses
from afx_live.realtime.osc.packets import datagrams, decode
from afx_live.realtime.osc.server import OscServer, PortBusy, PortError
from support.osc_client import BAD, RATIO, Client, bundle, message, nested
from support.waiting import until


def named(name):
    """A reference of which only the name matters."""
    features: Any = None
    return ReferenceClip(Path(name), features, -20.0, 1.0)


def test_the_server_survives_them_all(server, client, session):
    for datagram in BAD.values():
        client.send(datagram)
    client.sync()
    assert server.counters["bad"] == len(BAD)
    before = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - before < 0.15  # nothing spins
    assert (session.calls, server.error) == ([], None)


def test_four_levels_and_64_messages_are_fine(server, client):
    client.send(nested(4))
    assert client.socket.recv(100) == message("/afx/ping", "f", 0.0)
    client.send(bundle(*[message(RATIO, "f", 2.0)] * 64))
    client.sync()
    assert server.counters["bad"] == 0


def test_replies_are_no_amplifier(client, session):
    session.state = replace(session.state, references=(named("ä" * 3000),), preset_name="a\0b\n" + "c" * 44)
    for address in addresses():
        if address.kind == "request":
            continue
        question = message(address.path)
        reply = client.ask(question)
        decode(reply)
        assert len(reply) <= 2 * len(question) + 64
    question = bundle(*[message("/afx/reference")] * 60, *[message(f"{RATIO}/n", "f", 9.0)] * 4)
    reply = client.ask(question)
    decode(reply)
    assert len(question) < len(reply) <= 2 * len(question) + 64
    client.sync()  # and it was one datagram
    assert [*datagrams([("/afx/ping", 0.0), ("/afx/longer", 0.0)], 19)] == []
    assert [*datagrams([("/a", 0.0), ("/b", 0.0)], 20)] == [message("/a", "f", 0.0), message("/b", "f", 0.0)]


@pytest.fixture
def stopped_clock(monkeypatch):
    """No sender's budget fills up again, however slow the machine is."""
    now = time.monotonic()
    monkeypatch.setattr(admission, "time", SimpleNamespace(monotonic=lambda: now))


@pytest.mark.slow
@pytest.mark.usefixtures("stopped_clock")
def test_a_flood_is_dropped_and_counted(server, client):
    for n in range(20000):
        client.send(message("/afx/amount", "f", n / 20000))
    until(lambda: quiet(server))
    counters = server.counters
    assert counters["dropped"] + counters["lost"] > 0  # by the server or, where it had no time, by the kernel
    assert counters["packets"] + counters["lost"] == 20000
    assert counters["messages"] <= admission.BURST
    assert counters["packets"] == counters["messages"] + counters["dropped"]


@pytest.mark.usefixtures("stopped_clock")
def test_a_flood_can_not_keep_one_from_muting(server, client, session):
    session.hold.clear()
    client.send(message("/afx/amount", "f", 0.0))
    until(lambda: session.calls)
    for _ in range(30):
        client.send(bundle(*[message(RATIO, "f", 2.0)] * 64))
    client.send(message("/afx/panic", "i", 1))
    session.hold.set()
    until(lambda: session.read("/afx/panic"))
    assert server.counters["dropped"] + server.counters["lost"] > 0


@pytest.mark.usefixtures("stopped_clock")
def test_bundles_are_no_way_around_the_rate(server, client):
    for _ in range(200):
        client.send(bundle(*[message(RATIO, "f", 2.0)] * 64))
    until(lambda: quiet(server))
    assert server.counters["dropped"] > 0


def quiet(server):
    before = server.counters["packets"]
    time.sleep(0.15)
    return server.counters["packets"] == before


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_the_network_needs_an_allow_list(session, host):
    with pytest.raises(ValueError, match="who may send"):
        OscServer(session, host=host, port=0)


def test_strangers_are_dropped(session):
    with OscServer(session, host="0.0.0.0", port=0, allow=["10.9.8.7"]) as server:
        client = Client(server)
        client.send(message(RATIO, "f", 2.0))
        until(lambda: server.counters["dropped"] == 1)
        client.socket.close()
    assert session.calls == []
    with OscServer(session, host="0.0.0.0", port=0, allow=["10.9.8.7", "127.0.0.1"]) as server:
        client = Client(server)
        client.sync()
        client.socket.close()


@pytest.mark.parametrize("wrong", [{"allow": ["studio"]}, {"port": 70000}, {"host": "::1%nowhere"}, {"host": "a" * 70}])
def test_wrong_settings_are_told(session, wrong):
    with pytest.raises(ValueError, match="OSC"):
        OscServer(session, **{"port": 0, **wrong})


def test_localhost_is_the_one_clients_send_to(session):
    with OscServer(session, host="localhost", port=0) as server:
        assert server.address[0] == "127.0.0.1"


def test_busy_port(server, session):
    with pytest.raises(PortBusy, match=rf"^UDP port {server.address[1]} on 127\.0\.0\.1 is in use.*--osc off"):
        OscServer(session, port=server.address[1])


def test_foreign_address_is_a_port_error(session):
    with pytest.raises(PortError, match="cannot be opened"):
        OscServer(session, host="192.0.2.1", port=0, allow=["10.0.0.1"])


def test_faulty_controls_do_not_stop_it(server, client, session):
    client.send(message(RATIO, "f", 13.0))
    client.sync()
    assert isinstance(server.error, RuntimeError)
    client.send(bundle(message("/afx/preset/load", "s", "thirteen"), message("/afx/panic", "T")))
    client.sync()
    assert session.calls == [{"/afx/panic": 1.0}]


def test_close(session):
    server = OscServer(session, port=0)
    start = time.monotonic()
    server.close()
    server.close()
    assert time.monotonic() - start < 1.0
    OscServer(session, port=server.address[1]).close()
