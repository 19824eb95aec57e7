"""Several effects in a row: what they are set to, and how one trains through them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ..effects import load, names
from ..effects._effect import Effect, Param

if TYPE_CHECKING:
    import torch

CANONICAL = ("equaliser", "compressor", "distortion", "reverb")
"""The order in which the shipped model predicts."""

MOST_STEPS = 8
"""Effects that a chain may hold."""


@dataclass(frozen=True)
class Step:
    """One effect of a chain, its values in the parameters' own units, and whether it is on."""

    effect: str
    values: Mapping[str, float] = field(default_factory=dict)
    on: bool = True

    def __post_init__(self) -> None:
        effect = _load(self.effect)
        for name, value in self.values.items():
            effect.param(name).check(value)
        object.__setattr__(self, "values", {**effect.defaults, **{k: float(v) for k, v in self.values.items()}})

    def at_amount(self, amount: float) -> "Step":
        """Move every parameter that has a neutral value towards it; 0 is neutral, 1 is as set."""
        values = dict(self.values)
        for p in _load(self.effect).params:
            if p.neutral is not None:
                neutral = p.unit(p.neutral)
                values[p.name] = p.clip(p.value(neutral + amount * (p.unit(values[p.name]) - neutral)))
        return replace(self, values=values)


@dataclass(frozen=True)
class Settings:
    """All that a chain is set to: steps in playing order between an input and an output gain.

    Raises ValueError for an effect twice, more than 8 effects, an unknown name or a value out of
    range. Effects may be left out and put in any order.
    """

    steps: tuple[Step, ...] = ()
    input_gain_db: float = 0.0
    output_gain_db: float = 0.0

    def __post_init__(self) -> None:
        order = [s.effect for s in self.steps]
        if len(order) > MOST_STEPS:
            raise ValueError(f"{len(order)} effects in a chain; at most {MOST_STEPS}")
        if twice := {e for e in order if order.count(e) > 1}:
            raise ValueError(f"{', '.join(sorted(twice))}: in the chain twice; each effect once")
        gain = load("gain").params[0]
        for value in (self.input_gain_db, self.output_gain_db):
            gain.check(value)

    @classmethod
    def default(cls, order: Iterable[str] = CANONICAL) -> "Settings":
        """Give every effect of `order` its defaults, switched off: a chain that does nothing yet."""
        return cls(tuple(Step(effect, on=False) for effect in order))

    def step(self, effect: str) -> Step:
        """Give the step of an effect; KeyError if it is not in the chain."""
        for step in self.steps:
            if step.effect == effect:
                return step
        raise KeyError(f"{effect} is not in the chain {' → '.join(s.effect for s in self.steps)}")

    def with_step(self, effect: str, on: bool | None = None, **values: float) -> "Settings":
        """Change some of an effect's values, or switch it."""
        old = self.step(effect)
        new = replace(old, values={**old.values, **values}, on=old.on if on is None else on)
        return replace(self, steps=tuple(new if s is old else s for s in self.steps))

    @property
    def latency(self) -> int:
        """Whole frames by which the effects that are on make the sound late."""
        return sum(_load(step.effect).latency for step in self.steps if step.on)

    def at_amount(self, amount: float) -> "Settings":
        """Interpolate between doing nothing (0) and these settings (1), in the ear's domain."""
        return replace(self, steps=tuple(s.at_amount(amount) for s in self.steps))


def _load(effect: str) -> Effect:
    try:
        return load(effect)
    except KeyError as error:
        raise ValueError(error.args[0]) from None


@dataclass(frozen=True)
class Chain:
    """The parameters of several effects as one vector, and the torch side of playing them.

    A model speaks in this vector: `params` is its order, (effect, parameter) by (effect,
    parameter); units in (0, 1) go through each parameter's curve.
    """

    order: tuple[str, ...] = CANONICAL

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects, in playing order."""
        return tuple(load(name) for name in self.order)

    @property
    def params(self) -> tuple[tuple[str, Param], ...]:
        """Every parameter with its effect's name."""
        return tuple((e.name, p) for e in self.effects for p in e.params)

    def columns(self, effect: str) -> slice:
        """Where an effect's parameters stand in the vector."""
        first = 0
        for e in self.effects:
            if e.name == effect:
                return slice(first, first + len(e.params))
            first += len(e.params)
        raise KeyError(f"{effect} is not in the chain {self.order}")

    def settings(self, values: Any, on: Any) -> Settings:
        """Make settings of a value vector and one on-flag for each effect."""
        steps = []
        for flag, e in zip(on, self.effects, strict=True):
            mine = values[self.columns(e.name)]
            named = {p.name: p.clip(float(v)) for p, v in zip(e.params, mine, strict=True)}
            steps.append(Step(e.name, named, bool(flag)))
        return Settings(tuple(steps))

    def process(
        self, x: "torch.Tensor", sample_rate: float, values: "torch.Tensor", on: "torch.Tensor | None" = None
    ) -> "torch.Tensor":
        """Play a batch, differentiable in x and values.

        Shapes: x (batch, channels, frames); values (batch, params) or, moving, (batch, params,
        edges), in the parameters' own units; on (batch, effects), bool. An effect that is off is
        left out, as it is live.
        """
        for i, e in enumerate(self.effects):
            mine = values[:, self.columns(e.name)]
            if on is None or bool(on[:, i].all()):
                x = e.process(x, sample_rate, *mine.unbind(1))
            elif bool(on[:, i].any()):
                rows = on[:, i].nonzero()[:, 0]
                x = x.index_copy(0, rows, e.process(x[rows], sample_rate, *mine[rows].unbind(1)))
        return x


def kinds() -> dict[str, int]:
    """Number every effect there is, as the live side's table of addresses does."""
    return {name: i for i, name in enumerate(names())}
