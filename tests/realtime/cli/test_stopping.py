"""Being asked to stop."""

import os
import signal
import threading
import time

import pytest

from afx_live.realtime.cli.stopping import Stop, stop_signals


@pytest.mark.timeout(20)
def test_a_signal_is_taken_at_any_moment():
    """A handler runs between any two instructions of the thread that waits, also while that holds a lock."""
    stop = Stop()
    before = signal.signal(signal.SIGALRM, lambda *_: stop.set())
    signal.setitimer(signal.ITIMER_REAL, 2e-5, 2e-5)
    try:
        end = time.monotonic() + 0.5
        while time.monotonic() < end:
            stop = Stop()
            stop.wait(1e-5)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_once_asked_it_stays_asked(number):
    before = signal.getsignal(number)
    with stop_signals() as stop:
        assert not stop.wait(0.0)
        threading.Timer(0.05, os.kill, (os.getpid(), number)).start()
        assert stop.wait(10.0)
        assert stop.wait(0.0)
    assert signal.getsignal(number) == before
