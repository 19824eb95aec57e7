"""Nothing is lost: the autosave, and presets whose writer is killed."""

import os
import random
import subprocess
import sys
import threading
import time

import pytest

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.matching.reference import read_reference
from afx_live.realtime.session import autosave
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from support.waiting import until

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


@pytest.mark.slow
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
from afx_live.files import atomic_write
from afx_live.presets import preset

WRITERS = (atomic_write.__file__, preset.__file__)

def save(gain_db):
    presets.save(presets.Preset("mine", ChainSettings(output_gain_db=gain_db)), force=True)

def killed_at(line):
    left = [line]
    def trace(frame, event, arg):
        if frame.f_code.co_filename not in WRITERS:
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_autosave_is_written_when_something_changes_and_only_then(matching, monkeypatch):
    written = []
    save = presets.save
    monkeypatch.setattr(presets, "save", lambda *a, **k: (written.append(time.monotonic()), save(*a, **k)))
    monkeypatch.setattr(autosave, "EVERY_S", 0.1)
    begin = time.monotonic()
    with autosave.Autosave(lambda: matching.preset(resumable=True)):
        until(lambda: written)
        for n in range(100):
            matching.send({"output/gain_db": n / 10})
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
            matching.send({"output/gain_db": n})
            keeper.save()
        told = [text for _, text in say.messages]
        assert told == [f"warning: nothing can be saved in {home}/presets: Not a directory; it plays all the same"]
        home.unlink()
        keeper.save()  # it has come back
    assert not keeper.failed
    assert autosave.saved()[0].settings.output_gain_db == 2.0


@pytest.mark.slow
def test_an_autosave_resumes_what_was_matched_set_and_frozen(matching, model):
    engine = matching.engine
    assert matching.follower.listen()
    matching.send({"distortion/drive_db": 7.0, "reverb/bypass": True, "amount": 0.6})
    keeper = autosave.Autosave(lambda: matching.preset(resumable=True))
    keeper.save()
    preset, files, by_hand = autosave.saved()
    assert by_hand == ["distortion/drive_db", "reverb/bypass"]
    state = SessionState(preset.settings, preset.amount, references=tuple(read_reference(f, model) for f in files))
    again = Session(engine, model, state.with_by_hand([*by_hand, "no/such"]))
    assert again.state.amount == 0.6
    assert [s.enabled for s in again.state.playing.effects] == [s.enabled for s in matching.state.playing.effects]
    assert again.follower.listen()
    assert again.state.playing.effect("reverb").enabled is False
    assert again.state.settings.effect("distortion").values["drive_db"] == 7.0
    matching.send({"freeze": True})
    keeper.save()
    assert state.with_by_hand(autosave.saved()[2]).frozen
