"""Who may send OSC, and how much of it."""

import time
from collections import defaultdict
from collections.abc import Callable

from .addresses import PANIC
from .udp import peer_name

MESSAGE_RATE, BURST = 5000.0, 1000.0  # messages per second and peer, and how many at once
_PANIC = PANIC.encode() + bytes(2)  # has a budget of its own: a flood must not keep anyone from muting


class Budget:
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


class Admission:
    """Decide which datagrams are read. `peers` are the IP addresses that may send; none on loop-back, where all may.

    `report` logs what was turned away.
    """

    def __init__(self, peers: frozenset[str], report: Callable[..., None]) -> None:
        self._peers, self._report = peers, report
        self._budgets: defaultdict[tuple[str, bool], Budget] = defaultdict(Budget)

    def budget(self, host: str, datagram: bytes) -> Budget | None:
        """Give the sender's budget, or None if it may not send or has spent it."""
        name = peer_name(host) if self._peers else "local"
        if self._peers and name not in self._peers:
            self._report("stranger", "OSC from %s ignored: it is not allowed to send", name)
            return None
        budget = self._budgets[name, datagram.startswith(_PANIC)]
        if not budget.left():
            self._report("flood", "OSC from %s dropped: over %g messages a second", host, MESSAGE_RATE)
            return None
        return budget
