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
from ...matching.second_look import left_over_db, with_left_over
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

    What an equaliser leaves over is heard by playing the input once; the references' tone is taken over by playing it
    again and again, which takes most of a second. So both are done when a decision is another, or twice as much of the
    input was heard, and kept otherwise.
    """

    def __init__(self, model: MatchModel) -> None:
        self._model = model
        self._key: object = None
        self._equaliser: EffectSettings | None = None
        self._looked: object = None
        self._left_db: np.ndarray | None = None

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
        amount = int(math.log2(max(heard.features.windows, 1.0)))
        base = model.settings(prediction, switched(prediction, model, playing, boldness), boldness)
        base = self._after_second_look(base, prediction, references, heard, choices, amount)
        if not (share := tone_share(model, prediction, choices)) > 0.0:
            yield base
            return
        key = base.effects, share, tuple(id(r) for r in references), amount, choices.locked
        if key == self._key and self._equaliser is not None:
            yield _with(base, self._equaliser)
            return
        wanted_db = np.mean([r.features.spectrum_db for r in references], 0)
        if sketch:
            yield sketched_tone(wanted_db, heard.features.spectrum_db, model, base, heard.sample_rate, share)
        # What is left of x's own tone is not the input's, and is not to be taken away.
        own_db = model.spectrum_db(heard.x, heard.sample_rate) - heard.features.spectrum_db
        found = with_tone_of(
            wanted_db + own_db, model, base, heard.x, heard.sample_rate, share, self._levelled(heard, choices)
        )
        self._key, self._equaliser = key, found.effect("equaliser")
        yield found

    def _after_second_look(
        self,
        settings: ChainSettings,
        prediction: Prediction,
        references: Sequence[ReferenceClip],
        heard: Heard,
        choices: Choices,
        amount: int,
    ) -> ChainSettings:
        """Correct the equaliser by what it left over when it was last listened to."""
        used = tuple(e.effect for e in settings.effects if e.enabled)
        key = used, replace(choices, playing=None), tuple(id(r) for r in references), amount
        if key != self._looked:
            theirs, played = [r.features for r in references], self._levelled(heard, choices)
            self._left_db = left_over_db(
                self._model, prediction, choices, settings, theirs, heard.x, heard.sample_rate, played, heard.features
            )
            self._looked = key
        return with_left_over(self._model, settings, self._left_db)

    def _levelled(self, heard: Heard, choices: Choices) -> Played:
        lufs = self._model.lufs
        return lambda trial: solve_level(choices.kept(trial), heard.x, heard.sample_rate, lufs, lufs)


def _with(settings: ChainSettings, step: EffectSettings) -> ChainSettings:
    return replace(settings, effects=tuple(step if e.effect == step.effect else e for e in settings.effects))
