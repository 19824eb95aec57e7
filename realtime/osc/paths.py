"""The OSC paths that a session acts on, and a chain's settings by their paths."""

from dataclasses import replace

from ...chain import ChainSettings
from ...effects import load

AB, PANIC, CLEAR, UNDO, REDO = "/afx/ab", "/afx/panic", "/afx/panic/clear", "/afx/undo", "/afx/redo"
BYPASS, REFERENCE, PRESET = "/afx/bypass", "/afx/reference", "/afx/preset/load"
AMOUNT, FREEZE = "/afx/amount", "/afx/freeze"
MORPH, MORPH_A, MORPH_B = "/afx/morph", "/afx/morph/a", "/afx/morph/b"

GAINS = ("input", "output")
"""The stages that are no effect of the chain: each has a `gain_db`."""


def place_of(path: str) -> tuple[str, str]:
    """Split "/afx/compressor/ratio" into "compressor" and "ratio"."""
    _, _, stage, *rest = path.split("/")
    return stage, "/".join(rest)


def has(settings: ChainSettings, stage: str) -> bool:
    """Whether a stage is in the chain; the two gains always are."""
    return stage in GAINS or any(s.effect == stage for s in settings.effects)


def value_at(settings: ChainSettings, stage: str, name: str) -> float | bool:
    """Give the value at a place; what is not in the chain is bypassed, and its parameters 0."""
    if stage in GAINS:
        return getattr(settings, f"{stage}_gain_db")
    for step in settings.effects:
        if step.effect == stage:
            return not step.enabled if name == "bypass" else step.values[name]
    return name == "bypass"


def with_value(settings: ChainSettings, stage: str, name: str, value: float) -> ChainSettings:
    """Change the value at a place that is in the chain; it is brought into its range."""
    if stage in GAINS:
        return replace(settings, **{f"{stage}_gain_db": value})
    if name == "bypass":
        return settings.with_effect(stage, enabled=value < 0.5)
    return settings.with_effect(stage, None, **{name: load(stage).param(name).clip(value)})
