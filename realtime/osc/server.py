"""The OSC server: every control of a session, from any program on the network that may send.

It is one thread on one UDP socket; it opens no file, runs no code and touches no device. `packets` checks
and decodes datagrams, `addresses` says which control each message is for, and `subscribers` are sent what
changes. What becomes of a value is the session's affair.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ..session.controls import Control
from ..threads import RestartableThread
from . import HOST, PORT
from .addresses import OSC_DROPPED, Address, addresses, numbered
from .admission import Admission
from .messages import Batch, Origin, Reader
from .meters import Metered, readings
from .packets import MAX_SIZE, BadPacket, Message, datagrams, decode
from .subscribers import SENT_KINDS, Subscribers
from .udp import PortBusy, PortError, bind, is_local, lost, outlet, peer_name, resolve

if TYPE_CHECKING:
    from ..session.state import SessionState

__all__ = ["Controlled", "OscServer", "PortBusy", "PortError"]

APPLY_RATE = 500.0  # calls of `Session.apply` per second, at most: what comes within 2 ms goes in one
TOKEN_SIZE = 64  # bytes one token pays for, so that big datagrams are no way around the rate
MAX_DRAIN = 256  # datagrams taken in one go, so that a flood cannot put off `apply`
DRAIN_S = 0.05
PAUSE = 50.0  # tokens for what is applied on its own: the 2 ms that it takes, others wait, a mute among them
MAX_CONFIGURED = 8
COUNTERS: tuple[str, ...] = ("packets", "messages", "bad", "dropped", "lost", "unknown", "late")
METER_AGE_S = 0.02

log = logging.getLogger(__name__)


class Controlled(Protocol):
    """What the server needs of a `Session`. Its thread makes these calls; they must not block for long.

    What they raise is logged and kept in `OscServer.error`.
    """

    @property
    def engine(self) -> Metered: ...

    @property
    def state(self) -> "SessionState": ...

    def apply(self, values: Mapping[Control, float]) -> None: ...

    def request(self, control: Control, text: str) -> None: ...


class OscServer:
    """Listen on a UDP port and steer a session, until `close()`; a context manager.

    host, port: where to listen; port 0 takes any free one, `address` tells which.
    allow: IP addresses that may send; needed (and only used) when `host` is not a loop-back address.
    feedback: up to 8 places (host, port) that are sent changes without asking for it.
    integer_range: integers for addresses of 0 to 1 are divided by it: 127 for senders that speak MIDI.
    Raises ValueError for a host, port or peer that does not exist, or a bind to the network without
    `allow`; PortBusy, or PortError, if the port cannot be opened.

    Bundles are atomic: one is never split over two calls of `apply`. Values that arrive within 2 ms go in
    one call, the last one per control. Time tags are ignored.

    `counters`: packets (datagrams received), messages (decoded), bad (datagrams refused, messages with the
    wrong type or number of arguments), dropped (datagrams from hosts not allowed to send, or over the rate:
    left unread), lost (datagrams that found the system's buffer full; Linux), unknown (messages to no
    address of the table), late (messages dated more than 1 s ahead).
    `thread` can be revived if anything has ended it.
    `error`: the last exception of the session or of the server itself, or None. The server goes on.
    """

    def __init__(
        self,
        session: Controlled,
        host: str = HOST,
        port: int = PORT,
        allow: Sequence[str] = (),
        feedback: Sequence[tuple[str, int]] = (),
        integer_range: float = 1.0,
    ) -> None:
        family, where = resolve(host, port)
        local = is_local(where[0])
        peers = frozenset(peer_name(text) for text in allow)
        if len(feedback) > MAX_CONFIGURED:
            raise ValueError(f"OSC feedback to {len(feedback)} places; at most {MAX_CONFIGURED}")
        configured = [resolve(*place) for place in feedback]
        if not local and not peers:
            raise ValueError(f"OSC on {host} can be reached from the network: say who may send (IP addresses)")
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.error: BaseException | None = None
        self._session = session
        self._table = {a.path: a for a in (*addresses(), *numbered())}
        self._sent = {a.control for a in self._table.values() if a.control and a.kind in SENT_KINDS}
        self._admission = Admission(frozenset() if local else peers, self._report)
        self._metered: tuple[float, dict[str, float]] = (-math.inf, {})
        self._reported: dict[str, float] = {}
        self._closing = threading.Event()
        self._socket = bind(family, where, host, port)
        self.address: tuple[str, int] = self._socket.getsockname()[:2]
        self._outlets = {where: outlet(self._socket, family, where) for family, where in configured}
        self._subscribers = Subscribers(self._table.values(), self._send, [*self._outlets], self.address[1])
        self._reader = Reader(self._table, self._subscribers, integer_range, self.counters, self._report)
        self.thread = RestartableThread("osc", self._run)
        self.thread.start()

    def __enter__(self) -> "OscServer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. It takes 0.1 s at most, if the session does not block. May be called twice."""
        self._closing.set()
        self.thread.finish()
        self.thread.join(2.0)
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

        No longer than `DRAIN_S`: where other threads keep Python busy, each may take milliseconds.
        """
        wait, end = min(0.1, self._subscribers.wait(time.monotonic())), math.inf
        for _ in range(MAX_DRAIN):
            if time.monotonic() > end:
                return
            self._socket.settimeout(wait)
            try:
                received = self._socket.recvfrom(MAX_SIZE + 1)  # one more than is taken: what is cut shows
            except (TimeoutError, BlockingIOError):
                return
            except ConnectionError:  # on Windows: a subscriber has gone
                continue
            if end == math.inf:
                wait, end = 0.0, time.monotonic() + DRAIN_S
            yield received

    def _take(self, batch: Batch, datagram: bytes, peer: Any) -> Batch:
        """Add a datagram to the batch; commit the batch first if the order asks for it."""
        self.counters["packets"] += 1
        budget = self._admission.budget(peer[0], datagram)
        if budget is None:
            self.counters["dropped"] += 1
            return batch
        messages = self._decode(datagram, peer)
        budget.spend(max(1.0, len(messages), len(datagram) / TOKEN_SIZE))
        new, origin = Batch(), Origin(peer, len(datagram), budget)
        for message in messages:
            self._reader.read(message, new, origin)
        if origin.asked:  # a source may be forged: it gets no more than it has sent, unless it is known to be there
            known = is_local(peer[0]) or self._subscribers.knows(peer)
            new.replies.append((peer, 2 * len(datagram) + 64 if known else len(datagram), origin.asked))
        again = any(control.kind == "trigger" for control in batch.values.keys() & new.values.keys())
        if again or (new.requests and batch.values):  # values sent before a preset must not end up on top of it
            self._commit(batch)
            budget.spend(PAUSE)
            batch = Batch()
        batch.add(new)
        return batch

    def _decode(self, datagram: bytes, peer: Any) -> list[Message]:
        try:
            messages = decode(datagram)
        except BadPacket as error:
            self.counters["bad"] += 1
            self._report("bad", "OSC from %s refused: %s", peer[0], error)
            return []
        self.counters["messages"] += len(messages)
        return messages

    def _commit(self, batch: Batch) -> None:
        for control, text in batch.requests.items():
            self._call(self._session.request, control, text)
        if batch.values:
            self._call(self._session.apply, batch.values)
        for peer, limit, asked in batch.replies:
            self._reply(peer, limit, asked)
        if batch.requests or batch.values:
            time.sleep(1 / APPLY_RATE)  # the socket goes on collecting

    def _reply(self, peer: Any, limit: int, asked: list[tuple[Address, float | None]]) -> None:
        """Answer in one datagram of at most `limit` bytes."""
        state = self._session.state
        answers = [(address.path, self._answer(address, value, state)) for address, value in asked]
        known = [(path, value) for path, value in answers if value is not None]
        if datagram := next(datagrams(known, limit), b""):
            self._send(datagram, peer)

    def _send(self, datagram: bytes, where: Any) -> None:
        with suppress(OSError):  # whoever wanted it is gone
            self._outlets.get(where, self._socket).sendto(datagram, where)

    def _feed(self) -> None:
        """Send the subscribers what is due."""
        now = time.monotonic()
        if self._subscribers.wait(now) == 0.0:
            state = self._session.state
            values: dict[Any, Any] = {control: self._call(control.read, state) for control in self._sent}
            self._subscribers.tick(now, lambda address: _shown(address, values.get(address.control)), self._meters)

    def _meters(self) -> dict[str, float]:
        """Read the meters, or give those of a moment ago: a bundle may ask for 64 of them."""
        now = time.monotonic()
        if now - self._metered[0] > METER_AGE_S:
            effects = [e.effect for e in self._session.state.settings.effects]
            found = self._call(readings, self._session.engine, effects) or {}
            found[OSC_DROPPED] = float(self.counters["dropped"] + self.counters["lost"])
            self._metered = now, found
        return self._metered[1]

    def _answer(self, address: Address, value: float | None, state: "SessionState") -> float | str | None:
        """Give what to send back; a trigger's answer is 0, which triggers nothing if it comes to a server."""
        if value is not None or address.kind == "trigger":
            return value or 0.0
        if address.kind == "meter":
            return self._meters().get(address.path)
        return _shown(address, self._call(address.control.read, state)) if address.control else None

    def _call(self, function: Callable[..., Any], *values: Any) -> Any:
        """Call the session; a fault there must not stop the other messages, least of all a mute."""
        try:
            return function(*values)
        except Exception as error:
            return self._fail(error)

    def _fail(self, error: Exception) -> None:
        self.error = error
        self._report("error", "OSC: %s: %s", type(error).__name__, error)

    def _report(self, topic: str, text: str, *values: object) -> None:
        """Log, at most once a second for each topic."""
        now = time.monotonic()
        if now - self._reported.get(topic, -1.0) >= 1.0:
            self._reported[topic] = now
            log.warning(text, *values)


def _shown(address: Address, found: float | str | None) -> float | str | None:
    """Turn the value of a control into one of this address; None if it is not finite."""
    if found is None or isinstance(found, str):
        return found
    return address.shown(float(found)) if math.isfinite(found) else None
