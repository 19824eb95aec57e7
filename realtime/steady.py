"""Matching that comes to rest: only what has clearly changed moves, and what was set by hand never does."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from ..effects import Settings
from .predictor import Prediction, Predictor

MARGIN = 0.3
"""An effect is switched only when its log-odds have passed the threshold's by this much: 0.92 becomes 0.94 or 0.89."""
STEP = 0.02
"""Unit parameters that moved less stay where they are."""
CURVE_STEP_DB = 0.5
"""So does the equaliser's curve, if it moved less than this at any frequency,"""
KIN_STEP = 0.1
"""and what strengths are weighed by."""


def steadied(new: Prediction, old: Prediction | None) -> Prediction:
    """Keep every unit parameter that has hardly moved, the curve, and the kinship."""
    if old is None:
        return new
    unit = np.where(np.abs(new.unit - old.unit) < STEP, old.unit, new.unit)
    moved = np.abs(new.curve_db - old.curve_db).max() > CURVE_STEP_DB
    kin = new.kin if abs(new.kin - old.kin) > KIN_STEP else old.kin
    return replace(new, unit=unit, curve_db=new.curve_db if moved else old.curve_db, kin=kin)


def switched(prediction: Prediction, predictor: Predictor, playing: Settings | None) -> list[bool]:
    """Switch an effect only when its probability is past the threshold for sure; at first nothing plays."""
    if playing is None:
        return predictor.probable(prediction)
    return predictor.probable(prediction, [MARGIN if s.on else -MARGIN for s in playing.steps])


def unlocked(new: Settings, old: Settings, locked: Iterable[tuple[str, str]]) -> Settings:
    """Take new settings, but for what was set by hand, and the gains, which are solved later."""
    for stage, name in locked:
        if stage in ("input", "output"):
            continue
        kept = old.step(stage)
        new = (
            new.with_step(stage, on=kept.on)
            if name == "bypass"
            else new.with_step(stage, None, **{name: kept.values[name]})
        )
    return replace(new, input_gain_db=old.input_gain_db, output_gain_db=old.output_gain_db)


def locked_of(by_hand: Iterable[str], settings: Settings) -> frozenset[tuple[str, str]]:
    """Read "effect/parameter" texts: what of it there is in the chain, the model leaves alone."""
    known = {("input", "gain_db"), ("output", "gain_db")}
    known |= {(s.effect, name) for s in settings.steps for name in (*s.values, "bypass")}
    return frozenset(known & {(stage, name) for stage, _, name in (text.partition("/") for text in by_hand)})
