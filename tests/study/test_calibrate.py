"""Calibration: amounts that pay, written into the model."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from afx_live.matching import Decision, MatchModel
from afx_live.study.run import calibrate
from afx_live.training.recordings import find

PLAIN = Decision(np.zeros((3, 2)), np.ones(3), 0.5, 3.0, 0.08)


@pytest.mark.slow
def test_effects_are_used_where_it_pays():
    """Effect 0 helps only when its log-odds are over 1, effect 1 always harms, effect 2 always helps."""
    rng = np.random.default_rng(0)
    amount = rng.uniform(-3.0, 3.0, (200, 3))
    first, second, third = np.meshgrid(*[(0.0, 1.0)] * 3, indexing="ij")
    gain = np.where(amount[:, 0] > 1.0, -0.5, 0.3)[:, None, None, None]
    errors = 1.0 + first * gain + second * 0.2 - third * 0.3
    same_source = np.repeat([0.0, 1.0], 100)  # both kinds are needed, and found
    found = calibrate.choose(PLAIN, amount, same_source, errors, np.ones(200), [("one", "row")] * 200)
    used = found.amounts(amount, same_source[:, None])
    assert used[amount[:, 0] > 1.5, 0].mean() > 0.8
    assert used[amount[:, 0] < 0.5, 0].mean() < 0.1
    assert used[:, 1].mean() < 0.1
    assert used[:, 2].mean() > 0.9


def test_where_nothing_was_done_little_may_be_done():
    """What is used where f is nothing costs, though no error says so; a compressor that nobody needs stays out."""
    amount = np.linspace(-1.0, 1.0, 100)[:, None]
    errors = np.stack([np.zeros(100), np.full(100, 1e-6)], 1)
    found = calibrate.choose(PLAIN, amount, np.zeros(100), errors, np.zeros(100), [("none", "other")] * 100)
    assert np.mean(found.amounts(amount, 0.0) > 0.0) <= calibrate.MAX_HARMED


@pytest.mark.slow
def test_calibration_writes_a_decision_into_a_model_that_still_loads(folder, tmp_path, monkeypatch, small_model):
    model = Path(shutil.copytree(small_model, tmp_path / "model"))
    monkeypatch.setattr(calibrate, "EFFECT_SETS", ("compressor",))
    chosen = calibrate.calibrate(find(folder), model, 1, workers=1)
    found = MatchModel(model).description.data
    assert found["calibration"]["pairs"] == 2
    assert found["decision"] == chosen
