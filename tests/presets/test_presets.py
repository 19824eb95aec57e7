import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from afx_live import effects, presets
from afx_live.chain import ChainSettings, EffectSettings
from afx_live.presets import Preset, PresetError, from_json, load, save, to_json

HERE = Path(presets.__file__).resolve().parent
FACTORY = sorted(p.stem for p in HERE.glob("*.json"))
RATE = 48000

pytestmark = pytest.mark.usefixtures("home")


def preset(**changes) -> Preset:
    steps = (
        EffectSettings("compressor", {"threshold_db": -24.125, "ratio": 2.123456789}),
        EffectSettings("equaliser", {"peak_1_hz": 118.0, "peak_1_db": -3.0}, enabled=False),
    )
    source = {
        "references": [{"file": "podcast.wav", "sha256": "0" * 64, "lufs": -16.1}],
        "model": "speech-v1",
        "app": "afx-live 0.1.0",
        "created": "2026-11-22T22:40:00Z",
    }
    data = dict(settings=ChainSettings(steps, 3.0, -1.5), amount=0.75, target_lufs=-16.0, source=source, notes="Mine.")
    return Preset(**{"name": "my-voice", **data, **changes})


def document() -> dict:
    return json.loads(to_json(preset()))


# --- round trip -----------------------------------------------------------------------------------


def test_what_is_saved_is_loaded(tmp_path):
    path = save(preset(), tmp_path / "a.json")
    found = load(path)
    assert found.settings.effect("compressor").values["ratio"] == 2.12346  # 6 significant digits
    assert found == preset(settings=found.settings)
    assert found.settings.effects[1] == preset().settings.effects[1]
    assert (found.settings.input_gain_db, found.settings.output_gain_db) == (3.0, -1.5)
    assert path.read_text() == to_json(found)


def test_file_is_for_reading():
    text = to_json(preset())
    assert list(json.loads(text))[:3] == ["format", "version", "name"]
    assert (
        '  "chain": [\n    {\n      "effect": "compressor",\n      "on": true,\n      "threshold_db": -24.125,' in text
    )


def test_missing_means_default():
    small = {"format": "afx-live-preset", "version": 1, "chain": [{"effect": "compressor", "ratio": 4}]}
    found = from_json(json.dumps(small), name="small")
    assert (found.name, found.amount, found.target_lufs, found.source) == ("small", 1.0, None, {})
    assert found.settings == ChainSettings((EffectSettings("compressor", {"ratio": 4.0}),))


def test_every_effect_and_edge_of_range_survives():
    for name in effects.names():
        for end in ("low", "high"):
            step = EffectSettings(name, {p.name: getattr(p, end) for p in effects.load(name).params})
            assert from_json(to_json(Preset("edge", ChainSettings((step,))))).settings.effects == (step,)


def test_byte_order_mark_is_ignored():
    assert from_json(b"\xef\xbb\xbf" + to_json(preset()).encode()).name == "my-voice"


class File(NamedTuple):
    path: Path
    sha256: str
    lufs: float


def test_provenance():
    files = [File(Path("clips/ref.wav"), "ba78" * 16, -16.123456789)]
    source = presets.provenance(files, "speech-v1")
    found = from_json(to_json(preset(source=source))).source
    assert found["references"] == [{"file": "ref.wav", "sha256": "ba78" * 16, "lufs": -16.1235}]
    assert found["model"] == "speech-v1"
    assert found["created"].endswith("Z")
    assert "by_hand" not in found
    more = presets.provenance(files, paths=True, by_hand=["equaliser/peak_1_db"])
    assert more["references"][0]["path"] == str(Path("clips/ref.wav").absolute())
    assert from_json(to_json(preset(source=more))).source["by_hand"] == ["equaliser/peak_1_db"]


def test_provenance_of_a_file_whose_name_is_no_text():
    source = presets.provenance([File(Path("caf\udce9\x1b.wav"), "", -16.0)], paths=True)
    (kept,) = from_json(to_json(preset(source=source))).source["references"]
    assert kept["file"] == "caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}.wav"
    assert kept["path"].endswith(kept["file"])


# --- what does not fit ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        (("chain", 0, "treshold_db"), -20, ["chain[0].treshold_db", "-20", "did you mean threshold_db?"]),
        (("chain", 0, "effect"), "compresor", ["chain[0].effect", '"compresor"', "did you mean compressor?"]),
        (("chain", 0, "effect"), None, ["chain[0].effect", "compressor, "]),
        (("chain", 0, "ratio"), 99, ["chain[0].ratio", "99", "[1, 20]"]),
        (("chain", 0, "ratio"), "3", ["chain[0].ratio", '"3"', "[1, 20]"]),
        (("chain", 0, "ratio"), True, ["chain[0].ratio", "true", "[1, 20]"]),
        (("chain", 0, "ratio"), float("nan"), ["chain[0].ratio", "nan", "[1, 20]"]),
        (("chain", 0, "ratio"), float("inf"), ["chain[0].ratio", "inf"]),
        (("chain", 0, "ratio"), 10**400, ["chain[0].ratio", "a huge number"]),
        (("chain", 0, "ratio"), [[3]], ["chain[0].ratio", "a list"]),
        (("chain", 0, "on"), 1, ["chain[0].on", "true or false"]),
        (("chain", 0), 7, ["chain[0]", "7", "not an object"]),
        (("chain", 1, "effect"), "compressor", ["chain[1].low_shelf_hz", "compressor has no such key"]),
        (("chain",), [{"effect": "gain"}] * 2, ["chain", "gain", "twice"]),
        (("chain",), {}, ["chain", "not a list"]),
        (("amont",), 0.5, ["amont = 0.5", "did you mean amount?"]),
        (("amount",), 1.5, ["amount", "1.5", "[0, 1]"]),
        (("target_lufs",), 3, ["target_lufs", "[-70, 0]"]),
        (("input_gain_db",), 400, ["input_gain_db", "400", "[-48, 48]"]),
        (("name",), "../evil", ["name", "../evil", "letters"]),
        (("name",), "x\ud800", ["name", "surrogate"]),
        (("notes",), 5, ["notes", "5", "text"]),
        (("source", "modell"), "x", ["source.modell", "did you mean model?"]),
        (("source", "created"), "yesterday", ["source.created", "yesterday"]),
        (("source", "references", 0, "sha256"), "12", ["source.references[0].sha256", "64"]),
        (("source", "references", 0, "lufs"), None, ["source.references[0].lufs", "nothing"]),
        (("format",), "easyeffects", ["format", "easyeffects", "afx-live-preset"]),
        (("version",), 1.0, ["version", "1", "whole number"]),
        (("version",), None, ["version", "nothing"]),
    ],
)
def test_error_names_file_key_value_and_what_is_allowed(place, value, words):
    data = document()
    *path, last = place
    at = data
    for key in path:
        at = at[key]
    at[last] = value
    with pytest.raises(PresetError) as caught:
        from_json(json.dumps(data), "my-voice.json")
    for word in ["my-voice.json: ", *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1, column 1"),
        ("[]", "not an object"),
        ('{"format": }', "line 1, column 12"),
        (b"\xff\xfe{}", "UTF-8"),
        ('{"amount": 1, "amount": 0}', "twice"),
        ("[" * 200_000, "not readable"),
        ('{"a":' * 150_000, "not readable"),
        ('{"version": ' + "9" * 5000 + "}", "file"),
        (" " * 1_000_001, "1000000"),
    ],
)
def test_what_is_no_json_is_refused(text, words):
    with pytest.raises(PresetError, match=words):
        from_json(text, "file")


def test_files_that_are_none(tmp_path):
    for path, words in (
        (tmp_path / "none.json", "no such file"),
        (tmp_path, "directory|regular"),
        ("a\0.json", "read"),
    ):
        with pytest.raises(PresetError, match=words):
            load(path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(PresetError, match="regular"):
        load(tmp_path / "pipe.json")
    with pytest.raises(PresetError, match="telephone"):
        load("telphone")
    with pytest.raises(PresetError):
        load("/dev/zero")


def test_what_no_file_can_hold_is_no_preset():
    for changes in (
        {"amount": float("nan")},
        {"target_lufs": "loud"},
        {"source": {1: 2}},
        {"source": None},
        {"notes": "\0"},
    ):
        with pytest.raises(PresetError):
            preset(**changes)


# --- versions -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("version", "word"), [(2, "newer"), (10**30, "newer"), (0, "older"), (-5, "older")])
def test_other_versions_are_refused(version, word):
    with pytest.raises(PresetError, match=word):
        from_json(json.dumps(document() | {"version": version}))


# --- fuzz -----------------------------------------------------------------------------------------

JUNK = [
    None,
    True,
    -1,
    0,
    1e999,
    float("nan"),
    10**40,
    "",
    "x" * 5000,
    "\ud800",
    "\0",
    [],
    [[]],
    {},
    {"": None},
    "compressor",
]


def mutate_bytes(raw: bytes, rng: random.Random) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.randint(1, 4)):
        i, j = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        kind = rng.randrange(5)
        if kind == 0 and data:
            data[min(i, len(data) - 1)] = rng.randrange(256)
        elif kind == 1:
            del data[i : i + rng.randint(1, 30)]
        elif kind == 2:
            data[i:i] = data[i : i + min(j - i, 60)]
        elif kind == 3:
            data[i:i] = rng.choice([b"NaN", b"-", b"1e999", b"[", b"{", b'"', b"\\u0000", b"\xc3", b"9" * 400, b"null"])
        else:
            del data[i:]
    return bytes(data)


def mutate_values(data, rng: random.Random):
    """Replace, drop or add a value somewhere in parsed JSON."""
    at = data
    while isinstance(at, dict | list) and at:
        key = rng.choice(list(at) if isinstance(at, dict) else range(len(at)))
        if not isinstance(at[key], dict | list) or rng.random() < 0.2:
            kind = rng.randrange(3)
            if kind == 0:
                at[key] = rng.choice(JUNK)
            elif kind == 1:
                del at[key]
            elif isinstance(at, dict):
                at[rng.choice(["", "x", "on", "effect", "\x1b[31m", "ratio"])] = rng.choice(JUNK)
            else:
                at.append(rng.choice(JUNK))
            return data
        at = at[key]
    return data


@pytest.mark.slow
def test_mutated_files_are_presets_or_preset_errors():
    rng = random.Random(1)
    raw = to_json(preset()).encode()
    refused = 0
    for i in range(6000):
        if i % 2:
            text = mutate_bytes(raw, rng)
        else:
            text = json.dumps(mutate_values(mutate_values(document(), rng), rng)).encode()
        found = said = None
        try:
            found = from_json(text, "fuzz.json")
        except PresetError as error:
            said = str(error)
        if found is None:
            refused += 1
            assert said is not None
            assert said.startswith("fuzz.json: ")
            assert "\x1b" not in said
            assert len(said) < 1000
        else:
            rounded = to_json(found)
            assert to_json(from_json(rounded)) == rounded
    assert 1000 < refused < 6000


# --- saving ---------------------------------------------------------------------------------------


def test_names_and_the_users_own(home):
    assert presets.folder() == home / "presets"
    assert not home.exists()
    assert list(presets.names()) == FACTORY
    path = save(preset())
    assert path == home / "presets" / "my-voice.json"
    assert "my-voice" in presets.names()
    assert load("my-voice").amount == 0.75
    save(preset(name="telephone"), "telephone")  # the user's comes first
    assert load("telephone").amount == 0.75
    assert presets.load_factory("telephone").amount == 1.0
    assert len(presets.names()) == len(FACTORY) + 1
    for bad in ("..", ".hidden", "", "x" * 65, "a\nb"):
        with pytest.raises(PresetError):
            save(preset(), bad)


def test_folder_without_override(monkeypatch):
    monkeypatch.delenv("AFX_LIVE_HOME")
    assert presets.folder().parts[-2:] == ("afx-live", "presets")


def test_nothing_is_overwritten_unasked(tmp_path):
    path = save(preset(), tmp_path / "a.json")
    with pytest.raises(FileExistsError, match="force"):
        save(preset(notes="new"), path)
    assert load(path).notes == "Mine."
    save(preset(notes="new"), path, force=True)
    assert load(path).notes == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_a_link_stays_a_link(tmp_path):
    save(preset(), tmp_path / "real.json")
    (tmp_path / "link.json").symlink_to("real.json")
    save(preset(notes="new"), tmp_path / "link.json", force=True)
    assert (tmp_path / "link.json").is_symlink()
    assert load(tmp_path / "real.json").notes == "new"


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = save(preset(), tmp_path / "a.json")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="space"):
        save(preset(notes="new"), path, force=True)
    assert load(path).notes == "Mine."
    assert len(list(tmp_path.iterdir())) == 1


WRITER = """
import sys
from afx_live.presets import load, save
from dataclasses import replace
preset = load(sys.argv[1])
n = 0
while True:
    n += 1
    save(replace(preset, notes=f"{n} " * 900), sys.argv[1], force=True)
    if n == 1:
        print("ready", flush=True)
"""


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_a_readable_file(tmp_path):
    path = save(preset(), tmp_path / "a.json")
    rng = random.Random(2)
    for _ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0.02, 0.15))
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        words = load(path).notes.split()
        assert len(words) == 900
        assert len(set(words)) == 1


def test_no_torch():
    code = "import sys; import afx_live.presets as p; p.load('telephone'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
