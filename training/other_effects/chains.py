"""Chains in which some effects are not ours but of another kind; see `outcome`.

What is to be learned from such a chain is how our own must be set to sound most like it. That
depends on the clip, so it is known once the clip has been played.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial, reduce

import numpy as np
import torch

from ...chain import CANONICAL, ChainParameters, ChainPlayer, ChainSettings, EffectSettings
from ...dsp.loudness import integrated_loudness
from ...effects import load
from .. import priors
from ..features import BANDS
from ..response_losses import equaliser_curve
from . import compressors, distortions, filters, reverbs
from .outcome import OtherEffect

OTHER_KIND = 0.75
"""How often an effect of a mixed chain is of another kind than ours."""
BOLD = 0.15
"""How often an equaliser of another kind is as bold as DeepAFx-ST's."""
OTHER_KINDS = ("equaliser", "compressor", "distortion", "reverb")
"""Effects that others build in other ways, as this room knows; one that is not among them is always our own."""
FAINT = 0.3
"""Effects of our own under this strength may be inaudible: whether they are on is not to be learned."""


@dataclass(frozen=True)
class Impulses:
    """Recorded impulse responses, mono at 48 kHz: of rooms and of loudspeakers."""

    rooms: Sequence[np.ndarray] = ()
    cabinets: Sequence[np.ndarray] = ()


NO_IMPULSES = Impulses()


@dataclass(frozen=True)
class Played:
    """A clip after a chain, and what is to be learned from it.

    again: plays another clip through the very same chain, with what its effects measured on this one.
    values (params,) in our chain's order and units; on (effects,); curve_db (bands,): what the
    equaliser did, zeros if it is off. confidence (params,): the confidence in each value, 0 to 1; an equaliser's
    bands stand at their defaults where the curve is of an equaliser that is not ours. on_certain (effects,): 0 where
    even on or off is in doubt. front_db: how much louder the linear effects in front made the clip.
    """

    audio: np.ndarray
    again: Callable[[np.ndarray], np.ndarray]
    values: np.ndarray
    on: np.ndarray
    curve_db: np.ndarray
    confidence: np.ndarray
    on_certain: np.ndarray
    front_db: float


@dataclass(frozen=True)
class MixedChain:
    """Settings of our chain, which effects others play instead of ours, and which are too faint to be called on."""

    settings: ChainSettings
    others: Mapping[str, OtherEffect]
    faint: frozenset[str] = field(default=frozenset())

    def play(self, x: np.ndarray, rate: float) -> Played:
        """Play a mono clip (frames,), float64, through the chain, effect by effect."""
        order = [step.effect for step in self.settings.effects]
        chain = ChainParameters(tuple(order))
        values = {(e, p.name): self.settings.effect(e).values[p.name] for e, p in chain.params}
        confidence, on_certain = dict.fromkeys(values, 1.0), np.ones(len(order))
        on = [s.enabled for s in self.settings.effects]
        curve, stages, front = np.zeros(BANDS), [], len(self.settings.linear_front)
        before, front_db = integrated_loudness(x, rate), 0.0
        for i, step in enumerate(self.settings.effects):
            if step.enabled and step.effect not in self.others:
                stages.append(partial(_own, step, rate))
                x = stages[-1](x)
                curve = own_curve(step.values) if step.effect == "equaliser" else curve
                on_certain[i] = 0.0 if step.effect in self.faint else 1.0
            elif step.enabled:
                heard = self.others[step.effect].play(x, rate)
                stages.append(heard.again)
                x, on[i], on_certain[i] = heard.audio, heard.on, float(heard.on_certain)
                curve = curve if heard.curve_db is None else heard.curve_db
                defaults = load(step.effect).defaults
                for p in load(step.effect).params:
                    value = heard.values.get(p.name, defaults[p.name])
                    values[step.effect, p.name] = p.clip(value)
                    confidence[step.effect, p.name] = heard.confidence.get(p.name, 1.0)
                if heard.colours and "equaliser" in order:
                    on_certain[order.index("equaliser")] = 0.0
                    confidence.update({key: 0.0 for key in confidence if key[0] == "equaliser"})
            if step.enabled and i < front:
                front_db = integrated_loudness(x, rate) - before
        rows = (np.array(list(row)) for row in (values.values(), on, curve, confidence.values(), on_certain))

        def again(other: np.ndarray) -> np.ndarray:
            return reduce(lambda sound, stage: stage(sound), stages, other)

        return Played(x, again, *rows, front_db=front_db)


def _own(step: EffectSettings, rate: float, x: np.ndarray) -> np.ndarray:
    return ChainPlayer(ChainSettings((step,)), rate, 1).play(x[:, None])[:, 0]


def own_curve(values: Mapping[str, float]) -> np.ndarray:
    """Give our equaliser's curve in dB at the model's bands."""
    row = torch.tensor([[values[p.name] for p in load("equaliser").params]], dtype=torch.float64)
    return equaliser_curve(row)[0].numpy()


def draw(
    rng: np.random.Generator,
    effects: tuple[str, ...] | None = None,
    other_kind: float = OTHER_KIND,
    order: tuple[str, ...] = CANONICAL,
    strength: float = 1.0,
    impulses: Impulses = NO_IMPULSES,
) -> MixedChain:
    """Draw a chain as `priors.draw` does, each effect of another kind than ours with a chance of `other_kind`.

    strength: how much of what is drawn each effect does, from hardly audible (0.1) to bold (over 1).
    """
    settings = priors.draw(rng, effects, order)
    settings = replace(settings, effects=tuple(_with_strength(step, strength) for step in settings.effects))
    other = [s.effect for s in settings.effects if s.enabled and s.effect in OTHER_KINDS and rng.random() < other_kind]
    others = {effect: _other(rng, effect, strength, impulses) for effect in other}
    faint = frozenset(s.effect for s in settings.effects if s.enabled and strength < FAINT and s.effect not in others)
    return MixedChain(settings, others, faint)


def draw_strength(rng: np.random.Generator) -> float:
    """Draw how strong a chain is: as its priors have it in half of the cases, seldom more, often less."""
    chance = rng.random()
    if chance < 0.5:
        return 1.0
    return math.exp(rng.uniform(math.log(0.1), 0.0)) if chance < 0.85 else rng.uniform(1.0, 1.4)


def _with_strength(step: EffectSettings, strength: float) -> EffectSettings:
    if step.effect != "distortion":
        return step.scaled(strength)
    drive = load("distortion").param("drive_db")
    return replace(step, values={**step.values, "drive_db": drive.clip(strength * step.values["drive_db"])})


def _other(rng: np.random.Generator, effect: str, strength: float, impulses: Impulses) -> OtherEffect:
    if effect == "equaliser":
        return filters.draw_bold(rng) if rng.random() < BOLD else filters.draw(rng, strength)
    if effect == "compressor":
        return compressors.draw(rng, strength)
    if effect == "distortion":
        return distortions.draw(rng, strength, impulses.cabinets)
    return reverbs.draw(rng, strength, impulses.rooms)
