"""The matching thread: all of a session's work that takes time.

It follows the input every two seconds, and loads the references and presets that are asked for. Nothing of
it happens under the session's lock: a mute never waits for it.
"""

import logging
import queue
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ... import presets
from ...chain import ChainSettings
from ...matching.clips import ClipError
from ...matching.model import MatchModel
from ...matching.reference import read_reference
from ..threads import RestartableThread
from . import controls, undo
from .allowed import allowed_clip, allowed_preset
from .follower import Editable, Follower
from .input_analyser import INTERVAL_S
from .morph import Side
from .state import SessionState

log = logging.getLogger(__name__)

FAILED = "matching failed"
MAX_JOBS = 16
MAX_ERROR = 500
"""Characters of an error: it may quote what came over the network."""


class Matcher:
    """Let a `Follower` follow the input, and load what is requested, on a thread of its own.

    Names are looked up in `clip_folders`, beside the bundled clips and the presets.
    """

    def __init__(
        self, session: Editable, follower: Follower, model: MatchModel | None, clip_folders: Sequence[Path] = ()
    ) -> None:
        self._session, self._follower, self._model = session, follower, model
        self._folders = [p.resolve() for p in clip_folders]
        self._jobs: queue.Queue[Callable[[], object] | None] = queue.Queue(MAX_JOBS)
        self._closing, self._warned_at = False, -1.0
        self._asked: set[str] = set()
        self.thread = RestartableThread("the matching", self._run)

    def start(self) -> None:
        """Begin to follow the input."""
        self.thread.start()

    def close(self) -> None:
        """End the thread, within moments; may be called twice."""
        self._closing = True
        self.thread.finish()
        with suppress(queue.Full):  # if it is full, the thread is awake
            self._jobs.put_nowait(None)
        self.thread.join(5.0)

    # --- requests from any thread ---------------------------------------------------------------------

    def request(self, control: controls.Control, text: str) -> None:
        """Queue the choice of a reference, a preset or the end of a morph. Never blocks."""
        job = {
            controls.REFERENCE: lambda: self.use_reference(allowed_clip(text, self._folders)),
            controls.PRESET: lambda: self.use_preset(allowed_preset(text)),
            controls.MORPH_A: lambda: self.use_morph("a", text),
            controls.MORPH_B: lambda: self.use_morph("b", text),
        }[control]
        self.later(control.name, job)

    def later(self, name: str, job: Callable[[], object]) -> None:
        """Queue a job for the thread, such as a call of one of the `use_` methods; its errors become the state's."""
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._warn(f"{name}: too many requests at once")

    def solve_level_soon(self) -> None:
        """Have the level solved again, on the thread that has time for it."""
        self._soon("level", lambda: self._follower.follow_level(at_once=True))

    def decide_soon(self) -> None:
        """Have the match decided again, from what was heard already."""
        self._soon("decision", self._follower.decide)

    def _soon(self, what: str, job: Callable[[], object]) -> None:
        """Queue a job unless it waits already."""

        def begin() -> None:
            self._asked.discard(what)
            job()

        if what not in self._asked:
            self._asked.add(what)
            try:
                self._jobs.put_nowait(begin)
            except queue.Full:
                self._asked.discard(what)

    # --- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        due = time.monotonic() + INTERVAL_S
        while not self._closing:
            with suppress(queue.Empty):
                if job := self._jobs.get(timeout=max(due - time.monotonic(), 0.0)):
                    self._guarded(job)
            if time.monotonic() >= due and not self._closing:  # also while a fader moves that never rests
                self._guarded(self._follower.listen)
                due = time.monotonic() + INTERVAL_S

    def _guarded(self, job: Callable[[], object]) -> None:
        try:
            job()
            error = self._session.state.error
            if error.startswith(FAILED):
                log.warning("matching goes on")
            if error:
                self._tell("")
        except (ClipError, presets.PresetError, OSError, ValueError) as error:
            self._warn(str(error))
        except Exception as error:  # a bug in matching must not end the session
            self._tell(f"{FAILED}: {error!r}")
            log.exception(FAILED)

    def _warn(self, text: str) -> None:
        """Keep an error, cut, and log it at most once a second: a flood of requests must not flood the log."""
        text, now = text if len(text) <= MAX_ERROR else text[:MAX_ERROR] + "…", time.monotonic()
        self._tell(text)
        if now - self._warned_at >= 1.0:
            self._warned_at = now
            log.warning("%s", text)

    def _tell(self, error: str) -> None:
        self._session.edit(lambda state: replace(state, error=error), step="", send=False)

    # --- choosing what to play ------------------------------------------------------------------------

    def use_reference(self, *paths: Path) -> None:
        """Match this clip from now on, or several, blended. Raises ClipError, or ValueError without a model."""
        model = self._needed_model()
        known = {r.path: r for r in self._session.state.references} if len(paths) > 1 else {}
        found = tuple(known.get(path) or read_reference(path, model) for path in paths)

        def change(state: SessionState) -> SessionState:
            in_order = [e.effect for e in state.settings.effects] == list(model.chain.order)
            settings = state.settings if in_order else ChainSettings.default(model.chain.order)
            held = {e.effect for e in settings.effects if in_order and state.holds(e.effect)}
            locked = frozenset(place for place in state.locked if place[0] in held)
            state = state.with_source(references=found, settings=settings, locked=locked)
            return replace(state, frozen=False, frozen_by_undo=False)

        self._session.edit(change, undo.REFERENCE, send=False)
        self._follower.listen()

    def use_preset(self, preset: presets.Preset) -> None:
        """Play a preset instead of matching."""
        levels = self._follower.level.solve(preset.settings, preset.amount, preset.target_lufs)
        self._session.edit(
            lambda state: state.with_source(
                preset_name=preset.name,
                settings=preset.settings,
                amount=preset.amount,
                target_lufs=preset.target_lufs,
            ).with_levels(levels, at_once=True),
            undo.PRESET,
            cross_over=True,
        )

    def use_morph(self, end: str, text: str) -> None:
        """Choose an end of a morph ("a" or "b"), a preset or a clip; the other one stays, or is what plays now.

        Raises PresetError, ClipError, or ValueError if both together have more effects than a chain holds.
        """
        if text in presets.names():
            side = Side.of_preset(presets.load(text))
        else:
            model, path = self._needed_model(), allowed_clip(text, self._folders)
            side = Side.of_clip(path.name, read_reference(path, model))
            if (x := self._follower.input.recent()) is not None:
                self._follower.input.analyse(x)

        def change(state: SessionState) -> SessionState:
            playing = Side("", state.settings, state.goal_lufs(self._follower.level.input_lufs))
            morph = state.morph.between(end, side, playing)
            morph.settings(state.settings)
            return replace(state.with_source(morph=morph), frozen=False, frozen_by_undo=False)

        self._session.edit(change, undo.MORPH, send=False)
        self._follower.follow_morph(chosen=True)

    def _needed_model(self) -> MatchModel:
        if self._model is None:
            raise ValueError("no model is loaded, so a reference cannot be matched")
        return self._model
