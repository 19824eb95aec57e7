"""What is predicted anew moves settings only where it has clearly changed."""

from dataclasses import replace

import numpy as np
import pytest

from afx_live.chain import ChainSettings
from afx_live.matching import MatchModel, Prediction
from afx_live.matching.decision import REACH
from afx_live.presets import SHIPPED_MODEL
from afx_live.realtime.session.hysteresis import CURVE_DEADBAND_DB, DEADBAND, switched, with_hysteresis, within_deadband


def test_an_effect_is_switched_where_it_is_clear_and_not_by_chance():
    """What stands on the edge, a tenth of log-odds to either side, stays as it is."""
    model = MatchModel(SHIPPED_MODEL)
    place = model.chain.order.index("compressor")
    decision = model.decision
    least = (decision.least + REACH) / (1.0 + 2.0 * REACH)  # of the gate, see `Decision`
    edge = np.log(least / (1.0 - least)) / decision.slope[place] - decision.offset[place].mean()

    def after(log_odds, on):
        playing = ChainSettings(tuple(replace(s, enabled=on) for s in ChainSettings.default(model.chain.order).effects))
        probability, amount, free = np.full(4, 0.5), np.full(4, log_odds), np.full(4, True)
        prediction = Prediction(np.full(len(model.chain.params), 0.5), probability, amount, np.zeros(64), 0.5, free)
        return switched(prediction, model, playing)[place]

    assert [after(edge + z, on=False) for z in (-9.0, -0.1, 0.1, 0.5, 9.0)] == [False, False, False, True, True]
    assert [after(edge + z, on=True) for z in (-9.0, -0.5, -0.1, 0.1, 9.0)] == [False, False, True, True, True]


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
