"""Following the input: what a session matches, and its level, as the input is now.

Features of the input are pooled while it plays, and settings move only where they have clearly changed, so
that they come to rest. A model's pass and the level take time; they happen without the session's lock, and
what has changed meanwhile (an undo, another reference) wins.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...matching.match import result_in_range
from ...matching.model import MatchModel
from ...matching.reference import mean_lufs
from . import undo
from .hysteresis import switched, with_hysteresis
from .level import TRAINED_LUFS, LevelSolver
from .listener import InputAnalyser
from .places import keep_locked
from .state import SessionState

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine


class Editable(Protocol):
    """What is needed of a session."""

    @property
    def state(self) -> SessionState: ...

    def edit(
        self,
        change: Callable[[SessionState], SessionState],
        step: str = ...,
        *,
        send: bool = ...,
        cross_over: bool = ...,
    ) -> SessionState: ...


class Follower:
    """Follow the input of an engine, and edit a session accordingly. One thread uses it.

    `input` analyses the input, `level` solves the level.
    """

    def __init__(self, session: Editable, engine: "LiveEngine", model: MatchModel | None) -> None:
        self._session, self._engine, self._model = session, engine, model
        self.input = InputAnalyser(engine, model)
        self.level = LevelSolver(engine, model.lufs if model else TRAINED_LUFS)

    def listen(self) -> bool:
        """Listen once: match what sounds, and solve its level, unless frozen. False if the input is silent."""
        x = self.input.recent()
        if x is None:
            return False
        state = self._session.state
        if state.frozen:
            return True
        if state.references:
            self._follow_references(x, state)
        elif state.morph.active:
            if state.morph.listens:
                self.input.analyse(x)
            self.follow_morph()
        else:
            self.follow_level()
        return True

    def _follow_references(self, x: np.ndarray, began: SessionState) -> None:
        model = self._model
        assert model is not None  # or there were no references
        prediction = model.predict(self.input.analyse(x), [r.features for r in began.references])
        planned = self._session.state
        if planned.references is not began.references:
            return
        first = planned.prediction is None
        prediction = with_hysteresis(prediction, planned.prediction)
        found = model.settings(prediction, switched(prediction, model, None if first else planned.settings))
        settings = keep_locked(found, planned.settings, planned.locked)
        levels = self.level.solve(settings, planned.amount, mean_lufs(began.references), planned.locked_input_gain_db)
        in_range = planned.in_range
        moved = first or settings.effects != planned.settings.effects
        if planned.amount == 1.0 and levels and moved:
            ready = replace(settings, input_gain_db=levels.input_gain_db, output_gain_db=levels.output_gain_db)
            in_range = result_in_range(
                model, ready, x, self._engine.sample_rate, began.references, prediction.same_source
            )

        def change(state: SessionState) -> SessionState:
            if state.frozen or state.references is not began.references or state.undo_count != planned.undo_count:
                return state
            settings = keep_locked(found, state.settings, state.locked)
            state = replace(state, settings=settings, prediction=prediction, in_range=in_range)
            return state.with_levels(levels, at_once=first)

        self._session.edit(change, undo.MATCH if first else "", cross_over=first)

    def follow_morph(self, chosen: bool = False) -> None:
        """Match what of a morph is a clip, and solve the level."""
        began, level = self._session.state, self.level
        morph = began.morph
        if self._model and self.input.features:
            morph = morph.rematched(self._model, self.input.features)
        morph = morph.with_levels(lambda s, goal: level.solve(s, began.amount, goal), level.loudness)
        now = self._session.state
        planned = keep_locked(morph.settings(now.settings), now.settings, now.locked)
        levels = level.solve(planned, began.amount, morph.goal(level.loudness), now.locked_input_gain_db)

        def change(state: SessionState) -> SessionState:
            ends_stay = state.morph.same_ends(began.morph)
            if state.frozen or not ends_stay or state.undo_count != began.undo_count:
                return state
            moved = replace(morph, position=state.morph.position)
            settings = keep_locked(moved.settings(state.settings), state.settings, state.locked)
            return replace(state, morph=moved, settings=settings).with_levels(levels, at_once=chosen)

        self._session.edit(change, "", cross_over=chosen)

    def follow_level(self, at_once: bool = False) -> None:
        """Solve the level for what plays, frozen or not."""
        state = self._session.state
        goal_lufs = state.goal_lufs(self.level.input_lufs)
        levels = self.level.solve(state.settings, state.amount, goal_lufs, state.locked_input_gain_db)
        if levels:
            self._session.edit(lambda now: now.with_levels(levels, at_once), "")
