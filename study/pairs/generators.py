"""Every generator of references by its name, and one way to draw a pair from it."""

from collections.abc import Sequence

import numpy as np

from ...dsp.loudness import integrated_loudness
from ...training.recordings import Recording
from . import deepafx_pairs, deepafx_styles, ours
from .condition import MODES, SILENT_LUFS, Condition, Pair
from .sources import KINDS, Generator

GENERATORS: dict[str, Generator] = {**ours.GENERATORS, **deepafx_pairs.GENERATORS, **deepafx_styles.GENERATORS}
"""Every generator by name; bench/foreign.py adds those of other people's effects."""


def draw_pair(condition: Condition, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
    """Draw pair number `index` of a condition: the same one for the same arguments, on any machine.

    Raises ValueError for a condition that its generator does not know, NoRecordings where no recording fits
    it, and ArithmeticError if an effect returned NaN, Inf, silence or another length.
    """
    pair = _generator(condition).make(condition, recordings, index, seed)
    for name, clip in (("input", pair.input), ("reference", pair.reference), ("answer", pair.answer)):
        good = clip.ndim == 1 and np.isfinite(clip).all()
        if not good or integrated_loudness(clip, condition.sample_rate) < SILENT_LUFS:
            where = f"{condition.generator}, {condition.effect_set}, pair {index}"
            raise ArithmeticError(f"{where}: {name} is silent, not mono, or holds NaN or Inf")
    if len(pair.answer) != len(pair.input):
        raise ArithmeticError(
            f"{condition.generator}, {condition.effect_set}, pair {index}: the effect changed the length"
        )
    return pair


def _generator(condition: Condition) -> Generator:
    if condition.generator not in GENERATORS:
        raise ValueError(f"generator: {condition.generator!r} is not one of {', '.join(GENERATORS)}")
    generator = GENERATORS[condition.generator]
    for name, value, allowed in (
        ("effect_set", condition.effect_set, generator.effect_sets),
        ("mode", condition.mode, MODES),
        ("kind", condition.kind, KINDS),
    ):
        if value not in allowed:
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(allowed)} ({condition.generator})")
    if not 8000 <= condition.sample_rate <= 192000:
        raise ValueError(f"sample_rate: {condition.sample_rate} is not in [8000, 192000]")
    if not 0 <= condition.intensity <= 4:
        raise ValueError(f"intensity: {condition.intensity:g} is not in [0, 4]")
    return generator
