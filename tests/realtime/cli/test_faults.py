"""`afx-live` when things go wrong around it: it ends with a fade, loses nothing, and says what happened."""

import errno
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from afx_live import presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.matching.reference import read_reference
from afx_live.realtime.audio.live_engine import LiveEngine
from afx_live.realtime.session import autosave
from afx_live.realtime.session.session import Session
from afx_live.realtime.session.state import SessionState
from support.clips import RATE
from support.programs import Looper, Program, children
from support.waiting import until

PROGRAM = [sys.executable, "-m", "afx_live.realtime.cli.main"]


GUITAR = str(presets.clip("guitar"))

pytestmark = pytest.mark.usefixtures("home")


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
@pytest.mark.slow
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
@pytest.mark.slow
def test_an_end_without_a_fade_would_be_noticed(jack, tmp_path, home):
    """The test above, of a stream process that is killed."""
    with live(jack, home, "--preset", flat(home)) as program, looping(jack, tmp_path, TONE) as looper:
        time.sleep(0.7)
        stream = next(p for p in children(program.process.pid) if "realtime.audio.stream_process" in _words(p))
        os.kill(program.process.pid, signal.SIGSTOP)  # nobody is to bring it back
        last, click = ending(looper, lambda: os.kill(stream, signal.SIGKILL))
    assert last > 0.01 or click > 30.0


def _words(pid):
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


@pytest.mark.jack
@pytest.mark.slow
def test_direct_current_never_reaches_the_loudspeaker(jack, tmp_path, home):
    with live(jack, home, "--preset", "warm") as program, looping(jack, tmp_path, TONE + 0.5) as looper:
        program.until("the input has a DC offset of ", 20)
        heard = looper.heard(2.0)[:, 0].astype(np.float64)
    assert abs(heard.mean()) < 0.02  # of 0.5; where other programs of this machine tear holes, it begins anew
    assert heard.std() > 0.05


@pytest.mark.jack
@pytest.mark.slow
def test_a_server_that_comes_and_goes_is_found_again_and_nothing_is_lost(jack, model):
    """Twice it is away for a while, once it is back at once: the next stream process stands by."""
    events = []
    with LiveEngine(
        ChainSettings(), env=jack.env, on_event=lambda *event: events.append(event), standby=True
    ) as engine:
        found = read_reference(presets.clip("guitar_reference"), model)
        matched = Session(engine, model, SessionState(ChainSettings.default(model.chain.order), references=(found,)))
        matched.send({"distortion/drive_db": 7.0, "distortion/bypass": False, "amount": 0.5})
        asked, took = matched.state.playing, []
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
            assert matched.state.playing == asked
            assert matched.state.reference_name == "guitar_reference.flac"
        print("back after", *(f"{s:.2f}" for s in took), "s")
        assert max(took) < 3.0
        matched.close()


@pytest.mark.jack
@pytest.mark.slow
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
@pytest.mark.slow
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
@pytest.mark.slow
def test_an_unsupported_rate_is_exit_code_3(jack):
    code, said = played(jack, "--preset", "warm", "--samplerate", "44100", "--osc", "off")
    assert code == 3
    assert "E305 system does not run at 44100 Hz (offers 48000). Use --samplerate 48000." in said


@pytest.mark.jack
@pytest.mark.slow
def test_a_busy_port_is_exit_code_6(jack, home):
    with live(jack, home, "--preset", "warm") as program:
        code, said = played(jack, "--preset", "warm", "--osc", f"127.0.0.1:{program.port}")
        assert code == 6
        assert f"UDP port {program.port} on 127.0.0.1 is in use by another program" in said
        assert program.end()[0] == 0


@pytest.mark.jack
@pytest.mark.slow
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


@pytest.mark.slow
def test_a_disk_that_takes_nothing_has_its_message_and_exit_code(disk, tmp_path, capfd):
    from afx_live.realtime.cli.main import main

    def said(*words):
        with pytest.raises(SystemExit) as done:
            main([str(w) for w in words])
        return done.value.code, capfd.readouterr().err

    reason = r"(the disk is full|is read-only|No space left|Read-only file system)"
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

    def full(*a, **more):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("afx_live.presets.preset.atomic_write", full)
    with pytest.raises(SystemExit) as done:
        main(
            ["render", GUITAR, "--preset", "warm", "-o", str(tmp_path / "o.wav"), "--save-preset", str(path), "--force"]
        )
    assert done.value.code == 5
    assert f"afx-live: {path} cannot be written: No space left on device; free some room" in capfd.readouterr().err
    assert path.read_bytes() == before
