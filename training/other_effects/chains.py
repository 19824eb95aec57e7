"""Chains in which some effects are played by laws of another kind than ours; see `laws`.

What is to be learned from such a chain is how our own must be set to sound most like it. That
depends on the clip, so it is known once the clip has been played.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ...chain import CANONICAL, ChainParameters, ChainPlayer, ChainSettings
from ...effects import load
from .. import priors
from ..features import BANDS
from ..response_losses import equaliser_curve
from . import compressors, distortions, filters, reverbs
from .outcome import OtherEffect

LAWS = {
    "equaliser": filters.draw,
    "compressor": compressors.draw,
    "distortion": distortions.draw,
    "reverb": reverbs.draw,
}
STRANGE = 0.75
"""How often an effect of a variant chain is played by another law than its own."""


@dataclass(frozen=True)
class Played:
    """A clip after a chain, and what is to be learned from it.

    values (params,) in our chain's order and units; on (effects,); curve_db (bands,): what the
    equaliser did, zeros if it is off. trust (params,): 0 to 1, how far a value may be believed; an
    equaliser's bands are believed as its curve is, and stand at their defaults where the curve is a
    law's. sure (effects,): 0 where even on or off is in doubt.
    """

    audio: np.ndarray
    values: np.ndarray
    on: np.ndarray
    curve_db: np.ndarray
    trust: np.ndarray
    sure: np.ndarray


@dataclass(frozen=True)
class MixedChain:
    """Settings of our chain, and the effects that a law plays instead of ours."""

    settings: ChainSettings
    laws: Mapping[str, OtherEffect]

    def play(self, x: np.ndarray, rate: float) -> Played:
        """Play a mono clip (frames,), float64, through the chain, effect by effect."""
        order = [step.effect for step in self.settings.effects]
        chain = ChainParameters(tuple(order))
        values = {(e, p.name): self.settings.effect(e).values[p.name] for e, p in chain.params}
        trust, on, sure = dict.fromkeys(values, 1.0), [s.enabled for s in self.settings.effects], np.ones(len(order))
        curve = np.zeros(BANDS)
        for i, step in enumerate(self.settings.effects):
            if step.enabled and step.effect not in self.laws:
                x = ChainPlayer(ChainSettings((step,)), rate, 1).play(x[:, None])[:, 0]
                curve = own_curve(step.values) if step.effect == "equaliser" else curve
            elif step.enabled:
                heard = self.laws[step.effect].play(x, rate)
                x, on[i], sure[i] = heard.audio, heard.on, float(heard.sure)
                curve = curve if heard.curve_db is None else heard.curve_db
                defaults = load(step.effect).defaults
                for p in load(step.effect).params:
                    value = heard.values.get(p.name, defaults[p.name])
                    values[step.effect, p.name] = p.clip(value)
                    trust[step.effect, p.name] = heard.trust.get(p.name, 1.0)
                if heard.colours and "equaliser" in order:
                    sure[order.index("equaliser")] = 0.0
                    trust.update({key: 0.0 for key in trust if key[0] == "equaliser"})
        rows = (values.values(), on, curve, trust.values(), sure)
        return Played(x, *(np.array(list(row)) for row in rows))


def own_curve(values: Mapping[str, float]) -> np.ndarray:
    """Give our equaliser's curve in dB at the model's bands."""
    row = torch.tensor([[values[p.name] for p in load("equaliser").params]], dtype=torch.float64)
    return equaliser_curve(row)[0].numpy()


def draw(
    rng: np.random.Generator,
    effects: tuple[str, ...] | None = None,
    strange: float = STRANGE,
    order: tuple[str, ...] = CANONICAL,
) -> MixedChain:
    """Draw a chain as `styles.draw` does, each of its effects by another law with a chance of `strange`."""
    settings = priors.draw(rng, effects, order)
    playing = [s.effect for s in settings.effects if s.enabled and s.effect in LAWS]
    return MixedChain(settings, {e: LAWS[e](rng) for e in playing if rng.random() < strange})
