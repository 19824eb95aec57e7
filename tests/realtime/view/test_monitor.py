"""Status messages: drop-outs, muted blocks, restarted threads, the match, and freezing after it."""

from types import SimpleNamespace
from typing import Any

import pytest

from afx_live import presets
from afx_live.realtime.audio.health import advice
from afx_live.realtime.view import monitor as monitor_module
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from afx_live.realtime.view.monitor import SessionMonitor

METERS = {
    "input_overflows": 0,
    "output_underflows": 0,
    "late": 0,
    "muted_blocks": 0,
    "load": 0.1,
    "load_max": 0.9,
    "in_dc": [0.0, 0.0],
    "in_lufs": -20.0,
    "out_lufs": -18.0,
    "gain_reduction_db": [0.0, -2.0],
}


def session(**state) -> Any:
    """A session of which nothing is known but its state."""
    known = {
        "chosen": False,
        "in_range": True,
        "prediction": None,
        "explanation": None,
        "playing": presets.load("telephone").settings,
    }
    return SimpleNamespace(state=SimpleNamespace(**known | state))


def watching(session: Any, console, meters=METERS, restartable=None):
    engine: Any = SimpleNamespace(meters=lambda: meters, status={"block_size": 128})
    return SessionMonitor(engine, session, console, restartable or {})


def said(console):
    return [text for _, text in console.messages]


def test_a_check_that_fails_is_logged_and_ends_nothing():
    with Console() as console, ConsoleLogHandler(console):
        watching(SimpleNamespace(), console).check()
        assert said(console)[-1].startswith("warning: a status message failed: AttributeError")


def test_drop_outs_and_muted_blocks_are_told_with_the_next_block_size(monkeypatch):
    monkeypatch.setattr(monitor_module, "QUIET_S", -1.0)
    meters = dict(METERS)
    with Console() as console:
        monitor = watching(session(), console, meters)
        meters |= {"input_overflows": 1, "output_underflows": 2, "late": 3, "muted_blocks": 2}
        monitor.check()
        monitor.check()
        meters["late"] = 5  # two more are not worth another line
        monitor.check()
    drops, muted = said(console)
    assert drops == "6 drop-outs so far (1 in, 2 out, 3 late; load 90 % at most): --blocksize 256 is safer"
    assert muted.startswith("2 blocks muted so far")


def test_a_stutter_that_goes_on_is_told_ever_more_rarely(monkeypatch):
    meters, now = dict(METERS), [0.0]
    monkeypatch.setattr(monitor_module, "monotonic", lambda: now[0])
    with Console() as console:
        monitor = watching(session(), console, meters)
        for second in range(3600):
            now[0] = float(second)
            meters["late"] += 5
            meters["muted_blocks"] += 5
            monitor.check()
        told = [text for text in said(console) if "drop-outs" in text]
        assert 8 <= len(told) <= 16  # in an hour
        assert len(said(console)) <= 32
        now[0] += 7200.0  # well for hours: the next one is told at once, and the one after it soon
        before = len(said(console))
        for _ in range(10):
            meters["late"] += 5
            now[0] += 1.0
            monitor.check()
        assert len(said(console)) - before == 3


def test_direct_current_is_told_once():
    with Console() as console:
        monitor = watching(session(), console, {**METERS, "in_dc": [0.0, -0.2]})
        monitor.check()
        monitor.check()
    (line,) = said(console)
    assert line == "the input has a DC offset of 20% of full scale; it is removed"


def test_a_chain_is_told_once_and_when_it_has_settled():
    with Console() as console:
        monitor = watching(session(chosen=True), console)
        monitor.check()
        assert not said(console)
        for _ in range(3):
            monitor.check()
    (line,) = said(console)
    assert line.startswith("Chain      equaliser")


def test_a_thread_that_has_ended_is_restarted_and_told():
    ended = [True, False]
    with Console() as console:
        monitor = watching(session(), console, restartable={"OSC": lambda: ended.pop(0)})
        monitor.check()
        monitor.check()
    assert said(console) == ["warning: OSC had ended and was restarted; the sound played on"]


@pytest.mark.parametrize(("size", "words"), [(96, "128"), (128, "256"), (1024, "2048"), (2048, "doctor")])
def test_the_advice_is_the_next_larger_block(size, words):
    assert words in advice({"block_size": size})
