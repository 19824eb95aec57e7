"""The references' tonal balance, taken over whole, as a match equaliser does: what the greatest boldness asks for."""

from collections.abc import Callable

import numpy as np

from ..chain import ChainSettings, EffectSettings, play_clip
from ..effects import load
from .choices import Choices
from .equaliser_fit import fit_values, settings_curve_db
from .model import BANDS, MatchModel, Prediction

ROUNDS = 4
"""Plays: what is driven or compressed answers a change of tone by less, or more, than the change."""
MOST_DB = 24.0
SMOOTHING = np.array([0.1, 0.8, 0.1])
HEARD = (BANDS > 45.0) & (BANDS < 17000.0)
"""Where tone is taken over: below and above, most recordings hold noise."""


def equaliser_is_free(model: MatchModel, prediction: Prediction, choices: Choices) -> bool:
    """Tell whether there is an equaliser that may be used and is not locked."""
    order, name = model.chain.order, "equaliser"
    return name in order and name not in choices.locked and bool(prediction.allowed[order.index(name)])


def tone_share(model: MatchModel, prediction: Prediction, choices: Choices) -> float:
    """Give how much of the references' tonal balance is to be taken over, 0 to 1: none without a free equaliser."""
    return model.decision.tone(choices.boldness) if equaliser_is_free(model, prediction, choices) else 0.0


def with_tone_of(
    wanted_db: np.ndarray,
    model: MatchModel,
    settings: ChainSettings,
    x: np.ndarray,
    sample_rate: float,
    share: float,
    solved: Callable[[ChainSettings], ChainSettings],
) -> ChainSettings:
    """Move the equaliser until what is played has a long-term spectrum (BANDS,) nearer to the wanted one.

    share: how much of the way, 0 to 1. solved sets the levels that a chain is played at. The curve is corrected by
    what is left after each play, so that the rest of the chain is counted in; the best of all plays is kept.
    """
    curve_db = settings_curve_db(settings, BANDS, model.sample_rate)
    heard = _heard(sample_rate)
    goal_db, best, least = None, settings, np.inf
    for _ in range(ROUNDS + 1):
        here_db = model.spectrum_db(play_clip(solved(settings), x, sample_rate), sample_rate)
        if goal_db is None:
            goal_db = here_db + share * (wanted_db - here_db)
        away_db = _smoothed(goal_db - here_db, sample_rate)
        left = float(np.abs(away_db)[heard].mean())
        if left < least:
            best, least = settings, left
        curve_db = np.clip(curve_db + away_db, -MOST_DB, MOST_DB)
        settings = settings.with_effect("equaliser", True, **_fitted(curve_db, heard, settings, model.sample_rate))
    return best


def sketched_tone(
    wanted_db: np.ndarray,
    input_db: np.ndarray,
    model: MatchModel,
    settings: ChainSettings,
    sample_rate: float,
    share: float,
) -> ChainSettings:
    """Move the equaliser as `with_tone_of` would if nothing but an equaliser played: at once, and nearly right.

    wanted_db and input_db (BANDS,) are the long-term spectra of the reference and of the input as it is.
    """
    curve_db = settings_curve_db(settings, BANDS, model.sample_rate)
    heard = _heard(sample_rate)
    away_db = _smoothed(wanted_db - input_db - curve_db, sample_rate)
    curve_db = np.clip(curve_db + share * (away_db - away_db[heard].mean()), -MOST_DB, MOST_DB)
    return settings.with_effect("equaliser", True, **_fitted(curve_db, heard, settings, model.sample_rate))


def _heard(sample_rate: float) -> np.ndarray:
    """Tell in which bands a sound of this sample rate takes tone over."""
    return HEARD & (BANDS < sample_rate / 2)


def _smoothed(away_db: np.ndarray, sample_rate: float) -> np.ndarray:
    """Smooth over bands; those above half the sample rate, which hold nothing, go with the highest below it."""
    there = int(np.searchsorted(BANDS, sample_rate / 2))
    away_db = np.pad(away_db[:there], (1, len(BANDS) - there + 1), "edge")
    return np.convolve(away_db, SMOOTHING, "valid")


def _fitted(curve_db: np.ndarray, heard: np.ndarray, settings: ChainSettings, sample_rate: float) -> dict[str, float]:
    """Fit the equaliser to a curve (BANDS,) where heard, from where it stands and from its defaults: the better one."""
    starts = settings.effect("equaliser").values, load("equaliser").defaults
    found, left = [], []
    for start in starts:
        found.append(fit_values(curve_db[heard], BANDS[heard], np.ones(heard.sum()), start, sample_rate))
        here = settings_curve_db(ChainSettings((EffectSettings("equaliser", found[-1]),)), BANDS[heard], sample_rate)
        away = here - curve_db[heard]
        left.append(np.abs(away - away.mean()).mean())
    return found[int(np.argmin(left))]
