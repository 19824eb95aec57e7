"""OSC: every parameter of the running chain, by name, from any program that speaks it.

The server is one thread on one UDP socket; it opens no file, runs no code and touches no device. It
hands values to `Controls`, which decides what becomes of them. `osc_packets.check` sees a datagram
before anything else does; `osc_table` has the addresses, `feedback` those who hear what changes.
"""

import logging
import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Protocol

from pythonosc.osc_packet import TimedMessage

from ..threads import RestartableThread
from .addresses import Address, addresses, numbered, table, table_markdown
from .messages import BURST, MESSAGE_RATE, Batch, Budget, Origin, Reader
from .packets import MAX_SIZE, BadPacket, check, decode, encode
from .subscribers import TOLD, Subscribers
from .udp import PortBusy, PortError, bind, is_local, lost, outlet, peer_name, resolve

__all__ = [
    "BURST",
    "MESSAGE_RATE",
    "Address",
    "Controls",
    "OscServer",
    "PortBusy",
    "PortError",
    "addresses",
    "table",
    "table_markdown",
]

HOST, PORT = "127.0.0.1", 9123
APPLY_RATE = 500.0  # calls of `Controls.apply` per second, at most: what comes within 2 ms goes in one
TOKEN_SIZE = 64  # bytes one token pays for, so that big datagrams are no way around the rate
MAX_DRAIN = 256  # datagrams taken in one go, so that a flood can not put off `apply`
DRAIN_S = 0.05
PAUSE = 50.0  # tokens for what is applied on its own: the 2 ms that it takes, others wait, a mute among them
MOST_CONFIGURED = 8
COUNTERS: tuple[str, ...] = ("packets", "messages", "bad", "dropped", "lost", "unknown", "late")
METER_AGE_S = 0.02
PANIC = b"/afx/panic\0\0"  # has a budget of its own: a flood must not keep anyone from muting

log = logging.getLogger(__name__)


class Controls(Protocol):
    """What the server steers. Its thread makes these calls; they must not block for long.

    Paths are those of the table without `/n`. What they raise is logged and kept in `OscServer.error`.
    """

    def apply(self, values: dict[str, float]) -> None:
        """Set all values at once: native units, in range; switches are 0.0 or 1.0; a trigger that was pulled is 1.0."""
        ...

    def value(self, path: str) -> float | str | bool:
        """Give the present value, in native units."""
        ...

    def command(self, path: str, text: str) -> None:
        """Act on a text. It comes from outside: which files it may name is decided here."""
        ...

    def meters(self) -> dict[str, float]:
        """Give what the addresses under /afx/meter tell."""
        ...


class OscServer:
    """Listen on a UDP port and steer `controls`, until `close()`; a context manager.

    host, port: where to listen; port 0 takes any free one, `address` tells which.
    allow: IP addresses that may send; needed (and only used) when `host` is not a loop-back address.
    feedback: up to 8 places (host, port) that hear of changes without asking for it.
    integer_range: integers for addresses of 0 to 1 are divided by it: 127 for senders that speak MIDI.
    Raises ValueError for a host, port or peer that is none, or a bind to the network without `allow`;
    PortBusy, or PortError, if the port can not be opened.

    Bundles are atomic: one is never split over two calls of `controls.apply`. Values that arrive
    within 2 ms go in one call, the last one per address. Time tags are not waited for.

    `counters`: packets (datagrams received), messages (decoded), bad (datagrams refused, messages with
    the wrong type or number of arguments), dropped (datagrams from strangers or over the rate, left
    unread), lost (datagrams that found the system's buffer full; Linux), unknown (messages to no address
    of the table), late (messages dated more than 1 s ahead).
    `error`: the last exception of `controls` or of the server itself, or None. The server goes on.
    """

    def __init__(
        self,
        controls: Controls,
        host: str = HOST,
        port: int = PORT,
        allow: Sequence[str] = (),
        feedback: Sequence[tuple[str, int]] = (),
        integer_range: float = 1.0,
    ) -> None:
        family, where = resolve(host, port)
        local = is_local(where[0])
        peers = frozenset(peer_name(text) for text in allow)
        if len(feedback) > MOST_CONFIGURED:
            raise ValueError(f"OSC feedback to {len(feedback)} places; at most {MOST_CONFIGURED}")
        configured = [resolve(*place) for place in feedback]
        if not local and not peers:
            raise ValueError(f"OSC on {host} can be reached from the network: say who may send (IP addresses)")
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.error: BaseException | None = None
        self._controls = controls
        self._peers = frozenset() if local else peers
        self._table = {a.path: a for a in (*addresses(), *numbered())}
        self._budgets: defaultdict[tuple[str, bool], Budget] = defaultdict(Budget)
        self._metered: tuple[float, dict[str, float]] = (-math.inf, {})
        self._said: dict[str, float] = {}
        self._closing = threading.Event()
        self._socket = bind(family, where, host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._outlets = {where: outlet(self._socket, family, where) for family, where in configured}
        self._feedback = Subscribers(self._table.values(), self._send, [*self._outlets], self.address[1])
        self._reader = Reader(self._table, self._feedback, integer_range, self.counters, self._say)
        self._worker = RestartableThread("osc", self._run)
        self.revive = self._worker.revive  # starts the thread again if anything has ended it
        self._worker.start()

    def __enter__(self) -> "OscServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. It takes 0.1 s at most, if `controls` does not block. May be called twice."""
        self._closing.set()
        self._worker.finish()
        self._worker.join(2.0)
        for sock in {self._socket, *self._outlets.values()}:
            sock.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                batch = Batch()
                for datagram, peer in self._drain():
                    batch = self._take(batch, datagram, peer)
                self.counters["lost"] = lost(self._socket)
                self._commit(batch)
                self._feed()
            except Exception as error:
                self._fail(error)
                self._closing.wait(0.1)  # a fault that stays must not spin

    def _drain(self) -> Iterator[tuple[bytes, Any]]:
        """Wait for a datagram (up to 0.1 s, or until feedback is due), then give those that are there.

        No more than come in `DRAIN_S`: where other threads keep Python busy, each may take milliseconds.
        """
        wait, end = min(0.1, self._feedback.wait(time.monotonic())), math.inf
        for _ in range(MAX_DRAIN):
            if time.monotonic() > end:
                return
            self._socket.settimeout(wait)
            try:
                received = self._socket.recvfrom(MAX_SIZE + 1)  # one more than is taken: what is cut shows
            except (TimeoutError, BlockingIOError):
                return
            except ConnectionError:  # Windows says here that a subscriber is gone
                continue
            if end == math.inf:
                wait, end = 0.0, time.monotonic() + DRAIN_S
            yield received

    def _take(self, batch: Batch, datagram: bytes, peer: Any) -> Batch:
        """Add a datagram to the batch; commit the batch first if the order asks for it."""
        self.counters["packets"] += 1
        budget = self._admit(peer[0], datagram)
        if budget is None:
            self.counters["dropped"] += 1
            return batch
        messages = self._decode(datagram, peer)
        budget.spend(max(1.0, len(messages), len(datagram) / TOKEN_SIZE))
        new, origin = Batch(), Origin(peer, len(datagram), budget)
        for message in messages:
            self._reader.read(message, new, origin)
        if origin.asked:  # a source may be forged: it gets no more than it has sent, unless it is known to be there
            known = is_local(peer[0]) or self._feedback.knows(peer)
            new.replies.append((peer, 2 * len(datagram) + 64 if known else len(datagram), origin.asked))
        again = any(self._table[path].kind == "trigger" for path in batch.values.keys() & new.values.keys())
        if again or (new.commands and batch.values):  # values sent before a preset must not end up on top of it
            self._commit(batch)
            budget.spend(PAUSE)
            batch = Batch()
        batch.add(new)
        return batch

    def _admit(self, host: str, datagram: bytes) -> Budget | None:
        """Give the sender's budget, or None if it is a stranger or has spent it."""
        name = peer_name(host) if self._peers else "local"
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

    def _commit(self, batch: Batch) -> None:
        for path, text in batch.commands.items():
            self._call(self._controls.command, path, text)
        if batch.values:
            self._call(self._controls.apply, batch.values)
        for peer, limit, asked in batch.replies:
            self._reply(peer, limit, asked)
        if batch.commands or batch.values:
            time.sleep(1 / APPLY_RATE)  # the socket goes on collecting

    def _reply(self, peer: Any, limit: int, asked: list[tuple[Address, float | None]]) -> None:
        """Answer in one datagram of at most `limit` bytes."""
        answers = [(address.path, self._answer(address, value)) for address, value in asked]
        datagram = encode([(path, value) for path, value in answers if value is not None], limit)
        if datagram:
            self._send(datagram, peer)

    def _send(self, datagram: bytes, where: Any) -> None:
        with suppress(OSError):  # whoever wanted it is gone
            self._outlets.get(where, self._socket).sendto(datagram, where)

    def _feed(self) -> None:
        """Send the subscribers what is due."""
        now = time.monotonic()
        if self._feedback.wait(now) == 0.0:
            values: dict[str, Any] = {}
            for address in self._table.values():
                if address.kind in TOLD and address.target not in values:
                    values[address.target] = self._call(self._controls.value, address.target)
            self._feedback.tick(now, lambda address: _shown(address, values[address.target]), self._meters)

    def _meters(self) -> dict[str, float]:
        """Read the meters, or give those of a moment ago: a bundle may ask for 64 of them."""
        now = time.monotonic()
        if now - self._metered[0] > METER_AGE_S:
            found = self._call(self._controls.meters) or {}
            found["/afx/meter/osc_dropped"] = float(self.counters["dropped"] + self.counters["lost"])
            self._metered = now, found
        return self._metered[1]

    def _answer(self, address: Address, value: float | None) -> float | str | None:
        """Give what to send back; a trigger's answer is 0, which triggers nothing if it comes to a server."""
        if value is not None or address.kind == "trigger":
            return value or 0.0
        if address.kind == "meter":
            return self._meters().get(address.path)
        return _shown(address, self._call(self._controls.value, address.target))

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


def _shown(address: Address, found: float | str | None) -> float | str | None:
    """Write what the controls say as a value of this address; None for no number."""
    if found is None or isinstance(found, str):
        return found
    return address.shown(float(found)) if math.isfinite(found) else None
