"""Matching: from what was heard to settings whose level is solved, not predicted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

import numpy as np

from ..chain import ChainPlayer, ChainSettings
from ..realtime.audio.blocks import loudness, metered
from .model import ClipError, Features, MatchModel, Prediction

QUIETEST_LUFS = -60.0
LOUDEST_LUFS = 0.0
GATE_ROUNDS = 3
"""A gain lifts quiet parts over the absolute gate of -70 LUFS, which moves the loudness: so often it is asked again."""


@dataclass(frozen=True)
class Reference:
    """A reference clip as the predictor heard it, and how loud it is."""

    path: Path
    description: Features
    lufs: float
    seconds: float


@dataclass(frozen=True)
class Match:
    """What to play, what it was decided on, and whether it comes as near the references as a match may."""

    settings: ChainSettings
    prediction: Prediction | None
    input_lufs: float
    target_lufs: float | None
    reached: bool = True


def goal_of(references: Sequence[Reference]) -> float:
    """Give the references' mean loudness; what is over full scale, nothing can reach."""
    return min(float(np.mean([r.lufs for r in references])), LOUDEST_LUFS)


def target_of(references: Sequence[Reference], input_lufs: float, amount: float) -> float:
    """Give the loudness to reach: the references', or as far towards it as the amount goes."""
    return input_lufs + amount * (goal_of(references) - input_lufs)


def solve_level(
    settings: ChainSettings,
    x: np.ndarray,
    sample_rate: float,
    target_lufs: float | None,
    trained_lufs: float,
    input_gain_db: float | None = None,
) -> ChainSettings:
    """Set both gains: in, so that the equaliser leaves the loudness the chain was trained at; out, to the target.

    x (frames,) or (frames, channels) is a stretch of the input. Closed form: up to the equaliser
    everything is linear, and the output gain comes after everything that is not. Without a target
    the loudness stays the input's. With an `input_gain_db` only the output gain is solved. Silence
    changes nothing.
    """
    x = x[:, None] if x.ndim == 1 else x[:, :2]
    lufs = loudness(x, sample_rate)
    if not lufs > QUIETEST_LUFS:
        return settings
    if input_gain_db is None:
        linear = ChainSettings(
            tuple(takewhile(lambda step: step.effect == "equaliser" or not step.enabled, settings.effects))
        )
        toned = loudness(x, sample_rate, linear)
        # two ears of one sound read 3 LU more than one (BS.1770 adds them), and drive an effect as hard
        input_gain_db = _gain(trained_lufs + 10.0 * np.log10(x.shape[1]) - toned)
    ready = replace(settings, input_gain_db=input_gain_db, output_gain_db=0.0)
    played, gain_db = metered(x, sample_rate, ready), 0.0
    for _ in range(GATE_ROUNDS):
        if not played.lufs(gain_db) > -np.inf:
            return ready
        gain_db = _gain(gain_db + (lufs if target_lufs is None else target_lufs) - played.lufs(gain_db))
    return replace(ready, output_gain_db=gain_db)


def _gain(gain_db: float) -> float:
    return float(np.clip(gain_db, -48.0, 48.0))


def match(
    predictor: MatchModel,
    heard: Features,
    x: np.ndarray,
    sample_rate: float,
    references: Sequence[Reference],
    amount: float = 1.0,
    lufs: float | None = None,
) -> Match:
    """Predict settings for an input that was `heard`, scale them by `amount`, and solve their level on x.

    `lufs` is the loudness of the whole input, if x is but a part of it.
    """
    prediction = predictor.predict(heard, [r.description for r in references])
    here = loudness(x if x.ndim == 2 else x[:, None], sample_rate)
    lufs = here if lufs is None else lufs
    target = target_of(references, lufs, amount)
    settings = predictor.settings(prediction).scaled(amount)
    solved = solve_level(settings, x, sample_rate, target + here - lufs, predictor.lufs)
    near = amount < 1.0 or reaches(predictor, solved, x, sample_rate, references, prediction.kin)
    return Match(solved, prediction, lufs, target, near)


def reaches(
    predictor: MatchModel,
    settings: ChainSettings,
    x: np.ndarray,
    sample_rate: float,
    references: Sequence[Reference],
    kin: float,
) -> bool:
    """Play a stretch of the input (frames, channels) and tell whether it may pass for one of the references now."""
    x = x[:, None] if x.ndim == 1 else x[:, :2]
    try:
        played = predictor.analyse(ChainPlayer(settings, sample_rate, x.shape[1]).play(x), sample_rate)
    except ClipError:  # nothing is heard of it
        return True
    return predictor.reached(played, [r.description for r in references], kin)
