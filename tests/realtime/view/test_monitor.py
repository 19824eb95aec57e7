"""Status messages: drop-outs, muted blocks, restarted threads."""

import pytest

from afx_live.realtime.audio.health import advice
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from afx_live.realtime.view.monitor import SessionMonitor


def test_telling_that_fails_ends_nothing(matching, monkeypatch):
    with Console() as say, ConsoleLogHandler(say):
        monitor = SessionMonitor(matching.engine, matching, say, {})
        monkeypatch.setattr(type(matching), "state", property(lambda self: 1 / 0))
        monitor.check()
        assert say.messages[-1][1].startswith("warning: a status message failed: ZeroDivisionError")


def test_drop_outs_and_muted_blocks_are_told_with_the_next_block_size(matching, monkeypatch):
    meters = dict(matching.engine.meters())
    monkeypatch.setattr(matching.engine, "meters", lambda: meters)
    matching.engine.status = {"block_size": 128}
    with Console() as say:
        monitor = SessionMonitor(matching.engine, matching, say, {})
        monitor._began -= 10.0
        meters |= {"input_overflows": 1, "output_underflows": 2, "late": 3, "load_max": 0.9, "muted_blocks": 2}
        monitor.check()
        monitor.check()
        meters["late"] = 5  # two more are not worth another line
        monitor.check()
    drops, muted = [text for _, text in say.messages]
    assert drops == "6 drop-outs so far (1 in, 2 out, 3 late; load 90 % at most): --blocksize 256 is safer"
    assert muted.startswith("2 blocks muted so far")


@pytest.mark.parametrize(("size", "words"), [(96, "128"), (128, "256"), (1024, "2048"), (2048, "doctor")])
def test_the_advice_is_the_next_larger_block(size, words):
    assert words in advice({"block_size": size})
