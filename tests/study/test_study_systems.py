"""Every system gives audio of the right length and loudness, and those whose answer is known give it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
import torch

from afx_live.chain import CANONICAL, ChainSettings, EffectSettings, play_clip
from afx_live.dsp.loudness import integrated_loudness
from afx_live.presets import clip
from afx_live.study.metrics.audio import matched_stft_error
from afx_live.study.pairs.condition import Pair
from afx_live.study.pairs.deepafx_compressor import gain_reduction_db, smoothed
from afx_live.study.systems import gradient_fit, playing, rb_dsp, registry, rule_matcher

NOWHERE = Path("/nonexistent")
QUICK = [n for n in registry.SYSTEMS if n not in (*registry.TRAININGS, "ceiling")]
TONE = ChainSettings(
    (
        EffectSettings("equaliser", {"low_shelf_db": 8.0, "peak_2_db": -9.0, "peak_4_db": 7.0, "high_shelf_db": -6.0}),
        EffectSettings("compressor", enabled=False),
        EffectSettings("distortion", enabled=False),
        EffectSettings("reverb", enabled=False),
    )
)


def sound(rate, seconds, start=0.0):
    x, own = soundfile.read(clip("guitar"))
    x = x if x.ndim == 1 else x.mean(1)
    x = np.resize(soxr.resample(x, own, rate), 12 * rate)[round(start * rate) :][: round(seconds * rate)]
    return x * 10 ** ((-23.0 - integrated_loudness(x, rate)) / 20)


def pair(rate=48000, seconds=4.0, settings: ChainSettings = TONE):
    a, b = sound(rate, seconds, 4.0), sound(rate, seconds)
    reference = 1.5 * play_clip(settings, a, rate)
    return Pair(b, reference, play_clip(settings, b, rate), rate, "guitar", settings)


def error(result, asked):
    return matched_stft_error(result.audio, asked.answer, asked.sample_rate)


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_length_loudness_and_silence(name):
    play = registry.system(name, NOWHERE)
    for rate, seconds in ((24000, 2.5), (44100, 1.7)):
        asked = pair(rate, seconds)
        result = play(asked)
        assert result.audio.shape == asked.input.shape
        assert np.isfinite(result.audio).all()
        if name != "nothing":
            wanted = integrated_loudness(asked.reference, rate)
            assert integrated_loudness(result.audio, rate) == pytest.approx(wanted, abs=0.1)
        if result.settings is not None:
            np.testing.assert_allclose(play_clip(result.settings, asked.input, rate), result.audio, atol=1e-9)
        silence = np.zeros_like(asked.input)
        np.testing.assert_array_equal(play(replace(asked, input=silence)).audio, silence)
        np.testing.assert_array_equal(play(replace(asked, reference=silence)).audio, asked.input)


def test_names_constraints_and_missing_trainings(tmp_path):
    assert registry.parse("ad:equaliser+compressor") == ("ad", ("equaliser", "compressor"))
    assert registry.parse("ours") == ("ours", None)
    for wrong in ("adam", "ad:", "ad:flanger", "ad:reverb+reverb", "match_eq:equaliser"):
        with pytest.raises(ValueError, match=r"system|effect"):
            registry.parse(wrong)
    with pytest.raises(FileNotFoundError, match=r"best\.ckpt"):
        registry.checkpoint(tmp_path, "ad")
    (tmp_path / "np" / "run").mkdir(parents=True)
    best = tmp_path / "np" / "run" / "best.ckpt"
    best.touch()
    assert registry.checkpoint(tmp_path, "np_hh") == best


def test_the_oracle_gives_the_answer_and_says_where_it_cannot():
    asked = pair(settings=TONE.with_effect("compressor", enabled=True, threshold_db=-35.0, ratio=5.0))
    result = registry.system("oracle", NOWHERE)(asked)
    assert error(result, asked) < 1e-6
    assert error(registry.system("oracle:equaliser", NOWHERE)(asked), asked) > 0.05
    with pytest.raises(registry.NotApplicable, match="has none"):
        registry.system("oracle", NOWHERE)(replace(asked, settings=None))


@pytest.mark.slow
def test_constraints_are_kept():
    asked = pair()
    for name in ("matcher", "prior_mean", "ours"):
        settings = registry.system(f"{name}:reverb+compressor", NOWHERE)(asked).settings
        assert settings is not None
        assert {s.effect for s in settings.effects if s.enabled} <= {"reverb", "compressor"}
    mean = registry.mean_settings()
    assert all(s.enabled for s in mean.effects)
    assert abs(mean.effect("equaliser").values["peak_2_db"]) < 1.0
    assert 15.0 < mean.effect("distortion").values["drive_db"] < 25.0


# --- rules ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_rules_bring_a_tone_nearer_and_alignment_takes_the_delay_off():
    asked = pair()
    nothing = matched_stft_error(asked.input, asked.answer, asked.sample_rate)
    for name in ("rb_dsp_63", "rb_dsp_2048", "matcher", "match_eq"):
        share = 0.97 if name == "rb_dsp_63" else 0.85  # 63 taps say little under 1 kHz
        assert error(registry.system(name, NOWHERE)(asked), asked) < share * nothing, name
    x = asked.input[:65536]
    late = []
    for taps, aligned in ((63, False), (2047, True)):
        y = rb_dsp.rb_dsp(x, x, asked.sample_rate, taps, aligned)
        late.append(int(np.argmax(np.correlate(y[2000:60000], x[2000:58000], "valid"))))
        assert np.abs(y).max() == pytest.approx(10 ** (-12 / 20))
    assert late == [31, 0]
    with pytest.raises(ValueError, match="odd number"):
        rb_dsp.rb_dsp(x, x, 48000, 2048, aligned=True)


def test_the_baselines_compressor_is_the_textbooks_or_the_published_one():
    levels = np.repeat([-30.0, -20.0, -17.1, -10.0], 48000)
    for published, at_threshold in ((True, 1 / 3 * 9 / 12), (False, (1 / 3 - 1) * 9 / 12)):
        wanted = gain_reduction_db(levels, -20.0, rb_dsp.RATIO, rb_dsp.KNEE_DB, not published)
        gain = -smoothed(wanted, 0.9, 0.99)
        settled = gain[47999::48000]
        assert settled[0] == pytest.approx(0.0, abs=1e-9)
        assert settled[1] == pytest.approx(at_threshold, abs=1e-9)
        assert settled[3] == pytest.approx((1 / 3 - 1) * 10.0, abs=1e-9)
    t = np.arange(4 * 48000) / 48000
    x = rb_dsp.PEAK * np.sin(2 * np.pi * 1000 * t) * (0.55 - 0.45 * np.cos(np.pi * t)) ** 2
    loud = integrated_loudness(x, 48000)
    np.testing.assert_array_equal(rb_dsp._compressed(x, loud - 5.0, 48000, True), x)  # it only makes louder
    louder = integrated_loudness(rb_dsp._compressed(x, loud + 1.0, 48000, True), 48000)
    assert loud + 0.2 < louder < loud + 1.0


@pytest.mark.slow
def test_the_matcher_leaves_alone_what_needs_nothing_and_finds_what_does():
    x = sound(48000, 4.0)
    quiet = rule_matcher.rule_settings(x, 0.5 * x, 48000)
    assert not any(s.enabled for s in quiet.effects)
    moving = x * np.repeat([1.0, 0.1] * 4, 24000)
    squashed = play_clip(
        ChainSettings((EffectSettings("compressor", {"threshold_db": -50.0, "ratio": 15.0}),)), moving, 48000
    )
    assert rule_matcher.rule_settings(moving, squashed, 48000, ["compressor"]).effect("compressor").enabled
    driven = play_clip(ChainSettings((EffectSettings("distortion", {"drive_db": 30.0}),)), x, 48000)
    assert rule_matcher.rule_settings(x, driven, 48000, ["distortion"]).effect("distortion").enabled
    bumps = np.array([3.0, -3.0] * 14)
    assert (
        np.abs(rule_matcher.smooth_difference(bumps)).max()
        < 0.3
        < 5.0
        < rule_matcher.smooth_difference(6 + 0 * bumps).max()
    )


# --- gradient fit --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_fitted_chain_plays_what_live_plays():
    settings = TONE.with_effect("compressor", enabled=True, threshold_db=-35.0).with_effect(
        "reverb", enabled=True, mix=0.3
    )
    x = sound(48000, 2.0)
    fitted = gradient_fit.FittedChain(x, 48000, settings)
    with torch.no_grad():
        y = fitted.play(fitted.start)[0].double().numpy()
    ready = playing.level_for(settings, x, sound(48000, 2.0), 48000)
    z = play_clip(ready, x, 48000)
    assert matched_stft_error(y, z, 48000) < 0.03
    assert integrated_loudness(y, 48000) == pytest.approx(-23.0, abs=0.3)
    assert fitted.settings(fitted.start).effect("compressor").values["threshold_db"] == pytest.approx(-35.0, abs=0.01)
    assert not fitted.settings(fitted.start).effect("distortion").enabled


def test_minimise_keeps_the_best_point():
    at, value = gradient_fit.minimise(lambda u: (u - 2.0).square().sum(), torch.zeros(3), 60, 0.2)
    assert value < 0.01
    assert float(at[0]) == pytest.approx(2.0, abs=0.1)
    at, value = gradient_fit.minimise(lambda u: u.sum() * float("nan"), torch.ones(2), 3)
    assert (at == 1.0).all()


@pytest.mark.slow
def test_the_ceiling_is_near_and_nearer_with_the_right_effects():
    bent = ChainSettings((EffectSettings("distortion", {"drive_db": 24.0, "mix": 1.0, "tone_hz": 9000.0}),))
    asked = replace(pair(24000, 2.0, bent), settings=None)
    nothing = matched_stft_error(asked.input, asked.answer, 24000)
    right, wrong = (
        matched_stft_error(
            play_clip(gradient_fit.fit_to_answer(asked, [effect], steps=12), asked.input, 24000), asked.answer, 24000
        )
        for effect in ("distortion", "equaliser")
    )
    assert right < 0.4 * nothing
    assert right < 0.5 * wrong


@pytest.mark.slow
def test_the_ceiling_of_known_settings_is_at_least_the_oracle():
    asked = pair(24000, 2.0)
    found = gradient_fit.fit_to_answer(asked, CANONICAL, steps=1)
    assert matched_stft_error(play_clip(found, asked.input, 24000), asked.answer, 24000) < 0.05
