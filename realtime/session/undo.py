"""Undo: the states a session was in, and which changes are worth one.

A state is what a person, the network, or the first match of a reference made of the session. What the
matching does after that is no state of its own: undo goes back to where it stood when something else
changed. A fader sends a stream of values; it is one change until it has rested for half a second.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, fields

from ...chain import ChainSettings
from ...matching import Prediction, ReferenceClip
from .morph import Morph

MOST = 50
STREAM_S = 0.5


@dataclass(frozen=True, eq=False)
class State:
    """All that undo brings back; every field is a `Session`'s own, which has it with an underscore.

    Bypass, panic and freeze are no part of it: undo must never let the sound back in.
    """

    base: ChainSettings
    amount: float
    target: float | None
    references: list[ReferenceClip]
    reference_name: str
    preset_name: str
    prediction: Prediction | None
    morph: Morph
    locked: frozenset[tuple[str, str]]
    dry_gain_db: float

    @classmethod
    def of(cls, session: object) -> "State":
        """Note where a session stands."""
        return cls(**{f.name: getattr(session, f"_{f.name}") for f in fields(cls)})

    def onto(self, session: object) -> None:
        """Put a session back to where it stood."""
        for f in fields(self):
            setattr(session, f"_{f.name}", getattr(self, f.name))

    def same(self, other: "State") -> bool:
        """Whether both sound the same: which values were set by hand does not count."""
        pairs = [(getattr(self, f.name), getattr(other, f.name)) for f in fields(self) if f.name != "locked"]
        return all(a is b or (not isinstance(a, list | Prediction) and a == b) for a, b in pairs)


class UndoHistory:
    """The last 50 states before this one, and those that were undone. Not for two threads at once.

    `last` is what the newest change was; `froze` says that undo, and nobody else, froze the matching.
    `clock` gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._past: deque[State] = deque(maxlen=MOST)
        self._future: deque[State] = deque(maxlen=MOST)
        self._moved: dict[str, float] = {}  # path of a value: when it last moved
        self.last, self.froze, self.effects = "", False, 0

    @property
    def depth(self) -> tuple[int, int]:
        """How often undo and redo can be asked for."""
        return len(self._past), len(self._future)

    def note(self, before: State, what: str) -> None:
        """Keep the state before a change, which is one of its own."""
        self._moved.clear()
        self._keep(before, what)

    def note_values(self, before: State, paths: list[str]) -> None:
        """Keep the state before these values moved, unless every one of them was on the move already."""
        now = self._clock()
        began = any(now - self._moved.get(path, -math.inf) >= STREAM_S for path in paths)
        self._moved.update(dict.fromkeys(paths, now))
        self._future.clear()
        if began:
            self._keep(before, paths[0])

    def _keep(self, before: State, what: str) -> None:
        self._past.append(before)
        self._future.clear()
        self.last = what

    def step(self, now: State, back: bool) -> State | None:
        """Give the state to go to from `now`, back or forth; None if there is none."""
        source, sink = (self._past, self._future) if back else (self._future, self._past)
        if not source:
            return None
        sink.append(now)
        self._moved.clear()
        self.last, self.effects = "", self.effects + 1
        return source.pop()
