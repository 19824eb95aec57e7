"""A chain's unit parameters, in (0, 1), and ways to send a gradient through the sound to them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from ...chain import CANONICAL, ChainParameters, EffectSettings
from ...effects import Effect, load
from ...training.features import SAMPLE_RATE
from ...training.priors import is_learned


def learned(effect: Effect) -> list[int]:
    """Return the indices of an effect's parameters that are learned; the others stay at their defaults."""
    return [i for i, p in enumerate(effect.params) if is_learned(effect.name, p.name)]


class UnitParameters(nn.Module):
    """A chain of some effects, played by the live kernels at 48 kHz; unit parameters are (batch, params)."""

    fixed: torch.Tensor
    defaults: torch.Tensor
    owner: torch.Tensor

    def __init__(self, effects: Sequence[str] = CANONICAL) -> None:
        super().__init__()
        if unknown := [e for e in effects if e not in CANONICAL]:
            raise ValueError(f"effects: {unknown[0]!r} is none of {', '.join(CANONICAL)}")
        self.chain = ChainParameters(tuple(e for e in CANONICAL if e in effects))
        fixed = [not is_learned(e, p.name) for e, p in self.chain.params]
        self.register_buffer("fixed", torch.tensor(fixed), persistent=False)
        defaults = [p.default for _, p in self.chain.params]
        self.register_buffer("defaults", torch.tensor(defaults), persistent=False)
        owner = [self.chain.order.index(e) for e, _ in self.chain.params]
        self.register_buffer("owner", torch.tensor(owner), persistent=False)

    @property
    def begin(self) -> torch.Tensor:
        """The unit parameters of a gentle chain, every effect scaled to 0.3: where training starts."""
        steps = [EffectSettings(e.name).scaled(0.3) for e in self.chain.effects]
        return torch.tensor([p.unit(s.values[p.name]) for s in steps for p in load(s.effect).params])

    def values(self, unit: torch.Tensor) -> torch.Tensor:
        """Map unit parameters to values in Hz, dB, …; what is not learned is at its default."""
        columns = [p.value(unit[:, i]) for i, (_, p) in enumerate(self.chain.params)]
        return torch.where(self.fixed, self.defaults.to(unit), torch.stack(columns, 1))

    def of(self, effect: str, unit: torch.Tensor) -> torch.Tensor:
        """Pick the learned unit parameters of one effect."""
        mine = unit[:, self.chain.columns(effect)]
        return mine[:, learned(self.chain.effects[self.chain.order.index(effect)])]

    def play(self, x: torch.Tensor, unit: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Play clips (batch, frames) with exact gradients; effects whose mask (batch, effects) is 0 are bypassed."""
        return self.chain.process(x[:, None], SAMPLE_RATE, self.values(unit), mask > 0.5)[:, 0]

    def columns_in(self, mask: torch.Tensor) -> torch.Tensor:
        """Return which parameters have an effect under a mask: (batch, params), bool."""
        return (mask > 0.5)[:, self.owner] & ~self.fixed

    def perturbed(
        self, x: torch.Tensor, unit: torch.Tensor, mask: torch.Tensor, pairs: int, epsilon: float, seed: int
    ) -> torch.Tensor:
        """Play as `play` does, with gradients estimated by `pairs` simultaneous perturbations of the parameters."""
        return _Spsa.apply(unit, x, mask, self, pairs, epsilon, seed)  # pyright: ignore[reportReturnType]


class _Spsa(torch.autograd.Function):
    """Two-sided simultaneous perturbation of each clip's parameters, Rademacher signs (J. C. Spall, 1992).

    The loss is linearised in the sound, as in DeepAFx-ST: its gradient there is dotted with the difference of two
    renders. Renders are float64, so that a difference of 1e-3 keeps its digits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        unit: torch.Tensor,
        x: torch.Tensor,
        mask: torch.Tensor,
        parameters: UnitParameters,
        pairs: int,
        epsilon: float,
        seed: int,
    ) -> torch.Tensor:
        ctx.save_for_backward(unit, x, mask)
        ctx.arguments = parameters, pairs, epsilon, seed
        return parameters.play(x, unit, mask)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        (unit, x, mask), (parameters, pairs, epsilon, seed) = ctx.saved_tensors, ctx.arguments
        rng, moved = np.random.default_rng(seed), parameters.columns_in(mask).double()
        unit, x, g = unit.double(), x.double(), grads[0].double()
        gradient = torch.zeros_like(unit)
        for _ in range(pairs):
            signs = torch.from_numpy(rng.choice((-1.0, 1.0), size=tuple(unit.shape))) * moved
            up, down = (unit + epsilon * signs).clamp(0.0, 1.0), (unit - epsilon * signs).clamp(0.0, 1.0)
            slope = (g * (parameters.play(x, up, mask) - parameters.play(x, down, mask))).sum(1, keepdim=True)
            gradient += slope * signs / (2.0 * epsilon * pairs)
        return gradient.to(grads[0]), None, None, None, None, None, None


def draw_masks(on: torch.Tensor, other: float, generator: torch.Generator | None = None) -> torch.Tensor:
    """Draw which effects a model may use, given those of the effect chain f: (batch, effects) to the same, never none.

    With probability `other` any set at all: can these effects stand in for those? Otherwise f's effects, and
    with probability one half further ones, which the model must then leave alone.
    """
    batch, effects = on.shape

    def chance(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator).to(on)

    some = (chance(batch, effects) < 0.5).to(on)
    every = (chance(batch, 1) < 0.5).to(on)  # all further effects, or some
    more = torch.maximum(on, torch.maximum(some, every))
    mask = torch.where(chance(batch, 1) < 0.5, on, more)
    mask = torch.where(chance(batch, 1) < other, some, mask)
    one = nn.functional.one_hot((chance(batch) * effects).long().clamp(max=effects - 1), effects).to(on)
    return torch.where(mask.sum(1, keepdim=True) > 0, mask, one)
