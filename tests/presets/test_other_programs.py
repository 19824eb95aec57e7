"""Presets for other programs: their filters by arithmetic of our own, and in the programs where they are packaged."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.chain.numbered import path_values
from afx_live.effects import load
from afx_live.presets import Preset, from_json, other_programs
from afx_live.presets.other_programs.plan import PATHS, bands
from afx_live.presets.plugin_state import to_state
from afx_live.realtime.cli.main import main

RATE = 48000
EQUALISERS = range(12)
PROGRAMS = ("camilladsp", "easyeffects", "equalizer-apo", "pipewire")
TOLERANCE_DB = 0.01


def equaliser(seed):
    rng = np.random.default_rng(seed)
    return EffectSettings("equaliser", {p.name: p.clip(p.value(rng.uniform())) for p in load("equaliser").params})


def made(preset, program, folder=Path(), **more):
    return other_programs.export(preset, program, folder / f"sound{other_programs.TARGETS[program]}", **more)


def text(export):
    return next(iter(export.files.values())).decode()


# --- each format, read by its own rules -----------------------------------------------------------


def filters(export, program):
    """Read the filters of a file: (kind, frequency, gain, Q), in order, of one channel."""
    if program == "camilladsp":
        config, kinds = json.loads(text(export)), {"Lowshelf": "low", "Peaking": "peak", "Highshelf": "high"}
        names = [name for part in config["pipeline"] for name in part.get("names", ())]
        found = [config["filters"][name]["parameters"] for name in names if config["filters"][name]["type"] == "Biquad"]
        assert all("slope" not in p for p in found)  # a shelf has either
        return [(kinds[p["type"]], p["freq"], p["gain"], p["q"]) for p in found]
    if program == "easyeffects":
        output, kinds = json.loads(text(export))["output"], {"Lo-shelf": "low", "Bell": "peak", "Hi-shelf": "high"}
        plugins = [output[name] for name in output["plugins_order"] if name.startswith("equalizer")]
        assert all(plugin["left"] == plugin["right"] for plugin in plugins)
        rows = [plugin["left"][f"band{i}"] for plugin in plugins for i in range(plugin["num-bands"])]
        assert all((r["mode"], r["slope"], r["mute"]) == ("APO (DR)", "x1", False) for r in rows)
        assert all(-36 <= r["gain"] <= 36 and r["q"] >= 0.1 for r in rows)
        return [(kinds[r["type"]], r["frequency"], r["gain"], r["q"]) for r in rows if r["gain"] != 0.0]
    if program == "equalizer-apo":
        pattern = r"^Filter \d+: ON (LSC|PK|HSC) Fc (\S+) Hz Gain (\S+) dB Q (\S+)\r$"
        rows = re.findall(pattern, text(export), re.M)
        assert len(rows) == text(export).count("Filter ")
        assert not re.search(r"\d\.\d{3}(?!\d)|e[+-]?\d", text(export))  # thousands; exponents
        return [({"LSC": "low", "PK": "peak", "HSC": "high"}[k], *map(float, rest)) for k, *rest in rows]
    pattern = r'name = (\w+)_L label = bq_(\w+) control = \{ "Freq" = (\S+) "Q" = (\S+) "Gain" = (\S+) \}'
    kinds = {"lowshelf": "low", "peaking": "peak", "highshelf": "high"}
    nodes = {n: (kinds[k], float(f), float(g), float(q)) for n, k, f, q, g in re.findall(pattern, text(export))}
    return [nodes[name] for name in walk(text(export)) if name in nodes]


def walk(config, side="L"):
    """Follow a filter-chain's links from its input to its output; returns the names of nodes without their side."""
    links = dict(re.findall(r'output = "(\w+):Out" input = "(\w+):In(?! 2)', config))
    (at,) = re.findall(rf'inputs = \[\s*"(\w+_{side}):', config) or re.findall(rf'"(\w+_{side}):In', config)[:1]
    order = [at]
    while at in links:
        at = links[at]
        order.append(at)
    return [name.removesuffix(f"_{side}") for name in order]


def cookbook_db(filter_, frequencies):
    """The magnitude of one filter, from the cookbook's analogue prototypes through the bilinear transform."""
    kind, hz, gain_db, q = filter_
    a = 10 ** (gain_db / 40)
    s = 1j * np.tan(np.pi * frequencies / RATE) / np.tan(np.pi * hz / RATE)
    root = np.sqrt(a)
    response = {
        "peak": (s**2 + s * a / q + 1) / (s**2 + s / (a * q) + 1),
        "low": a * (s**2 + s * root / q + a) / (a * s**2 + s * root / q + 1),
        "high": a * (a * s**2 + s * root / q + 1) / (s**2 + s * root / q + a),
    }[kind]
    return 20 * np.log10(np.abs(response))


LENGTH = 1 << 17
BINS = np.unique(np.geomspace(15, 0.49 * RATE, 400) / RATE * LENGTH // 1).astype(int)
FREQUENCIES = BINS * RATE / LENGTH


def ours_db(effect):
    """The magnitude of what plays, measured."""
    x = np.zeros((LENGTH, 1))
    x[0] = 1.0
    y = ChainPlayer(ChainSettings((effect,)), RATE, 1).play(x)[:, 0]
    return 20 * np.log10(np.abs(np.fft.rfft(y)[BINS]))


@pytest.mark.parametrize("seed", EQUALISERS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_the_equaliser_is_the_same_everywhere(program, seed):
    effect = equaliser(seed)
    found = filters(made(Preset("x", ChainSettings((effect,))), program), program)
    assert len(found) == len(bands(effect.values)) == 6
    theirs = sum(cookbook_db(each, FREQUENCIES) for each in found)
    np.testing.assert_allclose(theirs, ours_db(effect), rtol=0, atol=TOLERANCE_DB)


@pytest.mark.parametrize("program", PROGRAMS)
def test_bands_that_do_nothing_are_left_out(program):
    settings = ChainSettings((EffectSettings("equaliser", {"peak_2_db": 3.0}), EffectSettings("compressor", {}, False)))
    export = made(Preset("x", settings), program)
    assert filters(export, program) == [("peak", 700.0, 3.0, 1.0)]
    assert [line.effect for line in export.lines] == ["equaliser"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_gains_and_the_amount_are_in_it(program):
    settings = ChainSettings((EffectSettings("gain", {"gain_db": 6.0}), equaliser(1)), 3.0, -7.5)
    half = made(Preset("x", settings, 0.5), program)
    total = 3.0 + 3.0 - 7.5
    if program == "equalizer-apo":
        found = sum(float(v) for v in re.findall(r"Preamp: (\S+) dB", text(half)))
    elif program == "camilladsp":
        found = sum(f["parameters"]["gain"] for f in json.loads(text(half))["filters"].values() if f["type"] == "Gain")
    elif program == "easyeffects":
        plugins = json.loads(text(half))["output"]
        found = sum(plugins[name]["input-gain"] + plugins[name]["output-gain"] for name in plugins["plugins_order"])
    else:
        ((one, two),) = re.findall(
            r'name = gain_L label = mixer control = \{ "Gain 1" = (\S+) "Gain 2" = (\S+) \}', text(half)
        )
        assert text(half).count('input = "gain_L:In') == 2
        found = 20 * np.log10(float(one) + float(two))
    assert found == pytest.approx(total, abs=1e-4)
    theirs = sum(cookbook_db(each, FREQUENCIES) for each in filters(half, program))
    np.testing.assert_allclose(theirs, ours_db(settings.effects[1].scaled(0.5)), rtol=0, atol=TOLERANCE_DB)


def test_more_gain_than_easyeffects_takes_is_told():
    export = made(Preset("x", ChainSettings((equaliser(1),), 48.0, 0.0)), "easyeffects")
    assert json.loads(text(export))["output"]["equalizer#0"]["input-gain"] == 36.0
    assert str(export.lines[-1]) == "input gain: dropped (12.0000 dB of it: the most is 36 dB)"


# --- reverbs --------------------------------------------------------------------------------------


def responses(export, program):
    """The impulse responses (frames, 4), by the names that the file gives them."""
    waves = {
        n: soundfile.read(io.BytesIO(data), always_2d=True) for n, data in export.files.items() if n.endswith("wav")
    }
    assert {rate for _, rate in waves.values()} == {RATE}
    if program == "easyeffects":
        ((x, _),) = waves.values()
        return x
    return np.concatenate([waves[f"sound-{path}.wav"][0] for path in PATHS], axis=1)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_reverb_is_its_impulse_responses(program):
    reverb = EffectSettings("reverb", {"rt60_s": 0.4, "predelay_ms": 33.0, "width": 0.7, "mix": 0.3})
    export = made(Preset("x", ChainSettings((reverb,))), program)
    found = responses(export, program)
    x = np.random.default_rng(0).uniform(-0.5, 0.5, (6000, 2))
    padded = np.concatenate([x, np.zeros((len(found), 2))])
    size = len(padded) + len(found)
    spectrum = np.fft.rfft(padded, size, axis=0)
    parts = {path: np.fft.irfft(spectrum[:, "LR".index(path[0])] * np.fft.rfft(found[:, i], size), size)
             for i, path in enumerate(PATHS)}  # fmt: skip
    theirs = np.stack([parts["LL"] + parts["RL"], parts["LR"] + parts["RR"]], 1)[: len(padded)]
    ours = ChainPlayer(ChainSettings((reverb,)), RATE).play(padded)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=3e-4 * np.abs(ours).max())
    np.testing.assert_allclose(theirs[:6000], ours[:6000], rtol=0, atol=1e-6)


def test_true_stereo_is_wired_as_it_is_named(tmp_path):
    preset = Preset("x", ChainSettings((EffectSettings("reverb", {"rt60_s": 0.2}),)))
    lines = text(made(preset, "equalizer-apo")).replace("\r", "").splitlines()
    assert lines[1] == "Copy: LL=L LR=L RL=R RR=R"
    assert lines[2:4] == ["Channel: LL", "Convolution: sound-LL.wav"]
    assert lines[-2:] == ["Channel: all", "Copy: L=LL+RL R=LR+RR"]
    camilla = json.loads(text(made(preset, "camilladsp")))
    split, join = camilla["mixers"]["reverb_split"], camilla["mixers"]["reverb_join"]
    assert [[s["channel"] for s in m["sources"]] for m in split["mapping"]] == [[0], [0], [1], [1]]
    assert [[s["channel"] for s in m["sources"]] for m in join["mapping"]] == [[0, 2], [1, 3]]
    assert [p.get("names", p.get("name")) for p in camilla["pipeline"]] == [
        "reverb_split", *([f"reverb_{path}"] for path in PATHS), "reverb_join"
    ]  # fmt: skip
    pipe = text(made(preset, "pipewire", tmp_path))
    assert f'name = reverb_LR label = convolver config = {{ filename = "{tmp_path}/sound-LR.wav" }}' in pipe
    for path in PATHS:
        assert f'output = "in_{path[0]}:Out" input = "reverb_{path}:In"' in pipe
        assert f'output = "reverb_{path}:Out" input = "reverb_out_{path[1]}:In {1 + (path[0] == "R")}"' in pipe


# --- the command ----------------------------------------------------------------------------------


def run(capsys, *words):
    with pytest.raises(SystemExit) as end:
        main(["preset", "export", *map(str, words)])
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


@pytest.mark.parametrize("program", other_programs.TARGETS)
def test_every_preset_is_written_for_every_program_with_a_line_for_each_effect(capsys, tmp_path, monkeypatch, program):
    monkeypatch.chdir(tmp_path)
    for name in presets.names():
        code, out, _ = run(capsys, name, "--to", program)
        assert code == 0
        heard = [e.effect for e in presets.load(name).settings.effects if e.enabled]
        lines = out.splitlines()
        assert [line.split(":")[0] for line in lines[-len(heard) :]] == heard
        grades = {line.split(": ")[1].split(" (")[0] for line in lines[-len(heard) :]}
        assert grades <= {"exact", "static curve only", "impulse response", "dropped"}
        assert Path(lines[0]) == Path(f"{name}{other_programs.TARGETS[program]}")
        for line in lines[: -len(heard)]:
            assert Path(line).exists()


def test_install_puts_it_where_easyeffects_looks(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    code, out, _ = run(capsys, "hall", "--to", "easyeffects", "--install", "--microphone")
    assert code == 0
    placed = tmp_path / "data/easyeffects/input/hall.json"
    plugin = json.loads(placed.read_text())["input"]["convolver#0"]
    assert (placed.parents[1] / "irs" / f"{plugin['kernel-name']}.irs").is_file()
    assert str(placed) in out
    assert run(capsys, "hall", "--to", "easyeffects", "--install", "--microphone")[0] == 2
    assert run(capsys, "hall", "--to", "easyeffects", "--install", "--microphone", "--force")[0] == 0
    (tmp_path / "config/easyeffects").mkdir(parents=True)  # version 7 keeps its presets there
    shutil.rmtree(tmp_path / "data")
    run(capsys, "warm", "--to", "easyeffects", "--install")
    assert (tmp_path / "config/easyeffects/output/warm.json").is_file()


@pytest.mark.parametrize(("words", "code", "says"), [
    (["hall"], 2, "--to"),
    (["hall", "--to", "pipewire", "--install"], 5, "easyeffects"),
    (["hall", "--to", "winamp"], 2, "winamp"),
    (["hall", "warm", "--to", "pipewire"], 2, "one preset"),
    (["no-such", "--to", "pipewire"], 5, "no-such"),
    (["hall", "--to", "pipewire", "--samplerate", "500000"], 5, "384000"),
    (["hall", "--to", "pipewire", "-o", "none/x.conf"], 4, "none"),
])  # fmt: skip
def test_errors_have_their_codes(capsys, tmp_path, monkeypatch, words, code, says):
    monkeypatch.chdir(tmp_path)
    found, _, said = run(capsys, *words)
    assert found == code
    assert says in said
    assert not list(tmp_path.iterdir())


def test_what_is_there_is_kept(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hall-LR.wav").write_text("mine")
    code, _, said = run(capsys, "hall", "--to", "pipewire")
    assert code == 2
    assert "--force" in said
    assert [p.name for p in tmp_path.iterdir()] == ["hall-LR.wav"]


def test_a_plug_ins_state_is_a_preset(tmp_path):
    for name in presets.names():
        settings = presets.load(name).settings
        (tmp_path / "x.state").write_bytes(to_state(settings, 0.5))
        back = presets.load(tmp_path / "x.state")
        assert (back.name, back.amount) == ("x", 0.5)
        assert path_values(back.settings) == path_values(settings)
        assert [e.effect for e in back.settings.effects if e.enabled] == [
            e.effect for e in settings.effects if e.enabled
        ]
    for broken in (b"AFX1", b"AFX1\x01\x00\x00\x00\xff\xff\xff\xff", to_state(settings)[:-3]):
        with pytest.raises(presets.PresetError, match="state"):
            from_json(broken)
