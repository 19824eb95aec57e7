"""Hysteresis for predictions: settings follow what has clearly changed, and come to rest otherwise."""

from dataclasses import replace

import numpy as np

from ...chain import ChainSettings
from ...matching.model import MatchModel, Prediction

MARGIN = 0.3
"""Log-odds of its amount, beyond that of none, at which an effect is switched."""
DEADBAND = 0.03
"""Dead band in unit parameters."""
CURVE_DEADBAND_DB = 1.5
"""Dead band of the equaliser's curve, at the frequency where it has changed most."""
AMOUNT_DEADBAND = 0.4
"""Dead band of amounts, in log-odds."""
SAME_SOURCE_DEADBAND = 0.1
"""Dead band of the probability that input and reference are of one source."""


def within_deadband(target: np.ndarray | float, old: np.ndarray | float, deadband: float) -> np.ndarray | float:
    """Move from `old` only as far as needed to be within `deadband` of the target."""
    change = target - old
    return old + (change - np.clip(change, -deadband, deadband))


def with_hysteresis(new: Prediction, old: Prediction | None) -> Prediction:
    """Let a prediction follow the last one, each part within its dead band."""
    if old is None:
        return new
    change_db = new.curve_db - old.curve_db
    share = max(0.0, 1.0 - CURVE_DEADBAND_DB / max(np.abs(change_db).max(), 1e-9))
    return replace(
        new,
        unit=np.asarray(within_deadband(new.unit, old.unit, DEADBAND)),
        curve_db=old.curve_db + share * change_db,
        amount=np.asarray(within_deadband(new.amount, old.amount, AMOUNT_DEADBAND)),
        same_source=float(within_deadband(new.same_source, old.same_source, SAME_SOURCE_DEADBAND)),
    )


def switched(
    prediction: Prediction, model: MatchModel, playing: ChainSettings | None, boldness: float | None = None
) -> list[bool]:
    """Decide which effects are on; one that plays (or not) is switched only when clearly past none."""
    if playing is None:
        return model.used(prediction, boldness=boldness)
    return model.used(prediction, [MARGIN if s.enabled else -MARGIN for s in playing.effects], boldness)
