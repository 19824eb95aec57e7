"""What to play for a prediction: as bold as the user wants it, and at rest when nothing has clearly changed."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...chain import ChainSettings, EffectSettings
from ...matching.choices import Choices
from ...matching.level import solve_level
from ...matching.model import Features, MatchModel, Prediction
from ...matching.reference import ReferenceClip
from ...matching.tone import sketched_tone, tone_share, with_tone_of
from .hysteresis import switched

Played = Callable[[ChainSettings], ChainSettings]
"""Settings as they would play: with what is locked."""


@dataclass(frozen=True)
class Heard:
    """The input as it was heard: its pooled features, and a stretch x (frames, channels) of it."""

    features: Features
    x: np.ndarray
    sample_rate: float


class Decider:
    """Turn predictions into settings. One thread uses it.

    The references' tone is taken over by playing the input again and again, which takes most of a second. So that is
    done when a decision is another, or twice as much of the input was heard, and kept otherwise.
    """

    def __init__(self, model: MatchModel) -> None:
        self._model = model
        self._key: object = None
        self._equaliser: EffectSettings | None = None

    def settings(
        self,
        prediction: Prediction,
        references: Sequence[ReferenceClip],
        heard: Heard,
        choices: Choices,
        playing: ChainSettings | None,
        sketch: bool = False,
    ) -> Iterator[ChainSettings]:
        """Give settings, levels unsolved; with `sketch` first what is nearly right, if all of it would take a while.

        playing: what plays now, to which effects stay switched on or off unless it is clear; None to decide anew.
        """
        model, boldness = self._model, choices.boldness
        base = model.settings(prediction, switched(prediction, model, playing, boldness), boldness)
        if not (share := tone_share(model, prediction, choices)) > 0.0:
            yield base
            return
        amount = int(math.log2(max(heard.features.windows, 1.0)))
        key = base.effects, share, tuple(id(r) for r in references), amount, choices.locked
        if key == self._key and self._equaliser is not None:
            yield _with(base, self._equaliser)
            return
        wanted_db = np.mean([r.features.spectrum_db for r in references], 0)
        if sketch:
            yield sketched_tone(wanted_db, heard.features.spectrum_db, model, base, share)
        # What is left of x's own tone is not the input's, and is not to be taken away.
        own_db = model.spectrum_db(heard.x, heard.sample_rate) - heard.features.spectrum_db
        found = with_tone_of(
            wanted_db + own_db, model, base, heard.x, heard.sample_rate, share, self._levelled(heard, choices)
        )
        self._key, self._equaliser = key, found.effect("equaliser")
        yield found

    def _levelled(self, heard: Heard, choices: Choices) -> Played:
        lufs = self._model.lufs
        return lambda trial: solve_level(choices.kept(trial), heard.x, heard.sample_rate, lufs, lufs)


def _with(settings: ChainSettings, step: EffectSettings) -> ChainSettings:
    return replace(settings, effects=tuple(step if e.effect == step.effect else e for e in settings.effects))
