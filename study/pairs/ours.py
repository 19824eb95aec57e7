"""References made by our own effects, with known settings, and by the other effects that training uses."""

from collections.abc import Sequence
from dataclasses import replace

from ...chain import CANONICAL, ChainSettings, EffectSettings, play_clip
from ...effects import load
from ...training.other_effects import chains
from ...training.priors import draw
from ...training.recordings import Recording
from .condition import Condition, Pair
from .sources import Generator, Play, played, stream

EFFECT_SETS = ("none", "equaliser", "compressor", "distortion", "reverb", "equaliser+compressor", "all")
"""The effect sets of a generator whose effects are of our four kinds."""
FARTHER = {("distortion", "drive_db"): 0.0, ("compressor", "threshold_db"): 0.0}
"""Parameters without a neutral value that an intensity over 1 moves as well, away from the value given here."""


def effects_of(effect_set: str) -> tuple[str, ...]:
    """List the effects of "all", "none" or names joined by "+", in playing order; ValueError for an unknown one."""
    names = {"none": (), "all": CANONICAL}.get(effect_set, tuple(effect_set.split("+")))
    if unknown := [name for name in names if name not in CANONICAL]:
        raise ValueError(f"{effect_set!r}: {unknown[0]!r} is none of {', '.join(CANONICAL)}")
    return tuple(e for e in CANONICAL if e in names)


def scaled(settings: ChainSettings, intensity: float) -> ChainSettings:
    """Move settings towards doing nothing (under 1; 0 switches off) or away from it (over 1), within their ranges."""
    if intensity == 0:
        return replace(settings, effects=tuple(replace(step, enabled=False) for step in settings.effects))
    if intensity == 1:
        return settings
    return replace(settings, effects=tuple(_moved(step, intensity) for step in settings.effects))


def _moved(step: EffectSettings, intensity: float) -> EffectSettings:
    values = dict(step.values)
    for p in load(step.effect).params:
        neutral = FARTHER.get((step.effect, p.name)) if intensity > 1 and p.neutral is None else p.neutral
        if neutral is not None:
            zero = p.unit(neutral)
            # Clamped to 0 … 1, where the curve is defined: beyond, `slope` would pass infinity and return from below.
            values[p.name] = p.clip(p.value(min(max(zero + intensity * (p.unit(values[p.name]) - zero), 0.0), 1.0)))
    return replace(step, values=values)


def play_chain(settings: ChainSettings) -> Play:
    """Make a function that plays our effects, by the live code."""
    return lambda x, rate: play_clip(settings, x, rate)


def description(settings: ChainSettings) -> str:
    """List the enabled effects with their values."""
    on = [step for step in settings.effects if step.enabled]
    return "; ".join(f"{s.effect} {' '.join(f'{k}={v:.4g}' for k, v in s.values.items())}" for s in on) or "nothing"


def _ours(condition: Condition, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
    settings = scaled(draw(stream("own", index, seed), effects_of(condition.effect_set)), condition.intensity)
    return played(condition, recordings, index, seed, play_chain(settings), description(settings), settings)


def _other_effects(condition: Condition, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
    """Play mixed chains of training's other effects; intensity 0 leaves them out, any other leaves them as drawn."""
    chain = chains.draw(
        stream("laws", index, seed), effects_of(condition.effect_set) if condition.intensity > 0 else (), 1.0
    )
    about = "; ".join(other.kind for other in chain.others.values()) or "nothing"
    return played(condition, recordings, index, seed, lambda x, rate: chain.play(x, rate).audio, about)


GENERATORS = {
    "ours": Generator(EFFECT_SETS, _ours),
    "other_effects": Generator(EFFECT_SETS, _other_effects),
}
