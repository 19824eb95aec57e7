"""Random settings to learn from: what an engineer might dial in, each effect sometimes left out."""

import math

import numpy as np

from ..chain import CANONICAL, ChainSettings, EffectSettings
from ..effects import load

NOT_LEARNED = {("compressor", "makeup_db"), ("reverb", "width")}
"""Levels are solved, not predicted, and a mono clip says nothing of width: these stay at their defaults."""


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
    return ChainSettings(tuple(EffectSettings(e, _DRAW.get(e, _any)(rng, e), e in effects) for e in order))


def _log(rng: np.random.Generator, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def _equaliser(rng: np.random.Generator, _: str) -> dict[str, float]:
    values = {}
    for p in load("equaliser").params:
        if p.name.endswith("_db"):
            spread = 7.0 if "shelf" in p.name else 6.0
            values[p.name] = p.clip(rng.normal(0.0, spread)) if rng.random() < 0.7 else 0.0
        else:
            low, high = (p.low, p.high) if "shelf" in p.name or p.name.endswith("_hz") else (0.4, 4.0)
            values[p.name] = _log(rng, low, high)
    return values


def _compressor(rng: np.random.Generator, _: str) -> dict[str, float]:
    return {
        "threshold_db": rng.uniform(-50.0, -18.0),
        "ratio": 1.0 / (1.0 - rng.uniform(0.3, 0.95)),
        "attack_ms": _log(rng, 0.3, 80.0),
        "release_ms": _log(rng, 20.0, 800.0),
        "knee_db": rng.uniform(0.1, 12.0),
    }


def _distortion(rng: np.random.Generator, _: str) -> dict[str, float]:
    return {
        "drive_db": rng.uniform(4.0, 36.0),
        "bias": rng.uniform(-0.4, 0.4) if rng.random() < 0.5 else 0.0,
        "tone_hz": _log(rng, 2500.0, 20000.0) if rng.random() < 0.7 else load("distortion").param("tone_hz").high,
        "mix": 1.0 if rng.random() < 0.5 else rng.uniform(0.2, 1.0),
    }


def _reverb(rng: np.random.Generator, _: str) -> dict[str, float]:
    return {
        "rt60_s": _log(rng, 0.2, 4.0),
        "hf_ratio": rng.uniform(0.2, 0.9),
        "predelay_ms": rng.uniform(0.0, 60.0),
        "low_cut_hz": _log(rng, 20.0, 400.0),
        "mix": rng.uniform(0.05, 0.6),
    }


def _any(rng: np.random.Generator, effect: str) -> dict[str, float]:
    return {p.name: p.value(rng.random()) for p in load(effect).params}


_DRAW = {"equaliser": _equaliser, "compressor": _compressor, "distortion": _distortion, "reverb": _reverb}
