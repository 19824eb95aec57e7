"""Undo: the states a session was in, and which changes make a new one.

A step is what a person, the network or the first match of a reference did. What the matching does after
that is not a step: undo goes back to how it stood when something else changed. A fader sends a stream of
values; they are one step until it has rested for half a second.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from .state import SessionState

MAX_STEPS = 50
STREAM_S = 0.5
REFERENCE, PRESET, MORPH, MATCH = "a reference", "a preset", "a morph", "a match"
"""What a change may be, beside the name of a control."""
_SOURCES = (REFERENCE, PRESET, MORPH)


class Step(NamedTuple):
    """A state on the other side of a change, and what the change was."""

    state: SessionState
    change: str

    @property
    def jumps(self) -> bool:
        """Whether the change brought another sound, not another value."""
        return self.change in _SOURCES


class UndoHistory:
    """The last 50 states before this one, and those that were undone. Not for two threads at once.

    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._past: deque[Step] = deque(maxlen=MAX_STEPS)
        self._future: deque[Step] = deque(maxlen=MAX_STEPS)
        self._moved: dict[str, float] = {}  # name of a value: when it last moved
        self._last = ""

    @property
    def depth(self) -> tuple[int, int]:
        """How many steps can be undone, and redone."""
        return len(self._past), len(self._future)

    def note(self, before: SessionState, change: str) -> None:
        """Keep the state before a change. The first match of a new reference belongs to the choice of it."""
        if (self._last, change) != (REFERENCE, MATCH):
            self._moved.clear()
            self._keep(before, change)

    def note_values(self, before: SessionState, names: list[str]) -> None:
        """Keep the state before these values moved, unless every one of them was moving already."""
        now = self._clock()
        began = any(now - self._moved.get(name, -math.inf) >= STREAM_S for name in names)
        self._moved.update(dict.fromkeys(names, now))
        self._future.clear()
        if began:
            self._keep(before, names[0])

    def _keep(self, before: SessionState, change: str) -> None:
        self._past.append(Step(before, change))
        self._future.clear()
        self._last = change

    def step(self, now: SessionState, back: bool) -> Step | None:
        """Give the state to go to from `now`, back or forth, and the change between; None if there is none."""
        source, sink = (self._past, self._future) if back else (self._future, self._past)
        if not source:
            return None
        found = source.pop()
        sink.append(Step(now, found.change))
        self._moved.clear()
        self._last = ""
        return found
