"""What the study asks: a case, the pair that is drawn for it, and what a system makes of the pair."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...chain import ChainSettings

Audio = NDArray[np.float64]

MODES = ("same", "other")
"""Whether the reference is of the input's own recording."""


@dataclass(frozen=True)
class Case:
    """One cell of the study: who made the reference, with which effects, on what.

    generator: a name in `generators.GENERATORS`; row: what f is, one of the generator's rows (an effect,
    "equaliser+compressor", "all", "none", or a style); mode: "same" or "other" recording; kind:
    "speech", "instrument", "mix" or "any"; intensity: 1 as the generator draws, 0 nothing, 2 twice as far.
    """

    generator: str = "own"
    row: str = "all"
    mode: str = "same"
    kind: str = "any"
    sample_rate: int = 48000
    intensity: float = 1.0


@dataclass(frozen=True)
class Pair:
    """One question with its answer: mono float64 (frames,), full scale 1.

    `answer` is f(B) where `input` is B, or what the generator makes of B; reference is f(A) at a level of
    its own. `settings` are f's, in our effects, where f is made of them. `recording` is B's group, which
    intervals are drawn over; `about` says in words what f was.
    """

    input: Audio
    reference: Audio
    answer: Audio
    sample_rate: int
    recording: str
    settings: ChainSettings | None = None
    about: str = ""


@dataclass(frozen=True)
class Result:
    """What a system gives: audio as long as the input, and the chain it played, if it has one."""

    audio: Audio
    settings: ChainSettings | None = None


System = Callable[[Pair], Result]
"""A system hears `input`, `reference` and `sample_rate` only, unless it is an oracle and says so by its name."""
