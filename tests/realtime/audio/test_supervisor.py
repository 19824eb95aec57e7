"""The stream process: it is replaced when it dies, and does not outlive its parent."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pytest

from afx_live.chain import ChainSettings, EffectSettings
from afx_live.realtime.audio import live_engine, shared_folder, supervisor
from afx_live.realtime.audio.devices import Device, DeviceError
from afx_live.realtime.audio.live_engine import LiveEngine, log_event
from afx_live.realtime.audio.shared_memory import Shared
from afx_live.realtime.audio.stream_process import Config
from afx_live.realtime.audio.supervisor import Supervisor
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from support.chains import full
from support.programs import children
from support.recorder import assert_same
from support.sounds import noise
from support.waiting import until

RATE = 48000


@pytest.mark.jack
@pytest.mark.slow
def test_comes_back_when_the_server_does(jack, tmp_path):
    events = []
    with LiveEngine(full(), env=jack.env, on_event=lambda *event: events.append(event), standby=True) as engine:
        until(lambda: engine.standing_by, 120.0)
        jack.kill()
        until(lambda: not engine.running, 3.0)
        settings = ChainSettings((EffectSettings("equaliser", {"peak_1_db": 9.0}),), output_gain_db=-9.0)
        engine.play(settings)  # while nothing plays
        time.sleep(1.0)
        before = engine.meters()["callbacks"]
        jack.start()
        seconds = until(lambda: engine.meters()["callbacks"] > before, 10.0)
        print(f"back {seconds:.2f} s after the server; {events}")
        assert seconds < 3.0
        until(lambda: engine.running, 1.0)
        time.sleep(0.6)
        assert engine.meters()["applied"] == engine.meters()["sequence"]
        assert_same(jack, tmp_path, engine, settings, noise(0.5))
    assert [kind for kind, _ in events if kind in ("running", "lost", "back")] == ["running", "lost", "back"]


@pytest.mark.jack
@pytest.mark.slow
def test_stream_process_that_dies_is_replaced(jack):
    events = []
    with LiveEngine(ChainSettings(), env=jack.env, on_event=lambda *event: events.append(event)) as engine:
        pid = engine.pid
        os.kill(pid, signal.SIGSTOP)  # hangs, as in a dead server's clean-up
        until(lambda: engine.pid != pid and engine.running, 60.0)
        assert not exists(pid)
    assert [kind for kind, _ in events if kind != "compiling"] == ["running", "lost", "back"]


def exists(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


PARENT = """
import sys, time
from afx_live.chain import ChainSettings
from afx_live.realtime.audio.live_engine import LiveEngine
with LiveEngine(ChainSettings()) as engine:
    print(engine.pid, engine.folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.jack
@pytest.mark.slow
def test_stream_process_does_not_outlive_its_parent(jack):
    command = [sys.executable, "-c", PARENT]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **jack.env}) as parent:
        assert parent.stdout
        pid, folder = parent.stdout.readline().split()
        assert exists(int(pid))
        parent.kill()
    until(lambda: not exists(int(pid)) or _zombie(int(pid)), 3.0)
    until(lambda: not os.path.exists(folder), 1.0)


def _zombie(pid):
    """Whether it has ended and only its new parent, which may not care in a container, has not looked."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


SILENT_END = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@SILENT_END
def test_a_watchdog_that_fails_is_told_and_watches_on(monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "RETRY_S", 0.01)
    nothing = Device(0, "", "", 2, 2, 48000.0, 0.0, 0.0)
    config = Config(str(tmp_path / "shared"), nothing, nothing, (1,), (1,))
    made, rounds, end = Supervisor(Shared.create(None, RATE), config, None, log_event, False), [], threading.Event()

    def watch():
        rounds.append(1)
        if len(rounds) == 1:
            raise OSError(errno.EAGAIN, "no process to be had")
        if len(rounds) == 2:
            raise SystemExit
        end.wait()

    monkeypatch.setattr(made, "_watch_one", watch)
    with Console() as say, ConsoleLogHandler(say):
        made._watcher.start()
        until(lambda: len(rounds) == 2 and not made._watcher.alive)
        assert made.revive()
        until(lambda: len(rounds) == 3)
        assert "the watchdog failed, and goes on: BlockingIOError(11" in say.messages[0][1]
        made._closing.set()
        end.set()
        made.stop()
    assert not made.revive()


@pytest.mark.jack
@pytest.mark.slow
def test_a_stand_by_that_has_died_is_no_loss(jack):
    """Neither while it waits, nor is one left behind at the end."""
    with LiveEngine(ChainSettings(), env=jack.env, standby=True) as engine:
        until(lambda: engine.standing_by, 120.0)
        assert engine._supervisor
        assert engine._supervisor._next
        first, other = engine.pid, engine._supervisor._next.pid
        assert {first, other} <= set(children(os.getpid()))
        os.kill(other, signal.SIGKILL)
        until(lambda: not engine.standing_by, 5.0)
        os.kill(first, signal.SIGKILL)
        until(lambda: engine.pid not in (first, other) and engine.running, 120.0)
        until(lambda: engine.standing_by, 120.0)
        assert engine._supervisor
        assert engine._supervisor._next
        left = {engine.pid, engine._supervisor._next.pid}
    assert not left & set(children(os.getpid()))


def test_no_room_to_share_is_a_device_error_that_says_so(monkeypatch, tmp_path):
    def full(*a):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(live_engine.Shared, "create", full)
    monkeypatch.setattr(shared_folder, "MEMORY", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(DeviceError, match=r"E309 .* no room for 8 MB: No space left on device") as error:
        live_engine.share(48000.0)
    assert error.value.exit_code == 3
    assert not [*tmp_path.glob("afx-live-*")]
