"""`afx-live demo`, `preset` and `osc`, and what a first start says."""

import json
import re
import shutil

import pytest
import soundfile

from afx_live import presets
from afx_live.realtime.cli import parser, sources
from afx_live.realtime.osc.addresses import addresses
from support.sounds import VOICE


def test_the_command_line_names_the_clips_of_demos():
    assert (*presets.DEMO_REFERENCES,) == parser.CLIPS
    assert {*presets.DEMO_REFERENCES, *presets.DEMO_REFERENCES.values()} <= {*presets.clips()}


@pytest.mark.slow
@pytest.mark.parametrize("clip", presets.DEMO_REFERENCES)
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


@pytest.mark.slow
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
    (place / "commented.json").write_text('{"format": "afx-live-preset", // mine')
    code, out, _ = afx("preset", "check", "bad.json", "warm", "commented.json", "no-such")
    assert code == 5
    lines = out.splitlines()
    assert lines[0] == "bad.json: does not fit: the file: a list is not an object"
    assert lines[1] == "warm: fits"
    assert lines[2].endswith("is not JSON: JSON has no comments: take this one out")
    assert "no-such" in lines[3]
    assert lines[4] == "4 presets: 1 fit, 3 do not"
    code, out, _ = afx("preset", "check", "bad.json", "warm", "--json")
    assert (code, json.loads(out)["warm"]) == (5, "fits")


def test_no_file_of_a_command_is_written_over_another(afx, place):
    """Through links, too, and before any work."""
    (place / "mine.json").write_text(presets.to_json(presets.load("warm")))
    (place / "link.json").symlink_to("mine.json")
    (place / "ref.wav").write_bytes(b"sound")
    shutil.copytree(presets.SHIPPED_MODEL, place / "model")
    (place / "afx-demo").mkdir()
    (place / "afx-demo" / "out.wav").symlink_to("preset.json")
    for words in (
        ["demo"],
        ["render", VOICE, "-r", VOICE, "--model", "model", "-o", "model/model.json", "--force"],
        ["-r", VOICE, "--model", "model", "--save-preset", "model/model.json", "--force"],
        ["preset", "export", "mine.json", "--to", "camilladsp", "-o", "link.json", "--force"],
        ["--preset", "mine.json", "--save-preset", "link.json", "--force"],
        ["-r", "ref.wav", "--save-preset", "ref.wav", "--force"],
        ["osc", "--reaper", "mine.json", "--open-stage-control", "link.json", "--force"],
    ):
        code, out, err = afx(*words)
        assert (code, out) == (2, ""), words
        assert "would be lost; choose another name" in err
    assert presets.load("./mine.json").settings == presets.load("warm").settings
    assert (place / "ref.wav").read_bytes() == b"sound"


def test_the_demo_replaces_nothing_of_others(afx, place):
    (place / "d").mkdir()
    for name in ("out.wav", "preset.json"):
        (place / "d" / name).write_text("mine")
        code, _, err = afx("demo", "--folder", "d")
        assert code == 2
        assert "exists and was not written by the demo; choose another folder with --folder" in err
        assert (place / "d" / name).read_text() == "mine"


def test_a_preset_is_not_exported_over_itself(afx, place):
    (place / "warm.json").write_text(text := presets.to_json(presets.load("warm")))
    code, _, err = afx("preset", "export", "./warm.json", "--to", "easyeffects", "--force")
    assert (code, (place / "warm.json").read_text()) == (2, text)
    assert "is the preset itself" in err


def test_osc_lists_every_address(afx):
    code, out, err = afx("osc", "--list")
    assert (code, err) == (0, "")
    listed = {line.split()[0] for line in out.splitlines() if line.startswith("/afx")}
    assert listed == {a.path for a in addresses() if a.param is None}
    assert afx("osc")[1] == out
    assert {row["path"] for row in json.loads(afx("osc", "--json")[1])} == {a.path for a in addresses()}
    assert "| `/afx/amount` |" in afx("osc", "--markdown")[1]


@pytest.mark.slow
def test_a_first_start_says_that_it_compiles(afx, fake, monkeypatch):
    monkeypatch.setattr(sources, "first_start", lambda files: True)
    monkeypatch.setattr("afx_live.dsp.library.opened", lambda: None)
    for words in (
        ["render", VOICE, "--preset", "warm", "-o", "out.wav", "--force"],
        ["demo"],
        ["--preset", "warm", "--osc", "no.such.host.invalid:1"],
    ):
        _, out, err = afx(*words)
        assert err.count("compiling the effects, which takes about 25 s") == 1
        assert "compiling" not in out
        assert "compiling" not in afx(*words, "-q")[2]
    said = afx("--preset", "warm", "--osc", "no.such.host.invalid:1")[2]
    assert "happens once (kept in " in said
    monkeypatch.setattr(sources, "folder", lambda: None)
    said = afx("--preset", "warm", "--osc", "no.such.host.invalid:1")[2]
    assert "happens at every start" in said
    assert "XDG_CACHE_HOME" in said
    for words in (["osc"], ["preset", "list"], ["render", VOICE, "-o", "out.wav"]):  # nothing is played
        assert "compiling" not in afx(*words)[2]
