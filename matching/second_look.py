"""A second look: what an equaliser left over is heard, and corrected.

A network that is unsure of a curve says less than all of it. Played, that less is heard, and the network is asked again
about what is left: as an engineer listens, turns, and listens again. That holds for a reference of the same recording;
of another one, what is left is other notes and another voice.
"""

from collections.abc import Callable, Sequence

import numpy as np

from ..chain import ChainSettings, play_clip
from .choices import Choices
from .clips import ClipError
from .equaliser_fit import fit_values, settings_curve_db
from .model import Features, MatchModel, Prediction
from .tone import equaliser_is_free

EQUALISER = "equaliser"
Solved = Callable[[ChainSettings], ChainSettings]


def left_over_db(
    model: MatchModel,
    prediction: Prediction,
    choices: Choices,
    settings: ChainSettings,
    references: Sequence[Features],
    x: np.ndarray,
    sample_rate: float,
    solved: Solved,
    pooled: Features | None = None,
    amount: float | None = None,
) -> np.ndarray | None:
    """Give the curve in dB (bands,) that the model would add once it has heard x through the settings.

    x (frames,) or (frames, channels) is the input; or a stretch of it, if `pooled` are the features of all that was
    heard. solved sets the levels that a chain is played at. amount: how much of the equaliser is used, the model's own
    without. None where the equaliser is off, locked, or not to be used.
    """
    if not (equaliser_is_free(model, prediction, choices) and settings.effect(EQUALISER).enabled):
        return None
    try:
        after = model.analyse(play_clip(solved(settings), x, sample_rate), sample_rate)
        if pooled is not None:
            after = pooled.moved(model.analyse(x, sample_rate), after)
    except ClipError:  # nothing is heard there
        return None
    again = model.predict(after, references, prediction.allowed, prediction.named)
    if amount is None:
        amount = float(model.amounts(prediction, choices.boldness)[model.chain.order.index(EQUALISER)])
    return prediction.same_source * amount * again.curve_db


def with_left_over(model: MatchModel, settings: ChainSettings, left_db: np.ndarray | None) -> ChainSettings:
    """Fit the equaliser to its curve and what was left over (bands,); None leaves it as it is."""
    if left_db is None:
        return settings
    curve_db = settings_curve_db(settings, model.bands_hz, model.sample_rate) + left_db
    values = settings.effect(EQUALISER).values
    values = fit_values(curve_db, model.bands_hz, model.band_weights, values, model.sample_rate)
    return settings.with_effect(EQUALISER, True, **values)
