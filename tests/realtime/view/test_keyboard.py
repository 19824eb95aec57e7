"""Keys do what OSC does, and the terminal is restored."""

import os
import pty
import select
import subprocess
import sys
import termios
import threading
from contextlib import contextmanager
from itertools import chain

import pytest

from afx_live.realtime.session.controls import UNDO
from afx_live.realtime.view import keyboard as keys
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from support.fake_session import FakeSession
from support.waiting import until


@contextmanager
def terminal():
    """Make a terminal, and the keyboard of a process that runs in its foreground; gives both ends."""
    master, slave = pty.openpty()
    try:
        with os.fdopen(os.dup(slave), "r") as stdin:
            yield master, stdin
    finally:
        os.close(slave)
        os.close(master)


@pytest.fixture
def foreground(monkeypatch):
    monkeypatch.setattr(keys, "in_foreground", lambda terminal: True)


def test_every_key_does_what_osc_does(foreground, monkeypatch):
    session, stop, said = FakeSession(), threading.Event(), []
    session.write("/afx/amount", 0.98)
    with terminal() as (master, stdin):
        monkeypatch.setattr(sys, "stdin", stdin)
        before = termios.tcgetattr(stdin)
        with keys.Keyboard(session, stop.set, said.append) as keyboard:
            assert keyboard.listening
            assert not termios.tcgetattr(stdin)[3] & (termios.ECHO | termios.ICANON)
            os.write(master, b"\x1b[A")  # an arrow
            until(lambda: not select.select([stdin], [], [], 0)[0])
            for key in b" bmmurf++-?q":
                os.write(master, bytes([key]))
            assert stop.wait(5.0)
        assert termios.tcgetattr(stdin) == before
    assert [*chain(*session.calls)] == [
        "/afx/ab",
        "/afx/ab",
        "/afx/panic",
        "/afx/panic/clear",
        "/afx/undo",
        "/afx/redo",
        "/afx/freeze",
        *["/afx/amount"] * 3,
    ]
    assert session.state.amount == 0.95
    assert said[0] == "A/B: the dry input, equally loud"
    assert said[-4:] == ["amount 1.00", "amount 1.00", "amount 0.95", "ending"]


def test_a_key_that_fails_leaves_the_others(foreground, monkeypatch):
    class Broken(FakeSession):
        def apply(self, values):
            if UNDO in values:
                raise RuntimeError("a fault")
            super().apply(values)

    session, stop = Broken(), threading.Event()
    with terminal() as (master, stdin), Console() as say, ConsoleLogHandler(say):
        monkeypatch.setattr(sys, "stdin", stdin)
        with keys.Keyboard(session, stop.set, say):
            os.write(master, b"ufq")
            assert stop.wait(5.0)
    assert session.calls == [{"/afx/freeze": True}]
    assert "warning: the key 'u' failed: RuntimeError('a fault')" in [text for _, text in say.messages]


FALLS_OVER = """
import sys
from afx_live.realtime.view import keyboard
keyboard.in_foreground = lambda terminal: True
keyboard.Keyboard(None, None, None).__enter__()
print("listening", flush=True)
sys.stderr.close()
{end}
"""


@pytest.mark.parametrize("end", ["raise RuntimeError", "sys.exit(3)"])
def test_the_terminal_is_restored_by_a_program_that_falls_over(end):
    with terminal() as (_, stdin):
        before = termios.tcgetattr(stdin)
        command = [sys.executable, "-c", FALLS_OVER.format(end=end)]
        with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
            assert program.stdout
            assert program.stdout.readline() == b"listening\n"
        assert program.returncode != 0
        assert termios.tcgetattr(stdin) == before


def test_without_a_terminal_there_are_no_keys(monkeypatch):
    with open(os.devnull) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with keys.Keyboard(FakeSession(), lambda: None, print) as keyboard:
            assert not keyboard.listening
    monkeypatch.setattr(sys, "stdin", None)
    with keys.Keyboard(FakeSession(), lambda: None, print) as keyboard:
        assert not keyboard.listening
