"""What goes wrong beside the sound: it plays on, says what happened, and goes on."""

import socket

import numpy as np
import pytest

from afx_live.realtime.osc.server import OscServer
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from afx_live.realtime.view.monitor import SessionMonitor
from support.clips import bundled
from support.fake_session import FakeSession
from support.waiting import until

SILENT_END = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def plays(engine):
    """Whether sound comes out of an engine without a device."""
    return np.abs(engine.feed(bundled("guitar", 1.0))).max() > 0.01


# --- helpers that fall over -----------------------------------------------------------------------


@pytest.mark.slow
def test_matching_that_fails_is_told_and_goes_on(matching, model, monkeypatch):
    faults = [RuntimeError("a fault"), MemoryError()]
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda *a: _raise(faults.pop()) if faults else predict(*a))
    with Console() as say, ConsoleLogHandler(say):
        matching.start()
        until(lambda: matching.state.prediction is not None and not matching.state.error)
        told = [text for _, text in say.messages]
    assert told == [
        "warning: matching failed: MemoryError()",
        "warning: matching failed: RuntimeError('a fault')",
        "warning: matching goes on",
    ]
    assert plays(matching.engine)


def _raise(error):
    raise error


@pytest.mark.slow
@SILENT_END
def test_a_helper_that_ends_is_started_again_and_the_sound_plays_on(matching, model, monkeypatch):
    """SystemExit ends a thread without a word, whatever it catches."""
    ends, predict = [1, 1], model.predict
    monkeypatch.setattr(model, "predict", lambda *a: _raise(SystemExit()) if ends and ends.pop() else predict(*a))
    session = Deadly()
    with Console() as say, OscServer(session, port=0) as server:
        monitor = SessionMonitor(
            matching.engine,
            matching,
            say,
            {"the matching": matching.matcher.thread.revive, "OSC": server.thread.revive},
        )
        matching.start()
        for _ in range(2):
            until(lambda: not matching.matcher.thread.alive)
            assert plays(matching.engine)
            monitor.check()
        until(lambda: matching.state.prediction is not None and not matching.state.error)

        send(server, b"/afx/amount\0,f\0\0\0\0\0\0")
        until(lambda: not server.thread.alive)
        monitor.check()
        monitor.check()
        assert ask(server, b"/afx/ping\0\0\0,i\0\0\0\0\0\1")
    told = [text for _, text in say.messages]
    again = "had ended and was restarted; the sound played on"
    assert [t for t in told if again in t] == [f"warning: {name} {again}" for name in (*["the matching"] * 2, "OSC")]


class Deadly(FakeSession):
    """A session whose first call ends the thread that makes it."""

    def apply(self, values):
        raise SystemExit


def send(server, datagram):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(datagram, server.address)


def ask(server, datagram):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(3.0)
        sender.sendto(datagram, server.address)
        return sender.recv(1000)


def test_an_osc_handler_that_raises_is_told_and_the_next_message_heard():
    class Broken(FakeSession):
        got = 0

        def apply(self, values):
            self.got += 1
            raise RuntimeError("a fault")

    session = Broken()
    with Console() as say, ConsoleLogHandler(say), OscServer(session, port=0) as server:
        for _ in range(2):
            send(server, b"/afx/amount\0,f\0\0\0\0\0\0")
            assert ask(server, b"/afx/ping\0\0\0,i\0\0\0\0\0\1")
        assert session.got == 2
        assert [text for _, text in say.messages] == ["warning: OSC: RuntimeError: a fault"]
