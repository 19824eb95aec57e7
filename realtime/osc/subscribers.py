"""OSC feedback: subscribers are sent what changes, whoever changed it, and the meters.

Every subscriber has a record of what it knows. Thirty times a second the present values are compared
with it, and what differs is sent: so changes are coalesced, a dump is an empty record, and what a
controller has sent itself is not sent back. The server's own thread does all this, so nothing here is
locked; the work is bounded by the table and by the number of subscribers.

A source address can be forged. So feedback only goes to the host that asked for it, and (unless that
is this computer) only after that host has sent back a token, which proves that it is there and wants it.
"""

import math
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from ..session.controls import MAX_TOLD, Control
from .addresses import NUMBERED, SUBSCRIBED, TOKEN, Address
from .packets import datagrams, encode

EXPIRE_S = 30.0
"""A subscription ends when it has not been renewed for this long."""
MAX_SUBSCRIBERS = 8
"""At once, beside the configured ones."""
CHANGE_S, METER_S = 1 / 30, 1 / 20
HOLD_S = 0.1
"""What a subscriber has just set is not sent to it: its fader would fight the hand that moves it."""
DUMP_S = 1.0
"""A subscriber gets one dump in this time, as a request for one can be forged."""
MAX_DATAGRAM = 1400
"""Bytes of a datagram: what passes every network whole."""
SENT_KINDS = ("float", "bool", "string", "told")
"""Kinds of addresses whose changes are sent."""

Value = float | str
Where = Any
"""A socket's address: (host, port), and two numbers more for IPv6."""


class Refused(ValueError):
    """A request that makes no sense; the text says why."""


@dataclass
class _Subscriber:
    where: Where
    source: Where  # where it sends from; None for a configured one, until it has subscribed, too
    until: float  # s, monotonic; infinite for a configured one
    known: dict[str, Value] = field(default_factory=dict)  # by path
    held: dict[Control, float] = field(default_factory=dict)  # until when
    numbered: bool = False  # it has used the numbered addresses, and wants feedback on them
    dump_asked: bool = False
    dumped: float = -math.inf

    def is_at(self, peer: Where) -> bool:
        return peer[:2] == self.where[:2] or (self.source is not None and peer[:2] == self.source[:2])

    def news(self, values: Iterable[tuple[Address, Value]], now: float) -> list[tuple[str, Value]]:
        """List what this one does not know yet, and note that it knows it now."""
        if self.dump_asked and now - self.dumped >= DUMP_S:
            self.known.clear()
            self.dump_asked, self.dumped = False, now
        found = []
        for address, value in values:
            path = address.path
            if address.control and self.held.get(address.control, 0.0) > now:
                continue
            known = _same(self.known.get(path), value)
            if not known and (self.numbered or not path.startswith(NUMBERED)):
                self.known[path] = value
                found.append((path, value))
        return found


class Subscribers:
    """The subscribers, and what they are sent through `send(datagram, where)`.

    `table` is every address there is; `configured` are subscribers that never expire; `port` is our
    own, to which nothing is sent. `now` is always monotonic time in s.
    """

    def __init__(
        self, table: Iterable[Address], send: Callable[[bytes, Where], None], configured: Sequence[Where], port: int
    ) -> None:
        self._sent = [a for a in table if a.kind in SENT_KINDS]
        self._send, self._port = send, port
        self._configured = [_Subscriber(where, None, math.inf) for where in configured]
        self._subscribed: list[_Subscriber] = []
        self._secret = secrets.token_bytes(16)
        self._change = self._meter = 0.0  # when the next are due

    def __len__(self) -> int:
        return len(self._all)

    @property
    def _all(self) -> list[_Subscriber]:
        return self._configured + self._subscribed

    # --- who subscribes -------------------------------------------------------------------------------

    def subscribe(self, numbers: Sequence[float], peer: Where, local: bool, size: int, now: float) -> bool:
        """Take a request of `size` bytes from `peer`: its port (0 or 1: the one it sends from), then its token.

        `local`: the peer is this computer, which needs no token. Returns False for a token that is not
        ours, which may be a guess. Raises Refused.
        """
        where = self._where(numbers, peer)
        if local and where[1] == self._port:
            raise Refused("feedback is not sent to the server itself")
        token = int(numbers[1]) if len(numbers) > 1 else 0
        if local or token in self._tokens(where, now):
            self._welcome(where, peer, now)
            return True
        answer = encode(TOKEN, self._tokens(where, now)[0])
        if len(answer) <= size:  # the first answer is no longer than what it answers
            self._send(answer, where)
        return not token

    def unsubscribe(self, numbers: Sequence[float], peer: Where) -> None:
        """End the subscription of a peer, or of a port on its host. Raises Refused."""
        where = self._where(numbers, peer)
        own = where == peer

        def ends(subscriber: _Subscriber) -> bool:
            return subscriber.where[:2] == where[:2] or (own and subscriber.is_at(peer))

        self._subscribed = [s for s in self._subscribed if not ends(s)]

    def dump(self, peer: Where) -> None:
        """Send everything to a peer if it has subscribed, or else to the subscribers on its host."""
        for subscriber in self._of(peer):
            subscriber.dump_asked = True

    def knows(self, peer: Where) -> bool:
        """Tell whether a peer has subscribed."""
        return any(s.is_at(peer) for s in self._all)

    def _of(self, peer: Where) -> list[_Subscriber]:
        return [s for s in self._all if s.is_at(peer)] or [s for s in self._all if s.where[0] == peer[0]]

    def _where(self, numbers: Sequence[float], peer: Where) -> Where:
        """Give the place on the peer's own host that is meant."""
        port = numbers[0] if numbers else 0
        if len(numbers) > 2 or any(n != int(n) for n in numbers) or not (port in (0, 1) or 1024 <= port <= 65535):
            raise Refused("a port from 1024 to 65535 (or 0 for the one you send from), then the token if you got one")
        return peer if port in (0, 1) else (peer[0], int(port), *peer[2:])

    def _tokens(self, where: Where, now: float) -> tuple[int, int]:
        """Give the tokens of a place for this half minute and for the one before; nothing is stored for them."""
        slot = int(now // EXPIRE_S)
        texts = [f"{where[0]} {where[1]} {slot - age}".encode() for age in range(2)]
        one, two = (int.from_bytes(blake2b(t, key=self._secret, digest_size=4).digest(), "big") >> 1 for t in texts)
        return one or 1, two or 1

    def _welcome(self, where: Where, peer: Where, now: float) -> None:
        """Begin or renew a subscription, and answer how long it lasts: 0 s if there are too many."""
        old = next((s for s in self._all if s.where[:2] == where[:2]), None)
        if old is not None:
            old.source = peer
            old.until = max(old.until, now + EXPIRE_S)
        elif len(self._subscribed) < MAX_SUBSCRIBERS:
            self._subscribed.append(_Subscriber(where, peer, now + EXPIRE_S))
        else:
            self._send(encode(SUBSCRIBED, 0.0), where)
            return
        self._send(encode(SUBSCRIBED, EXPIRE_S), where)

    # --- what they are sent ---------------------------------------------------------------------------

    def set_by(self, peer: Where, address: Address, value: Value, now: float) -> None:
        """Note that a peer has sent this value: it knows it, and is not sent it while it moves it."""
        for subscriber in self._all:
            if subscriber.is_at(peer):
                subscriber.known[address.path] = value
            elif subscriber.source is not None or subscriber.where[0] != peer[0]:
                continue  # somebody else; a configured one may send from any port of its host
            if address.control:
                subscriber.held[address.control] = now + HOLD_S
            subscriber.numbered |= address.path.startswith(NUMBERED)

    def wait(self, now: float) -> float:
        """Give the time in s until something may be due; infinite without subscribers."""
        return max(0.0, min(self._change, self._meter) - now) if self._all else math.inf

    def tick(
        self, now: float, value: Callable[[Address], Value | None], meters: Callable[[], Mapping[str, float]]
    ) -> None:
        """Send what is due. `value` gives the present value of an address, None if it has none now."""
        self._subscribed = [s for s in self._subscribed if s.until > now]
        if not self._all:
            return
        if now >= self._change:
            self._change = _next(self._change, CHANGE_S, now)
            values = [(a, found) for a in self._sent if (found := value(a)) is not None]
            for subscriber in self._all:
                self._give([subscriber], subscriber.news(values, now))
        if now >= self._meter:
            self._meter = _next(self._meter, METER_S, now)
            self._give(self._all, list(meters().items()))

    def _give(self, subscribers: Sequence[_Subscriber], values: Sequence[tuple[str, Value]]) -> None:
        for datagram in datagrams(values, MAX_DATAGRAM, MAX_TOLD):
            for subscriber in subscribers:
                self._send(datagram, subscriber.where)


def _same(known: Value | None, value: Value) -> bool:
    if known is None or isinstance(known, str) or isinstance(value, str):
        return known == value
    return abs(known - value) <= 1e-6 * max(1.0, abs(value))  # what came as float32 is still the same


def _next(due: float, every: float, now: float) -> float:
    """Keep the pace, but make up for nothing that was missed."""
    return due + every if due + every > now else now + every
