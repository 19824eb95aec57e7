"""The command line's words and failures: each with a message and its exit code."""

import errno
import inspect
import os
import re
import subprocess
from importlib import import_module

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.matching.clips import ClipError
from afx_live.matching.onnx_sandbox import ModelError
from afx_live.realtime.audio.devices import DeviceError
from afx_live.realtime.cli import osc
from afx_live.realtime.cli.errors import ExitCode, UsageError, exit_code
from afx_live.realtime.cli.main import call, main
from afx_live.realtime.cli.parser import COMMANDS, parser
from afx_live.realtime.cli.printer import Printer
from afx_live.realtime.osc.udp import PortBusy
from support.programs import PROGRAM
from support.sounds import GUITAR_REFERENCE, VOICE


def test_help_begins_with_examples_and_ends_with_exit_codes(afx):
    for words in ([], ["--help"], ["-h"]):
        code, out, err = afx(*words)
        assert (code, err) == (0, "")
        assert len(out.splitlines()) <= 40
        assert max(map(len, out.splitlines())) <= 110
        for example in ("afx-live --reference ref.wav", "afx-live render in.wav", "afx-live demo"):
            assert out.index(example) < out.index("options:")
        assert (
            "exit codes: 0 done · 1 a bug · 2 usage · 3 audio device · 4 audio file · 5 preset, model or tool · 6 port"
            in out
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
    (["render", VOICE, "--preset", "warm"], "give -o OUT, a file or a folder; or --dry-run"),
    (["render", "-", "--dry-run", "--preset", "warm"], "--dry-run hears files"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--lufs", "3"], "'3' is no loudness: -60 to 0 LUFS"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--shard", "3/2"], "'3/2' is not I/N"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--jobs", "0"], "'0' is not a whole number above 0"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--format", "s16"], "give - as IN or as OUT"),
    (["render", "-", VOICE, "-o", "o", "--preset", "warm"], "- is a pipe: it goes alone"),
    (["render", VOICE, "-o", "o/", "--preset", "warm", "--ray", VOICE], "that is a file"),
    (["render", VOICE, "-o", "o.wav"], "give --reference FILE (one or more) or --preset NAME"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--reference", VOICE], "both only with --lock"),
    (["render", VOICE, "-o", "o.wav", "--preset", "warm", "--boldness", "1"], "are for matching: add --reference FILE"),
    (["render", VOICE, "-o", "o.wav", "--reference", VOICE, "--boldness", "1.5"], "'1.5' is not in 0..1"),
    (["render", VOICE, "-o", "o.wav", "--reference", VOICE, "--only", ","], "',' names nothing"),
    (
        ["render", VOICE, "-o", "o.wav", "--reference", GUITAR_REFERENCE, "--only", "flanger"],
        "--only: 'flanger' is not one of equaliser, compressor, distortion, reverb",
    ),
    (
        ["render", VOICE, "-o", "o.wav", "--reference", GUITAR_REFERENCE, "--without", "echo"],
        "--without: 'echo' is not one of",
    ),
    (
        ["render", VOICE, "--dry-run", "--reference", VOICE, "--only", "reverb", "--without", "reverb"],
        "--only: no effect is left to choose from",
    ),
    (["render", VOICE, "--dry-run", "--reference", VOICE, "--lock", "reverb"], "--lock: nothing plays yet"),
    (
        ["render", VOICE, "--dry-run", "--reference", VOICE, "--preset", "warm", "--lock", "equaliser/peak_9_db"],
        "--lock: 'equaliser/peak_9_db': equaliser has no peak_9_db, but low_shelf_hz",
    ),
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


@pytest.mark.parametrize(
    "words", [["--preset", "warm"], ["run", "-r", VOICE], ["devices"], ["-l"], ["devices", "--json"]]
)
def test_without_a_sound_card_it_says_what_was_looked_for_and_what_to_do(afx, words):
    code, out, err = afx(*words)
    assert (code, bool(out)) == (3, "--json" in words)
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
@pytest.mark.parametrize("role", ["input", "reference", "live", "studio"])
def test_a_clip_that_is_none_is_exit_code_4(afx, place, name, text, role):
    clips_that_are_none(place)
    words = {
        "input": ["render", name, "--preset", "warm", "-o", "out.wav"],
        "reference": ["render", VOICE, "--reference", name, "-o", "out.wav"],
        "live": ["--reference", name],
        "studio": ["studio", VOICE, "--reference", name],
    }
    code, out, err = afx(*words[role])
    assert not (place / "out.wav").exists()
    if (name, role) == ("folder.wav", "input"):
        assert (code, out, err) == (2, "", "afx-live: folder.wav: no sound file there\n")
        return
    assert (code, out) == (4, "")
    assert re.fullmatch(rf"afx-live: {name} .*{text}.*\n", err)


@pytest.mark.parametrize("name", ["missing.wav", "folder.wav", "text.wav"])
def test_the_studio_opens_no_page_for_what_is_no_recording(afx, place, name):
    clips_that_are_none(place)
    code, out, err = afx("studio", name, "--no-browser")
    assert (code, out) == (4, "")
    assert re.fullmatch(rf"afx-live: {name} .*\n", err)


def test_an_output_that_can_not_be_written_is_exit_code_4(afx, place):
    code, _, err = afx("render", VOICE, "--preset", "warm", "-o", "out.xyz")
    assert code == 4
    assert ".xyz cannot be written; use one of" in err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--preset", "wram"], '"wram" is not a preset (did you mean warm?); there are bright'),
        (["--preset", "nowhere/p.json"], "nowhere/p.json"),
        (["--preset", "bad.json"], "bad.json: line 1, column 2: is not JSON"),
        (["--preset", "range.json"], "range.json: amount: 7 is not in [0, 1]"),
        (
            ["--reference", GUITAR_REFERENCE, "--model", "nowhere"],
            "model.json is missing: nowhere is not a model folder",
        ),
        (["--reference", GUITAR_REFERENCE, "--model", "."], "model.json is missing"),
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
    def broken(**arguments):
        raise RuntimeError("oh")

    monkeypatch.setattr(osc, "osc", broken)
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


# --- words and functions --------------------------------------------------------------------------

LEAST = {
    "run": ["--preset", "warm"],
    "render": ["in.wav", "--preset", "warm", "-o", "out.wav"],
    "preset": ["list"],
}
"""The fewest words with which a command makes sense."""


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_a_function_of_its_words(command, monkeypatch):
    """Every value that the parser gives is an argument of the function, whose others have defaults."""
    module = import_module(f"afx_live.realtime.cli.{command}")
    signature, seen = inspect.signature(getattr(module, command)), {}

    def function(**given):
        seen.update(signature.bind(**given).arguments)
        return 0

    monkeypatch.setattr(module, command, function)
    assert call(parser().parse_args([command, *LEAST.get(command, []), "-q"])) == 0
    assert set(seen) == set(signature.parameters)
    assert seen["printer"] == Printer(quiet=True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("oh"), ExitCode.BUG),
        (UsageError("these do not fit"), ExitCode.USAGE),
        (FileExistsError("there"), ExitCode.USAGE),
        (DeviceError("E300", "no PortAudio"), ExitCode.DEVICE),
        (ClipError("silent"), ExitCode.CLIP),
        (OSError(errno.ENOSPC, "full"), ExitCode.CLIP),
        (presets.PresetError("range"), ExitCode.PRESET),
        (ModelError("not a model"), ExitCode.PRESET),
        (PortBusy("in use"), ExitCode.PORT),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_knows_its_exit_code(error, code):
    assert exit_code(error) == code
