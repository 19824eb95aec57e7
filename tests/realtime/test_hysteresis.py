"""What is predicted anew moves settings only where it has clearly changed."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from afx_live.chain import ChainSettings
from afx_live.matching import MatchModel, Prediction
from afx_live.matching.decision import beyond
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.session.hysteresis import CURVE_DEADBAND_DB, DEADBAND, switched, with_hysteresis, within_deadband


def test_an_effect_is_switched_whatever_its_threshold_and_not_by_chance(tmp_path):
    """A threshold near 1 can be passed all the same, and what stands on the edge stays as it is."""
    folder = Path(shutil.copytree(SHIPPED_MODEL, tmp_path / "model"))
    spec = json.loads((folder / "model.json").read_text())
    spec["threshold"]["compressor"] = [0.96, 0.96]
    (folder / "model.json").write_text(json.dumps(spec))
    model = MatchModel(folder)

    def after(p, on):
        playing = ChainSettings(tuple(replace(s, enabled=on) for s in ChainSettings.default(model.chain.order).effects))
        probability, free = np.full(4, p), np.full(4, True)
        amount = beyond(probability, np.full(4, 0.96))
        prediction = Prediction(np.full(len(model.chain.params), 0.5), probability, amount, np.zeros(64), 0.5, free)
        return switched(prediction, model, playing)[model.chain.order.index("compressor")]

    assert [after(p, on=False) for p in (0.0, 0.955, 0.965, 0.98, 1.0)] == [False, False, False, True, True]
    assert [after(p, on=True) for p in (0.0, 0.9, 0.955, 0.965, 1.0)] == [False, False, True, True, True]


def test_what_drifts_is_followed_with_play():
    """Inside the play nothing moves, not by a bit; outside, it stays no further off than the play."""
    assert within_deadband(0.52, 0.5, 0.03) == 0.5
    assert within_deadband(0.6, 0.5, 0.03) == pytest.approx(0.57)
    assert within_deadband(0.4, 0.5, 0.03) == pytest.approx(0.43)
    tilt = np.linspace(-1.0, 1.0, 64)
    free = np.full(4, True)
    old = Prediction(np.full(3, 0.5), np.zeros(4), np.zeros(4), np.zeros(64), 0.5, free)
    near = Prediction(
        0.5 + 0.9 * DEADBAND * np.ones(3), np.ones(4), np.full(4, 0.3), 0.9 * CURVE_DEADBAND_DB * tilt, 0.55, free
    )
    held = with_hysteresis(near, old)
    assert [*held.unit, *held.amount, *held.curve_db] == [*old.unit, *old.amount, *old.curve_db]
    assert held.same_source == old.same_source
    assert (held.probability == near.probability).all()  # switching has a margin of its own
    far = Prediction(np.array([0.9, 0.1, 0.5]), np.ones(4), np.ones(4), 10.0 * tilt, 0.9, free)
    moved = with_hysteresis(far, old)
    np.testing.assert_allclose(np.abs(moved.unit - far.unit), [DEADBAND, DEADBAND, 0.0])
    np.testing.assert_allclose(moved.curve_db, (10.0 - CURVE_DEADBAND_DB) * tilt)  # the same shape
    assert with_hysteresis(far, None) is far
