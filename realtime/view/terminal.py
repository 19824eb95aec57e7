"""The status view's own process: `python -m afx_live.realtime.view.terminal FOLDER` draws on its standard output.

`afx-live run` starts it as a child, so that drawing delays nothing, and ends it by closing its standard input;
`afx-live watch` draws from a second terminal. It maps the shared block for reading, reads state.json when that has
changed, and writes to the terminal only what looks different. rich.live.Live would draw and write the whole screen ten
times a second: 2 to 6 % of a core instead of 0.3 %, and 6 to 22 times the bytes.
"""

import gc
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.segment import Segment
from rich.text import Text

from .layout import Piece, plan
from .panels import Meters
from .status_reader import FRAME_S, Ended, MeterBallistics, StatusReader

CLEAR = "\x1b[2J"
ENTER, LEAVE = "\x1b[?1049h\x1b[?25l" + CLEAR, "\x1b[0m\x1b[?25h\x1b[?1049l"
"""Enter the alternate screen and hide the cursor; leave it again."""
BEGIN, END = "\x1b[?2026h", "\x1b[?2026l"
"""Around what a terminal should show at once; those that do not know it ignore it."""
REWRITE_S = 5.0
"""Everything is written again this often: another program may have written over it."""


class Terminal:
    """A terminal in its alternate screen, while in its context; it is restored whatever happens."""

    def __init__(self, file: TextIO) -> None:
        self._file, self._entered = file.fileno(), False
        self._console = Console(file=file, markup=False, highlight=False)
        self._pieces: list[Piece] = []
        self._shown: dict[tuple[int, int], tuple[Text, str]] = {}
        self._layout: Any = None
        self._made_of: Any = None
        self._rewritten = 0.0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Terminal":
        handlers = {signal.SIGTERM: lambda *_: sys.exit(0), signal.SIGTSTP: self._pause}
        self._handlers = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        self._enter()
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _enter(self) -> None:
        self._entered = True
        self._shown.clear()
        self._write(ENTER)

    def _leave(self) -> None:
        if self._entered:
            self._entered = False
            with suppress(OSError):  # a terminal that has been closed
                self._write(LEAVE)

    def _pause(self, *_: object) -> None:
        """Ctrl-Z: give the terminal back, then stop; `paint` comes back when the terminal is ours again."""
        self._leave()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _ours(self) -> bool:
        try:
            return os.tcgetpgrp(self._file) == os.getpgrp()
        except OSError:  # not our controlling terminal: no other job runs there
            return True

    def paint(self, state: Mapping[str, Any], meters: Meters) -> None:
        """Show it, unless another job has the terminal just now."""
        if not self._ours():
            return self._leave()
        if not self._entered:
            self._enter()
        size = os.get_terminal_size(self._file)
        begin = [] if self._planned(state, (size.columns or 80, size.lines or 24)) else [CLEAR]
        parts = []
        moving = [p for p in self._pieces if callable(p.make) or (p.row, p.column) not in self._shown]
        for piece in moving:
            place, made = (piece.row, piece.column), piece.made(meters)
            if place not in self._shown or self._shown[place][0] != made:
                self._shown[place] = made, f"\x1b[{piece.row + 1};{piece.column + 1}H{self._ansi(piece.fit(made))}"
                parts.append(self._shown[place][1])
        if time.monotonic() > self._rewritten + REWRITE_S:
            self._rewritten = time.monotonic()
            parts = [drawn for _, drawn in self._shown.values()]
        if begin or parts:
            self._write(BEGIN + "".join(begin + parts) + END)

    def _planned(self, state: Mapping[str, Any], size: tuple[int, int]) -> bool:
        """Lay out again if anything has changed; False if the whole screen has to be cleared."""
        if self._made_of is not None and self._made_of[0] is state and self._made_of[1] == size:
            return True
        self._made_of = state, size
        self._pieces = plan(state, *size)
        layout = size, [(p.row, p.column, p.width) for p in self._pieces]
        if layout != self._layout:
            self._layout = layout
            self._shown.clear()
            return False
        for piece in self._pieces:  # fixed pieces that are the same need not be drawn
            place = piece.row, piece.column
            if place in self._shown and not callable(piece.make) and self._shown[place][0] != piece.make:
                del self._shown[place]
        return True

    def _ansi(self, text: Text) -> str:
        """Give a text with its colours: what `Console.print` writes, without wrapping, at a third of its cost."""
        segments = text.render(self._console)
        if self._console.no_color:
            segments = Segment.remove_color(segments)
        colours = self._console._color_system  # public only as a name
        return "".join(s.style.render(s.text, color_system=colours) if s.style else s.text for s in segments)

    def _write(self, text: str) -> None:
        left = memoryview(text.encode("utf-8", "replace"))
        while left:
            try:
                left = left[os.write(self._file, left) :]
            except BlockingIOError:  # somebody made the terminal non-blocking, and it is slow
                select.select([], [self._file], [], 1.0)


def show(folder: Path, terminal: TextIO, parent: int | None = None, keys: Any = None) -> None:
    """Draw until the file descriptor `parent` is closed at its other end; raises Ended when the afx-live ends.

    keys: shown instead of those in the state.
    """
    source, ballistics = StatusReader(folder), MeterBallistics()
    state: Mapping[str, Any] = {}
    given = None
    gc.freeze()  # imports stay for good: the collector can skip them
    with Terminal(terminal) as screen:
        last = time.monotonic()
        while True:
            if (fresh := source.state()) is not given:
                given, state = fresh, {**fresh, "keys": keys} if keys else fresh
            now = time.monotonic()
            screen.paint(state, ballistics.follow(source.meters(), now - last))
            last = now
            if select.select([] if parent is None else [parent], [], [], FRAME_S)[0]:
                return


def supports_view(file: TextIO) -> bool:
    """Tell whether the view can be drawn there: on a terminal that moves its cursor and encodes our characters."""
    encoding = (file.encoding or "").lower().replace("-", "")
    return os.name == "posix" and file.isatty() and os.environ.get("TERM", "dumb") != "dumb" and encoding == "utf8"


def main() -> None:
    """Be the child of `afx-live run`: Ctrl-C is for our parent, which then closes our standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(10)
    with suppress(Ended):
        show(Path(sys.argv[1]), sys.stdout, parent=0)


if __name__ == "__main__":
    main()
