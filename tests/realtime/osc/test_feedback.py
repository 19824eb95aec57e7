"""OSC feedback through the server."""

import random
import socket
import time
from contextlib import suppress
from dataclasses import replace

import pytest

from afx_live.matching.explain import EffectReport, Explanation
from afx_live.realtime.osc import messages
from afx_live.realtime.osc import server as osc_server
from afx_live.realtime.osc.addresses import SUBSCRIBED, TOKEN
from afx_live.realtime.osc.packets import decode
from afx_live.realtime.osc.server import OscServer
from afx_live.realtime.osc.subscribers import (
    EXPIRE_S,
    MAX_SUBSCRIBERS,
)
from support.osc_client import RATIO, THRESHOLD, Client, bundle, message
from support.waiting import until


def listen(sock, enough, seconds=5.0):
    """Collect all that comes, by address, until it is enough."""
    found, end = {}, time.monotonic() + seconds
    while not enough(found):
        assert time.monotonic() < end, f"heard only {sorted(found)}"
        found |= heard(sock.recv(65536))
    return found


def silent(sock):
    """Tell whether nothing comes for a while, six times as long as meters take."""
    try:
        sock.recv(65536)
    except TimeoutError:
        return True
    return False


def test_a_subscriber_hears_another_client_and_itself_not(server, client, session):
    other = Client(server)
    client.send(message("/afx/subscribe"))
    everything = listen(client.socket, lambda found: THRESHOLD in found and "/afx/meter/load" in found)
    assert everything[SUBSCRIBED] == EXPIRE_S
    other.send(message(THRESHOLD, "f", -12.0))
    assert listen(client.socket, lambda found: THRESHOLD in found)[THRESHOLD] == -12.0
    other.socket.close()
    client.send(message(THRESHOLD, "f", -24.0))
    session.write("/afx/amount", 0.125)  # what comes last
    later = listen(client.socket, lambda found: found.get("/afx/amount") == 0.125)
    assert THRESHOLD not in later
    client.send(message("/afx/unsubscribe"))
    client.socket.settimeout(0.3)
    until(lambda: silent(client.socket))


def test_a_flood_does_not_stop_the_feedback(server, client):
    flood = Client(server)
    client.send(message("/afx/subscribe"))
    listen(client.socket, lambda found: "/afx/meter/load" in found)
    end, meters, n = time.monotonic() + 10.0, 0, 0
    client.socket.setblocking(False)
    while meters < 5 and time.monotonic() < end:
        n += 1
        flood.send(message("/afx/amount", "f", (n % 100) / 100.0))
        with suppress(BlockingIOError):
            meters += "/afx/meter/load" in heard(client.socket.recv(65536))
    flood.socket.close()
    assert meters == 5
    assert server.error is None


def test_the_network_must_prove_itself(session, monkeypatch):
    for module in (osc_server, messages):
        monkeypatch.setattr(module, "is_local", lambda host: False)
    with OscServer(session, port=0, allow=["127.0.0.1"]) as server:
        client = Client(server)
        client.socket.settimeout(1.0)
        request = message("/afx/subscribe", "")
        answer = client.ask(bundle(*[request] * 3))
        assert len(answer) <= len(request)
        client.send(message("/afx/amount"))  # its answer would be longer by eight bytes
        assert client.ask(message("/afx/amount", "f", 7.0)) == message("/afx/amount", "f", 1.0)  # as long: clamped
        client.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.socket.recv(65536)
        client.send(message("/afx/subscribe", "ii", 0, heard(answer)[TOKEN]))
        client.socket.settimeout(3.0)
        found = listen(client.socket, lambda found: "/afx/meter/load" in found)
        assert found[SUBSCRIBED] == EXPIRE_S
        client.send(message("/afx/ping"))
        listen(client.socket, lambda found: "/afx/ping" in found)
        client.socket.close()


def test_guessing_tokens_is_slow(session, monkeypatch):
    for module in (osc_server, messages):
        monkeypatch.setattr(module, "is_local", lambda host: False)
    with OscServer(session, port=0, allow=["127.0.0.1"]) as server:
        client = Client(server)
        for n in range(200):
            client.send(message("/afx/subscribe", "ii", 0, n + 1))
        until(lambda: server.counters["packets"] == 200)
        assert server.counters["dropped"] > 150
        client.socket.close()


@pytest.mark.parametrize("local", [True, False], ids=["loop-back", "network"])
def test_a_storm_of_requests(server, session, monkeypatch, local):
    """Thousands of random requests from forty ports: at most eight listen, nothing grows, and a mute gets through."""
    for module in (osc_server, messages):
        monkeypatch.setattr(module, "is_local", lambda host: local)
    rnd, clients = random.Random(5), [Client(server) for _ in range(40)]
    paths = ["/afx/subscribe", "/afx/subscribe", "/afx/unsubscribe", "/afx/dump", "/afx/meter/load", THRESHOLD]
    for _ in range(3000):
        tags = rnd.choice(["", "i", "ii", "f", "d", "iii", "T", "h"])
        values = [rnd.choice([0, 1, 1024, 9000, 65536, -5, 2**31 - 1, 12345]) for tag in tags if tag != "T"]
        rnd.choice(clients).send(message(rnd.choice(paths), tags, *values))
    until(lambda: clients[0].send(message("/afx/panic", "T")) or session.state.muted)
    listening = server._subscribers._all
    assert len(listening) <= (MAX_SUBSCRIBERS if local else 0)
    assert all(len(s.known) <= len(server._table) and len(s.held) <= len(server._table) for s in listening)
    assert server.error is None
    for client in clients:
        client.socket.close()


def test_feedback_to_a_configured_place(session):
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 0))
    listener.settimeout(5.0)
    with OscServer(session, port=0, feedback=[("localhost", listener.getsockname()[1])]):
        assert listen(listener, lambda found: f"{RATIO}/n" in found)[RATIO] == 3.0
    listener.close()


@pytest.mark.parametrize("wrong", [[("no such host", 9000)], [("127.0.0.1", 9000 + n) for n in range(9)]])
def test_wrong_places_are_told(session, wrong):
    with pytest.raises(ValueError, match="OSC"):
        OscServer(session, port=0, feedback=wrong)


def test_requests_that_are_none_are_counted(server, client):
    client.send(message("/afx/subscribe", "s", "studio"))
    client.send(message("/afx/subscribe", "i", 80))
    client.send(message("/afx/unsubscribe", "f", 0.5))
    client.send(message("/afx/meter/load", "f", 0.5))
    client.sync()
    assert (server.counters["bad"], server.error) == (4, None)


def heard(datagram):
    """Give what a datagram says, by address."""
    return {m.address: m.arguments[0] for m in decode(datagram)}


def test_the_explanation_is_fed_back_and_cannot_be_set(server, client, session):
    report = EffectReport("compressor", 0.9, 0.5, "3 dB gain reduction on peaks")
    client.send(message("/afx/subscribe"))
    assert listen(client.socket, lambda found: "/afx/explanation" in found)["/afx/explanation"] == ""
    session.state = replace(session.state, explanation=Explanation((report,), True, 12.0, True))
    told = listen(client.socket, lambda found: found.get("/afx/explanation"))["/afx/explanation"]
    assert "3 dB gain reduction on peaks (90% sure, 50% used)" in told
    assert "heard about 12 s" in told
    client.send(message("/afx/explanation", "s", "nonsense"))
    until(lambda: server.counters["bad"] == 1)
    assert not session.requests


def test_the_hand_on_an_effect_is_set_and_fed_back(server, client, session):
    other = Client(server)
    client.send(message("/afx/subscribe"))
    listen(client.socket, lambda found: "/afx/boldness" in found)
    sent = {"/afx/boldness": 0.75, "/afx/reverb/only": 1.0, "/afx/reverb/amount": 0.5, "/afx/compressor/lock": 1.0}
    for path, value in sent.items():
        other.send(message(path, "f", value))
    listen(client.socket, lambda found: all(found.get(path) == value for path, value in sent.items()))
    assert session.state.boldness == 0.75
    assert session.state.only == {"reverb"}
    assert session.state.shares == {"reverb": 0.5}
    assert session.state.holds("compressor")
    other.send(message("/afx/compressor/lock", "i", 0))
    listen(client.socket, lambda found: found.get("/afx/compressor/lock") == 0.0)
    assert not session.state.locked
    other.socket.close()
