"""Matching: the level is solved exactly, the amount scales the change, and a model that does not fit is named."""

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.dsp.loudness import integrated_loudness
from afx_live.effects import load
from afx_live.matching import equaliser_fit
from afx_live.matching.match import Match, Reference, goal_of, match, solve_level, target_of
from afx_live.matching.model import ClipError, Features, MatchModel, ModelError, Prediction
from afx_live.matching.words import sentences
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.session.hysteresis import CURVE_DEADBAND_DB, DEADBAND, switched, with_hysteresis, within_deadband

RATE = 48000
CLIPS = ("voice", "guitar", "drums")
WORK = ChainSettings(
    (
        EffectSettings("equaliser", {"low_shelf_db": 6.0, "peak_2_db": -5.0, "high_shelf_db": 4.0}),
        EffectSettings("compressor", {"threshold_db": -30.0, "ratio": 4.0}),
        EffectSettings("distortion", {"drive_db": 18.0, "mix": 0.8}),
        EffectSettings("reverb", {"mix": 0.2}),
    )
)
BACKWARDS = ChainSettings(tuple(reversed(WORK.effects)))


@pytest.fixture(scope="module")
def model():
    return MatchModel(SHIPPED_MODEL)


def clip(name):
    return soundfile.read(presets.clip(name))[0]


def heard(model, name):
    x = clip(name)
    return Reference(presets.clip(name), model.analyse(x, RATE, name), integrated_loudness(x, RATE), len(x) / RATE)


def played(settings, x):
    x = x[:, None] if x.ndim == 1 else x
    return ChainPlayer(settings, RATE, x.shape[1]).play(x)


# --- level ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
@pytest.mark.parametrize("settings", [WORK, BACKWARDS, ChainSettings()], ids=["canonical", "backwards", "empty"])
@pytest.mark.parametrize("target", [-30.0, -16.0, None])
def test_solved_level_is_the_target_in_closed_form(name, settings, target):
    x = clip(name)
    solved = solve_level(settings, x, RATE, target, -23.0)
    goal = integrated_loudness(x, RATE) if target is None else target
    assert integrated_loudness(played(solved, x), RATE) == pytest.approx(goal, abs=1e-6)
    assert solved.effects == settings.effects


def test_the_chain_is_entered_at_the_loudness_of_training():
    x = clip("voice")
    solved = solve_level(WORK, x, RATE, -16.0, -23.0)
    toned = played(ChainSettings(WORK.effects[:1], input_gain_db=solved.input_gain_db), x)
    assert integrated_loudness(toned, RATE) == pytest.approx(-23.0, abs=1e-6)
    first = played(ChainSettings(input_gain_db=solve_level(BACKWARDS, x, RATE, -16.0, -23.0).input_gain_db), x)
    assert integrated_loudness(first, RATE) == pytest.approx(-23.0, abs=1e-6)


def test_two_ears_of_one_sound_drive_the_chain_as_one_does():
    x = clip("voice")
    chain = ChainSettings(WORK.effects[:3])  # a reverb has two ears of its own
    one, two = (solve_level(chain, y, RATE, None, -23.0) for y in (x, np.repeat(x[:, None], 2, 1)))
    np.testing.assert_allclose(played(two, x), played(one, x), atol=1e-9)


def test_how_loud_the_input_comes_changes_no_sound():
    x = clip("guitar")
    loud, faint = (played(solve_level(WORK, g * x, RATE, -20.0, -23.0), g * x) for g in (1.0, 0.05))
    np.testing.assert_allclose(loud, faint, atol=1e-9)


def test_an_input_gain_that_is_given_is_kept():
    x = clip("voice")
    solved = solve_level(WORK, x, RATE, -18.0, -23.0, input_gain_db=12.0)
    assert solved.input_gain_db == 12.0
    assert integrated_loudness(played(solved, x), RATE) == pytest.approx(-18.0, abs=1e-6)


@pytest.mark.parametrize("x", [np.zeros(RATE), np.full(RATE, 1e-6), np.zeros((RATE, 2))])
def test_silence_changes_no_level(x):
    settings = replace(WORK, input_gain_db=3.0, output_gain_db=-2.0)
    assert solve_level(settings, x, RATE, -16.0, -23.0) is settings


def test_gains_stay_in_their_range():
    gain = load("gain").params[0]
    solved = solve_level(ChainSettings(), 2e-3 * clip("voice"), RATE, -10.0, 20.0)
    assert gain.low <= solved.input_gain_db <= gain.high
    assert gain.low <= solved.output_gain_db <= gain.high


def test_the_goal_is_the_references_mean_and_never_over_full_scale():
    nothing = Features(np.zeros(1), np.zeros(1), 1.0)
    a, b, hot = (Reference(presets.clip("voice"), nothing, lufs, 5.0) for lufs in (-20.0, -10.0, 2.5))
    assert goal_of([a, b]) == -15.0
    assert goal_of([hot]) == 0.0
    assert [target_of([a], -30.0, amount) for amount in (0.0, 0.5, 1.0)] == [-30.0, -25.0, -20.0]


# --- amount ---------------------------------------------------------------------------------------


def third_octaves(x):
    """Levels in dB of the third octaves from 50 Hz to 12.5 kHz that hold any sound, loudness taken off."""
    x = x.reshape(len(x), -1).mean(1)
    x = x * 10 ** ((-23.0 - integrated_loudness(x, RATE)) / 20)
    frames = np.lib.stride_tricks.sliding_window_view(x, 8192)[::4096] * np.hanning(8192)
    power = np.mean(np.abs(np.fft.rfft(frames)) ** 2, axis=0)
    hz = np.fft.rfftfreq(8192, 1 / RATE)
    centres = 1000.0 * 2 ** (np.arange(-13, 12) / 3)
    return np.array([10 * np.log10(power[abs(np.log2(hz.clip(1) / c)) < 1 / 6].mean() + 1e-9) for c in centres])


def difference(x, y):
    a, b = third_octaves(x), third_octaves(y)
    loud = a > a.max() - 50.0
    return np.abs(a - b)[loud]


def with_everything(model, source, wanted, amount):
    """Match with all effects on, whatever the model thinks of them."""
    x = clip(source)
    ref = heard(model, wanted)
    found = match(model, heard(model, source).description, x, RATE, [ref], amount)
    settings = model.settings(found.prediction, [True] * 4).scaled(amount)
    return replace(found, settings=solve_level(settings, x, RATE, found.target_lufs, model.lufs)), x, ref


@pytest.mark.parametrize("pair", [("voice", "guitar_reference"), ("guitar", "voice_reference"), ("drums", "guitar")])
def test_amount_0_leaves_sound_and_loudness_alone(model, pair: tuple[str, str]):
    found, x, _ = with_everything(model, *pair, 0.0)
    y = played(found.settings, x)
    assert integrated_loudness(y, RATE) == pytest.approx(integrated_loudness(x, RATE), abs=1e-6)
    assert difference(x, y).max() < 0.1


@pytest.mark.parametrize("pair", [("voice", "voice_reference"), ("guitar", "guitar_reference"), ("drums", "voice")])
def test_amount_1_reaches_the_references_loudness(model, pair: tuple[str, str]):
    found, x, ref = with_everything(model, *pair, 1.0)
    assert integrated_loudness(played(found.settings, x), RATE) == pytest.approx(ref.lufs, abs=1e-6)


def test_more_amount_is_more_change(model):
    source, wanted = "guitar", "voice_reference"
    loudness, change = [], []
    for amount in (0.0, 0.25, 0.5, 0.75, 1.0):
        found, x, ref = with_everything(model, source, wanted, amount)
        y = played(found.settings, x)
        loudness.append(integrated_loudness(y, RATE) - integrated_loudness(x, RATE))
        change.append(difference(x, y).mean())
    step = (ref.lufs - integrated_loudness(x, RATE)) / 4
    np.testing.assert_allclose(np.diff(loudness), step, atol=1e-6)
    assert (np.diff(change) > 0).all(), change


# --- matching -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CLIPS)
def test_what_sounds_like_the_reference_already_is_left_nearly_alone(model, name):
    x = clip(name)
    half = len(x) // 2
    halves = [
        Reference(presets.clip(name), model.analyse(h, RATE), integrated_loudness(h, RATE), 3.0)
        for h in (x[:half], x[half:])
    ]
    found = match(model, halves[0].description, x[:half], RATE, halves[1:])
    change = difference(x[:half], played(found.settings, x[:half]))
    print(f"{name}: third octaves change by {change.mean():.2f} dB in the mean, {change.max():.2f} at most")
    assert change.mean() < 2.0, sentences(found.settings)


def test_a_guitar_amplifier_is_heard(model):
    x = clip("guitar")
    found = match(model, heard(model, "guitar").description, x, RATE, [heard(model, "guitar_reference")])
    assert isinstance(found, Match)
    assert found.settings.effect("distortion").enabled


def test_a_reference_out_of_reach_is_said_to_be_so(model):
    """A tremolo of eight times a second is nothing that the chain can make; its own other half is near."""
    x = clip("guitar")
    chopped = x * (np.sin(2 * np.pi * 8 * np.arange(len(x)) / RATE) > 0)
    for sound, near in ((x, True), (chopped, False)):
        wanted = Reference(presets.clip("guitar"), model.analyse(sound, RATE), -23.0, 6.0)
        assert match(model, heard(model, "guitar").description, x, RATE, [wanted]).reached is near


@pytest.mark.parametrize("reach", [[1.0], [1.0, "far"], [-1.0, 2.0], "far"])
def test_a_reach_that_cannot_be_is_refused(tmp_path, reach):
    folder = Path(shutil.copytree(SHIPPED_MODEL, tmp_path / "model"))
    spec = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**spec, "reach": reach}))
    with pytest.raises(ModelError, match="reach"):
        MatchModel(folder)


def test_references_are_blended_evenly(model):
    mine, refs = heard(model, "voice").description, [heard(model, n).description for n in ("drums", "guitar_reference")]
    one, two = (model.predict(mine, [r]) for r in refs)
    both = model.predict(mine, refs)
    for part in ("unit", "probability", "curve_db"):
        np.testing.assert_allclose(getattr(both, part), (getattr(one, part) + getattr(two, part)) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="no reference"):
        model.predict(mine, [])


def test_a_prediction_of_nonsense_makes_settings_all_the_same(model):
    size = len(model.chain.params)
    for fill in (0.0, 1.0):
        curve = np.full(len(model.spec["bands_hz"]), 60.0 * fill)
        curve[::2] *= -1
        settings = model.settings(Prediction(np.full(size, fill), np.ones(4), curve, fill), [True] * 4)
        assert np.isfinite(played(settings, clip("drums"))).all()


def test_fixed_parameters_keep_their_defaults(model):
    prediction = model.predict(heard(model, "voice").description, [heard(model, "guitar_reference").description])
    settings = model.settings(prediction)
    assert model.spec["fixed"]
    for effect, name in model.spec["fixed"]:
        assert settings.effect(effect).values[name] == load(effect).param(name).default


def test_an_effect_is_switched_whatever_its_threshold_and_not_by_chance(tmp_path):
    """A threshold near 1 can be passed all the same, and what stands on the edge stays as it is."""
    folder = Path(shutil.copytree(SHIPPED_MODEL, tmp_path / "model"))
    spec = json.loads((folder / "model.json").read_text())
    spec["threshold"]["compressor"] = [0.96, 0.96]
    (folder / "model.json").write_text(json.dumps(spec))
    model = MatchModel(folder)

    def after(p, on):
        playing = ChainSettings(tuple(replace(s, enabled=on) for s in ChainSettings.default(model.chain.order).effects))
        prediction = Prediction(np.full(len(model.chain.params), 0.5), np.full(4, p), np.zeros(64), 0.5)
        return switched(prediction, model, playing)[model.chain.order.index("compressor")]

    assert [after(p, on=False) for p in (0.0, 0.955, 0.965, 0.98, 1.0)] == [False, False, False, True, True]
    assert [after(p, on=True) for p in (0.0, 0.9, 0.955, 0.965, 1.0)] == [False, False, True, True, True]


def test_what_drifts_is_followed_with_play():
    """Inside the play nothing moves, not by a bit; outside, it stays no further off than the play."""
    assert within_deadband(0.52, 0.5, 0.03) == 0.5
    assert within_deadband(0.6, 0.5, 0.03) == pytest.approx(0.57)
    assert within_deadband(0.4, 0.5, 0.03) == pytest.approx(0.43)
    tilt = np.linspace(-1.0, 1.0, 64)
    old = Prediction(np.full(3, 0.5), np.zeros(4), np.zeros(64), 0.5)
    near = Prediction(0.5 + 0.9 * DEADBAND * np.ones(3), np.ones(4), 0.9 * CURVE_DEADBAND_DB * tilt, 0.55)
    held = with_hysteresis(near, old)
    assert [*held.unit, *held.curve_db, held.kin] == [*old.unit, *old.curve_db, old.kin]
    assert (held.probability == near.probability).all()  # switching has a margin of its own
    far = Prediction(np.array([0.9, 0.1, 0.5]), np.ones(4), 10.0 * tilt, 0.9)
    moved = with_hysteresis(far, old)
    np.testing.assert_allclose(np.abs(moved.unit - far.unit), [DEADBAND, DEADBAND, 0.0])
    np.testing.assert_allclose(moved.curve_db, (10.0 - CURVE_DEADBAND_DB) * tilt)  # the same shape
    assert with_hysteresis(far, None) is far


# --- what is heard --------------------------------------------------------------------------------


def test_windows_are_pooled_and_silence_is_not(model):
    a, b, silence = clip("voice")[: 5 * RATE], clip("guitar")[: 5 * RATE], np.zeros(5 * RATE)
    one, two = model.analyse(a, RATE), model.analyse(b, RATE)
    both = model.analyse(np.concatenate([silence, a, silence, b, silence]), RATE)
    assert both.windows == 2.0
    np.testing.assert_allclose(both.statistics, (one.statistics + two.statistics) / 2, atol=2e-3)
    np.testing.assert_allclose(both.embedding, (one + two).embedding, atol=2e-3)


def test_what_is_quiet_beside_the_rest_does_not_count(model):
    a, hum = clip("voice")[: 5 * RATE], 0.03 * clip("drums")[: 5 * RATE]
    assert model.analyse(np.concatenate([a, hum]), RATE).windows == 1.0


def test_loudness_and_channels_do_not_change_what_is_heard(model):
    x = clip("guitar")[: 5 * RATE]
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
        (np.zeros(3 * RATE), "it is silent: its loudest 5 s are at -inf LUFS; -60 are needed"),
        (np.full(3 * RATE, np.nan), "it holds NaN or Inf"),
        (np.zeros(0), "it has 0.0 s of sound"),
    ],
)
def test_what_can_not_be_described_says_why(model, x, words):
    with pytest.raises(ClipError) as error:
        model.analyse(x, RATE, "it")
    assert words in str(error.value)


# --- the equaliser's fit --------------------------------------------------------------------------


def test_the_fit_reaches_random_curves_within_1_db(model):
    equaliser, rng = load("equaliser"), np.random.default_rng(3)
    hz, weights = (np.array(model.spec[key]) for key in ("bands_hz", "band_weights"))
    misses = []
    for _ in range(40):
        unit = rng.uniform(0.05, 0.95, len(equaliser.params))
        wanted = equaliser_fit.curve_db(
            np.array([p.value(u) for p, u in zip(equaliser.params, unit, strict=True)]), hz, RATE
        )
        start = np.clip(unit + rng.normal(0, 0.15, len(unit)), 0, 1)
        found = equaliser_fit.fit(wanted + rng.normal(0, 6), hz, weights, start, RATE)
        assert found.min() >= 0.0
        assert found.max() <= 1.0
        here = equaliser_fit.curve_db(
            np.array([p.value(u) for p, u in zip(equaliser.params, found, strict=True)]), hz, RATE
        )
        off = here - wanted
        misses.append(np.average(np.abs(off - np.average(off, weights=weights)), weights=weights))
    assert np.mean(misses) < 1.0, misses
    assert np.max(misses) < 3.0, misses


@pytest.mark.parametrize("wanted", [1e3, -1e3, 0.0])
def test_the_fit_never_leaves_the_range(model, wanted):
    hz, weights = (np.array(model.spec[key]) for key in ("bands_hz", "band_weights"))
    steps = np.where(np.arange(len(hz)) % 5 < 2, wanted, -wanted)
    for start in (0.0, 0.5, 1.0):
        found = equaliser_fit.fit(steps, hz, weights, np.full(18, start), RATE)
        assert np.isfinite(found).all()
        assert found.min() >= 0.0
        assert found.max() <= 1.0


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
        (lambda s: s.update(format="zip"), "zip version 1; this program reads version 1"),
        (lambda s: s.update(version=2), "afx-live-model version 2; this program reads version 1"),
        (lambda s: s.pop("format"), "is not a model's description"),
        (lambda s: s.update(sha256={}), "says nothing of controller.onnx, encoder.onnx"),
        (lambda s: s.pop("threshold"), "says nothing of threshold"),
        (lambda s: s.pop("bands_hz"), "says nothing of bands_hz"),
        (lambda s: s["sha256"].update({"../x": "0"}), "../x is not the file"),
        (lambda s: s["sha256"].update({"encoder.onnx": "0" * 64}), "encoder.onnx is not the file"),
        (lambda s: s["chain"][0].update(effect="wah"), "'wah' is not an effect"),
        (lambda s: param(s, "compressor", "ratio").update(high=50.0), "compressor ratio is"),
        (lambda s: param(s, "reverb", "rt60_s").update(name="rt"), "reverb rt is"),
        (lambda s: s["chain"][1]["params"].pop(), "parameters there and"),
        (lambda s: s.update(chain=3), "is not a model's description"),
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
