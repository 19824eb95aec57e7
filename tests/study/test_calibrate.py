"""Calibration: thresholds that pay, written into the model."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from afx_live.matching import MatchModel
from afx_live.presets import SHIPPED_MODEL
from afx_live.study.run import calibrate
from afx_live.training.recordings.recordings import find


def test_effects_are_switched_where_it_pays_and_go_as_far_as_it_pays():
    """Effect 0 helps only when probable, effect 1 always harms, effect 2 helps if it goes less far than predicted."""
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.0, 0.9, (200, 3))
    first, second, third = np.meshgrid(*[calibrate.STRENGTHS] * 3, indexing="ij")
    gain = np.where(probability[:, 0] > 0.6, -0.5, 0.3)[:, None, None, None]
    errors = 1.0 + first * gain + second * 0.2 + third * (third - 0.8)
    same_source = np.repeat([0.0, 1.0], 100)  # both kinds are needed, and found
    thresholds, strengths = calibrate.choose(probability, same_source, errors, np.ones(200), [("one", "row")] * 200)
    assert ((thresholds[0] > 0.5) & (thresholds[0] < 0.7)).all()
    assert (thresholds[1] > 0.85).all()
    assert (thresholds[2] == calibrate.GRID[0]).all()
    assert (strengths[0] == 1.0).all()
    assert (strengths[2] == 0.5).all()


def test_a_margin_makes_thresholds_more_cautious_and_never_stays_never():
    raised = calibrate.more_cautious(np.array([[0.3, 0.5], [0.98, 1.0]]))
    assert raised[1, 1] == 1.0
    assert 0.3 < raised[0, 0] < raised[0, 1] < raised[1, 0] < 1.0
    assert raised[0, 1] == pytest.approx(np.exp(calibrate.MARGIN) / (1.0 + np.exp(calibrate.MARGIN)))


@pytest.mark.slow
def test_calibration_writes_thresholds_into_a_model_that_still_loads(folder, tmp_path, monkeypatch):
    model = Path(shutil.copytree(SHIPPED_MODEL, tmp_path / "model"))
    monkeypatch.setattr(calibrate, "EFFECT_SETS", ("compressor",))
    chosen = calibrate.calibrate(find(folder), model, 1, workers=1)
    found = MatchModel(model).description.data
    assert found["calibration"]["pairs"] == 2
    assert {key: found[key] for key in ("threshold", "strength")} == chosen
