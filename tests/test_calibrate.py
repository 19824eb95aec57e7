"""Calibration: thresholds that pay, written into the model."""

import json
import shutil
from pathlib import Path

import numpy as np

from afx_live.realtime.commands import SHIPPED
from afx_live.realtime.predictor import Predictor
from afx_live.study import calibrate
from afx_live.training.recordings import find


def test_thresholds_are_chosen_where_switching_pays():
    """Effect 0 helps only when probable; effect 1 always harms; so one threshold in between, one above all."""
    rng = np.random.default_rng(0)
    probability = rng.uniform(0.0, 0.9, (200, 2))
    errors = np.ones((200, 4))
    for i, (first, second) in enumerate(calibrate.subsets(2)):
        errors[:, i] += first * np.where(probability[:, 0] > 0.6, -0.5, 0.3) + second * 0.2
    kin = np.repeat([0.0, 1.0], 100)  # thresholds of both kinds are needed, and found
    (low, also_low), (high, also_high) = calibrate.choose(
        probability, kin, errors, np.ones(200), [("one", "row")] * 200
    )
    assert 0.5 < low < 0.7
    assert 0.5 < also_low < 0.7
    assert min(high, also_high) > 0.85


def test_calibration_writes_thresholds_into_a_model_that_still_loads(folder, tmp_path, monkeypatch):
    model = Path(shutil.copytree(SHIPPED, tmp_path / "model"))
    monkeypatch.setattr(calibrate, "ROWS", ("compressor",))
    chosen = calibrate.calibrate(find(folder), model, 1, workers=1)
    assert json.loads((model / "model.json").read_text())["threshold"] == chosen
    assert json.loads((model / "model.json").read_text())["calibration"]["pairs"] == 2
    assert Predictor(model).spec["threshold"] == chosen
