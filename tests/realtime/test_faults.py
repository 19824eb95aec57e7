"""What goes wrong around the sound: it plays on, says what happened, and nothing is lost."""

import os
import random
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.matching.model import MatchModel
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.audio.render import reference
from afx_live.realtime.osc.server import OscServer
from afx_live.realtime.session import autosave, session
from afx_live.realtime.session.session import Session
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from afx_live.realtime.view.monitor import SessionMonitor
from support.in_process import InProcess, clip, until


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def model():
    return MatchModel(SHIPPED_MODEL)


@pytest.fixture
def matching(model, monkeypatch):
    """A session that looks twenty times a second, and hears a guitar."""
    monkeypatch.setattr(session, "LOOK_S", 0.05)
    engine: Any = InProcess()
    made = Session(
        engine, model, ChainSettings.default(model.chain.order), [reference(presets.clip("guitar_reference"), model)]
    )
    engine.feed(clip("guitar"))
    yield made
    made.close()


SILENT_END = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def plays(engine):
    """Whether sound comes out of an engine without a device."""
    return np.abs(engine.feed(clip("guitar", 1.0))).max() > 0.01


# --- helpers that fall over -----------------------------------------------------------------------


def test_matching_that_fails_is_told_and_goes_on(matching, model, monkeypatch):
    faults = [RuntimeError("a fault"), MemoryError()]
    predict = model.predict
    monkeypatch.setattr(model, "predict", lambda *a: _raise(faults.pop()) if faults else predict(*a))
    with Console() as say, ConsoleLogHandler(say):
        matching.start()
        until(lambda: matching.prediction is not None)
        told = [text for _, text in say.messages]
    assert told == [
        "warning: matching failed: MemoryError()",
        "warning: matching failed: RuntimeError('a fault')",
        "warning: matching goes on",
    ]
    assert plays(matching._engine)


def _raise(error):
    raise error


@SILENT_END
def test_a_helper_that_ends_is_started_again_and_the_sound_plays_on(matching, model, monkeypatch):
    """SystemExit ends a thread without a word, whatever it catches."""
    ends, predict = [1, 1], model.predict
    monkeypatch.setattr(model, "predict", lambda *a: _raise(SystemExit()) if ends and ends.pop() else predict(*a))
    controls = Deadly()
    with Console() as say, OscServer(controls, port=0) as server:
        monitor = SessionMonitor(
            matching._engine, matching, say, {"the matching": matching.revive, "OSC": server.revive}
        )
        matching.start()
        for _ in range(2):
            until(lambda: not matching._worker.alive)
            assert plays(matching._engine)
            monitor.check()
        until(lambda: matching.prediction is not None)

        send(server, b"/afx/amount\0,f\0\0\0\0\0\0")
        until(lambda: not server._worker.alive)
        monitor.check()
        monitor.check()
        assert ask(server, b"/afx/ping\0\0\0,i\0\0\0\0\0\1")
    told = [text for _, text in say.messages]
    again = "had ended and was restarted; the sound played on"
    assert [t for t in told if again in t] == [f"warning: {name} {again}" for name in (*["the matching"] * 2, "OSC")]


class Deadly:
    """Controls whose first call ends the thread that makes it."""

    def apply(self, values):
        raise SystemExit

    def value(self, path):
        return 0.0

    def meters(self):
        return {}

    def command(self, path, text):
        pass


def send(server, datagram):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(datagram, server.address)


def ask(server, datagram):
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(3.0)
        sender.sendto(datagram, server.address)
        return sender.recv(1000)


def test_an_osc_handler_that_raises_is_told_and_the_next_message_heard():
    class Broken(Deadly):
        got = 0

        def apply(self, values):
            self.got += 1
            raise RuntimeError("a fault")

    controls = Broken()
    with Console() as say, ConsoleLogHandler(say), OscServer(controls, port=0) as server:
        for _ in range(2):
            send(server, b"/afx/amount\0,f\0\0\0\0\0\0")
            assert ask(server, b"/afx/ping\0\0\0,i\0\0\0\0\0\1")
        assert controls.got == 2
        assert [text for _, text in say.messages] == ["warning: OSC: RuntimeError: a fault"]


# --- what is told ---------------------------------------------------------------------------------


# --- keys -----------------------------------------------------------------------------------------


# --- nothing is lost ------------------------------------------------------------------------------

SAVER = """
import itertools, sys
from afx_live import presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.realtime.session.autosave import Autosave
made = []
save = Autosave(lambda: made[-1])
for n in itertools.count():
    chain = ChainSettings((EffectSettings("equaliser"), EffectSettings("reverb")), output_gain_db=n % 97 / 2)
    made.append(presets.Preset("mine", chain))
    save.save()
    presets.save(made.pop(), force=True)
    if n == 0:
        print("saving", flush=True)
"""


def test_kills_at_any_moment_leave_every_file_readable(home):
    dice, left = random.Random(3), 0
    env = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    for _ in range(6):
        with subprocess.Popen([sys.executable, "-c", SAVER], stdout=subprocess.PIPE, env=env) as saver:
            assert saver.stdout
            assert saver.stdout.readline() == b"saving\n"
            time.sleep(dice.uniform(0.0, 0.05))
            saver.kill()
        left = len([*(home / "presets").glob(".*.tmp")])
        assert presets.load("mine").settings.effects[1].effect == "reverb"
        assert autosave.saved()[0].name == "mine"
    print(f"{left} half-written files were left beside the whole ones")


STEP_BY_STEP = """
import os, signal, sys
from afx_live import presets
from afx_live.chain import ChainSettings

WRITERS = ("save", "_write", "_put", "_linked")

def save(gain_db):
    presets.save(presets.Preset("mine", ChainSettings(output_gain_db=gain_db)), force=True)

def killed_at(line):
    left = [line]
    def trace(frame, event, arg):
        if frame.f_code.co_filename != presets.__file__ or frame.f_code.co_name not in WRITERS:
            return None
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace
    return trace

save(0.0)
line, status, found = 0, 1, 0.0
while status:
    line += 1
    child = os.fork()
    if child == 0:
        sys.settrace(killed_at(line))
        save(line % 40 + 1.0)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    before, found = found, presets.load("mine").settings.output_gain_db
    assert found in (before, line % 40 + 1.0), (line, found)
    for left in presets.folder().glob(".*.tmp"):
        left.unlink()
assert found == line % 40 + 1.0
print(line)
"""


def test_a_kill_at_every_line_of_saving_leaves_the_old_file_or_the_new(home):
    done = subprocess.run([sys.executable, "-c", STEP_BY_STEP], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20  # steps there were


def test_what_killed_writers_left_is_cleared_away(home):
    path = presets.save(presets.Preset("mine", ChainSettings()))
    old, new = (path.with_name(f".mine.json.1.{n}.tmp") for n in ("a", "b"))
    for left, age in ((old, 3600.0), (new, 0.0)):
        left.write_text("{")
        os.utime(left, (time.time(), time.time() - age))
    presets.save(presets.Preset("mine", ChainSettings()), force=True)
    assert not old.exists()
    assert new.exists()  # its writer may be at it still


def test_the_autosave_is_written_when_something_changes_and_only_then(matching, monkeypatch):
    written = []
    save = presets.save
    monkeypatch.setattr(presets, "save", lambda *a, **k: (written.append(time.monotonic()), save(*a, **k)))
    monkeypatch.setattr(autosave, "EVERY_S", 0.1)
    begin = time.monotonic()
    with autosave.Autosave(lambda: matching.preset(matching.name, resumable=True)):
        until(lambda: written)
        for n in range(100):
            matching.apply({"/afx/output/gain_db": n / 10})
            time.sleep(0.005)
        until(lambda: autosave.saved()[0].settings.output_gain_db == pytest.approx(9.9))
        count, waited = len(written), threading.Event()
        waited.wait(0.5)
        assert len(written) == count
    assert len(written) <= 1 + (time.monotonic() - begin) / 0.1
    preset, files, by_hand = autosave.saved()
    assert (preset.name, files) == ("autosave", [presets.clip("guitar_reference")])
    assert by_hand == ["output/gain_db"]


def test_an_autosave_that_cannot_be_written_is_told_once(matching, home):
    home.write_text("a file where a folder should be")
    with Console() as say, ConsoleLogHandler(say):
        keeper = autosave.Autosave(lambda: matching.preset("autosave"))
        for n in range(3):
            matching.apply({"/afx/output/gain_db": float(n)})
            keeper.save()
        told = [text for _, text in say.messages]
        assert told == [f"warning: nothing can be saved in {home}/presets: Not a directory; it plays all the same"]
        home.unlink()
        keeper.save()  # it has come back
    assert not keeper.failed
    assert autosave.saved()[0].settings.output_gain_db == 2.0


def test_an_autosave_resumes_what_was_matched_set_and_frozen(matching, model):
    engine = matching._engine
    assert matching.look()
    matching.apply({"/afx/distortion/drive_db": 7.0, "/afx/reverb/bypass": 1.0, "/afx/amount": 0.6})
    keeper = autosave.Autosave(lambda: matching.preset(matching.name, resumable=True))
    keeper.save()
    preset, files, by_hand = autosave.saved()
    assert by_hand == ["distortion/drive_db", "reverb/bypass"]
    again = Session(
        engine,
        model,
        preset.settings,
        [reference(f, model) for f in files],
        preset.amount,
        by_hand=[*by_hand, "no/such"],
    )
    assert again.value("/afx/amount") == 0.6
    assert [s.enabled for s in again.playing.effects] == [s.enabled for s in matching.playing.effects]
    assert again.look()
    assert again.playing.effect("reverb").enabled is False
    assert again._base.effect("distortion").values["drive_db"] == 7.0
    matching.apply({"/afx/freeze": 1.0})
    keeper.save()
    assert Session(engine, model, preset.settings, by_hand=autosave.saved()[2]).value("/afx/freeze") is True


# --- on a JACK server -----------------------------------------------------------------------------


# --- disks ----------------------------------------------------------------------------------------
