"""What a session hears: whether there is sound, what it is like, how loud, and the level that solves it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ... import presets
from ...chain import ChainSettings
from ...dsp.loudness import integrated_loudness
from ...matching import ClipError, Features, MatchModel, solve_level

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine

LISTEN_S = 5.0
LOOK_S = 2.0
LEVEL_S = 12.0
"""Input on which the level is solved: long enough that a phrase does not move it."""
REST_LOOKS = 15
"""Levels solved for one chain are averaged over so many looks, so that a pause in a phrase does not move them,"""
JUMP_LU = 2.0
"""unless the newest is this far off: somebody turned a knob."""
SILENT_LUFS = -55.0
MOST_WINDOWS = 24.0
"""What was heard earlier weighs as much as this many windows at most: an old song is forgotten."""
TRAINED_LUFS = -23.0
"""Loudness at which chains work where no model says another."""


class InputAnalyser:
    """An ear on the input of an engine. One thread uses it; its attributes may be read by all.

    `heard` is what was heard so far, pooled; `lufs` the loudness of the input when it was last measured.
    """

    def __init__(self, engine: "LiveEngine", predictor: MatchModel | None) -> None:
        self._engine, self._predictor = engine, predictor
        self._chain: tuple[object, ...] = ()
        self._levels: list[dict[str, float]] = []
        self.heard: Features | None = None
        self.lufs = -np.inf

    def sounding(self) -> np.ndarray | None:
        """Give the last seconds of input (frames, 2); None if there is nothing to hear."""
        if self._engine.meters()["in_lufs"] < SILENT_LUFS:
            return None
        x, rate = self._engine.heard(LISTEN_S), self._engine.sample_rate
        return x if len(x) >= LISTEN_S * rate * 0.5 and integrated_loudness(x, rate) > SILENT_LUFS else None

    def hear(self, x: np.ndarray) -> Features:
        """Describe what sounds, pooled with what was heard before."""
        assert self._predictor is not None
        new = self._predictor.analyse(x, self._engine.sample_rate, "the input")
        if self.heard is not None:
            old = replace(self.heard, windows=min(self.heard.windows, MOST_WINDOWS))
            new = old + replace(new, windows=LOOK_S / LISTEN_S)
        self.heard = new
        return new

    def loudness(self) -> float:
        """Measure the loudness of the last seconds of input, in LUFS."""
        self._level()
        return self.lufs

    def _level(self) -> np.ndarray:
        x = self._engine.heard(LEVEL_S)
        self.lufs = integrated_loudness(x, self._engine.sample_rate) if len(x) else -np.inf
        return x

    def solved(
        self, settings: ChainSettings, amount: float, goal: float | None, input_gain_db: float | None = None
    ) -> dict[str, float]:
        """Solve both gains, and the bypass', on the last seconds of input; nothing for silence. Takes a while.

        `goal` in LUFS is for amount 1, None for that of the input; a given input gain is left alone.
        """
        x = self._level()
        heard = self.lufs
        if not heard > SILENT_LUFS:
            return {}
        target = heard if goal is None else heard + amount * (goal - heard)
        trained = self._predictor.lufs if self._predictor else TRAINED_LUFS
        solved = solve_level(settings.scaled(amount), x, self._engine.sample_rate, target, trained, input_gain_db)
        level = {"input": solved.input_gain_db, "output": solved.output_gain_db, "dry": target - heard}
        return self._rested((solved.effects, amount, goal, input_gain_db), level)

    def _rested(self, chain: tuple[object, ...], level: dict[str, float]) -> dict[str, float]:
        """Average the levels that were solved for one chain."""
        before = self._levels if chain == self._chain else []
        if before and max(abs(level[k] - _mean(before)[k]) for k in level) > JUMP_LU:
            before = []
        self._chain, self._levels = chain, [*before, level][-REST_LOOKS:]
        return _mean(self._levels)


def _mean(levels: Sequence[dict[str, float]]) -> dict[str, float]:
    return {k: sum(level[k] for level in levels) / len(levels) for k in levels[0]}


# --- names that came over the network --------------------------------------------------------------


def allowed_clip(text: str, folders: Sequence[Path]) -> Path:
    """Find a clip by name, only where clips may be read from; ClipError if there is none."""
    if text in presets.clips():
        return presets.clip(text)
    for folder in folders:
        path = (folder / text).resolve()
        if folder in path.parents and path.is_file():
            return path
    raise ClipError(f"{text!r} is neither a bundled clip nor in {', '.join(map(str, folders)) or 'a clip folder'}")


def allowed_preset(text: str) -> presets.Preset:
    """Load a preset by its name, which cannot be a path; PresetError if there is none."""
    if text not in presets.names():
        raise presets.PresetError(f"{text!r} is not a preset; there are {', '.join(presets.names())}")
    return presets.load(text)
