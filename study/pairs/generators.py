"""Who makes the references: every generator by its name, and one way to ask it for a pair."""

from collections.abc import Sequence

import numpy as np

from ...dsp.loudness import integrated_loudness
from ...training.recordings.recordings import Recording
from . import deepafx_pairs, deepafx_styles, ours
from .case import MODES, Case, Pair
from .sources import KINDS, QUIETEST_LUFS, Generator

GENERATORS: dict[str, Generator] = {**ours.GENERATORS, **deepafx_pairs.GENERATORS, **deepafx_styles.GENERATORS}
"""Every generator by name; bench/foreign.py adds those of other people's effects."""


def draw_pair(case: Case, recordings: Sequence[Recording], index: int, seed: int) -> Pair:
    """Draw pair number `index` of a case: the same one for the same arguments, anywhere.

    Raises ValueError for a case that its generator does not know, NoRecordings where no recording fits it,
    and ArithmeticError if an effect gave NaN, Inf, silence or another length.
    """
    pair = _generator(case).make(case, recordings, index, seed)
    for name, clip in (("input", pair.input), ("reference", pair.reference), ("answer", pair.answer)):
        good = clip.ndim == 1 and np.isfinite(clip).all()
        if not good or integrated_loudness(clip, case.sample_rate) < QUIETEST_LUFS:
            raise ArithmeticError(f"{case.generator}, {case.row}, pair {index}: {name} is silent or no sound")
    if len(pair.answer) != len(pair.input):
        raise ArithmeticError(f"{case.generator}, {case.row}, pair {index}: the effect changed the length")
    return pair


def _generator(case: Case) -> Generator:
    if case.generator not in GENERATORS:
        raise ValueError(f"generator: {case.generator!r} is not one of {', '.join(GENERATORS)}")
    generator = GENERATORS[case.generator]
    for name, value, allowed in (
        ("row", case.row, generator.rows),
        ("mode", case.mode, MODES),
        ("kind", case.kind, KINDS),
    ):
        if value not in allowed:
            raise ValueError(f"{name}: {value!r} is not one of {', '.join(allowed)} ({case.generator})")
    if not 8000 <= case.sample_rate <= 192000:
        raise ValueError(f"sample_rate: {case.sample_rate} is not in [8000, 192000]")
    if not 0 <= case.intensity <= 4:
        raise ValueError(f"intensity: {case.intensity:g} is not in [0, 4]")
    return generator
