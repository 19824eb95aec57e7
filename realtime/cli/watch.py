"""`afx-live watch`: see a running afx-live from a second terminal."""

import sys

from ..view.layout import draw
from ..view.status_reader import Ended, MeterBallistics, StatusReader, running
from ..view.terminal import show, supports_view
from .errors import ExitCode, UsageError
from .printer import Printer

KEYS = (("Ctrl-C", "leaves; the sound goes on"),)


def watch(printer: Printer | None = None) -> int:
    """Show the status view until Ctrl-C; once, as text or JSON, where there is no terminal. Raises UsageError."""
    printer = printer or Printer()
    found = running()
    if not found:
        raise UsageError("you have no afx-live running here; start one: afx-live --reference ref.wav")
    try:
        if printer.as_json or printer.quiet or not supports_view(sys.stdout):
            source = StatusReader(found[0])
            state, row = source.state(), source.meters()
            data = {"state": state, "meters": dict(row)}
            printer.result(data, draw(state, MeterBallistics().follow(row), 80, 24).plain)
            return ExitCode.DONE
        show(found[0], sys.stdout, keys=KEYS)
    except Ended:
        print("afx-live has ended.", file=sys.stderr)
    except KeyboardInterrupt:
        pass
    return ExitCode.DONE
