"""What goes wrong around the sound: it plays on, says what happened, and nothing is lost."""

import errno
import os
import pty
import random
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.matching.model import MatchModel
from afx_live.realtime.audio import live_engine
from afx_live.realtime.audio.devices import DeviceError
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.audio.live_engine import LiveEngine
from afx_live.realtime.audio.render import reference
from afx_live.realtime.cli.commands import SHIPPED
from afx_live.realtime.osc.server import OscServer
from afx_live.realtime.session import autosave, session
from afx_live.realtime.session.session import Session
from afx_live.realtime.view import keyboard as keys
from afx_live.realtime.view.console import Console, ConsoleLogHandler
from afx_live.realtime.view.monitor import SessionMonitor, advice
from support.in_process import RATE, InProcess, clip, until
from support.programs import Looper, Program, children

PROGRAM = [sys.executable, "-m", "afx_live.realtime.cli.main"]
GUITAR = str(presets.clip("guitar"))
SILENT_END = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="module")
def model():
    return MatchModel(SHIPPED)


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
        lookout = SessionMonitor(
            matching._engine, matching, say, {"the matching": matching.revive, "OSC": server.revive}
        )
        matching.start()
        for _ in range(2):
            until(lambda: not matching._worker.alive)
            assert plays(matching._engine)
            lookout.look()
        until(lambda: matching.prediction is not None)

        send(server, b"/afx/amount\0,f\0\0\0\0\0\0")
        until(lambda: not server._worker.alive)
        lookout.look()
        lookout.look()
        assert ask(server, b"/afx/ping\0\0\0,i\0\0\0\0\0\1")
    told = [text for _, text in say.messages]
    again = "had ended and was started again; the sound played on"
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


@SILENT_END
def test_a_watchdog_that_fails_is_told_and_watches_on(monkeypatch):
    monkeypatch.setattr(live_engine, "RETRY_S", 0.01)
    engine, rounds = LiveEngine(ChainSettings()), []

    def watch():
        rounds.append(1)
        if len(rounds) == 1:
            raise OSError(errno.EAGAIN, "no process to be had")
        if len(rounds) == 2:
            raise SystemExit
        engine._closing.wait()

    monkeypatch.setattr(engine, "_watch_one", watch)
    with Console() as say, ConsoleLogHandler(say):
        engine._watcher.start()
        until(lambda: len(rounds) == 2 and not engine._watcher.alive)
        assert engine.revive()
        until(lambda: len(rounds) == 3)
        assert "the watchdog failed, and goes on: BlockingIOError(11" in say.messages[0][1]
        engine.close()
    assert not engine.revive()


def test_telling_that_fails_ends_nothing(matching, monkeypatch):
    with Console() as say, ConsoleLogHandler(say):
        lookout = SessionMonitor(matching._engine, matching, say, {})
        monkeypatch.setattr(type(matching), "chosen", property(lambda self: 1 / 0))
        lookout.look()
        assert say.messages[-1][1].startswith("warning: telling how it goes failed: ZeroDivisionError")


# --- what is told ---------------------------------------------------------------------------------


def test_drop_outs_and_muted_blocks_are_told_with_the_next_block_size(matching, monkeypatch):
    meters = dict(matching._engine.meters())
    monkeypatch.setattr(matching._engine, "meters", lambda: meters)
    matching._engine.status = {"block_size": 128}
    with Console() as say:
        lookout = SessionMonitor(matching._engine, matching, say, {})
        lookout._began -= 10.0
        meters |= {"input_overflows": 1, "output_underflows": 2, "late": 3, "load_max": 0.9, "muted_blocks": 2}
        lookout.look()
        lookout.look()
        meters["late"] = 5  # two more are not worth another line
        lookout.look()
    drops, muted = [text for _, text in say.messages]
    assert drops == "6 drop-outs so far (1 in, 2 out, 3 late; load 90 % at most): --blocksize 256 is safer"
    assert muted.startswith("2 blocks muted so far")


@pytest.mark.parametrize(("size", "words"), [(96, "128"), (128, "256"), (1024, "2048"), (2048, "doctor")])
def test_the_advice_is_the_next_larger_block(size, words):
    assert words in advice({"block_size": size})


def test_a_terminal_that_takes_no_more_keeps_nobody_waiting(monkeypatch):
    """As after Ctrl-S: a full pipe that nobody reads."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        begin = time.monotonic()
        with Console() as say:
            for n in range(3000):
                say(f"{n} " + 100 * "x")
            assert time.monotonic() - begin < 1.0
        assert time.monotonic() - begin < 3.0
        assert say.messages[-1][1].startswith("2999 ")
        os.close(read)  # gone altogether: the next write raises, and that is all
        until(lambda: not say._worker.alive)


# --- keys -----------------------------------------------------------------------------------------


class Knobs:
    """Controls that keep what is set."""

    def __init__(self):
        self.calls, self.state = [], {"/afx/amount": 0.98}

    def apply(self, values):
        self.calls += values
        for path, value in values.items():
            if path == "/afx/ab":
                self.state["/afx/bypass"] = 1.0 - self.state.get("/afx/bypass", 0.0)
            self.state[{"/afx/panic/clear": "/afx/panic"}.get(path, path)] = 0.0 if "clear" in path else value

    def value(self, path):
        return self.state.get(path, 0.0)


@contextmanager
def terminal():
    """Make a terminal, and the keyboard of a process that runs in its foreground; gives both ends."""
    master, slave = pty.openpty()
    try:
        with os.fdopen(os.dup(slave), "r") as stdin:
            yield master, stdin
    finally:
        os.close(slave)
        os.close(master)


@pytest.fixture
def foreground(monkeypatch):
    monkeypatch.setattr(keys, "_ours", lambda terminal: True)


def test_every_key_does_what_osc_does(foreground, monkeypatch):
    controls, stop, said = Knobs(), threading.Event(), []
    with terminal() as (master, stdin):
        monkeypatch.setattr(sys, "stdin", stdin)
        before = termios.tcgetattr(stdin)
        with keys.Keyboard(controls, stop.set, said.append) as keyboard:
            assert keyboard.listening
            assert not termios.tcgetattr(stdin)[3] & (termios.ECHO | termios.ICANON)
            os.write(master, b"\x1b[A")  # an arrow
            until(lambda: not select.select([stdin], [], [], 0)[0])
            for key in b" bmmurf++-?q":
                os.write(master, bytes([key]))
            assert stop.wait(5.0)
        assert termios.tcgetattr(stdin) == before
    assert controls.calls == [
        "/afx/ab",
        "/afx/ab",
        "/afx/panic",
        "/afx/panic/clear",
        "/afx/undo",
        "/afx/redo",
        "/afx/freeze",
        *["/afx/amount"] * 3,
    ]
    assert controls.value("/afx/amount") == 0.95
    assert said[0] == "A/B: the input, as loud as the sound"
    assert said[-4:] == ["amount 1.00", "amount 1.00", "amount 0.95", "ending"]


def test_a_key_that_fails_leaves_the_others(foreground, monkeypatch):
    class Broken(Knobs):
        def apply(self, values):
            if "/afx/undo" in values:
                raise RuntimeError("a fault")
            super().apply(values)

    controls, stop = Broken(), threading.Event()
    with terminal() as (master, stdin), Console() as say, ConsoleLogHandler(say):
        monkeypatch.setattr(sys, "stdin", stdin)
        with keys.Keyboard(controls, stop.set, say):
            os.write(master, b"ufq")
            assert stop.wait(5.0)
    assert controls.calls == ["/afx/freeze"]
    assert "warning: the key 'u' failed: RuntimeError('a fault')" in [text for _, text in say.messages]


FALLS_OVER = """
import sys
from afx_live.realtime import keys
keys._ours = lambda terminal: True
keys.Keys(None, None, None).__enter__()
print("listening", flush=True)
sys.stderr.close()
{end}
"""


@pytest.mark.parametrize("end", ["raise RuntimeError", "sys.exit(3)"])
def test_the_terminal_is_restored_by_a_program_that_falls_over(end):
    with terminal() as (_, stdin):
        before = termios.tcgetattr(stdin)
        command = [sys.executable, "-c", FALLS_OVER.format(end=end)]
        with subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
            assert program.stdout
            assert program.stdout.readline() == b"listening\n"
        assert program.returncode != 0
        assert termios.tcgetattr(stdin) == before


def test_without_a_terminal_there_are_no_keys(monkeypatch):
    with open(os.devnull) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        with keys.Keyboard(Knobs(), lambda: None, print) as keyboard:
            assert not keyboard.listening
    monkeypatch.setattr(sys, "stdin", None)
    with keys.Keyboard(Knobs(), lambda: None, print) as keyboard:
        assert not keyboard.listening


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


@contextmanager
def live(jack, home, *words):
    program = Program(jack, home, *words)
    try:
        program.until("OSC        udp", 180)
        yield program
    finally:
        if program.process.poll() is None:
            program.process.kill()
            program.process.wait()


@contextmanager
def looping(jack, folder, x):
    looper = Looper(jack, folder, x)
    try:
        looper.connect()
        yield looper
    finally:
        looper.process.kill()
        looper.process.wait()


def flat(home):
    """Save a preset that leaves the input as it is; gives its name."""
    (home / "presets").mkdir(parents=True, exist_ok=True)
    presets.save(presets.Preset("flat", ChainSettings((EffectSettings("equaliser", enabled=False),))), force=True)
    return "flat"


def ending(looper, end):
    """Hear how the sound ends: (its last sample, the largest second difference of the end against that before it)."""
    heard = []
    listener = threading.Thread(target=lambda: heard.append(looper.heard(2.5)[:, 0].astype(np.float64)))
    listener.start()
    time.sleep(0.5)
    end()
    listener.join()
    y = heard[0]
    last = int(np.flatnonzero(y)[-1])
    assert last < len(y) - RATE // 10, "it has not ended"
    rough = np.abs(np.diff(np.append(y, 0.0), 2))
    return abs(y[last]), rough[last - RATE // 5 :].max() / rough[RATE // 10 : RATE // 4].max()


TONE = 0.25 * np.sin(2 * np.pi * 200 * np.arange(480) / RATE)  # two whole periods


@pytest.mark.jack
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_every_way_to_end_is_a_fade(jack, tmp_path, home, number):
    """The other programs of this machine tear holes into the sound, too; a take with such a hole is done again."""
    for _take in range(4):
        with live(jack, home, "--preset", flat(home)) as program, looping(jack, tmp_path, TONE) as looper:
            program.until("Chain", 10)
            time.sleep(0.7)  # the fade-in
            last, click = ending(looper, lambda: program.process.send_signal(number))
            assert program.process.wait(15) == 0
        if last < 0.01 and click < 30.0:
            break
    print(f"{signal.Signals(number).name}: ends at {last:.5f}, roughness × {click:.1f}")
    assert last < 0.01
    assert click < 30.0


@pytest.mark.jack
def test_an_end_without_a_fade_would_be_noticed(jack, tmp_path, home):
    """The test above, of a stream process that is killed."""
    with live(jack, home, "--preset", flat(home)) as program, looping(jack, tmp_path, TONE) as looper:
        time.sleep(0.7)
        stream = next(p for p in children(program.process.pid) if "realtime.stream" in _words(p))
        os.kill(program.process.pid, signal.SIGSTOP)  # nobody is to bring it back
        last, click = ending(looper, lambda: os.kill(stream, signal.SIGKILL))
    assert last > 0.01 or click > 30.0


def _words(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


@pytest.mark.jack
def test_a_server_that_comes_and_goes_is_found_again_and_nothing_is_lost(jack, model):
    """Twice it is away for a while, once it is back at once: the next stream process stands by."""
    events = []
    with LiveEngine(
        ChainSettings(), env=jack.env, on_event=lambda *event: events.append(event), standby=True
    ) as engine:
        matched = Session(
            engine,
            model,
            ChainSettings.default(model.chain.order),
            [reference(presets.clip("guitar_reference"), model)],
        )
        matched.apply({"/afx/distortion/drive_db": 7.0, "/afx/distortion/bypass": 0.0, "/afx/amount": 0.5})
        asked, took = matched.playing, []
        for away in (True, True, False):
            until(lambda: engine.standing_by, 120.0)
            jack.kill()
            until(lambda: not engine.running, 5.0)
            events.clear()
            until(lambda away=away: not away or any(kind == "waiting" for kind, _ in events), 60.0)
            jack.start()
            begin = time.monotonic()
            until(lambda: engine.running and engine.meters()["applied"] == engine.meters()["sequence"], 20.0)
            took.append(time.monotonic() - begin)
            assert matched.playing == asked
            assert matched.value("/afx/reference") == "guitar_reference.flac"
        print("back after", *(f"{s:.2f}" for s in took), "s")
        assert max(took) < 3.0
        matched.close()


@pytest.mark.jack
def test_a_stand_by_that_has_died_is_no_loss(jack):
    """Neither while it waits, nor is one left behind at the end."""
    with LiveEngine(ChainSettings(), env=jack.env, standby=True) as engine:
        until(lambda: engine.standing_by, 120.0)
        assert engine._next
        first, other = engine.pid, engine._next.pid
        assert {first, other} <= set(children(os.getpid()))
        os.kill(other, signal.SIGKILL)
        until(lambda: not engine.standing_by, 5.0)
        os.kill(first, signal.SIGKILL)
        until(lambda: engine.pid not in (first, other) and engine.running, 120.0)
        until(lambda: engine.standing_by, 120.0)
        assert engine._next
        left = {engine.pid, engine._next.pid}
    assert not left & set(children(os.getpid()))


def test_what_starts_again_fades_in_with_the_same_settings():
    """A new stream process maps the block that the old one used."""
    from afx_live.realtime.audio.callback import callback
    from afx_live.realtime.audio.engine import FADE_IN_S, memory

    old = Engine(ChainSettings(output_gain_db=-6.0), RATE, fade_in=True)
    tone = np.full((RATE, 2), 0.5, np.float32)
    old.process(tone)
    new = callback(memory(old.shared, RATE), RATE, 2, 2)
    y = np.zeros_like(tone)
    new.call(tone, y)
    rise = int(FADE_IN_S * RATE)
    assert np.abs(y[: rise // 100]).max() < 0.01
    assert np.all(np.diff(y[100:rise, 0]) >= 0.0)
    assert y[-1, 0] == pytest.approx(0.5 * 10 ** (-6 / 20), rel=1e-4)


@pytest.mark.jack
def test_after_a_kill_it_resumes_with_what_was_set(jack, home):
    wanted = str(presets.clip("guitar_reference"))
    with live(jack, home, "--reference", wanted, "--amount", "0.8") as program:
        program.osc("/afx/distortion/drive_db", "f", 7.5)
        until(lambda: autosave.path().exists() and autosave.saved()[2] == ["distortion/drive_db"], 10.0)
        program.process.kill()
    with live(jack, home, "--resume") as program:
        program.until("Reference  guitar_reference.flac", 5)
        asked = subprocess.run(["oscsend", "127.0.0.1", str(program.port), "/afx/amount", "f", "0.7"], check=True)
        assert asked.returncode == 0
        until(lambda: autosave.saved()[0].amount == 0.7, 10.0)
        assert autosave.saved()[0].settings.effect("distortion").values["drive_db"] == 7.5
        assert autosave.saved()[1:] == ([Path(wanted)], ["distortion/drive_db"])


@pytest.mark.jack
def test_a_home_that_cannot_be_written_is_told_once_and_played_on(jack, tmp_path):
    no_folder = tmp_path / "file"
    no_folder.write_text("")
    with live(jack, no_folder, "--preset", "warm") as program:
        program.until("nothing can be saved in", 10)
        program.osc("/afx/amount", "f", 0.3)
        time.sleep(2 * autosave.EVERY_S + 0.5)
        code, _ = program.end()
    assert code == 0
    assert program.said.count("Not a directory") == 1
    assert "Traceback" not in program.said


def played(jack, *words, **env):
    """Run `afx-live` to its end; returns exit code and what it said."""
    done = subprocess.run(
        [*PROGRAM, *words], env={**os.environ, **jack.env, **env}, capture_output=True, text=True, timeout=120
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stderr


@pytest.mark.jack
def test_an_unsupported_rate_is_exit_code_3(jack):
    code, said = played(jack, "--preset", "warm", "--samplerate", "44100", "--osc", "off")
    assert code == 3
    assert "E305 system does not run at 44100 Hz (offers 48000). Use --samplerate 48000." in said


@pytest.mark.jack
def test_a_busy_port_is_exit_code_6(jack, home):
    with live(jack, home, "--preset", "warm") as program:
        code, said = played(jack, "--preset", "warm", "--osc", f"127.0.0.1:{program.port}")
        assert code == 6
        assert f"UDP port {program.port} on 127.0.0.1 is in use by another program" in said
        assert program.end()[0] == 0


@pytest.mark.jack
def test_a_device_without_inputs_is_exit_code_3(jack):
    jack.kill()
    jack.start("-C", "0")
    try:
        code, said = played(jack, "--preset", "warm", "--osc", "off")
    finally:
        jack.kill()
        jack.start()
    assert code == 3
    assert "E304 No audio input found. Looked at: " in said
    assert "Try: afx-live devices" in said


# --- disks ----------------------------------------------------------------------------------------


@pytest.fixture(params=["size=64k", "size=64k,ro"], ids=["full", "read-only"])
def disk(request, tmp_path):
    """A disk on which nothing can be written: one is full, one is read-only."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a disk")
    try:
        if not request.param.endswith("ro"):
            with pytest.raises(OSError, match="No space"):
                (folder / "fill").write_bytes(bytes(1 << 17))
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_takes_nothing_has_its_message_and_exit_code(disk, tmp_path, capfd):
    from afx_live.realtime.cli.main import main

    def said(*words):
        with pytest.raises(SystemExit) as done:
            main([str(w) for w in words])
        return done.value.code, capfd.readouterr().err

    reason = r"(the disk is full|it is read-only|No space left|Read-only file system)"
    for words, code, place in (
        (("render", GUITAR, "--preset", "warm", "-o", disk / "o.wav"), 4, disk),
        (("demo", "--folder", disk / "demo"), 4, disk / "demo"),
        (("render", GUITAR, "--preset", "warm", "-o", tmp_path / "o.wav", "--save-preset", disk / "p.json"), 5, disk),
    ):
        found, text = said(*words)
        assert found == code
        assert re.fullmatch(rf"afx-live: {place}\S* .*{reason}.* another place\n", text), text
    assert not [*disk.glob("*.wav"), *disk.glob("*.json"), *disk.glob(".*")]


def test_a_preset_on_a_full_disk_is_exit_code_5_and_the_old_one_stays(home, monkeypatch, tmp_path, capfd):
    from afx_live.realtime.cli.main import main

    path = presets.save(presets.Preset("mine", ChainSettings()))
    before = path.read_bytes()

    def full(*a):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(presets, "_write", full)
    with pytest.raises(SystemExit) as done:
        main(
            ["render", GUITAR, "--preset", "warm", "-o", str(tmp_path / "o.wav"), "--save-preset", str(path), "--force"]
        )
    assert done.value.code == 5
    assert f"afx-live: {path} cannot be written: No space left on device; free some room" in capfd.readouterr().err
    assert path.read_bytes() == before


def test_no_room_to_share_is_a_device_error_that_says_so(monkeypatch, tmp_path):
    def full(*a):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(live_engine.Shared, "create", full)
    monkeypatch.setattr(live_engine, "MEMORY", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(DeviceError, match=r"E309 .* no room for 8 MB: No space left on device") as error:
        live_engine._share(48000.0)
    assert error.value.exit_code == 3
    assert not [*tmp_path.glob("afx-live-*")]
