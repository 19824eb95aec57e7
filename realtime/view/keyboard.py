"""Keys while it plays, on a terminal. They do nothing that OSC cannot do.

The terminal is switched to single keys without echo, and restored at every end but SIGKILL. A program in the
background must not read its terminal, or the system stops it; then keys wait.
"""

import atexit
import logging
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from ..threads import RestartableThread

try:
    import termios
    import tty
except ImportError:  # Windows has none
    termios = tty = None

log = logging.getLogger(__name__)

POLL_S = 0.25
AMOUNT_STEP = 0.05
HELP = (
    ("space", "A/B: effects or dry input, equally loud"),
    ("m", "mute, un-mute"),
    ("u", "undo"),
    ("r", "redo"),
    ("f", "freeze, un-freeze"),
    ("+ -", "amount"),
    ("q", "end"),
)
"""Every key, and what it does."""


class Controls(Protocol):
    """What keys control: a `Session`."""

    def apply(self, values: dict[str, float]) -> None: ...

    def value(self, path: str) -> float | str | bool: ...


def press(key: str, controls: Controls, stop: Callable[[], None]) -> str:
    """Do what a key stands for; returns a line about it, nothing for a key without a meaning."""
    if key == "q":
        stop()
        return "ending"
    if key in " b":
        controls.apply({"/afx/ab": 1.0})
        return "A/B: the dry input, equally loud" if controls.value("/afx/bypass") else "A/B: the effects"
    if key == "m":
        controls.apply({"/afx/panic/clear" if controls.value("/afx/panic") else "/afx/panic": 1.0})
        return "muted: m un-mutes" if controls.value("/afx/panic") else "un-muted"
    if key in "ur":
        controls.apply({"/afx/undo" if key == "u" else "/afx/redo": 1.0})
        return ("undo" if key == "u" else "redo") + (": frozen, f un-freezes" * bool(controls.value("/afx/freeze")))
    if key == "f":
        controls.apply({"/afx/freeze": 0.0 if controls.value("/afx/freeze") else 1.0})
        return "frozen: f un-freezes" if controls.value("/afx/freeze") else "following the input"
    if key in "+=-":
        step = -AMOUNT_STEP if key == "-" else AMOUNT_STEP
        amount = min(max(round(float(controls.value("/afx/amount")) + step, 2), 0.0), 1.0)
        controls.apply({"/afx/amount": amount})
        return f"amount {amount:.2f}"
    return ""


class Keyboard:
    """Reads keys from standard input, in its context; does nothing unless that is a terminal.

    `stop` ends the program; `say` gets a line about what a key did.
    """

    def __init__(self, controls: Controls, stop: Callable[[], None], say: Callable[[str], None]) -> None:
        self._controls, self._stop, self._say = controls, stop, say
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
                if said := press(key, self._controls, self._stop):
                    self._say(said)
            except Exception:  # a key that fails must not end the keyboard
                log.exception("the key %r failed", key)


def in_foreground(terminal: int) -> bool:
    """Whether we are in the foreground of the terminal: else reading it, or setting it, would stop us."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:
        return False
