"""Random settings to learn from: each effect's own prior, each effect sometimes left out."""

import numpy as np

from ..chain import CANONICAL, ChainSettings, EffectSettings
from ..effects import load


def is_learned(effect: str, param: str) -> bool:
    """Tell whether a parameter is predicted: not if the effect's prior leaves it at its default.

    So it is with levels, which are solved, and with what a mono clip does not tell, such as width.
    """
    return param in load(effect).prior(np.random.default_rng(0))


def draw(
    rng: np.random.Generator, effects: tuple[str, ...] | None = None, order: tuple[str, ...] = CANONICAL
) -> ChainSettings:
    """Draw settings of the whole chain; `effects` says which are on, else chance does.

    A tenth of all draws is the identity, two fifths are one effect, a fifth is every effect, and
    the rest any subset.
    """
    if effects is None:
        chance = rng.random()
        if chance < 0.1:
            effects = ()
        elif chance < 0.5:
            effects = (order[rng.integers(len(order))],)
        elif chance < 0.7:
            effects = order
        else:
            effects = tuple(e for e in order if rng.random() < 0.5)
    return ChainSettings(tuple(EffectSettings(e, load(e).prior(rng), e in effects) for e in order))
