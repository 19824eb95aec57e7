"""Calibration: amounts that pay, written into the model."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from afx_live.matching import Decision, MatchModel
from afx_live.study.run import calibrate
from afx_live.training.recordings.recordings import find

PLAIN = Decision(np.zeros((3, 2)), np.ones(3), 0.5, 3.0, 0.08)


def test_effects_are_used_where_it_pays_and_as_far_as_it_pays():
    """Effect 0 helps only when its log-odds are over 1, effect 1 always harms, effect 2 helps if it goes half way."""
    rng = np.random.default_rng(0)
    amount = rng.uniform(-3.0, 3.0, (200, 3))
    amount[:, 2] = 0.0
    first, second, third = np.meshgrid(*[calibrate.STRENGTHS] * 3, indexing="ij")
    gain = np.where(amount[:, 0] > 1.0, -0.5, 0.3)[:, None, None, None]
    errors = 1.0 + first * gain + second * 0.2 + third * (third - 1.0)
    same_source = np.repeat([0.0, 1.0], 100)  # both kinds are needed, and found
    found = calibrate.choose(PLAIN, amount, same_source, errors, np.ones(200), [("one", "row")] * 200)
    used = found.amounts(amount, same_source[:, None])
    assert used[amount[:, 0] > 1.5, 0].mean() > 0.8
    assert used[amount[:, 0] < 0.5, 0].mean() < 0.1
    assert used[:, 1].max() == 0.0
    assert used[:, 2] == pytest.approx(0.5, abs=0.15)


def test_errors_between_what_was_rendered_lie_between():
    errors = np.arange(9.0).reshape(1, 3, 3)
    for amounts, wanted in (((0.0, 0.0), 0.0), ((1.0, 1.0), 8.0), ((0.25, 0.5), 2.5), ((0.5, 0.75), 4.5)):
        assert calibrate.interpolated(errors, np.array([amounts]), (0.0, 0.5, 1.0)) == pytest.approx(wanted)


@pytest.mark.slow
def test_calibration_writes_a_decision_into_a_model_that_still_loads(folder, tmp_path, monkeypatch, small_model):
    model = Path(shutil.copytree(small_model, tmp_path / "model"))
    monkeypatch.setattr(calibrate, "EFFECT_SETS", ("compressor",))
    chosen = calibrate.calibrate(find(folder), model, 1, workers=1)
    found = MatchModel(model).description.data
    assert found["calibration"]["pairs"] == 2
    assert found["decision"] == chosen
