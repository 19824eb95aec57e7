"""A condition of the study, the pair that is drawn for it, and what a system makes of the pair."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...chain import ChainSettings

Audio = NDArray[np.float64]

MODES = ("same", "other")
"""Whether the reference is taken from the input's own recording or from another one."""
SILENT_LUFS = -60.0
"""Quieter clips count as silent: none is drawn, and no system has anything to do on one."""
FORMER_GENERATORS = {
    "own": "ours",
    "laws": "other_effects",
    "paper": "deepafx",
    "paper_corrected": "deepafx_corrected",
    "styles": "deepafx_styles",
    "styles_corrected": "deepafx_styles_corrected",
}
"""Names in rows and plans that were written before generators had their present ones."""


@dataclass(frozen=True)
class Condition:
    """What a pair is drawn from: who made the reference, with which effects, on what.

    generator: a name in `generators.GENERATORS` (a former name becomes the present one); effect_set: one of
    the generator's (an effect, "equaliser+compressor", "all", "none", or a style); mode: "same" or "other"
    recording; kind: "speech", "instrument", "mix" or "any"; intensity: 1 as the generator draws, 0 nothing,
    2 twice as far.
    """

    generator: str = "ours"
    effect_set: str = "all"
    mode: str = "same"
    kind: str = "any"
    sample_rate: int = 48000
    intensity: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "generator", FORMER_GENERATORS.get(self.generator, self.generator))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Condition":
        """Read a condition from JSON or YAML; "row" is the former name of "effect_set". TypeError for other names."""
        return cls(**{"effect_set" if name == "row" else name: value for name, value in fields.items()})


@dataclass(frozen=True)
class Pair:
    """A task with its solution: mono float64 (frames,), full scale 1.

    With effect chain f and stretches A and B of recordings, `input` is B, `reference` f(A) at a level of its
    own, and `answer` f(B), or what the generator makes of B. `settings` are f's, in our effects, where f is
    made of them. `recording` is B's group, over which intervals are drawn; `about` describes f in words.
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
    """A system's output: audio as long as the input, and the chain that was played, if there was one."""

    audio: Audio
    settings: ChainSettings | None = None


System = Callable[[Pair], Result]
"""A system uses `input`, `reference` and `sample_rate` only, unless it is an oracle and its name says so."""
