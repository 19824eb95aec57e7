"""A chain's parameter vector, both ways, and how a batch of such vectors is played."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..effects import Effect, Param, load
from .settings import CANONICAL, ChainSettings, EffectSettings, check_order


@dataclass(frozen=True)
class ChainParameters:
    """The parameters of several effects, in any order, as one vector.

    A model speaks in this vector: `params` is its order, (effect, parameter) by (effect, parameter). Raises
    ValueError for an unknown effect, one twice, or more than 8.
    """

    order: tuple[str, ...] = CANONICAL

    def __post_init__(self) -> None:
        check_order(self.order)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The effects, in playing order."""
        return tuple(load(name) for name in self.order)

    @property
    def params(self) -> tuple[tuple[str, Param], ...]:
        """Every parameter with its effect's name."""
        return tuple((e.name, p) for e in self.effects for p in e.params)

    def columns(self, effect: str) -> slice:
        """Give an effect's places in the vector; KeyError if it is not in the chain."""
        first = 0
        for e in self.effects:
            if e.name == effect:
                return slice(first, first + len(e.params))
            first += len(e.params)
        raise KeyError(f"{effect} is not in the chain {self.order}")

    def vector(self, settings: ChainSettings) -> NDArray[np.float64]:
        """Write settings as a vector (params,); KeyError if one of the effects is not among them."""
        return np.array([settings.effect(effect).values[p.name] for effect, p in self.params])

    def settings(self, values: Any, enabled: Iterable[Any]) -> ChainSettings:
        """Make settings of a vector (params,), held in its ranges, and one flag for each effect."""
        chosen = []
        for flag, e in zip(enabled, self.effects, strict=True):
            named = {p.name: p.clip(float(v)) for p, v in zip(e.params, values[self.columns(e.name)], strict=True)}
            chosen.append(EffectSettings(e.name, named, bool(flag)))
        return ChainSettings(tuple(chosen))

    def process(self, x: Any, sample_rate: float, values: Any, on: Any = None) -> Any:
        """Play a batch of tensors, differentiable in x and values.

        Shapes: x (batch, channels, frames); values (batch, params) or, moving, (batch, params,
        ticks), in the parameters' own units; on (batch, effects), bool. An effect that is off is
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
