"""Messages while it plays, on standard error: from any thread, without ever waiting for the terminal.

A terminal that was stopped with Ctrl-S, or a pipe that nobody reads, blocks whoever writes to it; a
closed one raises. Neither may keep OSC from muting or Ctrl-C from fading out. So a thread of its own
writes, and drops what it cannot keep up with.
"""

import logging
import os
import queue
import sys
import time
from collections import deque
from contextlib import suppress

from ..threads import RestartableThread

MAX_LINES = 200
"""Lines that wait to be written, and lines that are kept for the status view."""
REPEAT_S = 60.0
"""The same warning is not repeated for this long."""
END_S = 1.0


class Console:
    """Call it to print a line; a context manager, whose end waits up to a second for the last lines.

    `messages` keeps the last lines, as (seconds since 1970, text). On a terminal a status line stays at
    the bottom; `shown` False leaves the terminal to the status view, which shows the messages.
    """

    def __init__(self, quiet: bool = False) -> None:
        self.messages: deque[tuple[float, str]] = deque(maxlen=MAX_LINES)
        self.shown = not quiet
        self._live = sys.stderr.isatty()
        self._lines: queue.Queue[str | None] = queue.Queue(MAX_LINES)
        self._worker = RestartableThread("the console", self._run)
        self.revive = self._worker.revive

    def __enter__(self) -> "Console":
        self._worker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.finish()
        while self._lines.full():  # nobody reads: drop a line
            with suppress(queue.Empty):
                self._lines.get_nowait()
        with suppress(queue.Full):
            self._lines.put_nowait(None)
        self._worker.join(END_S)

    def __call__(self, text: str) -> None:
        """Print a line, or several."""
        self.messages.append((time.time(), text))
        self._put(f"\r\x1b[K{text}\n" if self._live else f"{text}\n")

    def status(self, text: str) -> None:
        """Replace the line at the bottom, on a terminal that keeps up."""
        if self._live and self._lines.empty():
            self._put(f"\r\x1b[K{text[:110]}")

    def take_back(self, controls: str, since: float) -> None:
        """Take the terminal back: write control characters, then the lines since then (seconds since 1970)."""
        self.shown = True
        for text in [controls, *(f"{said}\n" for when, said in list(self.messages) if when >= since)]:
            self._put(text)

    def _put(self, text: str) -> None:
        if self.shown:
            with suppress(queue.Full):
                self._lines.put_nowait(text)

    def _run(self) -> None:
        while (text := self._lines.get()) is not None:
            with suppress(OSError, ValueError):  # the terminal is gone: play on in silence
                _write(text)


def _write(text: str) -> None:
    """Write past Python's buffer, whose lock a blocked write would hold at the end of the program."""
    try:
        number = sys.stderr.fileno()
    except (OSError, AttributeError):
        sys.stderr.write(text)
    else:
        data = text.encode(errors="replace")
        while data:
            data = data[os.write(number, data) :]


class ConsoleLogHandler(logging.Handler):
    """Prints what the program logs on a console, the same text at most once a minute. A context manager."""

    def __init__(self, console: Console, verbose: bool = False) -> None:
        super().__init__(logging.INFO if verbose else logging.WARNING)
        self._console, self._verbose = console, verbose
        self._said: dict[str, float] = {}
        self._logger = logging.getLogger("afx_live")
        self._before = self._logger.level

    def __enter__(self) -> "ConsoleLogHandler":
        self._before = self._logger.level
        if self._verbose:
            self._logger.setLevel(logging.INFO)
        self._logger.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
        self._logger.setLevel(self._before)

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[1] is not None:
            text += f": {record.exc_info[1]!r}"
        if time.monotonic() - self._said.get(text, -REPEAT_S) < REPEAT_S:
            return
        if len(self._said) > MAX_LINES:
            self._said.clear()
        self._said[text] = time.monotonic()
        if self._verbose and record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        self._console(f"warning: {text}" if record.levelno >= logging.WARNING else text)
