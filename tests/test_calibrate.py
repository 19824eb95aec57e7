"""Calibration: thresholds that pay, written into the model."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from afx_live.presets import clip
from afx_live.realtime.commands import SHIPPED
from afx_live.realtime.predictor import Predictor
from afx_live.study import calibrate
from afx_live.training.recordings import find


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    home = tmp_path_factory.mktemp("recordings")
    for name in ("voice", "guitar"):
        x, rate = soundfile.read(clip(name))
        for i, speed in enumerate((44100, 52000)):
            soundfile.write(home / f"{name}_{i}.flac", np.resize(x, 12 * rate), speed)
    return find(home)


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


def test_calibration_writes_thresholds_into_a_model_that_still_loads(recordings, tmp_path, monkeypatch):
    model = Path(shutil.copytree(SHIPPED, tmp_path / "model"))
    monkeypatch.setattr(calibrate, "ROWS", ("compressor",))
    chosen = calibrate.calibrate(recordings, model, 1, workers=1)
    assert json.loads((model / "model.json").read_text())["threshold"] == chosen
    assert json.loads((model / "model.json").read_text())["calibration"]["pairs"] == 2
    assert Predictor(model).spec["threshold"] == chosen
