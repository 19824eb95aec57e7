"""Keys while it plays, on a terminal. They use the controls that OSC uses.

The terminal is switched to single keys without echo, and restored at every end but SIGKILL. A program in the
background must not read its terminal, or the system stops it; then keys wait.
"""

import atexit
import logging
import os
import select
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from ..session.controls import AB, AMOUNT, BOLDNESS, FREEZE, MUTE, REDO, UNDO, UNMUTE, Control
from ..threads import RestartableThread

try:
    import termios
    import tty
except ImportError:  # Windows has none
    termios = tty = None

if TYPE_CHECKING:
    from ..session.state import SessionState

log = logging.getLogger(__name__)

POLL_S = 0.25
STEP = 0.05
HELP = (
    ("space", "A/B: effects or dry input, equally loud"),
    ("m", "mute, un-mute"),
    ("u", "undo"),
    ("r", "redo"),
    ("f", "freeze, un-freeze"),
    ("+ -", "amount"),
    ("> <", "boldness"),
    ("q", "end"),
)
"""Every key, and what it does."""


class Controlled(Protocol):
    """What keys need of a `Session`."""

    @property
    def state(self) -> "SessionState": ...

    def apply(self, values: Mapping[Control, float]) -> None: ...


def press(key: str, session: Controlled, stop: Callable[[], None]) -> str:
    """Do what a key stands for; returns a line about it, nothing for a key without a meaning."""
    if key == "q":
        stop()
        return "ending"
    if key in " b":
        session.apply({AB: 1.0})
        return "A/B: the dry input, equally loud" if session.state.bypass else "A/B: the effects"
    if key == "m":
        session.apply({UNMUTE if session.state.muted else MUTE: 1.0})
        return "muted: m un-mutes" if session.state.muted else "un-muted"
    if key in "ur":
        session.apply({UNDO if key == "u" else REDO: 1.0})
        return ("undo" if key == "u" else "redo") + (": frozen, f un-freezes" * session.state.frozen)
    if key == "f":
        session.apply({FREEZE: not session.state.frozen})
        return "frozen: f un-freezes" if session.state.frozen else "following the input"
    if key in "+=-<>":
        control = BOLDNESS if key in "<>" else AMOUNT
        step = -STEP if key in "-<" else STEP
        session.apply({control: round(float(control.read(session.state)) + step, 2)})
        return f"{control.name} {control.read(session.state):.2f}"
    return ""


class Keyboard:
    """Reads keys from standard input, in its context; does nothing unless that is a terminal.

    `stop` ends the program; `say` gets a line about what a key did.
    """

    def __init__(self, session: Controlled, stop: Callable[[], None], say: Callable[[str], None]) -> None:
        self._session, self._stop, self._say = session, stop, say
        self._terminal: int | None = None
        self._old: list[Any] = []
        self._worker = RestartableThread("the keyboard", self._run)
        self.revive = self._worker.revive

    def __enter__(self) -> "Keyboard":
        with suppress(OSError, ValueError, AttributeError):  # no standard input, or not one of the system's
            if termios and sys.stdin.isatty() and in_foreground(sys.stdin.fileno()):
                self._open(sys.stdin.fileno())
        return self

    def _open(self, terminal: int) -> None:
        assert tty
        assert termios
        with suppress(termios.error):
            self._old = termios.tcgetattr(terminal)
            atexit.register(self._restore)  # also when the program crashes
            self._terminal = terminal
            tty.setcbreak(terminal, termios.TCSANOW)
            self._worker.start()

    def __exit__(self, *_: object) -> None:
        self._worker.finish()
        self._restore()
        self._worker.join(2 * POLL_S)

    @property
    def listening(self) -> bool:
        """Whether keys are read."""
        return self._terminal is not None

    def _restore(self) -> None:
        terminal, self._terminal = self._terminal, None
        atexit.unregister(self._restore)
        if terminal is not None and termios and in_foreground(terminal):
            with suppress(termios.error):
                termios.tcsetattr(terminal, termios.TCSANOW, self._old)

    def _run(self) -> None:
        while (terminal := self._terminal) is not None:
            ready, _, _ = select.select([terminal], [], [], POLL_S)
            if not ready:
                continue
            if not in_foreground(terminal):
                select.select([], [], [], POLL_S)
                continue
            try:
                pressed = os.read(terminal, 64)
            except OSError:  # the terminal is gone
                return self._worker.finish()
            if not pressed:
                return self._worker.finish()
            self._do(pressed.decode(errors="replace"))

    def _do(self, pressed: str) -> None:
        if pressed.startswith("\x1b"):  # an arrow or a function key, whose letters are no keys
            return
        for key in pressed:
            try:
                if said := press(key, self._session, self._stop):
                    self._say(said)
            except Exception:  # a key that fails must not end the keyboard
                log.exception("the key %r failed", key)


def in_foreground(terminal: int) -> bool:
    """Whether we are in the foreground of the terminal: else reading it, or setting it, would stop us."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
