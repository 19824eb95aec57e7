"""What the user may say: boldness, the effects in question, locks; and what a match says back."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import resample_poly

from afx_live import presets
from afx_live.chain import CANONICAL, ChainSettings, play_clip
from afx_live.dsp.loudness import integrated_loudness
from afx_live.dsp.spectrum import long_term_spectrum
from afx_live.matching import (
    Choices,
    Decision,
    MatchModel,
    Prediction,
    ReferenceClip,
    explain,
    heard_enough,
    match,
    match_features,
)
from afx_live.matching.model import BANDS
from support.clips import RATE, bundled

PLAIN = Decision(np.zeros((4, 2)), np.ones(4), 0.5, 3.0, 0.08)


def reference(model: MatchModel, name: str) -> ReferenceClip:
    x = bundled(name)
    return ReferenceClip(presets.clip(name), model.analyse(x, RATE), integrated_loudness(x, RATE), len(x) / RATE)


def found(model: MatchModel, source: str, wanted: str, **choices):
    x = bundled(source)
    bounds = Choices.of(model.chain.order, **choices)
    references = [reference(model, wanted)]
    return match_features(model, model.analyse(x, RATE), x, RATE, references, choices=bounds), x


# --- the decision


def test_amounts_rise_with_log_odds_and_boldness_and_small_ones_are_none():
    logits = np.array([-4.0, -1.0, 1.0, 4.0])
    rows = np.array([PLAIN.amounts(logits, 0.5, b) for b in np.linspace(0.0, 1.0, 11)])
    assert (np.diff(rows, axis=0) >= 0.0).all()
    assert (np.diff(rows, axis=1) >= 0.0).all()
    assert ((rows == 0.0) | (rows >= PLAIN.least)).all()
    assert rows[5, 0] == 0.0
    assert rows[5, 3] == 1.0
    np.testing.assert_array_equal(PLAIN.amounts(logits, 0.5), rows[5])


def test_offsets_are_weighed_by_how_alike_the_sources_are():
    offset = np.zeros((1, 2))
    offset[0] = -2.0, 2.0
    decision = replace(PLAIN, offset=offset, slope=np.ones(1))
    other, half, same = (float(decision.amounts(np.zeros(1), kin)[0]) for kin in (0.0, 0.5, 1.0))
    assert other < half < same
    assert half == pytest.approx(0.5)


@pytest.mark.parametrize("boldness", [-0.1, 1.1, np.nan])
def test_a_boldness_that_cannot_be_is_refused(boldness):
    with pytest.raises(ValueError, match="boldness"):
        PLAIN.amounts(np.zeros(4), 0.5, boldness)


# --- bounds


def test_what_is_named_is_what_may_be_used():
    assert Choices.of(CANONICAL).allowed(CANONICAL) == [True] * 4
    assert Choices.of(CANONICAL, only=["compressor", "reverb"], without=["reverb"]).allowed(CANONICAL) == [
        False, True, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        ({"only": ["flanger"]}, "only: 'flanger' is not one of equaliser"),
        ({"without": ["echo"]}, "without: 'echo'"),
        ({"only": ["reverb"], "without": ["reverb"]}, "no effect is left"),
        ({"locked": ["reverb"]}, "nothing plays yet"),
        ({"locked": ["reverb/size"], "playing": ChainSettings.default()}, "reverb has no size"),
        ({"boldness": 2.0}, r"boldness: 2 is not in \[0, 1\]"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(choices, text):
    with pytest.raises(ValueError, match=text):
        Choices.of(CANONICAL, **choices)


@pytest.mark.slow
def test_what_is_locked_stays_to_the_digit(model):
    playing = (
        ChainSettings.default().with_effect("reverb", True, mix=0.33).with_effect("equaliser", None, peak_1_db=5.0)
    )
    result, _ = found(
        model, "guitar", "guitar_reference", locked=["reverb", "equaliser/peak_1_db"], playing=playing, boldness=1.0
    )
    assert result.settings.effect("reverb") == playing.effect("reverb")
    assert result.settings.effect("equaliser").values["peak_1_db"] == 5.0


def test_only_one_effect_is_used_if_only_one_is_in_question(model):
    result, _ = found(model, "guitar", "guitar_reference", only=["compressor"], boldness=1.0)
    assert not any(e.enabled for e in result.settings.effects if e.effect != "compressor")


# --- boldness


@pytest.mark.slow
def test_at_the_greatest_boldness_the_tone_is_the_references(model):
    """Within 2.5 dB in the mean from 100 Hz to 10 kHz, as a match equaliser's."""
    pairs = [("voice", "voice_reference"), ("guitar", "voice_reference"), ("voice", "guitar"), ("drums", "guitar")]
    rows = []
    for source, wanted in pairs:
        result, x = found(model, source, wanted, boldness=1.0)
        there = reference(model, wanted).features.spectrum_db
        y = play_clip(result.settings, x, RATE)
        span = (BANDS > 99.0) & (BANDS < 10100.0)
        before, left = (np.abs(there - model.spectrum_db(z, RATE))[span] for z in (x, y))
        rows.append((before.mean(), left[before < 12.0].mean()))
        print(source, wanted, "{:.1f} dB before, {:.1f} dB after".format(*rows[-1]))
    assert np.mean(rows, 0)[1] < 2.5
    assert max(after for _, after in rows) < 3.5


@pytest.mark.slow
@pytest.mark.parametrize("rate", [8000, 16000, 22050, 32000])
def test_so_it_is_at_low_sample_rates(model, rate):
    """Bands above half the sample rate hold nothing, and are not waited for."""
    whole = math.gcd(rate, RATE)
    x, there = (
        resample_poly(bundled(name), rate // whole, RATE // whole, axis=0) for name in ("guitar", "voice_reference")
    )
    y = match(x, there, rate, model, boldness=1.0).play(x)
    span = (BANDS > 99.0) & (BANDS < 0.45 * rate)
    before, left = (np.abs(model.spectrum_db(there, rate) - model.spectrum_db(z, rate))[span] for z in (x, y))
    print(f"{rate} Hz: {before.mean():.1f} dB before, {left[before < 12.0].mean():.1f} dB after")
    assert left[before < 12.0].mean() < 2.5


def test_bolder_is_never_less(model):
    x = bundled("voice")
    prediction = model.predict(model.analyse(x, RATE), [reference(model, "voice_reference").features])
    rows = np.array([model.amounts(prediction, b) for b in (0.0, 0.25, 0.5, 0.75, 1.0)])
    assert (np.diff(rows, axis=0) >= 0.0).all()


# --- explanation


@pytest.mark.slow
def test_every_effect_is_explained_once_and_nothing_contradicts(model):
    for boldness in (0.0, None, 1.0):
        result, x = found(model, "guitar", "guitar_reference", boldness=boldness)
        choices = Choices.of(model.chain.order, boldness)
        assert result.prediction is not None
        said = explain(model, result.prediction, result.settings, choices, x, RATE, result.in_range)
        assert [e.effect for e in said.effects] == list(model.chain.order)
        for report, effect in zip(said.effects, result.settings.effects, strict=True):
            assert (report.amount > 0.0) is effect.enabled
            assert bool(report.does) is effect.enabled
            assert not (report.does and report.hint)
        assert said.lines()


def test_a_hint_keeps_its_word(model):
    result, x = found(model, "voice", "guitar_reference", boldness=0.0)
    assert result.prediction is not None
    said = explain(model, result.prediction, result.settings, Choices.of(CANONICAL, 0.0), x, RATE)
    for i, report in enumerate(said.effects):
        if "--boldness" in report.hint:
            boldness = float(report.hint.split()[1])
            by_tone = report.effect == "equaliser" and model.decision.tone(boldness) > 0.0
            assert by_tone or model.amounts(result.prediction, boldness)[i] > 0.0


def test_enough_is_heard_when_two_looks_agree(model):
    here, there = model.analyse(bundled("voice"), RATE), reference(model, "guitar").features
    one = model.predict(here, [there])
    assert not heard_enough(one, None, 5.0, model)
    assert not heard_enough(one, one, 1.0, model)
    assert heard_enough(one, one, 2.0, model)
    assert not heard_enough(replace(one, curve_db=one.curve_db + 3.0), one, 5.0, model)


# --- spectra


def test_a_long_term_spectrum_is_level_and_tone():
    x = np.random.default_rng(1).standard_normal(5 * RATE)
    levels = long_term_spectrum(x, RATE, BANDS)
    np.testing.assert_allclose(long_term_spectrum(0.1 * x, RATE, BANDS), levels - 20.0, atol=1e-6)
    assert np.ptp(levels[6:-1]) < 1.5  # white noise: the mean of a bin is the same everywhere


# --- no two sentences contradict each other


CONTRARY = [
    ("none is needed", "undecided"),
    ("none is needed", "left out ("),
    ("none is needed", "out of reach"),
    ("out of reach", "adds it"),
    ("nothing is used", "% used"),
    ("no effect is certain enough", "out of reach"),
]


@pytest.fixture(scope="module")
def plain_chain(model):
    """Settings of every kind, with what plays them."""
    return {on: model.chain.settings(np.array([p.default for _, p in model.chain.params]), on) for on in _switches()}


def _switches():
    return [tuple(bool(i >> k & 1) for k in range(4)) for i in range(16)]


def test_no_two_sentences_contradict_each_other(model, plain_chain):
    """Random predictions, choices and reach: what is said of effects agrees with the verdict, and with what plays."""
    rng, x = np.random.default_rng(35), np.zeros(RATE // 20)
    for _ in range(300):
        size = len(model.chain.params)
        allowed = rng.random(4) < 0.8
        named = allowed & (rng.random(4) < 0.3) if rng.random() < 0.3 else np.zeros(4, bool)
        curve = rng.normal(0.0, 4.0, len(model.bands_hz))
        prediction = Prediction(
            rng.random(size), rng.random(4), rng.normal(0.0, 4.0, 4), curve, float(rng.random()), allowed, named
        )
        boldness = None if rng.random() < 0.2 else float(rng.random())
        left_out = frozenset(e for e, fine in zip(CANONICAL, allowed, strict=True) if not fine)
        only = frozenset(e for e, there in zip(CANONICAL, named, strict=True) if there) or None
        choices = Choices(boldness, only, left_out)
        on = tuple(bool(a > 0.0) for a in model.amounts(prediction, boldness))
        settings, near = plain_chain[on], bool(rng.random() < 0.5)
        told = explain(model, prediction, settings, choices, x, RATE, near)
        text = "\n".join(told.lines())
        assert len(told.effects) == 4
        for one, other in CONTRARY:
            assert not (one in text and other in text), text
        for line, effect, used in zip(told.lines(), CANONICAL, on, strict=False):
            assert line.startswith(effect)
            assert ("% used" in line) is used, text
            assert not ("not heard" in line and "adds it" in line), text
        assert ("nothing is used" in text) is not any(on), text
        assert near or "reach" in told.verdict, text
        for report in told.effects:  # a hint keeps its word
            if report.boldness is not None:
                i = CANONICAL.index(report.effect)
                bolder = model.amounts(prediction, report.boldness)[i] > 0.0
                assert bolder or (report.effect == "equaliser" and model.decision.tone(report.boldness) > 0.0)
            if report.why == "undecided":
                only_it = replace(prediction, named=np.array([e == report.effect for e in CANONICAL]))
                assert model.amounts(only_it, boldness)[CANONICAL.index(report.effect)] > 0.0
