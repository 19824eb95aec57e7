"""Morphing: from the sound of one preset or reference to that of another, evenly to the ear.

Every parameter moves in unit steps of its own curve: decibels, octaves, ratios of time. An effect that
is on in only one of the two fades by its amount, as the amount knob would fade it. Nothing here plays
anything; a `Session` holds a `Morph`, moves it, and solves the level on the way.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ... import presets
from ...chain import ChainSettings, EffectSettings
from ...effects import load
from ...matching import Features, MatchModel, Prediction, ReferenceClip, mean_lufs
from .hysteresis import keep_locked, switched, with_hysteresis

_GAIN = load("gain").param("gain_db")


def morph(a: ChainSettings, b: ChainSettings, position: float) -> ChainSettings:
    """Give the settings on the way from a (0) to b (1).

    The chain holds the effects of both; where their orders differ, that of the nearer one. Raises
    ValueError if there are more than 8 effects in both together.
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
    """Merge two orders; one that fits both does not change on the way."""
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
    """Tell whether a step does anything: it is on, and not all that sets how much it does is neutral."""
    much = [p for p in load(step.effect).params if p.neutral is not None]
    return step.enabled and (not much or any(step.values[p.name] != p.neutral for p in much))


def _between(a: EffectSettings, b: EffectSettings, position: float) -> EffectSettings:
    if position in (0.0, 1.0):
        return b if position else a
    values = {}
    for p in load(a.effect).params:
        one, other = a.values[p.name], b.values[p.name]
        if p.neutral is None and _flat(a, p.name) != _flat(b, p.name):
            one = other = other if _flat(a, p.name) else one  # a flat band has no place of its own
        values[p.name] = one if one == other else p.clip(p.value(_mix(p.unit(one), p.unit(other), position)))
    return EffectSettings(a.effect, values)


def _flat(step: EffectSettings, name: str) -> bool:
    """Tell whether a parameter belongs to a band (`peak_1_hz`: `peak_1`) that is set to do nothing."""
    band = name.rpartition("_")[0]
    much = [p for p in load(step.effect).params if p.neutral is not None and band and p.name.rpartition("_")[0] == band]
    return bool(much) and all(step.values[p.name] == p.neutral for p in much)


@dataclass(frozen=True, eq=False)
class Side:
    """One end of a morph: what it sounds like, at amount 1, and how loud.

    `settings` is None for a clip as long as nothing has been heard that could be matched to it.
    `goal_lufs` is None for the loudness of the input; `pull` is the part of the way to the goal that is gone.
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

    def anew(self, predictor: MatchModel, heard: Features) -> "Side":
        """Match a clip again to what has been heard by now; a preset stays as it is."""
        if self.reference is None:
            return self
        prediction = with_hysteresis(predictor.predict(heard, [self.reference.features]), self.prediction)
        settings = predictor.settings(prediction, switched(prediction, predictor, self.settings))
        if self.settings is not None:
            settings = keep_locked(settings, self.settings, ())  # but for the gains
        return replace(self, settings=settings, prediction=prediction)

    def levelled(self, level: Mapping[str, float]) -> "Side":
        """Take both gains, if they are known."""
        if self.settings is None or not level:
            return self
        gains = {"input_gain_db": level["input"], "output_gain_db": level["output"]}
        return replace(self, settings=replace(self.settings, **gains), level_known=True)


@dataclass(frozen=True, eq=False)
class Morph:
    """Two ends, of which one may be missing, and where we are between them."""

    a: Side | None = None
    b: Side | None = None
    position: float = 0.0

    @property
    def active(self) -> bool:
        """Whether there is anything to morph between."""
        return self.a is not None and self.b is not None

    @property
    def listens(self) -> bool:
        """Whether an end is a clip, whose settings depend on the input."""
        return any(side.reference is not None for side in self._sides)

    @property
    def _sides(self) -> Sequence[Side]:
        return [side for side in (self.a, self.b) if side is not None]

    def name(self, end: str) -> str:
        """Give the name of an end, or nothing."""
        side = self.a if end == "a" else self.b
        return side.name if side else ""

    def between(self, end: str, side: Side, playing: Side) -> "Morph":
        """Choose an end; the other one is what it was, or else what plays now."""
        other = (self.b if end == "a" else self.a) or playing
        return replace(self, a=side, b=other) if end == "a" else replace(self, a=other, b=side)

    def same_ends(self, other: "Morph") -> bool:
        """Whether two morphs differ in their position alone."""
        return self.a is other.a and self.b is other.b

    def anew(self, predictor: MatchModel, heard: Features) -> "Morph":
        """Match the ends that are clips again."""
        a, b = (side and side.anew(predictor, heard) for side in (self.a, self.b))
        return replace(self, a=a, b=b)

    def settings(self, playing: ChainSettings) -> ChainSettings:
        """Give what is to be played; an end that is not known yet is left out, and without any `playing` plays on."""
        known = self._known
        return morph(known[0], known[-1], self.position) if known else playing

    @property
    def _known(self) -> Sequence[ChainSettings]:
        return [side.settings for side in self._sides if side.settings is not None]

    def moved(
        self, position: float, playing: ChainSettings, locked: Iterable[tuple[str, str]]
    ) -> tuple["Morph", ChainSettings]:
        """Move, and give what is to be played now: all but what was set by hand, the gains by as much as the ends'."""
        new, known, locked = replace(self, position=position), self._known, {*locked}
        if not (self.active and known):
            return new, playing
        settings = keep_locked(new.settings(playing), playing, locked)
        for stage in ("input", "output"):
            name = f"{stage}_gain_db"
            a, b = (getattr(s, name) for s in (known[0], known[-1]))
            shift = _mix(a, b, position) - _mix(a, b, self.position)
            if (stage, "gain_db") not in locked:
                settings = replace(settings, **{name: _GAIN.clip(getattr(playing, name) + shift)})
        return new, settings

    def levelled(
        self, solve: Callable[[ChainSettings, float | None], Mapping[str, float]], loudness: Callable[[], float]
    ) -> "Morph":
        """Solve both gains of each end that is new, by `solve(settings, goal_lufs)`, which may find nothing."""
        a, b = self.a, self.b
        if a and a.settings and not a.level_known:
            a = a.levelled(solve(a.settings, replace(self, position=0.0).goal(loudness)))
        if b and b.settings and not b.level_known:
            b = b.levelled(solve(b.settings, replace(self, position=1.0).goal(loudness)))
        return replace(self, a=a, b=b)

    def goal(self, loudness: Callable[[], float]) -> float | None:
        """Give the loudness to reach in LUFS, None for the input's; `loudness()` is that of the input, if needed."""
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
