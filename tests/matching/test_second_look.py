"""What an equaliser left over is heard, and corrected."""

from dataclasses import replace

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings, EffectSettings, play_clip
from afx_live.matching import Choices, MatchModel, solve_level
from afx_live.matching.equaliser_fit import settings_curve_db
from afx_live.matching.second_look import left_over_db, with_left_over

RATE = 48000
BOLD = ChainSettings((EffectSettings("equaliser", {"low_shelf_db": 9.0, "peak_2_db": -10.0, "high_shelf_db": 9.0}),))


@pytest.fixture(scope="module")
def heard(model):
    """A recording, its features, those of another part of it after an equaliser, and what is said of them."""
    x, _ = soundfile.read(presets.clip("guitar"))
    half = len(x) // 2
    reference = model.analyse(play_clip(BOLD, x[half:], RATE), RATE)
    features = model.analyse(x[:half], RATE)
    prediction = model.predict(features, [reference], named=[e == "equaliser" for e in model.chain.order])
    return x[:half], features, reference, prediction


def look(model: MatchModel, heard, choices: Choices, settings: ChainSettings, pooled=None):
    x, _, reference, prediction = heard

    def solved(trial):
        return solve_level(choices.kept(trial), x, RATE, model.lufs, model.lufs)

    return left_over_db(model, prediction, choices, settings, [reference], x, RATE, solved, pooled)


def test_what_is_left_over_is_put_on(model, heard):
    """A curve of which half was said is asked for again, and comes nearer."""
    _, _, _, prediction = heard
    told = replace(prediction, same_source=1.0)
    hz = model.bands_hz

    def away(settings):
        return np.abs(_shape(settings_curve_db(settings, hz, RATE) - settings_curve_db(BOLD, hz, RATE))).mean()

    half = with_left_over(model, model.settings(told), -0.5 * settings_curve_db(model.settings(told), hz, RATE))
    choices = Choices(only=frozenset({"equaliser"}))
    left = look(model, (*heard[:3], told), choices, half)
    assert away(with_left_over(model, half, left)) < 0.8 * away(half)


def _shape(curve):
    return curve - curve.mean()


def test_nothing_is_left_over_where_no_equaliser_is_in_question(model, heard):
    settings = model.settings(heard[3])
    off = settings.with_effect("equaliser", False)
    locked = Choices.of(model.chain.order, locked=["equaliser"], playing=settings)
    assert look(model, heard, Choices(), off) is None
    assert look(model, heard, locked, settings) is None
    assert with_left_over(model, settings, None) is settings


def test_another_source_is_not_corrected(model, heard):
    told = replace(heard[3], same_source=0.0)
    left = look(model, (*heard[:3], told), Choices(), model.settings(told))
    assert left is not None
    assert not left.any()


def test_a_stretch_stands_for_all_that_was_heard(model, heard):
    """The features of the whole move as those of the stretch do: where both are one, it is as if it were the whole."""
    settings = model.settings(heard[3])
    whole, stretch = (look(model, heard, Choices(), settings, pooled) for pooled in (None, heard[1]))
    assert whole is not None
    assert stretch is not None
    np.testing.assert_allclose(stretch, whole, atol=1e-3)


def test_features_move_by_what_was_done(model, heard):
    _, features, reference, _ = heard
    moved = (features + reference).moved(features, reference)
    np.testing.assert_allclose(
        moved.statistics, (features + reference).statistics + reference.statistics - features.statistics
    )
    assert moved.windows == features.windows + reference.windows
