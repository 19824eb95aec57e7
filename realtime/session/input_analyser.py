"""Listening to the input: whether there is signal, and what it is like."""

from dataclasses import replace

import numpy as np

from ...matching.level import SILENT_LUFS
from ...matching.model import Features, MatchModel
from .playing_engine import PlayingEngine
from .signal_gate import SignalGate

LISTEN_S = 5.0
"""Seconds of input that one analysis takes."""
INTERVAL_S = 2.0
"""Seconds between two analyses: that much of each is new."""
MAX_WINDOWS = 24.0
"""What was heard earlier weighs as much as this many windows at most, so that an old song is forgotten."""


class InputAnalyser:
    """The features of an engine's input, pooled while it plays. One thread uses it.

    `features` is what was found so far, or None.
    """

    def __init__(self, engine: PlayingEngine, model: MatchModel | None) -> None:
        self._engine, self._model = engine, model
        self.features: Features | None = None
        self._heard: np.ndarray | None = None
        self._gate = SignalGate()

    @property
    def seconds(self) -> float | None:
        """How much was heard, in s; None if it is all that there is."""
        return LISTEN_S * self.features.windows if self.features else 0.0

    def known(self) -> tuple[Features, np.ndarray] | None:
        """Give what was heard so far, and the stretch (frames, 2) that was heard last; None before there was one."""
        return None if self.features is None or self._heard is None else (self.features, self._heard)

    def recent(self) -> np.ndarray | None:
        """Give the last seconds of input (frames, 2); None if they are silent or too short."""
        if not self._engine.meters()["in_lufs"] > SILENT_LUFS:
            return None
        x, rate = self._engine.recent_input(LISTEN_S), self._engine.sample_rate
        return x if len(x) >= LISTEN_S * rate * 0.5 and self._gate.open(x, rate) else None

    def analyse(self, x: np.ndarray) -> Features:
        """Analyse x (frames, 2), and pool it with what came before."""
        assert self._model is not None
        new = self._model.analyse(x, self._engine.sample_rate, "the input")
        if self.features is not None:
            old = replace(self.features, windows=min(self.features.windows, MAX_WINDOWS))
            new = old + replace(new, windows=INTERVAL_S / LISTEN_S)
        self.features, self._heard = new, x
        return new
