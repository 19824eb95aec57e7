"""`afx-live render`."""

import json
import re
import signal
import subprocess
import time

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.dsp.loudness import integrated_loudness
from support.programs import PROGRAM
from support.sounds import GUITAR, GUITAR_REFERENCE, VOICE


@pytest.mark.slow
def test_render_tells_what_it_did_in_json_and_writes_a_preset(afx, place):
    words = (
        "render",
        GUITAR,
        "--reference",
        GUITAR_REFERENCE,
        "-o",
        "out.flac",
        "--save-preset",
        "mine.json",
        "--json",
    )
    code, out, err = afx(*words)
    assert (code, err) == (0, "")
    (row,) = json.loads(out)
    x, y = soundfile.read(GUITAR)[0], soundfile.read("out.flac")[0]
    assert row["lufs_before"] == pytest.approx(integrated_loudness(x, 48000), abs=0.02)
    assert row["lufs_after"] == pytest.approx(integrated_loudness(y, 48000), abs=0.02)
    assert row["lufs_after"] == pytest.approx(row["target_lufs"], abs=0.5)
    assert set(row["probability"]) == {"equaliser", "compressor", "distortion", "reverb"}
    chain = {step["effect"]: step for step in row["settings"]["chain"]}
    assert chain["distortion"]["on"]
    assert chain["distortion"]["drive_db"] > 0.0
    saved = presets.load(place / "mine.json")
    assert saved.settings.effect("distortion").values["drive_db"] == pytest.approx(
        chain["distortion"]["drive_db"], abs=1e-3
    )
    assert saved.source["references"][0]["file"] == "guitar_reference.flac"
    assert saved.source["model"]

    assert afx("render", GUITAR, "--preset", "mine.json", "-o", "again.flac")[0] == 0
    z = soundfile.read("again.flac")[0]
    assert np.sqrt(np.mean((z - y) ** 2)) < 1e-3 * np.sqrt(np.mean(y**2))


def test_json_is_json_even_for_the_shortest_sound(afx, place):
    soundfile.write("tick.wav", 0.1 * np.random.default_rng(0).standard_normal(500), 48000)
    code, out, _ = afx("render", "tick.wav", "--preset", "warm", "-o", "out.wav", "--json")
    assert code == 0
    json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@pytest.mark.slow
def test_render_for_people_says_what_was_chosen(afx):
    code, out, err = afx("render", GUITAR, "--reference", GUITAR_REFERENCE, "-o", "out.wav")
    assert (code, err) == (0, "")  # no terminal, no bar
    assert out.startswith(f"{GUITAR} → out.wav\n")
    assert re.search(r"loudness +-26\.0 → -16\.\d LUFS", out)
    assert re.search(r"distortion +drive [\d.]+ dB, mix \d+%, tone", out)


@pytest.mark.slow
def test_references_are_blended(afx):
    code, out, _ = afx("render", VOICE, "-r", VOICE, "-r", GUITAR_REFERENCE, "-o", "out.wav", "--json")
    assert code == 0
    assert json.loads(out)[0]["target_lufs"] == pytest.approx((-26.0 - 16.0) / 2, abs=0.1)


def test_amount_0_is_the_input(afx):
    assert afx("render", VOICE, "--preset", "warm", "--amount", "0", "-o", "out.wav")[0] == 0
    x, y = soundfile.read(VOICE)[0], soundfile.read("out.wav")[0]
    assert integrated_loudness(y, 48000) == pytest.approx(integrated_loudness(x, 48000), abs=0.1)


@pytest.mark.parametrize("there", ["out.wav", "mine.json"])
def test_nothing_is_overwritten_without_force(afx, place, there):
    (place / there).write_text("mine")
    words = ["render", VOICE, "--preset", "warm", "-o", "out.wav", "--save-preset", "mine.json"]
    code, out, err = afx(*words)
    assert (code, out) == (2, "")
    assert f"{there} exists; add --force" in err
    assert [(p.name, p.read_text()) for p in place.iterdir()] == [(there, "mine")]
    assert afx(*words, "--force")[0] == 0
    assert soundfile.info("out.wav").samplerate == 48000
    assert presets.load(place / "mine.json").name == "mine"


def test_a_preset_file_that_could_not_be_written_is_refused_before_the_work(afx, place):
    for words in (["render", VOICE, "-o", "out.wav"], ["run"]):
        code, _, err = afx(*words, "--preset", "warm", "--save-preset", "mix (1).json")
        assert code == 5
        assert '"mix (1)" is not a name' in err
    assert not list(place.iterdir())


@pytest.mark.slow
def test_ctrl_c_in_render_leaves_nothing_behind(place):
    x, rate = soundfile.read(VOICE)
    soundfile.write("long.wav", np.tile(x, 90), rate)
    words = [*PROGRAM, "render", "long.wav", "--preset", "warm", "-o", "out.wav", "-q"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A test run in the background ignores Ctrl-C, and so would its children.
    with subprocess.Popen(words, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        end = time.monotonic() + 60
        while not list(place.glob(".afx-*.part")):
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")
    assert [p.name for p in place.iterdir()] == ["long.wav"]
