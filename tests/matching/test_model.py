"""A model: how it hears a clip, how it predicts, and that a folder that does not fit is refused by name."""

import hashlib
import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afx_live.effects import load
from afx_live.matching import (
    ClipError,
    Decision,
    Features,
    MatchModel,
    ModelError,
    Prediction,
    feature_distance,
    onnx_sandbox,
)
from afx_live.matching import format as model_format
from afx_live.presets import SHIPPED_MODEL
from support.clips import RATE, bundled, played


def features(model, name):
    return model.analyse(bundled(name), RATE, name)


# --- analysis -------------------------------------------------------------------------------------


def test_windows_are_pooled_and_silence_is_not(model):
    a, b, silence = bundled("voice")[: 5 * RATE], bundled("guitar")[: 5 * RATE], np.zeros(5 * RATE)
    one, two = model.analyse(a, RATE), model.analyse(b, RATE)
    both = model.analyse(np.concatenate([silence, a, silence, b, silence]), RATE)
    assert both.windows == 2.0
    # A clip's own first and last quiet tenths go with the silence beside them, so windows move by some.
    assert feature_distance(both, one + two) < 0.4 * feature_distance(one, two)


def test_what_is_quiet_beside_the_rest_does_not_count(model):
    a, hum = bundled("voice")[: 5 * RATE], 0.03 * bundled("drums")[: 5 * RATE]
    assert model.analyse(np.concatenate([a, hum]), RATE).windows == 1.0


def test_loudness_and_channels_do_not_change_what_is_heard(model):
    x = bundled("guitar")[: 5 * RATE]
    here = model.analyse(x, RATE)
    for other in (0.03 * x, np.stack([x, x], 1), np.stack([x] * 6, 1)):
        np.testing.assert_allclose(model.analyse(other, RATE).embedding, here.embedding, atol=1e-3)


def test_pooling_weighs_by_how_much_was_heard():
    a, b = Features(np.ones(3), np.ones(2), 3.0), Features(np.zeros(3), 5 * np.ones(2), 1.0)
    np.testing.assert_allclose((a + b).statistics, 0.75)
    np.testing.assert_allclose((a + b).embedding, 2.0)
    assert (a + b).windows == 4.0


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.ones(RATE // 2), "it has 0.5 s of sound; 1 s are needed"),
        (np.zeros(3 * RATE), "it is silent: its loudest 5 s are at -inf LUFS; -90 are needed"),
        (np.full(3 * RATE, np.nan), "it holds NaN or Inf"),
        (np.zeros(0), "it has 0.0 s of sound"),
    ],
)
def test_what_can_not_be_described_says_why(model, x, words):
    with pytest.raises(ClipError) as error:
        model.analyse(x, RATE, "it")
    assert words in str(error.value)


# --- prediction -----------------------------------------------------------------------------------


def test_references_are_blended_evenly(model):
    mine, refs = features(model, "voice"), [features(model, n) for n in ("drums", "guitar_reference")]
    one, two = (model.predict(mine, [r]) for r in refs)
    both = model.predict(mine, refs)
    for part in ("unit", "probability", "amount", "curve_db"):
        np.testing.assert_allclose(getattr(both, part), (getattr(one, part) + getattr(two, part)) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="no reference"):
        model.predict(mine, [])


def test_a_prediction_of_nonsense_makes_settings_all_the_same(model):
    size = len(model.chain.params)
    for fill in (0.0, 1.0):
        curve = np.full(len(model.bands_hz), 60.0 * fill)
        curve[::2] *= -1
        nonsense = Prediction(np.full(size, fill), np.ones(4), np.full(4, 1e9 * fill), curve, fill, np.full(4, True))
        settings = model.settings(nonsense, [True] * 4)
        assert np.isfinite(played(settings, bundled("drums"))).all()


def test_fixed_parameters_keep_their_defaults(model):
    prediction = model.predict(features(model, "voice"), [features(model, "guitar_reference")])
    settings = model.settings(prediction)
    assert model.description.fixed
    for effect, name in model.description.fixed:
        assert settings.effect(effect).values[name] == load(effect).param(name).default


def test_an_amount_is_how_far_an_effect_goes(model):
    unit, curve = np.full(len(model.chain.params), 0.8), np.linspace(-6.0, 6.0, len(model.bands_hz))
    evenly = -model.decision.offset.mean(1)  # log-odds that make amounts of a half, sources being as likely one as two
    halved = Prediction(unit, np.ones(4), evenly, curve, 0.5, np.full(4, True))
    whole, half = model.at_full_strength(halved), model.settings(halved)
    for mine, full in zip(half.effects, whole.effects, strict=True):
        assert mine.values == full.scaled(0.5).values
        assert mine.enabled


@pytest.mark.slow
def test_what_is_not_allowed_is_not_used(small_model):
    newest = MatchModel(small_model)
    mine, reference = features(newest, "voice"), features(newest, "guitar_reference")
    free, bound = (newest.predict(mine, [reference], mask) for mask in (None, [True, False, False, True]))
    assert not np.array_equal(free.amount, bound.amount)  # it is told, and answers accordingly
    amounts = newest.amounts(replace(bound, amount=np.full(4, 5.0)))
    np.testing.assert_array_equal(amounts, [1.0, 0.0, 0.0, 1.0])


# --- the format -----------------------------------------------------------------------------------


def without_doc(chain):
    return [[{k: v for k, v in p.items() if k != "doc"} for p in step["params"]] for step in chain]


def test_what_is_written_is_read(copy):
    before = model_format.read(copy)[0]
    model_format.write(copy, before.data)
    after = model_format.read(copy)[0]
    assert after.data == before.data
    assert list(after.data)[:2] == ["format", "version"]
    assert without_doc(after.data["chain"]) == without_doc(model_format.chain_data(after.chain))
    assert after.data["sha256"] == model_format.checksums(copy)


@pytest.mark.slow
def test_a_calibration_changes_nothing_else(small_model, tmp_path):
    folder = Path(shutil.copytree(small_model, tmp_path / "model"))
    before = model_format.read(folder)[0].data
    wanted = Decision(np.linspace(-2.0, 2.0, 8).reshape(4, 2), np.linspace(0.5, 2.0, 4), 0.4, 2.5, 0.1)
    chosen = model_format.write_calibration(folder, wanted, (3.0001, 2.0), {"pairs": 7})
    after = MatchModel(folder)
    np.testing.assert_allclose(after.decision.offset, wanted.offset, atol=5e-4)
    np.testing.assert_allclose(after.decision.slope, wanted.slope, atol=5e-4)
    assert (after.decision.boldness, after.decision.span, after.decision.least) == (0.4, 2.5, 0.1)
    assert after.description.max_distance == (3.0, 2.0)
    expected = {**before, "decision": chosen, "reach": [3.0, 2.0], "calibration": {"pairs": 7}}
    assert after.description.data == expected


@pytest.mark.slow
def test_a_model_without_calibration_is_used_as_it_is(copy):
    edit(copy, lambda spec: [spec.pop(key) for key in ("reach", "calibration")])
    assert MatchModel(copy).description.max_distance == (model_format.MAX_DISTANCE,) * 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.pop("slope"), "nothing is said of slope"),
        (lambda d: d["offset"].pop("reverb"), "decision.offset.reverb"),
        (lambda d: d["offset"].update(reverb=[0.0, 99.0]), "decision.offset.reverb"),
        (lambda d: d.update(boldness=1.5), "decision.boldness"),
    ],
)
def test_a_decision_that_cannot_be_is_refused_by_name(small_model, tmp_path, change, words):
    folder = Path(shutil.copytree(small_model, tmp_path / "model"))
    edit(folder, lambda spec: change(spec["decision"]))
    with pytest.raises(ModelError, match=words):
        MatchModel(folder)


def test_the_sandbox_loads_nothing_of_ours():
    code = f"import runpy, sys; runpy.run_path({onnx_sandbox.__file__!r}); print('afx_live' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


# --- a model that does not fit --------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path):
    return shutil.copytree(SHIPPED_MODEL, tmp_path / "model")


def edit(folder, change):
    path = folder / "model.json"
    spec = json.loads(path.read_text())
    change(spec)
    path.write_text(json.dumps(spec))


def stamp(folder, name):
    digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    edit(folder, lambda spec: spec["sha256"].update({name: digest}))


def param(spec, effect, name):
    step = next(s for s in spec["chain"] if s["effect"] == effect)
    return next(p for p in step["params"] if p["name"] == name)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.update(format="zip"), '"zip" version 2; this program reads "afx-live-model" version 2'),
        (lambda s: s.update(version=3), '"afx-live-model" version 3; this program reads'),
        (lambda s: s.update(version=1), '"afx-live-model" version 1; this program reads'),
        (lambda s: s.pop("format"), "format: nothing version 2"),
        (lambda s: s.update(sha256={}), "sha256: nothing is said of controller.onnx, encoder.onnx"),
        (lambda s: s.pop("decision"), "nothing is said of decision"),
        (lambda s: s.pop("bands_hz"), "nothing is said of bands_hz"),
        (lambda s: s["sha256"].update({"../x": "0"}), "../x is not the file"),
        (lambda s: s["sha256"].update({"encoder.onnx": "0" * 64}), "encoder.onnx is not the file"),
        (lambda s: s["chain"][0].update(effect="wah"), 'chain[0].effect: "wah" is not an effect'),
        (lambda s: param(s, "compressor", "ratio").update(high=50.0), "chain[1]: compressor ratio is"),
        (lambda s: param(s, "reverb", "rt60_s").update(name="rt"), "reverb rt is"),
        (lambda s: s["chain"][1]["params"].pop(), "parameters there and"),
        (lambda s: s.update(chain=3), "chain: 3 is not a list"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_by_name(copy, change, words):
    edit(copy, change)
    with pytest.raises(ModelError) as error:
        MatchModel(copy)
    assert words in str(error.value)
    assert str(copy) in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "3", "{", "\xff", '"afx"', "[" * 5000])
def test_a_description_that_is_none_is_refused(copy, text):
    (copy / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelError, match=r"model\.json"):
        MatchModel(copy)


@pytest.mark.parametrize("name", ["model.json", "encoder.onnx", "controller.onnx"])
def test_a_missing_file_is_named(copy, name):
    (copy / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing: .* is not a model folder"):
        MatchModel(copy)


@pytest.mark.parametrize("name", ["encoder.onnx", "controller.onnx"])
def test_an_edited_file_is_refused_by_its_checksum(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(ModelError, match=f"{name} is not the file that model.json was written for"):
        MatchModel(copy)


@pytest.mark.parametrize("data", [b"", b"garbage" * 100])
def test_a_graph_that_is_none_is_refused(copy, data):
    (copy / "encoder.onnx").write_bytes(data)
    stamp(copy, "encoder.onnx")
    with pytest.raises(ModelError, match=r"encoder\.onnx: onnxruntime cannot load it"):
        MatchModel(copy)


def test_swapped_graphs_are_refused(copy):
    for name, other in (("encoder.onnx", "controller.onnx"), ("controller.onnx", "encoder.onnx")):
        shutil.copy(SHIPPED_MODEL / other, copy / name)
        stamp(copy, name)
    with pytest.raises(ModelError, match=r"encoder\.onnx .*waveform"):
        MatchModel(copy)


@pytest.mark.parametrize("place", ["nowhere", "a file"])
def test_what_is_no_folder_is_refused(tmp_path, place):
    (tmp_path / "a file").touch()
    with pytest.raises(ModelError, match=place):
        MatchModel(tmp_path / place)


@pytest.mark.parametrize("reach", [[1.0], [1.0, "far"], [-1.0, 2.0], "far"])
def test_a_reach_that_cannot_be_is_refused(copy, reach):
    edit(copy, lambda spec: spec.update(reach=reach))
    with pytest.raises(ModelError, match="reach"):
        MatchModel(copy)
