"""Levels of a session: both gains and that of the bypass, solved on the last seconds of input, and averaged."""

from dataclasses import astuple, dataclass

import numpy as np

from ...chain import ChainSettings
from ...dsp.loudness import integrated_loudness
from ...matching.level import SILENT_LUFS, TRAINED_LUFS, solve_level
from .playing_engine import PlayingEngine
from .signal_gate import SignalGate

LEVEL_S = 12.0
"""Seconds of input on which levels are solved: long enough that a phrase does not move them."""
QUICK_S = 3.0
"""Seconds for a first answer."""
AVERAGED = 15
"""Solved levels are averaged over this many passes."""
JUMP_LU = 2.0
"""A larger change resets the average."""
DEADBAND_DB = 0.5
"""Gains that play follow solved ones within this dead band."""


@dataclass(frozen=True)
class Levels:
    """The gains into and out of the chain, and the one that makes the bypass as loud."""

    input_gain_db: float
    output_gain_db: float
    dry_gain_db: float


class LevelAverage:
    """The mean of the levels that were solved for one chain; another chain, or a jump, begins again."""

    def __init__(self) -> None:
        self._chain: object = None
        self._solved: list[Levels] = []

    def add(self, chain: object, levels: Levels) -> Levels:
        """Add what was solved for a chain (anything that compares), and give the mean."""
        before = self._solved if chain == self._chain else []
        if before and max(np.abs(np.subtract(astuple(levels), astuple(_mean(before))))) > JUMP_LU:
            before = []
        self._chain, self._solved = chain, [*before, levels][-AVERAGED:]
        return _mean(self._solved)


def _mean(levels: list[Levels]) -> Levels:
    return Levels(*(sum(column) / len(levels) for column in zip(*map(astuple, levels), strict=True)))


class LevelSolver:
    """Solve levels on an engine's input. One thread uses it.

    `input_lufs` is the loudness of the input when it was last measured; any thread may read it. `gate` says what is a
    signal.
    """

    def __init__(self, engine: PlayingEngine, trained_lufs: float = TRAINED_LUFS) -> None:
        self._engine, self._trained_lufs = engine, trained_lufs
        self._average, self.gate = LevelAverage(), SignalGate()
        self.input_lufs = -np.inf
        self._heard: tuple[np.ndarray, float] | None = None

    def loudness(self) -> float:
        """Measure the loudness of the last seconds of input, in LUFS."""
        self._measure()
        return self.input_lufs

    def _measure(self) -> np.ndarray:
        x = self._engine.recent_input(LEVEL_S)
        self.input_lufs = integrated_loudness(x, self._engine.sample_rate, faint=True) if len(x) else -np.inf
        return x

    def solve(
        self,
        settings: ChainSettings,
        amount: float,
        goal_lufs: float | None,
        input_gain_db: float | None = None,
        quick: bool = False,
    ) -> Levels | None:
        """Solve all levels, on what was heard last if the input is silent; None if it always was. Takes a while.

        `goal_lufs` is the loudness to reach at amount 1, None for that of the input; an input gain that
        is given stays as it is. `quick` takes a short stretch for the whole: for a hand that waits.
        """
        x = self._measure()
        if self.gate.open(x, self._engine.sample_rate):
            self._heard = x, self.input_lufs
        if self._heard is None:
            return None
        x, lufs = self._heard
        target = lufs if goal_lufs is None else lufs + amount * (goal_lufs - lufs)
        rate, scaled, here = self._engine.sample_rate, settings.scaled(amount), target
        if quick:
            x = x[-int(QUICK_S * rate) :]
            here += max(integrated_loudness(x, rate, faint=True), SILENT_LUFS) - lufs
        solved = solve_level(scaled, x, rate, here, self._trained_lufs, input_gain_db)
        levels = Levels(solved.input_gain_db, solved.output_gain_db, target - lufs)
        if quick:
            return levels
        return self._average.add((solved.effects, amount, goal_lufs, input_gain_db), levels)
