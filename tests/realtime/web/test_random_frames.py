"""What is sent to the page's server by who knows better than to send that."""

import http.client
import json
import os
import random
import socket
import time
from contextlib import suppress

import pytest

from afx_live.realtime.web.connections import MAX_CONNECTIONS, STRANGER_S
from afx_live.realtime.web.pages import MAX_MESSAGE, TOKEN_S
from support.page import Client, Socket, frame, served
from support.waiting import until

FRAMES = int(os.environ.get("AFX_FUZZ_FRAMES", "100000"))
"""Random frames at the socket; `AFX_FUZZ_FRAMES=1000000` takes half a minute."""


def _random_frame(rng):
    """A frame as nobody should send it: random JSON, random bytes, random kinds, or a real message bent."""
    kind = rng.random()
    if kind < 0.3:
        return frame(rng.randbytes(rng.randrange(200)), rng.choice((1, 2)))
    if kind < 0.6:
        return frame(json.dumps(_random_value(rng, 3)).encode())
    if kind < 0.9:
        text = bytearray(b'{"send": {"amount": 0.5, "compressor/ratio": 3}}')
        text[rng.randrange(len(text))] = rng.randrange(256)
        return frame(bytes(text))
    if kind < 0.95:
        return frame(rng.randbytes(rng.randrange(125)), 9)  # a ping
    if kind < 0.999:
        return frame(b'{"send": {"amount": ' + rng.choice((b"NaN", b"1e999", b"-1e999", b"[]", b"0.5")) + b"}}")
    return rng.choice(
        (
            frame(rng.randbytes(20), rng.choice((3, 5, 7, 11))),
            rng.randbytes(50),
            frame(bytes(MAX_MESSAGE + 1)),
            frame(b"", 8),
        )
    )


def _random_value(rng, depth):
    if depth and rng.random() < 0.5:
        keys = (
            "send",
            "amount",
            "token",
            "lock",
            "preset",
            "ask",
            "__proto__",
            "page",
            "number",
            rng.randbytes(3).hex(),
        )
        if rng.random() < 0.7:
            return {rng.choice(keys): _random_value(rng, depth - 1) for _ in range(rng.randrange(4))}
        return [_random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return rng.choice((None, True, 1e308, -0.0, 2**70, "", "../../x", "\ud800", rng.random()))


@pytest.mark.slow
def test_random_frames_end_nothing_and_change_only_what_they_may():
    rng, sent = random.Random(11), 0
    with served() as (page, desk):
        client, server = Client(page), page._server.process
        assert server
        watching = client.open()
        watching.until(lambda m, s: "welcome" in m)
        while sent < FRAMES:
            status, raw = client.shake()
            assert status == 101
            if rng.random() < 0.9:
                raw.sendall(frame(json.dumps({"token": client.token}).encode()))
            try:
                for _ in range(2000):
                    raw.sendall(b"".join(_random_frame(rng) for _ in range(50)))
                    sent += 50
                    if sent >= FRAMES:
                        break
            except OSError:  # it has closed, as it should after what is no frame
                pass
            raw.close()
            desk.heard.clear()
        assert page._server.process is server
        assert server.poll() is None
        watching.send({"ping": "still there"})
        watching.until(lambda m, s: m.get("echo") == "still there", 20.0)
        client.open().until(lambda m, s: "welcome" in m, 20.0)


@pytest.mark.slow
def test_random_bytes_on_the_port_end_nothing(client):
    rng = random.Random(3)
    for _ in range(200):
        raw = socket.create_connection((client.host, client.port), 5)
        with suppress(ConnectionError):  # refused before all of it is sent
            raw.sendall(rng.randbytes(rng.randrange(1, 3000)))
        raw.close()
    until(lambda: client.request("GET", "/")[0] == 200)  # what was closed is noticed soon


@pytest.mark.slow
def test_slow_senders_keep_nobody_out(client):
    """More than there are connections: those without the token make room, oldest first."""
    head = f"GET /spectrum.js HTTP/1.1\r\nHost: {client.netloc}\r\n\r\n".encode()
    for bytes_sent in (b"", b"GET / HTTP/1.1\r\nHo", head, 300 * head):  # the last takes none of its answers
        slow = [socket.create_connection((client.host, client.port), 5) for _ in range(2 * MAX_CONNECTIONS)]
        for one in slow:
            with suppress(ConnectionError):
                one.setblocking(False)
                one.sendall(bytes_sent)
        _is_served(client)
        for one in slow:
            one.close()


@pytest.mark.slow
def test_sockets_without_the_token_keep_nobody_out(client):
    slow = []
    for _ in range(2 * MAX_CONNECTIONS):
        with suppress(ConnectionError):
            slow.append(client.shake()[1])
    _is_served(client, seconds=TOKEN_S + 10)
    for one in slow:
        one.close()


@pytest.mark.slow
def test_connections_that_say_nothing_are_closed(client):
    one = socket.create_connection((client.host, client.port), 5)
    one.sendall(b"GET / HTTP/1.1\r\nHo")
    one.settimeout(STRANGER_S + 10)
    with suppress(ConnectionError):
        assert one.recv(100) == b""


def _is_served(client, seconds=10.0):
    """Wait until the page is given, and a page with the token opens."""
    end = time.monotonic() + seconds
    while True:
        with suppress(ConnectionError, http.client.HTTPException):
            status, raw = client.shake()
            if client.request("GET", "/")[0] == 200 and status == 101:
                break
        assert time.monotonic() < end
        time.sleep(0.1)
    page = Socket(raw)
    page.send({"token": client.token})
    page.until(lambda m, s: "welcome" in m)
