"""What a chain is set to: effects in playing order, their values and gains."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..effects import Effect, load

CANONICAL = ("equaliser", "compressor", "distortion", "reverb")
"""The order in which the shipped model predicts."""

MAX_EFFECTS = 8
"""Effects that a chain may hold."""
GAIN = load("gain").param("gain_db")
"""What each of the two gains may be."""
GAIN_NAMES = ("input_gain_db", "output_gain_db")


@dataclass(frozen=True)
class EffectSettings:
    """One effect of a chain, its values in the parameters' own units, and whether it is on."""

    effect: str
    values: Mapping[str, float] = field(default_factory=dict)
    enabled: bool = True

    def __post_init__(self) -> None:
        effect = _load(self.effect)
        for name, value in self.values.items():
            effect.param(name).check(value)
        object.__setattr__(self, "values", {**effect.defaults, **{k: float(v) for k, v in self.values.items()}})

    def scaled(self, amount: float) -> "EffectSettings":
        """Move every parameter that has a neutral value towards it, evenly to the ear; 0 is neutral, 1 is as set."""
        params = _load(self.effect).params
        return replace(self, values={p.name: p.clip(p.at_amount(self.values[p.name], amount)) for p in params})


@dataclass(frozen=True)
class ChainSettings:
    """All that a chain is set to: effects in playing order between an input and an output gain.

    Raises ValueError for an effect twice, more than 8 effects, an unknown name or a value out of
    range. Effects may be left out and put in any order.
    """

    effects: tuple[EffectSettings, ...] = ()
    input_gain_db: float = 0.0
    output_gain_db: float = 0.0

    def __post_init__(self) -> None:
        check_order([e.effect for e in self.effects])
        for value in (self.input_gain_db, self.output_gain_db):
            GAIN.check(value)

    @classmethod
    def default(cls, order: Iterable[str] = CANONICAL) -> "ChainSettings":
        """Give every effect of `order` its defaults, switched off: a chain that does nothing yet."""
        return cls(tuple(EffectSettings(effect, enabled=False) for effect in order))

    def effect(self, effect: str) -> EffectSettings:
        """Give the settings of one effect; KeyError if it is not in the chain."""
        for each in self.effects:
            if each.effect == effect:
                return each
        raise KeyError(f"{effect} is not in the chain {' → '.join(e.effect for e in self.effects)}")

    def with_effect(self, effect: str, enabled: bool | None = None, **values: float) -> "ChainSettings":
        """Change some of an effect's values, or switch it."""
        old = self.effect(effect)
        new = replace(old, values={**old.values, **values}, enabled=old.enabled if enabled is None else enabled)
        return replace(self, effects=tuple(new if s is old else s for s in self.effects))

    @property
    def linear_front(self) -> tuple[EffectSettings, ...]:
        """The effects before the first that is not linear: up to there, level is only a factor.

        An effect that is off is passed over, unless none that is not linear is on: then the first of those counts.
        """
        bends = [i for i, e in enumerate(self.effects) if not _load(e.effect).linear]
        playing = [i for i in bends if self.effects[i].enabled]
        return self.effects[: next(iter(playing or bends), None)]

    @property
    def latency(self) -> int:
        """Whole frames by which the effects that are on make the sound late."""
        return sum(_load(e.effect).latency for e in self.effects if e.enabled)

    def scaled(self, amount: float) -> "ChainSettings":
        """Interpolate between doing nothing (0) and these settings (1), evenly to the ear."""
        return replace(self, effects=tuple(e.scaled(amount) for e in self.effects))


def check_order(order: Sequence[str]) -> None:
    """Raise ValueError unless these are effects that a chain may hold: known ones, each once, at most 8."""
    for name in order:
        _load(name)
    if len(order) > MAX_EFFECTS:
        raise ValueError(f"{len(order)} effects in a chain; at most {MAX_EFFECTS}")
    if twice := {e for e in order if list(order).count(e) > 1}:
        raise ValueError(f"{', '.join(sorted(twice))}: in the chain twice; each effect once")


def _load(effect: str) -> Effect:
    try:
        return load(effect)
    except KeyError as error:
        raise ValueError(error.args[0]) from None
