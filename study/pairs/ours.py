"""References made by our own effects, known and scaled, and by the laws of other kinds that training hears."""

from collections.abc import Sequence
from dataclasses import replace

from ...chain import CANONICAL, ChainSettings, EffectSettings, play_clip
from ...effects import load
from ...training.other_effects import chains
from ...training.priors import draw
from ...training.recordings.recordings import Recording
from .case import Case, Pair
from .sources import Generator, Play, played, stream

ROWS = ("none", "equaliser", "compressor", "distortion", "reverb", "equaliser+compressor", "all")
"""What a generator of effects by kind may be asked for."""
FARTHER = {("distortion", "drive_db"): 0.0, ("compressor", "threshold_db"): 0.0}
"""Beyond what the amount knob moves, an intensity over 1 moves these away from the value given here."""


def effects_of(row: str) -> tuple[str, ...]:
    """List the effects that a row of ROWS names, in playing order."""
    return {"none": (), "all": CANONICAL}.get(row) or tuple(e for e in CANONICAL if e in row.split("+"))


def scaled(settings: ChainSettings, intensity: float) -> ChainSettings:
    """Move settings nearer to doing nothing (under 1; 0 switches off) or as much farther away, within ranges."""
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
            # In the curve's own domain, where `slope` would pass infinity and come back from below.
            values[p.name] = p.clip(p.value(min(max(zero + intensity * (p.unit(values[p.name]) - zero), 0.0), 1.0)))
    return replace(step, values=values)


def play_chain(settings: ChainSettings) -> Play:
    """Play our effects, by the live code."""
    return lambda x, rate: play_clip(settings, x, rate)


def words(settings: ChainSettings) -> str:
    """Say the effects that are on, with their values."""
    on = [step for step in settings.effects if step.enabled]
    return "; ".join(f"{s.effect} {' '.join(f'{k}={v:.4g}' for k, v in s.values.items())}" for s in on) or "nothing"


def _own(case: Case, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
    settings = scaled(draw(stream("own", index, seed), effects_of(case.row)), case.intensity)
    return played(case, recordings, index, seed, play_chain(settings), words(settings), settings)


def _laws(case: Case, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
    """Laws have no intensity: they are drawn anew, or left out."""
    variant = chains.draw(stream("laws", index, seed), effects_of(case.row) if case.intensity > 0 else (), 1.0)
    about = "; ".join(law.kind for law in variant.laws.values()) or "nothing"
    return played(case, recordings, index, seed, lambda x, rate: variant.play(x, rate).audio, about)


GENERATORS = {"own": Generator(ROWS, _own), "laws": Generator(ROWS, _laws)}
