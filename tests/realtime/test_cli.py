"""The command line: results, progress and failures, each where scripts and people expect them."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.dsp.loudness import integrated_loudness
from afx_live.realtime.audio import devices, live_engine
from afx_live.realtime.audio.devices import Listing
from afx_live.realtime.audio.engine import Engine
from afx_live.realtime.cli import commands
from afx_live.realtime.cli import run as live
from afx_live.realtime.cli.main import main
from afx_live.realtime.osc.addresses import addresses

PROGRAM = [sys.executable, "-m", "afx_live.realtime.cli.main"]
VOICE, GUITAR = str(presets.clip("voice")), str(presets.clip("guitar"))
WANTED = str(presets.clip("guitar_reference"))


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """An empty folder to work in, a home of our own, and no sound card."""
    monkeypatch.setenv("AFX_LIVE_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    nothing = Listing((), {"ALSA": (-1, -1), "JACK": (-1, -1)})
    for module in (devices, live_engine):
        monkeypatch.setattr(module, "query", lambda *a, **k: nothing)
    monkeypatch.setattr(commands, "first_start", lambda files: False)
    return tmp_path / "here"


@pytest.fixture
def afx(capsys):
    """Run afx-live in this process; returns exit code, standard output, standard error."""

    def run(*words):
        with pytest.raises(SystemExit) as end:
            main([str(w) for w in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return end.value.code or 0, said.out, said.err

    return run


class FakeLive:
    """LiveEngine without a device: a block of silence at each look at the meters."""

    sample_rate = 48000.0
    closed = 0
    running = True
    status: ClassVar = {
        "input": "a device",
        "output": "a device",
        "api": "API",
        "sample_rate": 48000.0,
        "block_size": 128,
        "input_latency": 0.003,
        "output_latency": 0.003,
        "priority": 0,
    }

    def __init__(self, settings, **options):
        self.options = options
        self._engine = Engine(settings, self.sample_rate)
        self._place = tempfile.TemporaryDirectory()
        self.folder = Path(self._place.name)

    def __enter__(self):
        self.options["on_event"]("running", "a device (API), 48000 Hz, block 128")
        return self

    def __exit__(self, *error):
        FakeLive.closed += 1

    def play(self, settings, **flags):
        self._engine.shared.play(settings, **flags)

    def fade_out(self):
        self._engine.shared.mute()

    def revive(self):
        return False

    def meters(self):
        self._engine.process(np.zeros((128, 2), np.float32))
        return self._engine.shared.read()

    def heard(self, seconds):
        return self._engine.shared.heard(seconds, self.sample_rate)


@pytest.fixture
def fake(monkeypatch):
    monkeypatch.setattr(live, "LiveEngine", FakeLive)
    monkeypatch.setattr(FakeLive, "closed", 0)
    return FakeLive


@pytest.fixture
def port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def interrupt_after(seconds, number=signal.SIGINT):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), number))
    timer.daemon = True
    timer.start()


# --- words ----------------------------------------------------------------------------------------


def test_help_begins_with_examples_and_ends_with_exit_codes(afx):
    for words in ([], ["--help"], ["-h"]):
        code, out, err = afx(*words)
        assert (code, err) == (0, "")
        assert len(out.splitlines()) <= 40
        assert max(map(len, out.splitlines())) <= 110
        for example in ("afx-live --reference ref.wav", "afx-live render in.wav", "afx-live demo"):
            assert out.index(example) < out.index("options:")
        assert (
            "exit codes: 0 done · 1 a bug · 2 usage · 3 audio device · 4 audio file · 5 preset or model · 6 port" in out
        )


@pytest.mark.parametrize("command", ["run", "render", "demo", "devices", "preset", "osc"])
def test_each_command_has_its_help(afx, command):
    code, out, err = afx(command, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: afx-live {command} [")


USAGE = [
    (["bogus"], "invalid choice: 'bogus'"),
    (["--ref", "x.wav"], "unrecognized arguments: --ref"),
    (["render", VOICE, "--pres", "warm", "-o", "o.wav"], "unrecognized arguments: --pres"),
    (["render", "-o", "o.wav"], "the following arguments are required: IN"),
    (["render", VOICE], "required: -o/--output"),
    (["render", VOICE, "-o", "o.wav"], "give --reference FILE (one or more) or --preset NAME"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--reference", VOICE], "give --reference FILE"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--amount", "-0.5"], "'-0.5' is not in 0..1"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--amount=-0.5"], "'-0.5' is not in 0..1"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--amount", "nan"], "'nan' is not in 0..1"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--amount", "loud"], "'loud' is not in 0..1"),
    (["run"], "give --reference FILE"),
    (["--blocksize", "-128", "--preset", "warm"], "'-128' is not a number of frames"),
    (["--blocksize=12.5", "--preset", "warm"], "'12.5' is not a number of frames"),
    (["--samplerate", "-48000", "--preset", "warm"], "'-48000' is not a number above 0"),
    (["--samplerate=inf", "--preset", "warm"], "'inf' is not a number above 0"),
    (["--latency", "soon", "--preset", "warm"], "'soon' is not a number above 0"),
    (["-c", "0", "--preset", "warm"], "counted from 1"),
    (["-c", "1,2,3", "--preset", "warm"], "one or two channel numbers"),
    (["--osc", "here", "--preset", "warm"], "'here' is not HOST:PORT or off"),
    (["--osc", "127.0.0.1:70000", "--preset", "warm"], "is not HOST:PORT or off"),
    (["preset", "show"], "preset show needs a name or a file; there are bright"),
    (["preset", "burn"], "invalid choice: 'burn'"),
    (["demo", "--clip", "flute"], "invalid choice: 'flute'"),
]


@pytest.mark.parametrize(("words", "text"), USAGE)
def test_words_that_do_not_fit_are_exit_code_2(afx, words, text):
    code, out, err = afx(*words)
    assert (code, out) == (2, "")
    assert text in err
    assert err.startswith("afx-live")


def test_a_value_may_stand_behind_an_equals_sign(afx):
    code, _, err = afx("render", VOICE, "--preset=warm", "--amount=0.5", "--output=out.wav")
    assert code == 0, err


# --- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", [["--preset", "warm"], ["run", "-r", VOICE], ["devices"], ["-l"], ["devices", "--json"]]
)
def test_without_a_sound_card_it_says_what_was_looked_for_and_what_to_do(afx, words):
    code, out, err = afx(*words)
    assert (code, out) == (3, "")
    assert "E301 No audio device found. Looked at: ALSA, JACK. Try: " in err
    assert "afx-live demo" in err
    assert "afx-live doctor" in err


def clips_that_are_none(place):
    silence = np.zeros(48000)
    for name, x in (("silent.wav", silence), ("short.wav", silence[:100]), ("nan.wav", np.full(48000, np.nan))):
        soundfile.write(place / name, x, 48000, "FLOAT")
    (place / "text.wav").write_text("no sound")
    (place / "folder.wav").mkdir()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("missing.wav", "is not there"),
        ("folder.wav", "is not a file"),
        ("text.wav", "cannot be read as audio"),
        ("silent.wav", "is silent"),
        ("short.wav", "is silent"),
        ("nan.wav", "holds NaN or Inf"),
    ],
)
@pytest.mark.parametrize("role", ["input", "reference", "live"])
def test_a_clip_that_is_none_is_exit_code_4(afx, place, name, text, role):
    clips_that_are_none(place)
    words = {
        "input": ["render", name, "--preset", "warm", "-o", "out.wav"],
        "reference": ["render", VOICE, "--reference", name, "-o", "out.wav"],
        "live": ["--reference", name],
    }
    code, out, err = afx(*words[role])
    assert (code, out) == (4, "")
    assert re.fullmatch(rf"afx-live: {name} .*{text}.*\n", err)
    assert not (place / "out.wav").exists()


def test_an_output_that_can_not_be_written_is_exit_code_4(afx, place):
    code, _, err = afx("render", VOICE, "--preset", "warm", "-o", "out.xyz")
    assert code == 4
    assert "is not a format that can be written; use .wav or .flac" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--preset", "wram"], '"wram" is not a preset (did you mean warm?); there are bright'),
        (["--preset", "nowhere/p.json"], "nowhere/p.json"),
        (["--preset", "bad.json"], "bad.json: line 1, column 2: is not JSON"),
        (["--preset", "range.json"], "range.json: amount: 7 is not in [0, 1]"),
        (["--reference", WANTED, "--model", "nowhere"], "model.json is missing: nowhere is not a model folder"),
        (["--reference", WANTED, "--model", "."], "model.json is missing"),
    ],
)
@pytest.mark.parametrize("command", [["render", VOICE, "-o", "out.wav"], ["run"]], ids=["render", "run"])
def test_a_preset_or_model_that_does_not_fit_is_exit_code_5(afx, place, command, words, text):
    (place / "bad.json").write_text("{oops")
    (place / "range.json").write_text('{"format": "afx-live-preset", "version": 1, "amount": 7}')
    code, out, err = afx(*command, *words)
    assert (code, out) == (5, "")
    assert text in err
    assert len(err.splitlines()) == 1


def test_the_demo_names_a_model_that_is_none(afx, place):
    code, _, err = afx("demo", "--model", "nowhere")
    assert code == 5
    assert "model.json is missing" in err
    assert not (place / "afx-demo").exists()


def test_a_busy_port_is_exit_code_6(afx, fake, port):
    code, out, err = afx("--preset", "warm", "--osc", f"127.0.0.1:{port}")
    assert (code, out) == (6, "")
    assert f"UDP port {port} on 127.0.0.1 is in use by another program" in err
    assert "--osc off" in err
    assert fake.closed == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--osc", "0.0.0.0:9123"], "can be reached from the network: say who may send"),
        (["--osc", "0.0.0.0:9123", "--osc-allow", "everyone"], "'everyone' is not an IP address"),
        (["--osc", "no.such.host.invalid:9123"], "is not the name or address of a machine"),
    ],
)
def test_osc_that_would_be_open_to_all_is_exit_code_2(afx, fake, words, text):
    code, _, err = afx("--preset", "warm", *words)
    assert code == 2
    assert text in err
    assert "--osc-allow" in err
    assert fake.closed == 1


def test_a_bug_is_exit_code_1_and_asks_for_a_report(afx, monkeypatch, capsys):
    def broken(a):
        raise RuntimeError("oh")

    monkeypatch.setattr(commands, "osc", broken)
    code, out, err = afx("osc")
    assert (code, out) == (1, "")
    assert err == "afx-live: a bug: RuntimeError('oh'). Run again with -v and report it, please.\n"
    with pytest.raises(RuntimeError, match="oh"):
        main(["osc", "-v"])


def test_a_reader_that_leaves_early_is_no_error():
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*PROGRAM, "osc", "--list"], stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


# --- render ---------------------------------------------------------------------------------------


def test_render_tells_what_it_did_in_json_and_writes_a_preset(afx, place):
    words = ("render", GUITAR, "--reference", WANTED, "-o", "out.flac", "--save-preset", "mine.json", "--json")
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


def test_render_for_people_says_what_was_chosen(afx):
    code, out, err = afx("render", GUITAR, "--reference", WANTED, "-o", "out.wav")
    assert (code, err) == (0, "")  # no terminal, no bar
    assert out.startswith(f"{GUITAR} → out.wav\n")
    assert re.search(r"loudness +-26\.0 → -16\.\d LUFS", out)
    assert re.search(r"distortion +drive [\d.]+ dB, mix \d+%, tone", out)


def test_several_inputs_go_into_a_folder(afx, place):
    code, out, _ = afx("render", VOICE, GUITAR, "--preset", "telephone", "-o", "all", "--json")
    assert code == 0
    assert [r["output"] for r in json.loads(out)] == ["all/voice.wav", "all/guitar.wav"]
    assert sorted(p.name for p in (place / "all").iterdir()) == ["guitar.wav", "voice.wav"]
    assert afx("render", VOICE, VOICE, "--preset", "telephone", "-o", "all2")[0] == 2


def test_what_is_done_is_told_even_if_the_next_file_fails(afx, place):
    (place / "text.wav").write_text("no sound")
    code, out, err = afx("render", VOICE, "text.wav", GUITAR, "--preset", "telephone", "-o", "all", "--json")
    assert code == 4
    assert [r["output"] for r in json.loads(out)] == ["all/voice.wav"]
    assert "text.wav cannot be read as audio" in err
    assert [p.name for p in (place / "all").iterdir()] == ["voice.wav"]


def test_references_are_blended(afx):
    code, out, _ = afx("render", VOICE, "-r", VOICE, "-r", WANTED, "-o", "out.wav", "--json")
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


def test_ctrl_c_in_render_leaves_nothing_behind(place):
    x, rate = soundfile.read(VOICE)
    soundfile.write("long.wav", np.tile(x, 90), rate)
    words = [*PROGRAM, "render", "long.wav", "--preset", "warm", "-o", "out.wav", "-q"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # A test run in the background ignores Ctrl-C, and so would its children.
    with subprocess.Popen(words, **pipes, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)) as process:
        end = time.monotonic() + 60
        while not list(place.glob(".out.wav.*.tmp")):
            assert time.monotonic() < end
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, "", "")
    assert [p.name for p in place.iterdir()] == ["long.wav"]


# --- demo, preset, osc ----------------------------------------------------------------------------


@pytest.mark.parametrize("clip", ["voice", "guitar", "drums"])
def test_demo_writes_sound_and_preset_and_says_what_it_chose(afx, place, clip):
    code, out, err = afx("demo", "--clip", clip, "--folder", "d")
    assert (code, err) == (0, "")
    assert re.search(r"^Reference  \w+_reference\.flac  [\d.]+ s  -16\.0 LUFS$", out, re.M)
    assert re.search(rf"^Input      {clip}\.flac  [\d.]+ s  -26\.0 LUFS$", out, re.M)
    assert re.search(r"^Chain      \w+", out, re.M)
    assert re.search(r"^ {11}level      [+-][\d.]+ dB in, [+-][\d.]+ dB out$", out, re.M)
    assert re.search(r"^Loudness   -26\.0 → -1[56]\.\d LUFS", out, re.M)
    assert "Wrote      d/out.wav  d/preset.json\n" in out
    assert sorted(p.name for p in (place / "d").iterdir()) == ["out.wav", "preset.json"]
    assert soundfile.info("d/out.wav").frames == soundfile.info(presets.clip(clip)).frames
    assert presets.load(place / "d/preset.json").source["references"]


def test_demo_again_and_in_json(afx, place):
    for _ in range(2):
        code, out, _ = afx("demo", "--json")
        assert code == 0
    told = json.loads(out)
    assert told["files"] == ["afx-demo/out.wav", "afx-demo/preset.json"]
    assert told["lufs_after"] == pytest.approx(told["reference_lufs"], abs=0.5)
    assert len(told["settings"]["chain"]) == 4


def test_presets_are_listed_shown_and_checked(afx, place):
    code, out, _ = afx("preset", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == list(presets.names())
    assert json.loads(afx("preset", "list", "--json")[1]) == list(presets.names())
    assert presets.from_json(afx("preset", "show", "warm")[1]) == presets.load("warm")
    assert json.loads(afx("preset", "show", "warm", "hall", "--json")[1])[1]["name"] == "hall"
    assert afx("preset", "check", "warm", "hall")[:2] == (0, "warm: fits\nhall: fits\n")
    assert json.loads(afx("preset", "check", "warm", "--json")[1]) == {"warm": "fits"}
    (place / "bad.json").write_text("[]")
    code, out, err = afx("preset", "check", "warm", "bad.json")
    assert (code, out) == (5, "")
    assert "bad.json" in err


def test_osc_lists_every_address(afx):
    code, out, err = afx("osc", "--list")
    assert (code, err) == (0, "")
    listed = {line.split()[0] for line in out.splitlines() if line.startswith("/afx")}
    assert listed == {a.path for a in addresses() if a.param is None}
    assert afx("osc")[1] == out
    assert {row["path"] for row in json.loads(afx("osc", "--json")[1])} == {a.path for a in addresses()}
    assert "| `/afx/amount` |" in afx("osc", "--markdown")[1]


# --- first start ----------------------------------------------------------------------------------


def test_a_first_start_says_that_it_compiles(afx, fake, monkeypatch):
    monkeypatch.setattr(commands, "first_start", lambda files: True)
    for words in (
        ["render", VOICE, "--preset", "warm", "-o", "out.wav", "--force"],
        ["demo"],
        ["--preset", "warm", "--osc", "no.such.host.invalid:1"],
    ):
        _, out, err = afx(*words)
        assert err.count("compiling the effects, which takes about 25 s") == 1
        assert "compiling" not in out
        assert "compiling" not in afx(*words, "-q")[2]
    for words in (["osc"], ["preset", "list"], ["render", VOICE, "-o", "out.wav"]):  # nothing is played
        assert "compiling" not in afx(*words)[2]


# --- run, without a device ------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_with_a_signal_a_saved_preset_and_exit_code_0(afx, fake, place, number):
    before = signal.getsignal(number)
    interrupt_after(4.0, number)  # loaded, playing, and settled, also on a busy machine
    code, out, err = afx("--preset", "telephone", "--osc", "off")
    assert (code, out) == (0, "")
    assert fake.closed == 1
    assert err.startswith("Preset     telephone\n")
    assert "Chain      equaliser  " in err
    assert "a device (API), 48000 Hz, block 128" in err
    assert "saved preset last; play it again: afx-live --preset last" in err
    last = presets.load("last")
    assert last.settings.effects == presets.load("telephone").settings.effects
    assert (place.parent / "home" / "presets" / "last.json").is_file()
    assert signal.getsignal(number) == before


def test_run_saves_where_it_is_told_and_tells_in_json(afx, fake, place):
    interrupt_after(4.0)
    code, out, err = afx("--reference", WANTED, "--osc", "off", "--save-preset", "mine.json", "--json", "-q")
    assert (code, err) == (0, "")
    assert len(json.loads(out)["chain"]) == 4
    assert presets.load(place / "mine.json").source["references"][0]["file"] == "guitar_reference.flac"
    assert afx("--reference", WANTED, "--save-preset", "mine.json")[0] == 2


def test_devices_options_reach_the_engine(afx, monkeypatch):
    seen = {}

    class Nothing(FakeLive):
        def __init__(self, settings, **options):
            seen.update(options, settings=settings)
            raise devices.DeviceError("E303", "gone")

    monkeypatch.setattr(live, "LiveEngine", Nothing)
    words = "-i 3 -o scarlett -c 2 --output-channels 3,4 --samplerate 44100 --blocksize 0 --latency=0.02 --preset warm"
    assert afx(*words.split(), "--amount", "0.5")[0] == 3
    assert (seen["input_device"], seen["output_device"]) == (3, "scarlett")
    assert (seen["input_channels"], seen["output_channels"]) == ([2], [3, 4])
    assert (seen["sample_rate"], seen["block_size"], seen["latency"]) == (44100.0, 0, 0.02)
    assert isinstance(seen["settings"], ChainSettings)
    assert seen["settings"] == presets.load("warm").settings.scaled(0.5)
