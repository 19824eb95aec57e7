"""The view's own process: it shows, follows a resize, costs little, and restores the terminal."""

import re
import shutil
import signal
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest

from afx_live.realtime.view import terminal as watch
from afx_live.realtime.view.keyboard import HELP
from afx_live.realtime.view.layout import draw
from support.terminals import cpu_s, let_go, start
from support.view import DRIVEN, NARROW, WIDE, Sitting, again, publishing
from support.waiting import until


@pytest.mark.slow
def test_it_shows_follows_a_resize_and_leaves_the_terminal_as_it_was(terminal, child, player):
    until(lambda: "● playing" in terminal.text())
    assert terminal.text().startswith(watch.ENTER)
    until(lambda: any("● reverb" in line for line in terminal.screen()))
    for size in ((120, 30), (20, 5), (1, 1), WIDE, NARROW):
        seen = len(terminal.text())
        terminal.resize(*size)
        until(lambda seen=seen: watch.CLEAR in terminal.text()[seen:] and watch.END in terminal.text()[seen:])
        assert len(terminal.screen(seen)) == size[1]
    until(lambda: any("space A/B" in line for line in terminal.screen()))
    with player.playing():
        seen = len(terminal.text())
        until(lambda: len(terminal.text()) > seen + 1000)  # it moves
    let_go(child)
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))
    assert terminal.text().count(watch.LEAVE) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_leave_the_terminal_as_it_was(terminal, child, number):
    until(lambda: "● playing" in terminal.text())
    child.send_signal(number)
    if number == signal.SIGINT:  # Ctrl-C is for afx-live, which then lets go
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.5)
        let_go(child)
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))


def test_ctrl_z_gives_the_terminal_back_until_it_goes_on(terminal, child):
    until(lambda: "● playing" in terminal.text())
    child.send_signal(signal.SIGTSTP)
    until(lambda: terminal.text().endswith(watch.LEAVE))
    with open(f"/proc/{child.pid}/stat") as file:
        assert file.read().rsplit(")", 1)[1].split()[0] == "T"
    seen = len(terminal.text())
    child.send_signal(signal.SIGCONT)
    until(lambda: watch.ENTER in terminal.text()[seen:] and "● playing" in terminal.text()[seen:])


def test_it_ends_with_the_afx_live_that_it_shows(terminal, player, publisher, tmp_path):
    again(publisher)
    shutil.copytree(player.folder, tmp_path / "copy")
    child = start(terminal, tmp_path / "copy")
    until(lambda: "● playing" in terminal.text())
    shutil.rmtree(tmp_path / "copy")
    assert child.wait(10) == 0
    until(lambda: terminal.text().endswith(watch.LEAVE))


def test_no_color_is_honoured(terminal, player, publisher):
    again(publisher)
    child = start(terminal, player.folder, NO_COLOR="1")
    until(lambda: "space" in terminal.text())
    colours = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3\d|4\d|9\d)(?:;[\d;]*)?m")
    assert not colours.search(terminal.text())
    let_go(child)
    assert child.wait(10) == 0
    other = start(terminal, player.folder)
    until(lambda: colours.search(terminal.text()))
    other.kill()
    other.wait()


DRAW_S = 0.002
"""Processor time of one picture of NARROW, drawn ten times a second, on a quiet machine (Intel Xeon, model 207)."""


@pytest.mark.slow
def test_it_costs_little_of_a_core(terminal, player, shown):
    """2 % over 5 s of guitar with all that moves: levels, a spectrum every two seconds, new settings every second.

    A machine that is busy, or slower, is allowed as much more as a picture then takes to draw here. The least of three
    stretches: what disturbs a measurement only ever adds.
    """
    terminal.resize(*WIDE)
    sitting = Sitting(DRIVEN, (0.1, 0.2, 0.3, 0.4))
    with player.playing(), publishing(player, sitting, (), "127.0.0.1:9123", HELP):
        child = start(terminal, player.folder)
        until(lambda: "● playing" in terminal.text())
        shares = []
        for _ in range(3):
            before, begin, seen, drawing = cpu_s(child.pid), time.monotonic(), len(terminal.data), []
            for n in range(50):
                if n % 10 == 0:
                    sitting.state = replace(sitting.state, amount=round(time.monotonic() % 1.0, 2))
                time.sleep(0.1)
                began = time.thread_time()
                draw(shown[0], shown[1], *NARROW)
                drawing.append(time.thread_time() - began)
            share = (cpu_s(child.pid) - before) / (time.monotonic() - begin)
            slower = max(1.0, float(np.median(drawing)) / DRAW_S)
            print(f"{100 * share:.2f} % of a core, a picture takes {1e3 * np.median(drawing):.2f} ms")
            shares.append(share / slower)
            assert len(terminal.data) > seen + 5 * 2000  # it did draw
            if shares[-1] < 0.02:
                break
        let_go(child)
        assert child.wait(10) == 0
    assert min(shares) < 0.02
