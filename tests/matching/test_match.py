"""Matching: the amount scales the change, what is heard is found, and arrays are enough."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afx_live import presets
from afx_live.dsp.dc_blocker import DcBlocker
from afx_live.dsp.loudness import integrated_loudness
from afx_live.matching import (
    ClipError,
    Match,
    ReferenceClip,
    match,
    match_features,
    sentences,
    solve_level,
)
from support.clips import RATE, bundled, played

CLIPS = ("voice", "guitar", "drums")


def heard(model, name):
    x = bundled(name)
    return ReferenceClip(presets.clip(name), model.analyse(x, RATE, name), integrated_loudness(x, RATE), len(x) / RATE)


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
    x = bundled(source)
    ref = heard(model, wanted)
    found = match_features(model, heard(model, source).features, x, RATE, [ref], amount)
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


@pytest.mark.slow
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
    x = bundled(name)
    half = len(x) // 2
    halves = [
        ReferenceClip(presets.clip(name), model.analyse(h, RATE), integrated_loudness(h, RATE), 3.0)
        for h in (x[:half], x[half:])
    ]
    found = match_features(model, halves[0].features, x[:half], RATE, halves[1:])
    change = difference(x[:half], played(found.settings, x[:half]))
    print(f"{name}: third octaves change by {change.mean():.2f} dB in the mean, {change.max():.2f} at most")
    assert change.mean() < 2.0, sentences(found.settings)


def test_a_guitar_amplifier_is_heard(model):
    x = bundled("guitar")
    found = match_features(model, heard(model, "guitar").features, x, RATE, [heard(model, "guitar_reference")])
    assert isinstance(found, Match)
    assert found.settings.effect("distortion").enabled


@pytest.mark.slow
def test_a_reference_out_of_reach_is_said_to_be_so(model):
    """A tremolo of eight times a second is nothing that the chain can make; its own other half is near."""
    x = bundled("guitar")
    chopped = x * (np.sin(2 * np.pi * 8 * np.arange(len(x)) / RATE) > 0)
    for sound, near in ((x, True), (chopped, False)):
        wanted = ReferenceClip(presets.clip("guitar"), model.analyse(sound, RATE), -23.0, 6.0)
        assert match_features(model, heard(model, "guitar").features, x, RATE, [wanted]).in_range is near


# --- on arrays ------------------------------------------------------------------------------------


def without_dc(x):
    """Take direct current off, as files are read and as `match` takes arrays."""
    return DcBlocker(RATE, 1, x.mean(0))(x[:, None])[:, 0]


def test_arrays_and_the_shipped_model_are_enough(model):
    x, wanted = without_dc(bundled("guitar")), bundled("guitar_reference")
    found = match(bundled("guitar"), wanted, RATE)
    there = without_dc(wanted)
    clip = ReferenceClip(
        Path("reference"), model.analyse(there, RATE), integrated_loudness(there, RATE), len(there) / RATE
    )
    by_features = match_features(model, model.analyse(x, RATE), x[:, None], RATE, [clip])
    assert found.settings == by_features.settings
    assert found.settings.effect("distortion").enabled
    assert [*found.probabilities] == [*model.chain.order]
    y = found.play(x)
    assert y.shape == x.shape
    assert integrated_loudness(y, RATE) == pytest.approx(integrated_loudness(wanted, RATE), abs=1e-3)
    preset = found.preset("mine")
    assert (preset.name, preset.settings, preset.amount) == ("mine", found.settings, 1.0)
    assert preset.source["model"] == model.name


def test_channels_several_references_and_amount(model):
    x = np.repeat(bundled("voice")[:, None], 2, 1)
    wanted = [bundled("guitar_reference"), bundled("voice_reference")]
    found = match(x, wanted, RATE, model, amount=0.5)
    there = np.mean([integrated_loudness(without_dc(w), RATE) for w in wanted])
    halfway = (integrated_loudness(np.repeat(without_dc(x[:, 0])[:, None], 2, 1), RATE) + there) / 2
    assert found.target_lufs == pytest.approx(halfway)
    assert found.play(x).shape == x.shape


@pytest.mark.parametrize(
    ("x", "reference", "more", "words"),
    [
        (np.zeros((2, RATE)), None, {}, r"x has the shape \(2, 48000\).*give x\.T"),
        (np.zeros((2, 2, 2)), None, {}, r"x has the shape \(2, 2, 2\)"),
        (np.zeros((RATE, 3)), None, {}, "x has 3 channels; a chain plays 1 or 2"),
        (None, np.zeros((2, RATE)), {}, r"reference has the shape"),
        (None, [], {}, "no reference"),
        (None, None, {"amount": 1.5}, r"amount: 1\.5 is not in \[0, 1\]"),
    ],
)
def test_what_cannot_be_matched_says_why(model, x, reference, more, words):
    voice = bundled("voice")
    with pytest.raises(ValueError, match=words):
        match(voice if x is None else x, voice if reference is None else reference, RATE, model, **more)


def test_silence_and_short_sounds_cannot_be_matched(model):
    voice = bundled("voice")
    with pytest.raises(ClipError, match="x is silent"):
        match(np.zeros(2 * RATE), voice, RATE, model)
    with pytest.raises(ClipError, match=r"reference has 0\.5 s of sound"):
        match(voice, voice[: RATE // 2], RATE, model)
