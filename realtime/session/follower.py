"""Following the input: what a session matches, and its level, as the input is now.

Features of the input are pooled while it plays, and settings move only where they have clearly changed, so
that they come to rest. A model's pass and the level take time; they happen without the session's lock, and
what has changed meanwhile (an undo, another reference) wins.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from ...chain import ChainSettings
from ...matching.explain import explain, heard_enough
from ...matching.level import TRAINED_LUFS
from ...matching.match import result_in_range
from ...matching.model import Features, MatchModel, Prediction
from ...matching.reference import mean_lufs
from . import undo
from .decider import Decider, Heard
from .hysteresis import with_hysteresis
from .input_analyser import InputAnalyser
from .level import LevelSolver
from .places import keep_locked, shared_out
from .playing_engine import PlayingEngine
from .state import SessionState

HAND_S = 0.1
"""What takes long waits so long for a hand that goes on, and lets the first answer be heard meanwhile."""


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

    def __init__(self, session: Editable, engine: PlayingEngine, model: MatchModel | None) -> None:
        self._session, self._engine, self._model = session, engine, model
        self.input = InputAnalyser(engine, model)
        self.level = LevelSolver(engine, model.lufs if model else TRAINED_LUFS)
        self._decider = Decider(model) if model else None
        self._last: Prediction | None = None
        self._enough = False
        self._explained: object = None

    def listen(self) -> bool:
        """Listen once: match what sounds, and solve its level, unless frozen; then explain. False if it is silent."""
        heard = self._listen()
        self.explain()
        return heard

    def _listen(self) -> bool:
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

    def decide(self) -> None:
        """Decide anew from what was heard already, frozen or not: the user wants the match bolder, or otherwise."""
        state, known = self._session.state, self.input.known()
        if known and state.references:
            self._decide(*known, state, anew=True)
        elif known and state.morph.active:
            self.follow_morph(anew=True)
        self.explain()

    def _follow_references(self, x: np.ndarray, began: SessionState) -> None:
        self._decide(self.input.analyse(x), x, began)

    def _decide(self, features: Features, x: np.ndarray, began: SessionState, anew: bool = False) -> None:
        model = self._model
        assert model is not None  # or there were no references
        assert self._decider is not None
        choices, order = began.choices, model.chain.order
        theirs = [r.features for r in began.references]
        predicted = model.predict(features, theirs, choices.allowed(order), choices.named(order))
        planned = self._session.state
        if planned.references is not began.references:
            return
        if first := planned.prediction is None:
            self._last = None
        if not anew:
            self._enough = self.input.seconds is None or heard_enough(predicted, self._last, features.windows, model)
            self._last = predicted
        prediction = with_hysteresis(predicted, None if anew else planned.prediction)
        heard = Heard(features, x, self._engine.sample_rate)
        playing, moved = None if first or anew else planned.settings, first or anew
        for found in self._decider.settings(prediction, began.references, heard, choices, playing, sketch=anew):
            self._play(found, prediction, began, planned, anew)
            moved |= found.effects != planned.settings.effects
            if anew:
                time.sleep(HAND_S)
            if self._session.state.said != began.said:  # the hand has gone on: what follows is for nothing
                return
        if anew:
            self.follow_level(at_once=True)
        self._judge(prediction, x, began, moved)

    def _play(
        self, found: ChainSettings, prediction: Prediction, began: SessionState, planned: SessionState, anew: bool
    ) -> None:
        """Play settings, their level solved, unless the user has done something else meanwhile."""
        first = planned.prediction is None
        settings = keep_locked(found, planned.settings, planned.locked)
        goal_lufs = mean_lufs(began.references)
        levels = self.level.solve(
            shared_out(settings, planned.shares), planned.amount, goal_lufs, planned.locked_input_gain_db, quick=anew
        )

        def change(state: SessionState) -> SessionState:
            frozen = state.frozen and not anew
            if frozen or state.references is not began.references or state.undo_count != planned.undo_count:
                return state
            settings = keep_locked(found, state.settings, state.locked)
            state = replace(state, settings=settings, prediction=prediction)
            return state.with_levels(levels, at_once=first or anew)

        self._session.edit(change, undo.MATCH if first else "", cross_over=first)

    def _judge(self, prediction: Prediction, x: np.ndarray, began: SessionState, moved: bool) -> None:
        """Find out whether what plays sounds like the references."""
        state, model = self._session.state, self._model
        if state.prediction is not prediction or not moved or state.amount < 1.0 or model is None:
            return
        rate, same_source = self._engine.sample_rate, prediction.same_source
        near = result_in_range(model, state.shared, x, rate, began.references, same_source)

        def change(state: SessionState) -> SessionState:
            return replace(state, in_range=near) if state.prediction is prediction else state

        self._session.edit(change, "", send=False)

    def explain(self) -> None:
        """Say what is known of the match, if it has changed."""
        state, known, model = self._session.state, self.input.known(), self._model
        if model is None or state.prediction is None or not state.references or not known:
            return
        seconds = self.input.seconds
        here = (id(state.prediction), state.shared, state.boldness, state.choices.locked, state.locked, state.in_range)
        key = (*here, self._enough, seconds and round(seconds))
        if key == self._explained:
            return
        hand = {effect for effect, _ in state.locked}
        told = explain(
            model, state.prediction, state.shared, state.choices, known[1], self._engine.sample_rate, state.in_range,
            hand, state.shares,
        )  # fmt: skip
        told = replace(told, heard_s=seconds, enough=self._enough)

        def change(now: SessionState) -> SessionState:
            return replace(now, explanation=told) if now.prediction is state.prediction else now

        self._session.edit(change, "", send=False)
        self._explained = key

    def follow_morph(self, chosen: bool = False, anew: bool = False) -> None:
        """Match what of a morph is a clip, and solve the level."""
        began, level = self._session.state, self.level
        morph = began.morph
        if self._model and self.input.features:
            morph = morph.rematched(self._model, self.input.features, began.choices, anew)
        morph = morph.with_levels(lambda s, goal: level.solve(s, began.amount, goal), level.loudness)
        now = self._session.state
        planned = keep_locked(morph.settings(now.settings), now.settings, now.locked)
        planned = shared_out(planned, now.shares)
        levels = level.solve(planned, began.amount, morph.goal(level.loudness), now.locked_input_gain_db)

        def change(state: SessionState) -> SessionState:
            ends_stay = state.morph.same_ends(began.morph)
            if (state.frozen and not anew) or not ends_stay or state.undo_count != began.undo_count:
                return state
            moved = replace(morph, position=state.morph.position)
            settings = keep_locked(moved.settings(state.settings), state.settings, state.locked)
            return replace(state, morph=moved, settings=settings).with_levels(levels, at_once=chosen)

        self._session.edit(change, "", cross_over=chosen)

    def follow_level(self, at_once: bool = False) -> None:
        """Solve the level for what plays, frozen or not."""
        state = self._session.state
        goal_lufs = state.goal_lufs(self.level.input_lufs)
        levels = self.level.solve(state.shared, state.amount, goal_lufs, state.locked_input_gain_db)
        if levels:
            self._session.edit(lambda now: now.with_levels(levels, at_once), "")
