"""Matching that comes to rest: only what has clearly changed moves, and what was set by hand never does."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ...chain import ChainSettings
from ...matching import MatchModel, Prediction

MARGIN = 0.3
"""An effect is switched only when its log-odds have passed the threshold's by this much: 0.92 becomes 0.94 or 0.89."""
DEADBAND = 0.03
"""Unit parameters follow what is predicted like gears with so much play,"""
CURVE_DEADBAND_DB = 1.5
"""the equaliser's curve as a whole, with so much at the frequency where it is furthest off,"""
KIN_PLAY = 0.1
"""and what thresholds and strengths are weighed by."""


def within_deadband(wanted: np.ndarray | float, old: np.ndarray | float, play: float) -> np.ndarray | float:
    """Go from `old` towards what is wanted until it is no further off than the play: what drifts, moves little."""
    away = wanted - old
    return old + (away - np.clip(away, -play, play))


def with_hysteresis(new: Prediction, old: Prediction | None) -> Prediction:
    """Let a prediction follow another one, with play."""
    if old is None:
        return new
    change_db = new.curve_db - old.curve_db
    share = max(0.0, 1.0 - CURVE_DEADBAND_DB / max(np.abs(change_db).max(), 1e-9))
    return replace(
        new,
        unit=np.asarray(within_deadband(new.unit, old.unit, DEADBAND)),
        curve_db=old.curve_db + share * change_db,
        same_source=float(within_deadband(new.same_source, old.same_source, KIN_PLAY)),
    )


def switched(prediction: Prediction, predictor: MatchModel, playing: ChainSettings | None) -> list[bool]:
    """Switch an effect only when its probability is past the threshold for sure; at first nothing plays."""
    if playing is None:
        return predictor.probable(prediction)
    return predictor.probable(prediction, [MARGIN if s.enabled else -MARGIN for s in playing.effects])


def keep_locked(new: ChainSettings, old: ChainSettings, locked: Iterable[tuple[str, str]]) -> ChainSettings:
    """Take new settings, but for what was set by hand, and the gains, which are solved later."""
    for stage, name in locked:
        if stage in ("input", "output"):
            continue
        kept = old.effect(stage)
        new = (
            new.with_effect(stage, enabled=kept.enabled)
            if name == "bypass"
            else new.with_effect(stage, None, **{name: kept.values[name]})
        )
    return replace(new, input_gain_db=old.input_gain_db, output_gain_db=old.output_gain_db)


def locked_of(by_hand: Iterable[str], settings: ChainSettings) -> frozenset[tuple[str, str]]:
    """Read "effect/parameter" texts: what of it there is in the chain, the model leaves alone."""
    known = {("input", "gain_db"), ("output", "gain_db")}
    known |= {(s.effect, name) for s in settings.effects for name in (*s.values, "bypass")}
    return frozenset(known & {(stage, name) for stage, _, name in (text.partition("/") for text in by_hand)})
