"""`afx-live watch`, and the view of a whole `afx-live run`."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from afx_live.realtime.cli import run
from afx_live.realtime.cli.printer import Printer
from afx_live.realtime.view import status_reader
from afx_live.realtime.view import terminal as watch
from afx_live.realtime.view.status_reader import Ended, StatusReader
from support.programs import children
from support.terminals import speaking
from support.view import again
from support.waiting import until


def test_it_is_off_where_it_is_not_wanted(terminal, monkeypatch, tmp_path):
    with speaking(terminal, monkeypatch):
        assert run.shows_view(Printer())
        for printer in (Printer(quiet=True), Printer(as_json=True)):
            assert not run.shows_view(printer)
        assert not run.shows_view(Printer(), no_screen=True)
        monkeypatch.setenv("NO_COLOR", "1")
        assert run.shows_view(Printer())
        monkeypatch.setenv("TERM", "dumb")
        assert not run.shows_view(Printer())
        monkeypatch.setenv("TERM", "xterm")
        assert run.shows_view(Printer())
        monkeypatch.delenv("TERM")
        assert not run.shows_view(Printer())
        monkeypatch.setenv("TERM", "xterm")
        with os.fdopen(os.dup(terminal.slave), "w", encoding="ascii") as file:
            monkeypatch.setattr(sys, "stderr", file)
            assert not run.shows_view(Printer())
        with open(tmp_path / "file", "w", encoding="utf-8") as file:
            monkeypatch.setattr(sys, "stderr", file)
            assert not run.shows_view(Printer())


WATCH = """
import sys
from afx_live.realtime.audio import shared_folder
from afx_live.realtime.cli import main
shared_folder.MEMORY = sys.argv.pop(1)
try:
    main.main()
finally:
    assert not {"numba", "numpy", "onnxruntime", "torch", "afx_live.effects"} & set(sys.modules)
"""


def attached(folder, *words, **more):
    env = {**os.environ, "TMPDIR": str(folder), "TERM": "xterm-256color"}
    return subprocess.Popen([sys.executable, "-c", WATCH, str(folder), "watch", *words], env=env, text=True, **more)


def piped(folder, *words):
    child = attached(folder, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, errors = child.communicate(timeout=20)
    return child.returncode, out, errors


@pytest.mark.slow
def test_watch_finds_what_runs(player, publisher, tmp_path):
    again(publisher)
    code, out, errors = piped(tmp_path)
    assert (code, out) == (2, "")
    assert "no afx-live running here" in errors
    shutil.copytree(player.folder, tmp_path / "afx-live-copy")
    code, out, errors = piped(tmp_path)
    assert (code, errors) == (0, "")
    assert "● playing" in out
    assert "\x1b" not in out
    code, out, errors = piped(tmp_path, "--json")
    assert (code, errors) == (0, "")
    found = json.loads(out)
    assert found["state"]["format"] == "afx-live-state"
    assert found["meters"]["callbacks"] == player.meters()["callbacks"]


def test_watch_on_a_terminal_ends_with_ctrl_c(terminal, player, publisher, tmp_path):
    again(publisher)
    shutil.copytree(player.folder, tmp_path / "afx-live-copy")
    child = attached(tmp_path, stdout=terminal.slave, stdin=terminal.slave, stderr=subprocess.PIPE)
    until(lambda: "Ctrl-C" in terminal.text())
    child.send_signal(signal.SIGINT)
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))
    assert child.stderr
    assert child.stderr.read() == ""


WHOLE = """
from afx_live.realtime.cli import main, playing
from support.view import StandIn
playing.LiveEngine = StandIn
main.main()
"""


@pytest.mark.slow
def test_a_whole_afx_live_shows_itself_obeys_keys_and_outlives_its_view(terminal, tmp_path):
    env = {**os.environ, "AFX_LIVE_HOME": str(tmp_path), "TERM": "xterm-256color"}
    words = [sys.executable, "-c", WHOLE, "--preset", "driven-guitar", "--osc", "off"]
    before = termios.tcgetattr(terminal.slave)
    program = subprocess.Popen(
        words,
        env=env,
        stdin=terminal.slave,
        stdout=subprocess.PIPE,
        stderr=terminal.slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    try:
        until(lambda: any("● playing" in line for line in terminal.screen()), 90)
        until(lambda: any("space A/B" in line for line in terminal.screen()))
        os.write(terminal.master, b"b")
        until(lambda: "DRY" in terminal.screen()[0])
        os.write(terminal.master, b"-")
        until(lambda: "amount 95%" in terminal.screen()[0])
        source = next(s for s in map(StatusReader, status_reader.running()) if s.state()["pid"] == program.pid)
        assert source.state()["preset"] == "driven-guitar"
        assert source.state()["amount"] == 0.95
        for pid in children(program.pid):
            if b"realtime.view.terminal" in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)
        until(lambda: "the sound goes on" in terminal.text())
        callbacks = source.meters()["callbacks"]
        until(lambda: source.meters()["callbacks"] > callbacks + 100)
        os.write(terminal.master, b"q")
        assert program.wait(20) == 0
        until(lambda: "saved preset last" in terminal.text().rpartition(watch.LEAVE)[2])
        assert termios.tcgetattr(terminal.slave) == before
        with pytest.raises(Ended):
            source.state()
    finally:
        if program.poll() is None:
            program.kill()
            program.wait()
