"""`afx-live run`, from outside, on a JACK server: it matches what it hears, obeys OSC, and ends as it should."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.dsp.loudness import integrated_loudness
from support.programs import RATE, children, running


@pytest.mark.jack
@pytest.mark.slow
def test_a_voice_is_matched_and_osc_obeyed(jack, tmp_path):
    wanted = presets.clip("voice_reference")
    goal = integrated_loudness(soundfile.read(wanted)[0], RATE)
    with running(jack, tmp_path, "voice", "run", "--reference", str(wanted)) as (program, looper):
        dry = integrated_loudness(np.repeat(looper.clip[:, None], 2, 1), RATE)
        assert f"Reference  voice_reference.flac  6.4 s  {goal:.1f} LUFS" in program.said
        program.until("Chain      ", 15)
        assert looper.lufs() == pytest.approx(goal, abs=2.0)
        assert abs(goal - dry) > 5.0  # it was not so loud before

        # Another reference, heard in the sound and not in the level alone.
        told = len(program.said)
        program.osc("/afx/reference", "s", "guitar_reference")
        program.until("distortion", 10, told)
        assert looper.likeness() < 0.95

        program.osc("/afx/bypass", "T")
        time.sleep(0.2)
        assert max(looper.likeness() for _ in range(3)) > 0.98  # the loudest word may meet the limiter
        program.osc("/afx/bypass", "F")

        program.osc("/afx/amount", "f", 0.0)
        time.sleep(1.5)
        assert looper.lufs() == pytest.approx(dry, abs=2.0)
        program.osc("/afx/amount", "f", 1.0)

        program.osc("/afx/panic", "i", 1)
        time.sleep(0.2)
        assert np.abs(looper.heard(0.5)).max() == 0.0
        program.osc("/afx/panic", "i", 0)  # the pad is let go
        time.sleep(0.2)
        assert np.abs(looper.heard(0.2)).max() == 0.0
        program.osc("/afx/panic/clear", "i", 1)

        told = len(program.said)
        program.osc("/afx/preset/load", "s", "telephone")
        program.until("Chain      equaliser  ", 10, told)
        assert looper.lufs() == pytest.approx(-18.0, abs=2.0)

        told = len(program.said)
        program.osc("/afx/reference", "s", "../../../etc/passwd")
        program.until("warning: '../../../etc/passwd' is neither a bundled clip nor in", 10, told)

        code, out = program.end()
        assert (code, out) == (0, "")
        assert "saved preset last; play it again: afx-live --preset last" in program.said
        last = tmp_path / "home" / "presets" / "last.json"
        assert presets.load(last).settings.effects == presets.load("telephone").settings.effects
        assert "Traceback" not in program.said


@pytest.mark.jack
@pytest.mark.slow
def test_a_stream_process_that_dies_costs_no_setting(jack, tmp_path):
    with running(jack, tmp_path, "guitar", "--preset", "driven-guitar", "--amount", "0.5") as (program, looper):
        program.until("Chain      ", 10)
        pid = program.process.pid
        child = next(
            p
            for p in children(pid)
            if "afx_live.realtime.audio.stream_process" in Path(f"/proc/{p}/cmdline").read_text()
        )
        os.kill(child, signal.SIGKILL)
        program.until("lost: ", 5)
        program.until("back: ", 90)  # it compiles if a source has changed since
        looper.connect()
        assert np.abs(looper.heard(1.0)).max() > 0.01
        code, _ = program.end(signal.SIGINT)
        assert code == 0
        last = presets.load(Path(tmp_path / "home" / "presets" / "last.json"))
        assert last.settings.effects == presets.load("driven-guitar").settings.effects
        assert last.amount == 0.5
