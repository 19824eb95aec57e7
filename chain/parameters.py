"""A chain's parameter vector, both ways, and the torch side of playing it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..effects import Effect, Param, load, names
from .settings import CANONICAL, ChainSettings, EffectSettings

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ChainParameters:
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

    def settings(self, values: Any, enabled: Any) -> ChainSettings:
        """Make settings of a value vector and one on-flag for each effect."""
        chosen = []
        for flag, e in zip(enabled, self.effects, strict=True):
            mine = values[self.columns(e.name)]
            named = {p.name: p.clip(float(v)) for p, v in zip(e.params, mine, strict=True)}
            chosen.append(EffectSettings(e.name, named, bool(flag)))
        return ChainSettings(tuple(chosen))

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
