"""OSC feedback: whoever subscribes hears what changes, whoever changed it, and the meters.

Every subscriber has a record of what it knows. Thirty times a second the present values are compared
with it, and what differs is sent: so changes are coalesced, a dump is an empty record, and what a
controller has sent itself is not sent back. The server's own thread does all this, so nothing here is
locked; the work is bounded by the table and by the number of subscribers.

A source address can be forged. So feedback only goes to the host that asked for it, and (unless that
is this computer) only after that host has sent back a token, which shows that it is there and wants it.
"""

import math
import secrets
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from .addresses import NUMBERED, Address
from .packets import encode

if TYPE_CHECKING:
    from ...chain import ChainSettings
    from ..audio.live_engine import LiveEngine

EXPIRE_S = 30.0
"""A subscription ends when it has not been renewed for so long."""
MOST = 8
"""Subscribers at once, beside the configured ones."""
CHANGE_S, METER_S = 1 / 30, 1 / 20
HOLD_S = 0.1
"""What a subscriber has just set is not sent to it: its fader would fight the hand that moves it."""
DUMP_S = 1.0
"""A subscriber gets one dump in this time, as a request for one can be forged."""
DATAGRAM = 1400
"""Bytes of a datagram, at most: what passes every network whole."""
LONGEST = 256
TOKEN, SUBSCRIBED = "/afx/token", "/afx/subscribed"
"""Answers. No server of this kind takes these addresses, so two can not answer each other for ever."""
TOLD = ("float", "bool", "string")
"""Kinds of addresses whose changes are told."""
FLOOR_DB = -100.0

Value = float | str
Where = Any
"""A socket's address: (host, port), and two numbers more for IPv6."""


class Refused(ValueError):
    """A request that is not one; the text says why."""


@dataclass
class _Subscriber:
    where: Where
    source: Where  # where it sends from; None for a configured one, until it has subscribed, too
    until: float  # s, monotonic; infinite for a configured one
    known: dict[str, Value] = field(default_factory=dict)  # by path
    held: dict[str, float] = field(default_factory=dict)  # until when, by target
    numbered: bool = False  # it has used the numbered addresses, and wants feedback on them
    dump_asked: bool = False
    dumped: float = -math.inf

    def is_at(self, peer: Where) -> bool:
        return peer[:2] == self.where[:2] or (self.source is not None and peer[:2] == self.source[:2])

    def news(self, values: Iterable[tuple[Address, Value]], now: float) -> list[tuple[str, Value]]:
        """List what this one does not know yet, and note that it does now."""
        if self.dump_asked and now - self.dumped >= DUMP_S:
            self.known.clear()
            self.dump_asked, self.dumped = False, now
        found = []
        for address, value in values:
            path = address.path
            if self.held.get(address.target, 0.0) > now or _same(self.known.get(path), value):
                continue
            if self.numbered or not path.startswith(NUMBERED):
                self.known[path] = value
                found.append((path, value))
        return found


class Subscribers:
    """The subscribers, and what they are sent through `send(datagram, where)`.

    `table` is every address there is; `configured` are subscribers that never expire; `port` is our
    own, to which nothing is sent. `now` is always the monotonic time in s.
    """

    def __init__(
        self, table: Iterable[Address], send: Callable[[bytes, Where], None], configured: Sequence[Where], port: int
    ) -> None:
        self._told = [a for a in table if a.kind in TOLD]
        self._send, self._port = send, port
        self._fixed = [_Subscriber(where, None, math.inf) for where in configured]
        self._moving: list[_Subscriber] = []
        self._secret = secrets.token_bytes(16)
        self._change = self._meter = 0.0  # when the next are due

    @property
    def _all(self) -> list[_Subscriber]:
        return self._fixed + self._moving

    # --- who listens ------------------------------------------------------------------------------

    def subscribe(self, numbers: Sequence[float], peer: Where, local: bool, size: int, now: float) -> bool:
        """Take a request of `size` bytes from `peer`: its port (0 or 1: the one it sends from), then its token.

        `local` says that the peer is this computer, of which no token is asked. Returns False for a
        token that is none of ours, which may be a guess. Raises Refused.
        """
        where = self._where(numbers, peer)
        if local and where[1] == self._port:
            raise Refused("feedback is not sent to the server itself")
        token = int(numbers[1]) if len(numbers) > 1 else 0
        if local or token in self._tokens(where, now):
            self._welcome(where, peer, now)
            return True
        answer = _integer(TOKEN, self._tokens(where, now)[0])
        if len(answer) <= size:  # the first answer is no longer than what it answers
            self._send(answer, where)
        return not token

    def unsubscribe(self, numbers: Sequence[float], peer: Where) -> None:
        """End the subscription of a peer, or of a port on its host. Raises Refused."""
        where = self._where(numbers, peer)
        self._moving = [s for s in self._moving if s.where[:2] != where[:2] and not (s.is_at(peer) and where == peer)]

    def dump(self, peer: Where) -> None:
        """Have everything sent to a peer if it has subscribed, or else to the subscribers on its host."""
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
        """Give the token of a place for this half minute, and that for the one before; nothing is kept for it."""
        slot = int(now // EXPIRE_S)
        texts = [f"{where[0]} {where[1]} {slot - age}".encode() for age in range(2)]
        one, two = (int.from_bytes(blake2b(t, key=self._secret, digest_size=4).digest(), "big") >> 1 for t in texts)
        return one or 1, two or 1

    def _welcome(self, where: Where, peer: Where, now: float) -> None:
        """Begin or renew a subscription, and tell for how long it is: 0 s if there are too many."""
        old = next((s for s in self._all if s.where[:2] == where[:2]), None)
        if old is not None:
            old.source = peer
            old.until = max(old.until, now + EXPIRE_S)
        elif len(self._moving) < MOST:
            self._moving.append(_Subscriber(where, peer, now + EXPIRE_S))
        else:
            self._send(_number(SUBSCRIBED, 0.0), where)
            return
        self._send(_number(SUBSCRIBED, EXPIRE_S), where)

    # --- what they hear ---------------------------------------------------------------------------

    def set_by(self, peer: Where, address: Address, value: Value, now: float) -> None:
        """Note that a peer has sent this value: it knows it, and is not to hear of it while it moves it."""
        for subscriber in self._all:
            if subscriber.is_at(peer):
                subscriber.known[address.path] = value
            elif subscriber.source is not None or subscriber.where[0] != peer[0]:
                continue  # somebody else; a configured one may send from any port of its host
            subscriber.held[address.target] = now + HOLD_S
            subscriber.numbered |= address.path.startswith(NUMBERED)

    def wait(self, now: float) -> float:
        """Give the time in s until something may be due; infinite if nobody listens."""
        return max(0.0, min(self._change, self._meter) - now) if self._all else math.inf

    def tick(
        self, now: float, value: Callable[[Address], Value | None], meters: Callable[[], Mapping[str, float]]
    ) -> None:
        """Send what is due. `value` gives an address' present value, None if there is none just now."""
        self._moving = [s for s in self._moving if s.until > now]
        if not self._all:
            return
        if now >= self._change:
            self._change = _next(self._change, CHANGE_S, now)
            values = [(a, found) for a in self._told if (found := value(a)) is not None]
            for subscriber in self._all:
                self._tell([subscriber], subscriber.news(values, now))
        if now >= self._meter:
            self._meter = _next(self._meter, METER_S, now)
            self._tell(self._all, list(meters().items()))

    def _tell(self, subscribers: Sequence[_Subscriber], values: Sequence[tuple[str, Value]]) -> None:
        for datagram in datagrams(values):
            for subscriber in subscribers:
                self._send(datagram, subscriber.where)


def datagrams(values: Iterable[tuple[str, Value]]) -> Iterator[bytes]:
    """Write (path, value) pairs as datagrams of at most DATAGRAM bytes; a single one is no bundle."""
    rest = [message for path, value in values if (message := _message(path, value))]
    while rest:
        size, count = 16, 0
        while count < len(rest) and size + 4 + len(rest[count]) <= DATAGRAM:
            size += 4 + len(rest[count])
            count += 1
        now, rest = rest[:count], rest[count:]
        bundled = b"".join(struct.pack(">i", len(m)) + m for m in now)
        yield now[0] if count == 1 else b"#bundle\0\0\0\0\0\0\0\0\1" + bundled


def readings(engine: "LiveEngine", playing: "ChainSettings") -> dict[str, float]:
    """Read the engine's meters as the addresses under /afx/meter tell them; silence is -100 dB."""
    from ...effects import load, names
    from ..audio.safety import LOOKAHEAD

    m = engine.meters()
    status: Mapping[str, Any] = getattr(engine, "status", {})
    device_s = status.get("input_latency", 0.0) + status.get("output_latency", 0.0)
    found = {
        "in_peak_db": _db(m["in_peak"]),
        "out_peak_db": _db(m["out_peak"]),
        "in_lufs": max(m["in_lufs"], FLOOR_DB),
        "out_lufs": max(m["out_lufs"], FLOOR_DB),
        "ceiling/reduction_db": _db(m["ceiling_gain"]),
        "load": m["load"],
        "xruns": m["input_overflows"] + m["output_underflows"],
        "late": m["late"],
        "muted": m["muted_blocks"],
        "latency_ms": 1e3 * (device_s + LOOKAHEAD / engine.sample_rate),
    }
    slots = {step.effect: i for i, step in enumerate(playing.effects, 1)}  # slot 0 is the input gain
    for name in names():
        if load(name).meter is not None:
            found[f"{name}/reduction_db"] = m["gain_reduction_db"][slots[name]] if name in slots else 0.0
    return {f"/afx/meter/{name}": float(value) for name, value in found.items()}


def _db(level: float) -> float:
    return max(20.0 * math.log10(level), FLOOR_DB) if level > 0.0 else FLOOR_DB


def _same(known: Value | None, value: Value) -> bool:
    if known is None or isinstance(known, str) or isinstance(value, str):
        return known == value
    return abs(known - value) <= 1e-6 * max(1.0, abs(value))  # what came as float32 is the same still


def _next(due: float, every: float, now: float) -> float:
    """Keep the pace, but run after nothing that was missed."""
    return due + every if due + every > now else now + every


def _padded(text: str) -> bytes:
    data = text.encode()
    return data + bytes(4 - len(data) % 4)


def _message(path: str, value: Value) -> bytes:
    """Write a message with a text or one float32; nothing for a number that is none."""
    if isinstance(value, str):
        return encode([(path, value)], LONGEST)
    return _number(path, value) if abs(value) < 3.4e38 else b""


def _number(path: str, value: float) -> bytes:
    return _padded(path) + b",f\0\0" + struct.pack(">f", value)


def _integer(path: str, value: int) -> bytes:
    return _padded(path) + b",i\0\0" + struct.pack(">i", value)
