"""What a command prints: results on standard output, progress and notes on standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ...files.json_checks import finite


@dataclass(frozen=True)
class Printer:
    """How much to print, and in which form: `quiet` leaves out notes and progress, `as_json` is for programs.

    sound_out: standard output is for the sound, so results go to standard error.
    """

    quiet: bool = False
    verbose: bool = False
    as_json: bool = False
    sound_out: bool = False

    def result(self, data: Any, text: str) -> None:
        """Print a result: text for people, or JSON."""
        text = json.dumps(finite(data), indent=2, allow_nan=False) if self.as_json else text
        print(text, file=sys.stderr if self.sound_out else sys.stdout, flush=True)

    def text(self, text: Any) -> None:
        """Print a part of a result that JSON has in its whole only."""
        if not self.as_json:
            print(text, flush=True)

    def note(self, text: str) -> None:
        """Print a note on standard error."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextmanager
    def bar(self, name: str, total: float | None = None) -> Iterator[Callable[[float, float | None], None]]:
        """Show a progress bar on a terminal, nothing elsewhere; call it with (done, total or None)."""
        if self.quiet or self.as_json or not sys.stderr.isatty():
            yield lambda done, total: None
            return
        from rich.console import Console  # 0.1 s that nobody else need wait for
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %")
        time = TimeRemainingColumn() if total else TimeElapsedColumn()
        with Progress(*columns, time, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(name, total=total)
            yield lambda done, total: bar.update(task, completed=done, total=total)
