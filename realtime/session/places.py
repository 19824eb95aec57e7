"""Places in a chain, such as ("compressor", "ratio"): reading them, setting them, and keeping the locked ones."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from ...chain import GAIN, ChainSettings
from ...effects import load

Place = tuple[str, str]
"""A stage (an effect, "input" or "output") and the name of a parameter in it, or "bypass"."""
GAIN_STAGES = ("input", "output")
"""The stages that are not effects; each has a `gain_db`."""
GAINS: tuple[Place, ...] = tuple((stage, "gain_db") for stage in GAIN_STAGES)
BYPASS = "bypass"


def has(settings: ChainSettings, stage: str) -> bool:
    """Tell whether a stage is in the chain; both gains always are."""
    return stage in GAIN_STAGES or any(s.effect == stage for s in settings.effects)


def value_at(settings: ChainSettings, place: Place) -> float | bool:
    """Give the value at a place; an effect that is not in the chain is bypassed, and its parameters are 0."""
    stage, name = place
    if stage in GAIN_STAGES:
        return getattr(settings, f"{stage}_gain_db")
    if not has(settings, stage):
        return True if name == BYPASS else 0.0
    effect = settings.effect(stage)
    return not effect.enabled if name == BYPASS else effect.values[name]


def with_value(settings: ChainSettings, place: Place, value: float) -> ChainSettings:
    """Set the value at a place that is in the chain, clipped to its range; a bypass is on from 0.5."""
    stage, name = place
    if stage in GAIN_STAGES:
        return replace(settings, **{f"{stage}_gain_db": GAIN.clip(value)})
    if name == BYPASS:
        return settings.with_effect(stage, enabled=value < 0.5)
    return settings.with_effect(stage, None, **{name: load(stage).param(name).clip(value)})


def keep_locked(new: ChainSettings, old: ChainSettings, locked: Iterable[Place]) -> ChainSettings:
    """Take new settings, except at the locked places; both gains stay, too, as they are solved later."""
    for stage, name in locked:
        if stage in GAIN_STAGES:
            continue
        kept = old.effect(stage)
        new = (
            new.with_effect(stage, enabled=kept.enabled)
            if name == BYPASS
            else new.with_effect(stage, None, **{name: kept.values[name]})
        )
    return replace(new, input_gain_db=old.input_gain_db, output_gain_db=old.output_gain_db)


def places_in(settings: ChainSettings) -> frozenset[Place]:
    """List every place of a chain."""
    return frozenset(GAINS) | {(s.effect, name) for s in settings.effects for name in (*s.values, BYPASS)}


def places_of(settings: ChainSettings, stage: str) -> frozenset[Place]:
    """List the places of one stage; none if it is not in the chain."""
    return frozenset(place for place in places_in(settings) if place[0] == stage)


def places_named(settings: ChainSettings, text: str) -> frozenset[Place]:
    """Read "effect/parameter", or the name of a whole stage; nothing for what is not in the chain."""
    return parse_places([text], settings) or places_of(settings, text)


def shared_out(settings: ChainSettings, shares: Mapping[str, float]) -> ChainSettings:
    """Scale single effects, by name, as the amount scales all of them."""
    if not shares:
        return settings
    effects = (e.scaled(shares[e.effect]) if e.effect in shares else e for e in settings.effects)
    return replace(settings, effects=tuple(effects))


def parse_places(texts: Iterable[str], settings: ChainSettings) -> frozenset[Place]:
    """Read "effect/parameter" texts, leaving out what is not in the chain."""
    found = {(stage, name) for stage, _, name in (text.partition("/") for text in texts)}
    return places_in(settings) & found
