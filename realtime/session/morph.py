"""Morphing: from the sound of one preset or reference to that of another, evenly to the ear.

Every parameter moves in unit steps of its own curve: decibels, octaves, ratios of time. An effect that
is on in only one of the two fades by its amount, as the amount control would fade it. Nothing here plays
anything: a session's state holds a `Morph`, edits move it, and the matcher solves its level.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ... import presets
from ...chain import GAIN, ChainSettings, EffectSettings
from ...effects import load
from ...matching.choices import Choices
from ...matching.model import Features, MatchModel, Prediction
from ...matching.reference import ReferenceClip, mean_lufs
from .hysteresis import switched, with_hysteresis
from .level import Levels
from .places import GAINS, Place, keep_locked


def morph(a: ChainSettings, b: ChainSettings, position: float) -> ChainSettings:
    """Give the settings on the way from a (0) to b (1).

    The chain holds the effects of both, in the order of the nearer one where they differ. Raises
    ValueError if both together have more than 8 effects.
    """
    position = min(max(float(position), 0.0), 1.0)
    first, second = {s.effect: s for s in a.effects}, {s.effect: s for s in b.effects}
    return ChainSettings(
        tuple(_step(first.get(e), second.get(e), position) for e in _order([*first], [*second], position)),
        _mix(a.input_gain_db, b.input_gain_db, position),
        _mix(a.output_gain_db, b.output_gain_db, position),
    )


def _mix(a: float, b: float, position: float) -> float:
    return (1.0 - position) * a + position * b  # exact at both ends


def _order(a: list[str], b: list[str], position: float) -> list[str]:
    """Merge two orders; where one order fits both, it stays the same all the way."""
    both = {*a} & {*b}
    if [e for e in a if e in both] != [e for e in b if e in both] and position > 0.5:
        a, b = b, a
    merged = list(a)
    for i, effect in enumerate(b):
        if effect not in both:
            place = max((merged.index(e) + 1 for e in b[:i]), default=0)
            merged.insert(place, effect)
    return merged


def _step(a: EffectSettings | None, b: EffectSettings | None, position: float) -> EffectSettings:
    in_a, in_b = a is not None and _acts(a), b is not None and _acts(b)
    if a is not None and b is not None and in_a and in_b:
        return _between(a, b, position)
    if a is not None and in_a:
        return replace(_faded(a, 1.0 - position), enabled=position < 1.0)
    if b is not None and in_b:
        return replace(_faded(b, position), enabled=position > 0.0)
    idle = b if a is None or (b is not None and position > 0.5) else a
    assert idle is not None
    return replace(idle, enabled=False)


def _faded(step: EffectSettings, amount: float) -> EffectSettings:
    return step if amount == 1.0 else step.scaled(amount)


def _acts(step: EffectSettings) -> bool:
    """Tell whether an effect does anything: it is on, and not every parameter that sets its strength is neutral."""
    strengths = [p for p in load(step.effect).params if p.neutral is not None]
    return step.enabled and (not strengths or any(step.values[p.name] != p.neutral for p in strengths))


def _between(a: EffectSettings, b: EffectSettings, position: float) -> EffectSettings:
    if position in (0.0, 1.0):
        return b if position else a
    values = {}
    for p in load(a.effect).params:
        one, other = a.values[p.name], b.values[p.name]
        if p.neutral is None and _flat(a, p.name) != _flat(b, p.name):
            one = other = other if _flat(a, p.name) else one  # the frequency of a flat band means nothing
        values[p.name] = one if one == other else p.clip(p.value(_mix(p.unit(one), p.unit(other), position)))
    return EffectSettings(a.effect, values)


def _flat(step: EffectSettings, name: str) -> bool:
    """Tell whether a parameter belongs to a band (`peak_1_hz`: `peak_1`) that is set to do nothing."""
    band = name.rpartition("_")[0]
    params = load(step.effect).params
    strengths = [p for p in params if p.neutral is not None and band and p.name.rpartition("_")[0] == band]
    return bool(strengths) and all(step.values[p.name] == p.neutral for p in strengths)


@dataclass(frozen=True, eq=False)
class Side:
    """One end of a morph: what it sounds like, at amount 1, and how loud.

    `settings` is None for a clip until there was input to match it to. `goal_lufs` is None for the
    loudness of the input; `pull` is how far the loudness goes towards the goal, 0 to 1.
    """

    name: str
    settings: ChainSettings | None
    goal_lufs: float | None
    pull: float = 1.0
    reference: ReferenceClip | None = None
    prediction: Prediction | None = None
    level_known: bool = False

    @classmethod
    def of_preset(cls, preset: presets.Preset) -> "Side":
        """Make an end of a preset, at its own amount."""
        return cls(preset.name, preset.settings.scaled(preset.amount), preset.target_lufs, preset.amount)

    @classmethod
    def of_clip(cls, name: str, reference: ReferenceClip) -> "Side":
        """Make an end of a reference clip."""
        return cls(name, None, mean_lufs([reference]), reference=reference)

    def rematched(self, model: MatchModel, features: Features, choices: Choices, anew: bool = False) -> "Side":
        """Match a clip again, to the input as it is known by now; a preset stays as it is."""
        if self.reference is None:
            return self
        order, boldness = model.chain.order, choices.boldness
        predicted = model.predict(features, [self.reference.features], choices.allowed(order), choices.named(order))
        prediction = with_hysteresis(predicted, None if anew else self.prediction)
        on = switched(prediction, model, None if anew else self.settings, boldness)
        settings = model.settings(prediction, on, boldness)
        if self.settings is not None:
            settings = keep_locked(settings, self.settings, ())  # the gains
        return replace(self, settings=settings, prediction=prediction)

    def with_levels(self, levels: Levels | None) -> "Side":
        """Set both gains, if they are known."""
        if self.settings is None or levels is None:
            return self
        gains = {"input_gain_db": levels.input_gain_db, "output_gain_db": levels.output_gain_db}
        return replace(self, settings=replace(self.settings, **gains), level_known=True)


@dataclass(frozen=True, eq=False)
class Morph:
    """Two ends, of which either may be missing, and the position between them: 0 is a, 1 is b."""

    a: Side | None = None
    b: Side | None = None
    position: float = 0.0

    @property
    def active(self) -> bool:
        """Whether there are two ends to morph between."""
        return self.a is not None and self.b is not None

    @property
    def listens(self) -> bool:
        """Whether an end is a clip, so that its settings follow the input."""
        return any(side.reference is not None for side in self._sides)

    @property
    def _sides(self) -> Sequence[Side]:
        return [side for side in (self.a, self.b) if side is not None]

    def name(self, end: str) -> str:
        """Give the name of an end, or nothing."""
        side = self.a if end == "a" else self.b
        return side.name if side else ""

    def between(self, end: str, side: Side, playing: Side) -> "Morph":
        """Choose an end ("a" or "b"); the other one stays, or else is what plays now."""
        other = (self.b if end == "a" else self.a) or playing
        return replace(self, a=side, b=other) if end == "a" else replace(self, a=other, b=side)

    def same_ends(self, other: "Morph") -> bool:
        """Whether two morphs differ in their position alone."""
        return self.a is other.a and self.b is other.b

    def rematched(self, model: MatchModel, features: Features, choices: Choices, anew: bool = False) -> "Morph":
        """Match the ends that are clips again, `anew` without regard to how they were matched before."""
        a, b = (side and side.rematched(model, features, choices, anew) for side in (self.a, self.b))
        return replace(self, a=a, b=b)

    def settings(self, playing: ChainSettings) -> ChainSettings:
        """Give what to play: an end that is not known yet is left out; with neither, `playing` plays on."""
        known = self._known
        return morph(known[0], known[-1], self.position) if known else playing

    @property
    def _known(self) -> Sequence[ChainSettings]:
        return [side.settings for side in self._sides if side.settings is not None]

    def moved(self, position: float, playing: ChainSettings, locked: Iterable[Place]) -> tuple["Morph", ChainSettings]:
        """Move, and give what plays then: locked places stay, and the gains move as far as those of the ends."""
        new, known, locked = replace(self, position=position), self._known, {*locked}
        if not (self.active and known):
            return new, playing
        settings = keep_locked(new.settings(playing), playing, locked)
        for stage, gain in GAINS:
            name = f"{stage}_{gain}"
            a, b = (getattr(s, name) for s in (known[0], known[-1]))
            shift = _mix(a, b, position) - _mix(a, b, self.position)
            if (stage, gain) not in locked:
                settings = replace(settings, **{name: GAIN.clip(getattr(playing, name) + shift)})
        return new, settings

    def with_levels(
        self, solve: Callable[[ChainSettings, float | None], Levels | None], loudness: Callable[[], float]
    ) -> "Morph":
        """Solve the level of each end that is new, by `solve(settings, goal_lufs)`, which may find nothing."""
        a, b = self.a, self.b
        if a and a.settings and not a.level_known:
            a = a.with_levels(solve(a.settings, replace(self, position=0.0).goal(loudness)))
        if b and b.settings and not b.level_known:
            b = b.with_levels(solve(b.settings, replace(self, position=1.0).goal(loudness)))
        return replace(self, a=a, b=b)

    def goal(self, loudness: Callable[[], float]) -> float | None:
        """Give the loudness to reach in LUFS, None for the input's; `loudness()` measures the input, if needed."""
        goals = [(side.goal_lufs, side.pull) for side in self._sides]
        if all(goal is None for goal, _ in goals):
            return None
        if any(goal is None or pull < 1.0 for goal, pull in goals):
            heard = loudness()
            if not heard > -math.inf:  # silence keeps nobody's loudness
                goals = [(goal, 1.0) for goal, _ in goals if goal is not None]
            else:
                goals = [(heard if goal is None else _mix(heard, goal, pull), 1.0) for goal, pull in goals]
        return _mix(goals[0][0], goals[-1][0], self.position)
