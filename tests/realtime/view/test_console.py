"""The console waits for no terminal."""

import os
import sys
import time

from afx_live.realtime.view.console import Console
from support.waiting import until


def test_a_terminal_that_takes_no_more_keeps_nobody_waiting(monkeypatch):
    """As after Ctrl-S: a full pipe that nobody reads."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        begin = time.monotonic()
        with Console() as say:
            for n in range(3000):
                say(f"{n} " + 100 * "x")
            assert time.monotonic() - begin < 1.0
        assert time.monotonic() - begin < 3.0
        assert say.messages[-1][1].startswith("2999 ")
        os.close(read)  # gone altogether: the next write raises, and that is all
        until(lambda: not say._worker.alive)
