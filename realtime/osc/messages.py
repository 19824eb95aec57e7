"""Reading OSC messages: what each asks for, and in what order that is done."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..session.controls import Control
from .addresses import DUMP, PANIC, PING, SUBSCRIBE, Address
from .admission import Budget
from .packets import Argument, Message
from .subscribers import Refused, Subscribers
from .udp import is_local

EARLY_S = 1.0  # a time tag may lie ahead; every message is applied on arrival, those beyond count as late
GUESS = 500.0  # tokens that a wrong answer to the handshake costs: ten guesses a second


@dataclass
class Batch:
    """What is to happen in one go: first the requests, then the values on top of them, then the replies."""

    requests: dict[Control, str] = field(default_factory=dict)
    values: dict[Control, float] = field(default_factory=dict)
    replies: list[tuple[Any, int, list[tuple[Address, float | None]]]] = field(default_factory=list)

    def add(self, other: "Batch") -> None:
        for control, text in other.requests.items():
            self.requests.pop(control, None)  # the last one wins, and comes last
            self.requests[control] = text
        self.values |= other.values
        self.replies += other.replies


@dataclass
class Origin:
    """The datagram that is being read: its sender, its size in bytes, and what is to be answered."""

    peer: Any
    size: int
    budget: Budget
    asked: list[tuple[Address, float | None]] = field(default_factory=list)
    greeted: bool = False


class Reader:
    """Sort messages by the table: into a batch, to what is to be answered, or to the subscribers.

    Integers for addresses of 0 to 1 are divided by `integer_range`. `counters` are the server's; `report`
    logs what was wrong with a message.
    """

    def __init__(
        self,
        table: Mapping[str, Address],
        subscribers: Subscribers,
        integer_range: float,
        counters: dict[str, int],
        report: Callable[..., None],
    ) -> None:
        self._table, self._subscribers, self._range = table, subscribers, integer_range
        self._counters, self._report = counters, report

    def read(self, message: Message, batch: Batch, origin: Origin) -> None:
        """Sort one message."""
        if message.time_s > time.time() + EARLY_S:
            self._counters["late"] += 1
        path, arguments = message.address, [*message.arguments]
        address = self._table.get(path)
        if address is None:
            self._counters["unknown"] += 1
            self._report("unknown", "OSC address %.80s is not known; `afx-live osc --list` shows all", path)
        elif address.kind == "request":
            self._request(address, arguments, origin)
        elif not arguments:
            if address.kind == "trigger":
                self._pull(address, 1.0, batch, origin)
            else:
                origin.asked.append((address, None))
        elif address.kind in ("meter", "told"):
            self._refuse("OSC %s is read-only", path)
        elif len(arguments := _as_asked(address, arguments)) != 1:
            self._refuse("OSC %s takes one value: %s", path, address.values)
        elif address.kind == "trigger":
            self._pull(address, float(arguments[0]), batch, origin)
        elif isinstance(given := arguments[0], str):
            assert address.control
            batch.requests[address.control] = given
            self._subscribers.set_by(origin.peer, address, given, time.monotonic())
        else:
            self._set(address, given, batch, origin)

    def _request(self, address: Address, arguments: Sequence[Argument], origin: Origin) -> None:
        """Begin or end a subscription; one request a datagram is answered."""
        try:
            numbers = [a for a in arguments if not isinstance(a, str)]
            if len(numbers) < len(arguments):
                raise Refused(address.values)
            if address.path != SUBSCRIBE:
                self._subscribers.unsubscribe(numbers, origin.peer)
            elif not origin.greeted:
                origin.greeted, local = True, is_local(origin.peer[0])
                if not self._subscribers.subscribe(numbers, origin.peer, local, origin.size, time.monotonic()):
                    origin.budget.spend(GUESS)
        except Refused as error:
            self._refuse("OSC %s: %s", address.path, error)

    def _pull(self, address: Address, value: float, batch: Batch, origin: Origin) -> None:
        if value < 0.5:  # the button is released
            return
        if address.path == DUMP:
            self._subscribers.dump(origin.peer)
        elif address.path != PING:
            assert address.control
            batch.values[address.control] = 1.0
        origin.asked.append((address, None))

    def _set(self, address: Address, given: float, batch: Batch, origin: Origin) -> None:
        assert address.control
        scaled = address.normal and isinstance(given, int) and not isinstance(given, bool)
        value = given / self._range if scaled else float(given)
        if address.kind == "bool":
            value = float(value >= 0.5)
        clamped = min(max(value, address.low), address.high)
        if address.path == PANIC and value < 0.5:
            origin.asked.append((address, None))  # releasing a pad does not un-mute
            return
        batch.values[address.control] = address.native(clamped)
        self._subscribers.set_by(origin.peer, address, clamped, time.monotonic())
        if abs(clamped - value) > 1e-6 * max(1.0, abs(value)):  # float32 0.7 is not 0.7: no news
            origin.asked.append((address, clamped))

    def _refuse(self, text: str, *values: object) -> None:
        self._counters["bad"] += 1
        self._report("type", text, *values)


def _as_asked(address: Address, arguments: Sequence[Argument]) -> Sequence[Argument]:
    """Give the arguments as an address takes them, a number that was sent as text as a number; none if they do not."""
    text = address.kind == "string"
    found = [a if text == isinstance(a, str) else None if text else _number(str(a)) for a in arguments]
    return [a for a in found if a is not None] if None not in found else []


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
