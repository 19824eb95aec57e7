"""The view beside a running program: whatever happens to it, the sound and the messages go on."""

import os
import re
import signal
import time

import pytest

from afx_live.realtime.view import child as view
from afx_live.realtime.view import status_reader
from afx_live.realtime.view import terminal as watch
from support.terminals import speaking
from support.view import DRIVEN, Sitting, again, publishing
from support.waiting import until


def test_messages_go_to_the_view_and_are_said_again_after_it(terminal, monkeypatch, player):
    with speaking(terminal, monkeypatch) as voice:
        voice("before")
        until(lambda: "before" in terminal.text())
        with publishing(player, Sitting(DRIVEN), voice.messages), view.View(player.folder, voice):
            voice("said meanwhile")
            voice.status("a status line")
            until(lambda: any("said meanwhile" in line for line in terminal.screen()))
            voice.status("a status line")
        shown = terminal.text().partition(watch.ENTER)[2]
        assert "\x1b[K" not in shown.partition(watch.LEAVE)[0]  # as lines of the voice have, and the view has not
        assert "a status line" not in shown
        voice("after")
        until(lambda: "after" in terminal.text())
    plain = terminal.text().rpartition(watch.LEAVE)[2]
    assert [re.sub(r"\r|\x1b\[K", "", line) for line in plain.split("\n")[:2]] == ["said meanwhile", "after"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["killed", "crashed"])
def test_a_view_that_dies_leaves_the_sound_and_plain_lines(terminal, monkeypatch, player, publisher, way):
    again(publisher)
    with (
        player.playing(),
        speaking(terminal, monkeypatch) as voice,
        view.View(player.folder, voice) as shown,
    ):
        until(lambda: "● playing" in terminal.text())
        voice("only in the view")
        if way == "killed":
            assert shown.pid
            os.kill(shown.pid, signal.SIGKILL)
        else:
            (player.folder / "fresh").write_text("{")
            (player.folder / "fresh").replace(player.folder / status_reader.FILE)
        until(lambda: "the sound goes on" in terminal.text())
        why = "code -9" if way == "killed" else "code 1: json.decoder.JSONDecodeError"
        after = terminal.text().rpartition(watch.LEAVE)[2]
        assert f"warning: the status view ended ({why}" in after
        assert "only in the view" in after
        voice.status("a status line")
        until(lambda: terminal.text().endswith("a status line"))
        before = player.meters()
        until(lambda: player.meters()["callbacks"] > before["callbacks"] + 10)
        assert player.meters()["clock"] > before["clock"]


@pytest.mark.slow
def test_a_view_that_hangs_is_ended_in_time(terminal, monkeypatch, player, publisher):
    again(publisher)
    with speaking(terminal, monkeypatch) as voice:
        with view.View(player.folder, voice) as shown:
            until(lambda: "● playing" in terminal.text())
            assert shown.pid
            os.kill(shown.pid, signal.SIGSTOP)
            begin = time.monotonic()
        assert time.monotonic() - begin < view.END_S + 1.0
        until(lambda: terminal.text().endswith(watch.LEAVE))
        assert not os.path.exists(f"/proc/{shown.pid}")
