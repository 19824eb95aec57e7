"""OSC: every parameter of the running chain, by name, from any program that speaks it.

The server is one thread on one UDP socket; it opens no file, runs no code and touches no device. It
hands values to `Controls`, which decides what becomes of them. `osc_packets.check` sees a datagram
before anything else does; `osc_table` has the addresses.
"""

import errno
import ipaddress
import logging
import math
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Protocol

from pythonosc.osc_packet import TimedMessage

from .osc_packets import MAX_SIZE, BadPacket, check, decode, encode
from .osc_table import Address, addresses, table, table_markdown

__all__ = ["Address", "Controls", "OscServer", "PortBusy", "PortError", "addresses", "table", "table_markdown"]

HOST, PORT = "127.0.0.1", 9123
APPLY_RATE = 500.0  # calls of `Controls.apply` per second, at most: what comes within 2 ms goes in one
MESSAGE_RATE, BURST = 5000.0, 1000.0  # messages per second and peer, and how many at once
TOKEN_SIZE = 64  # bytes one token pays for, so that big datagrams are no way around the rate
MAX_DRAIN = 256  # datagrams taken in one go, so that a flood can not put off `apply`
EARLY = 1.0  # s a time tag may lie ahead; every message is applied on arrival, those beyond count as late
PANIC = b"/afx/panic\0\0"  # has a budget of its own: a flood must not keep anyone from muting

log = logging.getLogger(__name__)


class PortError(OSError):
    """The UDP port can not be opened; the text says which, why, and what to do."""


class PortBusy(PortError):
    """Another program has the UDP port."""


class Controls(Protocol):
    """What the server steers. Its thread makes these calls; they must not block for long.

    Paths are those of the table without `/n`. What they raise is logged and kept in `OscServer.error`.
    """

    def apply(self, values: dict[str, float]) -> None:
        """Set all values at once: native units, in range; switches are 0.0 or 1.0."""
        ...

    def value(self, path: str) -> float | str | bool:
        """Give the present value, in native units."""
        ...

    def command(self, path: str, text: str) -> None:
        """Act on a text. It comes from outside: which files it may name is decided here."""
        ...


class _Budget:
    """A token bucket: MESSAGE_RATE tokens a second, BURST at most. It may go into debt by one datagram."""

    def __init__(self) -> None:
        self._level, self._when = BURST, time.monotonic()

    def left(self) -> bool:
        now = time.monotonic()
        self._level = min(BURST, self._level + (now - self._when) * MESSAGE_RATE)
        self._when = now
        return self._level >= 1

    def spend(self, tokens: float) -> None:
        self._level -= tokens


@dataclass
class _Batch:
    """What is to happen in one go: first the commands, then the values on top of them, then the replies."""

    commands: dict[str, str] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    replies: list[tuple[Any, int, list[tuple[Address, float | None]]]] = field(default_factory=list)

    def add(self, other: "_Batch") -> None:
        for path, text in other.commands.items():
            self.commands.pop(path, None)  # the last one wins, and comes last
            self.commands[path] = text
        self.values |= other.values
        self.replies += other.replies


class OscServer:
    """Listen on a UDP port and steer `controls`, until `close()`; a context manager.

    host, port: where to listen; port 0 takes any free one, `address` tells which.
    allow: IP addresses that may send; needed (and only used) when `host` is not a loop-back address.
    Raises ValueError for a host, port or peer that is none, or a bind to the network without `allow`;
    PortBusy, or PortError, if the port can not be opened.

    Bundles are atomic: one is never split over two calls of `controls.apply`. Values that arrive
    within 2 ms go in one call, the last one per address. Time tags are not waited for.

    `counters`: packets (datagrams received), messages (decoded), bad (datagrams refused, messages with
    the wrong type or number of arguments), dropped (datagrams from strangers or over the rate, left
    unread), unknown (messages to no address of the table), late (messages dated more than 1 s ahead).
    `error`: the last exception of `controls` or of the server itself, or None. The server goes on.
    """

    def __init__(self, controls: Controls, host: str = HOST, port: int = PORT, allow: Sequence[str] = ()) -> None:
        family, where = _resolve(host, port)
        local = ipaddress.ip_address(where[0]).is_loopback
        peers = frozenset(_peer(text) for text in allow)
        if not local and not peers:
            raise ValueError(f"OSC on {host} can be reached from the network: say who may send (IP addresses)")
        self.counters = dict.fromkeys(("packets", "messages", "bad", "dropped", "unknown", "late"), 0)
        self.error: BaseException | None = None
        self._controls = controls
        self._peers = frozenset() if local else peers
        self._table = {a.path: a for a in addresses()}
        self._budgets: defaultdict[tuple[str, bool], _Budget] = defaultdict(_Budget)
        self._said: dict[str, float] = {}
        self._closing = threading.Event()
        self._socket = _bind(family, where, host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._thread = threading.Thread(target=self._run, name="osc", daemon=True)
        self._thread.start()

    def __enter__(self) -> "OscServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. It takes 0.1 s at most, if `controls` does not block. May be called twice."""
        self._closing.set()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)
        self._socket.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                batch = _Batch()
                for datagram, peer in self._drain():
                    batch = self._take(batch, datagram, peer)
                self._commit(batch)
            except Exception as error:
                self._fail(error)
                self._closing.wait(0.1)  # a fault that stays must not spin

    def _drain(self) -> Iterator[tuple[bytes, Any]]:
        """Wait up to 0.1 s for a datagram, then give all that are there."""
        wait = 0.1
        for _ in range(MAX_DRAIN):
            self._socket.settimeout(wait)
            try:
                received = self._socket.recvfrom(MAX_SIZE + 1)  # one more than is taken: what is cut shows
            except (TimeoutError, BlockingIOError):
                return
            yield received
            wait = 0.0

    def _take(self, batch: _Batch, datagram: bytes, peer: Any) -> _Batch:
        """Add a datagram to the batch; commit the batch first if the order asks for it."""
        self.counters["packets"] += 1
        budget = self._admit(peer[0], datagram)
        if budget is None:
            self.counters["dropped"] += 1
            return batch
        messages = self._decode(datagram, peer)
        budget.spend(max(1.0, len(messages), len(datagram) / TOKEN_SIZE))
        new, asked = _Batch(), []
        for message in messages:
            self._read(message, new, asked)
        if asked:
            new.replies.append((peer, 2 * len(datagram) + 64, asked))
        if new.commands and batch.values:  # values sent before a preset must not end up on top of it
            self._commit(batch)
            batch = _Batch()
        batch.add(new)
        return batch

    def _admit(self, host: str, datagram: bytes) -> _Budget | None:
        """Give the sender's budget, or None if it is a stranger or has spent it."""
        name = _peer(host) if self._peers else "local"
        if self._peers and name not in self._peers:
            return self._say("stranger", "OSC from %s ignored: it is not among those that may send", name)
        budget = self._budgets[name, datagram.startswith(PANIC)]
        if not budget.left():
            return self._say("flood", "OSC from %s dropped: over %g messages a second", host, MESSAGE_RATE)
        return budget

    def _decode(self, datagram: bytes, peer: Any) -> list[TimedMessage]:
        try:
            check(datagram)
        except BadPacket as error:
            self.counters["bad"] += 1
            self._say("bad", "OSC from %s refused: %s", peer[0], error)
            return []
        messages = decode(datagram)
        self.counters["messages"] += len(messages)
        return messages

    def _read(self, timed: TimedMessage, batch: _Batch, asked: list[tuple[Address, float | None]]) -> None:
        """Sort one message: into the batch, or to what has been asked for."""
        if timed.time > time.time() + EARLY:
            self.counters["late"] += 1
        path, arguments = timed.message.address, timed.message.params
        address = self._table.get(path)
        if address is None:
            self.counters["unknown"] += 1
            self._say("unknown", "OSC address %.80s is not known; `afx-live osc --list` shows all", path)
        elif not arguments:
            asked.append((address, None))
        elif len(arguments) > 1 or isinstance(arguments[0], str) != (address.kind == "string"):
            self.counters["bad"] += 1
            self._say("type", "OSC %s takes one value: %s", path, address.values)
        elif address.kind == "string":
            batch.commands[path] = arguments[0]
        else:
            self._set(address, float(arguments[0]), batch, asked)

    def _set(self, address: Address, value: float, batch: _Batch, asked: list[tuple[Address, float | None]]) -> None:
        if address.kind == "trigger":
            if value >= 0.5:  # 0 is the button let go
                asked.append((address, None))
        elif address.kind == "bool":
            batch.values[address.target] = float(value >= 0.5)
        else:
            clamped = min(max(value, address.low), address.high)
            batch.values[address.target] = address.native(clamped)
            if abs(clamped - value) > 1e-6 * max(1.0, abs(value)):  # float32 0.7 is not 0.7: no news
                asked.append((address, clamped))

    def _commit(self, batch: _Batch) -> None:
        for path, text in batch.commands.items():
            self._call(self._controls.command, path, text)
        if batch.values:
            self._call(self._controls.apply, batch.values)
        for peer, limit, asked in batch.replies:
            self._reply(peer, limit, asked)
        if batch.commands or batch.values:
            time.sleep(1 / APPLY_RATE)  # the socket goes on collecting

    def _reply(self, peer: Any, limit: int, asked: list[tuple[Address, float | None]]) -> None:
        """Answer in one datagram of at most `limit` bytes: a source can be forged, this is no amplifier."""
        answers = [(address.path, self._answer(address, value)) for address, value in asked]
        datagram = encode([(path, value) for path, value in answers if value is not None], limit)
        if datagram:
            with suppress(OSError):  # whoever asked is gone
                self._socket.sendto(datagram, peer)

    def _answer(self, address: Address, value: float | None) -> float | str | None:
        """Give what to send back; a trigger's answer is 0, which triggers nothing if it comes to a server."""
        if value is not None or address.kind == "trigger":
            return value or 0.0
        found = self._call(self._controls.value, address.target)
        if found is None or isinstance(found, str):
            return found
        return address.shown(float(found)) if math.isfinite(found) else None

    def _call(self, function: Callable[..., Any], *values: Any) -> Any:
        """Call the controls; a fault there must not stop the other messages, least of all a mute."""
        try:
            return function(*values)
        except Exception as error:
            return self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._say("error", "OSC: %s: %s", type(error).__name__, error)

    def _say(self, topic: str, text: str, *values: object) -> None:
        """Log at most once a second and topic."""
        now = time.monotonic()
        if now - self._said.get(topic, -1.0) >= 1.0:
            self._said[topic] = now
            log.warning(text, *values)


@lru_cache(256)
def _peer(text: str) -> str:
    """Write an IP address in the one way it is compared; ValueError if it is none."""
    try:
        ip = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"OSC: {text!r} is not an IP address, like 192.168.1.20") from None
    return str(getattr(ip, "ipv4_mapped", None) or ip)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, Any]:
    if not 0 <= port <= 65535:
        raise ValueError(f"OSC: port {port} is not in 0 to 65535")
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (socket.gaierror, UnicodeError):
        raise ValueError(f"OSC: {host!r} is not the name or address of a machine") from None
    # `localhost` is both; nearly everything that speaks OSC sends to 127.0.0.1.
    family, _, _, _, where = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, where


def _bind(family: socket.AddressFamily, where: Any, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # bursts wait in the kernel
    try:
        sock.bind(where)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            text = f"UDP port {port} on {host} is in use by another program, perhaps another afx-live."
            raise PortBusy(f"{text} Use --osc {host}:{port % 65535 + 1} or --osc off.") from None
        text = f"UDP port {port} on {host} can not be opened: {error.strerror}."
        raise PortError(f"{text} Use --osc HOST:PORT or --osc off.") from None
    return sock
