"""A page's server with a stand-in for afx-live behind it, and clients that say exactly what they are told to."""

import base64
import http.client
import io
import json
import os
import socket
import struct
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import numpy as np
import soundfile

from afx_live.realtime.web.page import Page


class Desk:
    """Stands in for afx-live: keeps what it is told."""

    def __init__(self):
        self.heard, self.uploads = [], []
        self.values = {"amount": 1.0}
        self._changed = threading.Condition()

    def spec(self):
        return {"spec": {"controls": ["amount"]}}

    def wait(self, timeout_s):
        with self._changed:
            self._changed.wait(timeout_s)
            return {"values": dict(self.values)}

    def handle(self, message):
        if "fail" in message:
            raise ValueError(message["fail"])
        if "bug" in message:
            raise KeyError(message["bug"])
        self.heard.append(message)
        with self._changed:
            self.values.update(message.get("send", {}))
            self._changed.notify_all()
        return {"echo": message["ping"]} if "ping" in message else None

    def ask(self, message):
        if "fail" in message:
            raise ValueError(message["fail"])
        if "file" in message:
            return {"file": message["file"], "name": "saved.wav"}, b""
        return {"asked": message}, b"\0\1" * message.get("size", 0)

    def uploaded(self, found):
        self.uploads.append(found)
        return found


@contextmanager
def served(desk=None, **options):
    desk = desk or Desk()
    with Page(**{"port": 0, **options}) as page:
        page.show(desk)
        yield page, desk


class Client:
    """Raw requests to a page's server."""

    def __init__(self, page):
        parts = urlsplit(page.link)
        assert parts.hostname
        assert parts.port
        self.host, self.port = parts.hostname, parts.port
        self.token = parts.fragment.removeprefix("token=")
        self.netloc = parts.netloc

    def request(self, method, path, body=None, **headers):
        """Send a request with these headers (`_` for `-`; None leaves one out); returns status, headers, body."""
        sent = {"Host": self.netloc, **{k.replace("_", "-"): v for k, v in headers.items()}}
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if body is not None and "Content-Length" not in sent and "Transfer-Encoding" not in sent:
                sent["Content-Length"] = str(len(body))
            for key, value in sent.items():
                for one in value if isinstance(value, list) else [value]:
                    if one is not None:
                        connection.putheader(key, one)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def put(self, name, data, **headers):
        authorization = {"Authorization": f"Bearer {self.token}", **headers}
        return self.request("PUT", f"/upload?name={name}", data, **authorization)

    def ask(self, message, **headers):
        given = {"Authorization": f"Bearer {self.token}", "Content_Type": "application/json", **headers}
        return self.request("POST", "/ask", json.dumps(message).encode(), **given)

    def shake(self, **headers):
        """Ask for a socket; returns the status and the connection."""
        key = base64.b64encode(os.urandom(16)).decode()
        sent = {"Host": self.netloc, "Upgrade": "websocket", "Connection": "Upgrade"}
        sent |= {"Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13", "Origin": f"http://{self.netloc}"}
        sent |= {k.replace("_", "-"): v for k, v in headers.items()}
        raw = socket.create_connection((self.host, self.port), 10)
        lines = [
            f"{k}: {one}" for k, v in sent.items() for one in (v if isinstance(v, list) else [v]) if one is not None
        ]
        raw.sendall(("GET /socket HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        head = b""
        while b"\r\n\r\n" not in head and (part := raw.recv(1)):
            head += part
        return int(head.split()[1]) if head else 0, raw

    def open(self, token=None):
        """Open a socket as a page does."""
        status, raw = self.shake()
        assert status == 101
        found = Socket(raw)
        found.send({"token": self.token if token is None else token})
        return found


class Socket:
    """A page's socket."""

    def __init__(self, raw):
        self.raw, self._rest = raw, b""
        self.state = {}

    def send(self, message):
        self.raw.sendall(frame(json.dumps(message).encode()))

    def _exactly(self, count):
        while len(self._rest) < count:
            part = self.raw.recv(65536)
            if not part:
                raise EOFError
            self._rest += part
        found, self._rest = self._rest[:count], self._rest[count:]
        return found

    def receive(self):
        """Give the next message: (opcode, bytes). Raises EOFError when the connection ends."""
        first, second = self._exactly(2)
        size = second & 127
        if size == 126:
            (size,) = struct.unpack(">H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack(">Q", self._exactly(8))
        return first & 15, self._exactly(size)

    def closed(self):
        """Read to the end; returns the code with which the server has closed."""
        while True:
            try:
                kind, data = self.receive()
            except (EOFError, ConnectionError):
                return None
            if kind == 8:
                return struct.unpack(">H", data[:2])[0] if data else 1005

    def until(self, holds, seconds=10.0):
        """Read messages until one makes `holds(message, state)` true; returns it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            kind, data = self.receive()
            if kind == 1:
                message = json.loads(data)
                self.state.update(message.get("state", {}))
                if holds(message, self.state):
                    return message
        raise AssertionError(f"it has not come in {seconds} s; the state is {self.state}")


def frame(data, opcode=1, fin=True, mask=b"\0\0\0\0"):
    """Write a frame as browsers do: masked, here with zeros."""
    size = len(data)
    if size < 126:
        head = struct.pack(">BB", fin << 7 | opcode, 128 | size)
    elif size < 65536:
        head = struct.pack(">BBH", fin << 7 | opcode, 128 | 126, size)
    else:
        head = struct.pack(">BBQ", fin << 7 | opcode, 128 | 127, size)
    return head + mask + data


def sound(seconds=1.0, rate=48000, channels=2, kind="FLAC", **more):
    """Give a file with a tone, as bytes."""
    x = 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * rate)) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.repeat(x[:, None], channels, 1), rate, format=kind, **more)
    return file.getvalue()
