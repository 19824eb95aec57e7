"""A live session: what is playing, and the one way to change it."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic

from ... import presets
from ...matching.model import MatchModel
from .controls import MUTE, REDO, UNDO, Control, parse, read_all
from .follower import Follower
from .matcher import Matcher
from .playing_engine import EngineT
from .state import SessionState
from .undo import UndoHistory


class Session(Generic[EngineT]):
    """Everything that can be asked of a running afx-live; any thread may call it, and nothing here blocks for long.

    `state` is what to begin with. `clip_folders` are the only places, beside the bundled clips and the
    presets, from which a requested name is read.

    Clients read `state`, one frozen value, and wait for another with `wait`. They change it with `apply`
    (numbers, switches, triggers), `request` (names of clips and presets), both with the controls of
    `controls`; with `send`, which does either, of plain data; or with `edit`, any function of the state.
    `follower` follows the input, on the thread of `matcher`; both edit the state like any client.
    """

    def __init__(
        self, engine: EngineT, model: MatchModel | None, state: SessionState, clip_folders: Sequence[Path] = ()
    ) -> None:
        self.engine = engine
        if state.boldness is None and model:
            state = replace(state, boldness=model.decision.boldness)
        self._model, self._state = model, state
        self._changed = threading.Condition(threading.RLock())
        self.history = UndoHistory()
        self.follower = Follower(self, engine, model)
        self.matcher = Matcher(self, self.follower, model, clip_folders)

    def start(self) -> None:
        """Send the state to the engine, and begin to follow the input."""
        with self._changed:
            self._send(cross_over=True)
        self.matcher.start()

    def close(self) -> None:
        """Stop following; the engine plays on. May be called twice."""
        self.matcher.close()

    # --- reading --------------------------------------------------------------------------------------

    @property
    def state(self) -> SessionState:
        """The state now. It never changes: another one takes its place."""
        return self._state

    def wait(self, seen: SessionState, timeout_s: float) -> SessionState:
        """Wait until the state is another than the one `seen`, or the time is over; returns the state then."""
        with self._changed:
            self._changed.wait_for(lambda: self._state is not seen, timeout_s)
            return self._state

    @property
    def target_lufs(self) -> float | None:
        """The loudness to reach at amount 1, in LUFS; None for that of the input."""
        return self._state.goal_lufs(self.follower.level.input_lufs)

    def preset(self, name: str = "", resumable: bool = False) -> presets.Preset:
        """Give the session as a preset, by default under the name of the one that plays, or "autosave"."""
        state = self._state
        model = self._model.name if self._model else ""
        return state.as_preset(name or state.preset_name or "autosave", self.target_lufs, model, resumable)

    def plain(self) -> dict[str, Any]:
        """Give the whole state as JSON can hold it; its `values` are what `send` takes back."""
        state, prediction = self._state, self._state.prediction
        undo, redo = self.history.depth
        effects = [e.effect for e in state.settings.effects]
        probability = prediction.probability.tolist() if prediction else []
        return {
            "values": read_all(state),
            "chain": effects,
            "locked": sorted("/".join(place) for place in state.locked),
            "probability": dict(zip(effects, probability, strict=False)),
            "in_range": state.in_range,
            "explanation": state.explanation.data() if state.explanation else None,
            "target_lufs": self.target_lufs,
            "undo": undo,
            "redo": redo,
            "error": state.error,
        }

    # --- changing -------------------------------------------------------------------------------------

    def edit(
        self,
        change: Callable[[SessionState], SessionState],
        step: str = "edit",
        *,
        send: bool = True,
        cross_over: bool = False,
    ) -> SessionState:
        """Replace the state by `change(state)`: one step of undo, one command to the engine. Returns it.

        Nothing happens if the very same state comes back. `change` runs under the lock: it must be
        quick. `step` names the step, "" is none; without `send` the engine is not told; `cross_over`
        fades to a fresh chain instead of gliding. The level stays as it is: `apply` has it solved again.
        """
        with self._changed:
            before = self._state
            after = change(before)
            if after is not before:
                if step:
                    self.history.note(before, step)
                self._put(after)
                if send:
                    self._send(cross_over)
            return after

    def apply(self, values: Mapping[Control, float]) -> None:
        """Set any number of controls at once; they reach the sound in one audio block.

        A stream of values to one control is one step of undo. Undo and redo come after all other
        values; a mute wins over whatever comes with it. Soon after, the level is solved if it depends on
        what has changed.
        """
        with self._changed:
            before = state = self._state
            for control, value in values.items():
                state = control.write(state, value)
            if state != before:
                self.history.note_values(before, [control.name for control in values])
            asked, jumps = state, False
            for control, value in values.items():
                if control in (UNDO, REDO) and value >= 0.5:
                    state, jumped = self._step(state, back=control == UNDO)
                    jumps |= jumped
            self._put(MUTE.write(state, values.get(MUTE, 0.0)))
            self._send(cross_over=jumps)
        if asked.said != before.said:
            self.matcher.decide_soon()
        elif _scaled(asked) != _scaled(before):
            self.matcher.solve_level_soon()

    def request(self, control: Control, text: str) -> None:
        """Ask for a reference, a preset or the end of a morph by its name; what is wrong with it becomes `error`."""
        self.matcher.request(control, text)

    def send(self, named: Mapping[str, Any]) -> None:
        """Apply and request controls by name, as `plain()["values"]` has them. Raises ValueError, and does nothing."""
        parsed = parse(named)
        for control, text in parsed.items():
            if isinstance(text, str):
                self.request(control, text)
        if numbers := {control: value for control, value in parsed.items() if not isinstance(value, str)}:
            self.apply(numbers)

    def _step(self, state: SessionState, back: bool) -> tuple[SessionState, bool]:
        """Undo or redo one step; True if the sound jumps: another chain, reference or preset.

        Undo freezes what is matched, or the matching would take away what undo has brought back; redo
        thaws it when it is back where undo began.
        """
        step = self.history.step(state, back)
        if step is None:
            return state, False
        state = state.restored(step.state)
        if back and state.references and not state.frozen:
            state = replace(state, frozen=True, frozen_by_undo=True)
        elif not self.history.depth[1] and state.frozen_by_undo:
            state = replace(state, frozen=False, frozen_by_undo=False)
        return state, step.jumps

    def _put(self, state: SessionState) -> None:
        self._state = state
        self._changed.notify_all()

    def _send(self, cross_over: bool = False) -> None:
        s = self._state
        self.engine.play(s.playing, bypass=s.bypass, muted=s.muted, dry_gain_db=s.dry_gain_db, cross_over=cross_over)


def _scaled(state: SessionState) -> Any:
    """What the level depends on, beside the settings, which a hand may move as it likes."""
    return state.amount, state.morph.position, state.shares
