"""A live session: what is played, what may change it, and the loop that keeps matching.

Settings live here once, as they are at amount 1. OSC, keys and the matching loop change them;
every change goes to the engine as one command. Matching listens to the last seconds of input,
pools what it has heard so far, and moves only what has clearly changed, so settings settle.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ... import presets
from ...chain import ChainSettings
from ...matching import ClipError, MatchModel, Prediction, ReferenceClip, mean_lufs, read_reference, result_in_range
from ..osc import paths
from ..osc.subscribers import readings
from ..threads import RestartableThread
from .hysteresis import keep_locked, locked_of, switched, with_hysteresis, within_deadband
from .listener import LOOK_S, InputAnalyser, allowed_clip, allowed_preset
from .morph import Morph, Side
from .undo import State, UndoHistory

if TYPE_CHECKING:
    from ..audio.live_engine import LiveEngine

log = logging.getLogger(__name__)

LEVEL_PLAY_DB = 0.5
FAILED = "matching failed"


class Session:
    """Everything that can be asked of a running afx-live; safe to call from any thread.

    `clip_folders` are the only places from which a name that came over the network is read, beside
    the bundled clips and the preset folder. `by_hand` is what an earlier session's `by_hand` said.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        predictor: MatchModel | None,
        settings: ChainSettings,
        references: Sequence[ReferenceClip] = (),
        amount: float = 1.0,
        target_lufs: float | None = None,
        clip_folders: Sequence[Path] = (),
        preset_name: str = "",
        by_hand: Sequence[str] = (),
    ) -> None:
        self._engine, self._predictor = engine, predictor
        self._lock = threading.RLock()
        self._base, self._amount, self._target = settings, amount, target_lufs
        self._references = list(references)
        self._reference_name = ", ".join(r.path.name for r in references)
        self._preset_name = preset_name
        self._listener, self._morph = InputAnalyser(engine, predictor), Morph()
        self._bypass = self._muted = False
        self._dry_gain_db = 0.0
        self._history = UndoHistory()
        self._prediction: Prediction | None = None
        self._reached = True
        self._clip_folders = [p.resolve() for p in clip_folders]
        self._work: queue.Queue[tuple[str, str]] = queue.Queue(maxsize=16)
        self._closing, self._warned = False, -1.0
        self._level_asked = False
        self._worker = RestartableThread("the matching", self._run)
        self.revive = self._worker.revive
        self.error = ""
        self._frozen, self._locked = "freeze" in by_hand, locked_of(by_hand, settings)

    # --- life -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Send the settings to the engine and begin to listen."""
        with self._lock:
            self._send(cross_over=True)
        self._worker.start()

    def close(self) -> None:
        """Stop listening; the engine plays on."""
        self._closing = True
        self._worker.finish()
        with suppress(queue.Full):  # if it is full, the thread is awake
            self._work.put_nowait(("", ""))
        self._worker.join(5.0)

    @property
    def playing(self) -> ChainSettings:
        """What the engine was last asked to play."""
        with self._lock:
            return self._scaled()

    @property
    def chosen(self) -> bool:
        """Whether what plays was chosen, by a match or a preset."""
        with self._lock:
            return self._prediction is not None or bool(self._preset_name) or self._morph.active

    @property
    def prediction(self) -> Prediction | None:
        """The last prediction, if there was one."""
        with self._lock:
            return self._prediction

    @property
    def reached(self) -> bool:
        """Whether what plays may pass for a reference, as far as the model can tell; True without one."""
        with self._lock:
            return self._prediction is None or self._reached

    @property
    def references(self) -> tuple[ReferenceClip, ...]:
        """The clips that the sound is matched to."""
        with self._lock:
            return tuple(self._references)

    @property
    def target_lufs(self) -> float | None:
        """The loudness to reach at amount 1, in LUFS; None for that of the input."""
        with self._lock:
            return self._goal_lufs()

    @property
    def name(self) -> str:
        """A name for what plays: the preset's, if one does."""
        with self._lock:
            return self._preset_name or "autosave"

    @property
    def by_hand(self) -> list[str]:
        """What was set by hand, as "effect/parameter", and "freeze" if it is frozen."""
        with self._lock:
            return sorted("/".join(place) for place in self._locked) + ["freeze"] * self._frozen

    def preset(self, name: str, resumable: bool = False) -> presets.Preset:
        """Give the session as a preset, with where it came from; `resumable`: and all that resuming needs."""
        with self._lock:
            references, by_hand = self._references, self.by_hand if resumable else ()
            what = self._base, self._amount, self._goal_lufs()
        files = [r for r in references if r.path.is_file()]
        model = self._predictor.name if self._predictor and references else ""
        return presets.Preset(name, *what, presets.provenance(files, model, resumable, by_hand))

    # --- OSC: the `Controls` of osc.py ------------------------------------------------------------------

    def apply(self, values: dict[str, float]) -> None:
        """Set any number of values at once; they reach the sound in one audio block."""
        with self._lock:
            before = State.of(self)
            for path, value in values.items():
                self._set(path, value)
            if not State.of(self).same(before):
                self._history.note_values(before, [*values])
            jumped = [self._step(back=path == paths.UNDO) for path in values if path in (paths.UNDO, paths.REDO)]
            if values.get(paths.PANIC, 0.0) >= 0.5:  # whatever came with it
                self._muted = True
            self._send(cross_over=any(jumped))

    def _set(self, path: str, value: float) -> None:
        stage, name = paths.place_of(path)
        if path in (paths.AB, paths.BYPASS):
            self._bypass = not self._bypass if path == paths.AB else value >= 0.5
        elif path == paths.CLEAR:
            self._muted = False
        elif path == paths.FREEZE:
            self._frozen, self._history.froze = value >= 0.5, False
        elif path == paths.AMOUNT:
            self._amount = value
            self._ask_level()
        elif path == paths.MORPH:
            self._morph, self._base = self._morph.moved(value, self._base, self._locked)
            self._ask_level()
        elif paths.has(self._base, stage):
            self._base = paths.with_value(self._base, stage, name, value)
            self._locked |= {(stage, name)}

    def _step(self, back: bool) -> bool:
        """Undo or redo one change; True if the sound jumps: another chain, reference or preset.

        What is matched freezes, or the matching would take away what undo has brought back; it thaws
        when redo has come back to where undo began.
        """
        old = State.of(self)
        new = self._history.step(old, back)
        if new is None:
            return False
        new.onto(self)
        if back and self._references and not self._frozen:
            self._frozen = self._history.froze = True
        elif not self._history.depth[1] and self._history.froze:
            self._frozen = self._history.froze = False
        other = new.references is not old.references or not new.morph.same_ends(old.morph)
        return other or new.preset_name != old.preset_name

    def _ask_level(self) -> None:
        """Have the level solved again soon, on the thread that has time for it."""
        if not self._level_asked:
            with suppress(queue.Full):
                self._work.put_nowait((paths.AMOUNT, ""))
                self._level_asked = True

    def value(self, path: str) -> float | str | bool:
        """Give the current value of an address; 0 for an effect that is not in the chain."""
        with self._lock:
            plain = {
                paths.AMOUNT: self._amount,
                paths.BYPASS: self._bypass,
                paths.PANIC: self._muted,
                paths.FREEZE: self._frozen,
                paths.REFERENCE: self._reference_name,
                paths.PRESET: self._preset_name,
                paths.MORPH: self._morph.position,
                paths.MORPH_A: self._morph.name("a"),
                paths.MORPH_B: self._morph.name("b"),
            }
            return plain[path] if path in plain else paths.value_at(self._base, *paths.place_of(path))

    def meters(self) -> dict[str, float]:
        """Give what the addresses under /afx/meter tell."""
        return readings(self._engine, self.playing)

    def command(self, path: str, text: str) -> None:
        """Queue what takes time: a new reference, a preset. Never blocks."""
        try:
            self._work.put_nowait((path, text))
        except queue.Full:
            self._warn(f"{path}: too many at once")

    # --- work that takes time, on a thread of its own -----------------------------------------------------

    def _run(self) -> None:
        while not self._closing:
            try:
                path, text = self._work.get(timeout=LOOK_S)
            except queue.Empty:
                self._guarded(self.look)
            else:
                self._do(path, text)

    def _do(self, path: str, text: str) -> None:
        if path == paths.REFERENCE:
            self._guarded(lambda: self.use_reference(allowed_clip(text, self._clip_folders)))
        elif path == paths.PRESET:
            self._guarded(lambda: self.use_preset(allowed_preset(text)))
        elif path in (paths.MORPH_A, paths.MORPH_B):
            self._guarded(lambda: self.use_morph(path[-1], text))
        elif path == paths.AMOUNT:
            self._level_asked = False
            self._guarded(lambda: self._follow_level(at_once=True))

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
            if self.error.startswith(FAILED):
                log.warning("matching goes on")
            self.error = ""
        except (ClipError, presets.PresetError, OSError, ValueError) as error:
            self._warn(str(error))
        except Exception as error:  # a bug in matching must not end the session
            self.error = f"{FAILED}: {error!r}"
            log.exception(FAILED)

    def _warn(self, text: str) -> None:
        """Keep an error and log it, cut, and once a second at most: a flood of commands is to be no flood of words."""
        self.error, now = text if len(text) <= 500 else text[:500] + "…", time.monotonic()
        if now - self._warned >= 1.0:
            self._warned = now
            log.warning("%s", self.error)

    def use_reference(self, path: Path) -> None:
        """Match this clip from now on. Raises ClipError."""
        if self._predictor is None:
            raise ValueError("no model is loaded, so a reference cannot be matched")
        found = read_reference(path, self._predictor)
        with self._lock:
            self._history.note(State.of(self), paths.REFERENCE)
            self._references, self._reference_name, self._preset_name = [found], path.name, ""
            self._morph = Morph(position=self._morph.position)
            self._locked = frozenset()
            self._frozen, self._history.froze, self._prediction = False, False, None
            order = [s.effect for s in self._base.effects]
            if order != list(self._predictor.chain.order):
                self._base = ChainSettings.default(self._predictor.chain.order)
        self.look()

    def use_preset(self, preset: presets.Preset) -> None:
        """Play a preset instead of matching."""
        level = self._listener.solved(preset.settings, preset.amount, preset.target_lufs)
        with self._lock:
            self._history.note(State.of(self), paths.PRESET)
            self._locked = frozenset()
            self._references, self._reference_name, self._preset_name = [], "", preset.name
            self._morph = Morph(position=self._morph.position)
            self._base, self._amount, self._target = preset.settings, preset.amount, preset.target_lufs
            self._prediction = None
            self._take_level(level, at_once=True)
            self._send(cross_over=True)

    def use_morph(self, end: str, text: str) -> None:
        """Choose an end of a morph ("a" or "b"), a preset or a clip; the other one stays, or is what plays now.

        Raises PresetError, ClipError, or ValueError if both together have more effects than a chain holds.
        """
        if text in presets.names():
            side = Side.of_preset(presets.load(text))
        elif self._predictor is None:
            raise ValueError("no model is loaded, so a reference cannot be matched")
        else:
            path = allowed_clip(text, self._clip_folders)
            side = Side.of_clip(path.name, read_reference(path, self._predictor))
            if (x := self._listener.sounding()) is not None:
                self._listener.hear(x)
        with self._lock:
            morph = self._morph.between(end, side, Side("", self._base, self._goal_lufs()))
            morph.settings(self._base)
            self._history.note(State.of(self), paths.MORPH)
            self._morph, self._locked = morph, frozenset()
            self._references, self._reference_name, self._preset_name = [], "", ""
            self._frozen, self._history.froze, self._prediction = False, False, None
        self._follow_morph(chosen=True)

    def look(self) -> bool:
        """Listen once: follow style and level, unless frozen. True if there was anything to hear."""
        x = self._listener.sounding()
        if x is None:
            return False
        with self._lock:
            frozen, references, morph = self._frozen, self._references, self._morph
        if frozen:
            return True
        if references:
            self._follow(x, references)
        elif morph.active:
            if morph.listens:
                self._listener.hear(x)
            self._follow_morph()
        else:
            self._follow_level()
        return True

    def _follow(self, x: np.ndarray, references: list[ReferenceClip]) -> None:
        """Predict, and solve the level, without the lock: a mute must not wait for either."""
        assert self._predictor is not None
        prediction = self._predictor.predict(self._listener.hear(x), [r.features for r in references])
        with self._lock:
            first, steps = self._prediction is None, self._history.effects
            steady = with_hysteresis(prediction, self._prediction)
            found = self._predictor.settings(steady, switched(steady, self._predictor, None if first else self._base))
            planned, amount = keep_locked(found, self._base, self._locked), self._amount
        level = self._listener.solved(planned, amount, mean_lufs(references), self._input_gain())
        near = self._reached
        if (
            amount == 1.0 and level and (first or planned.effects != self._base.effects)
        ):  # at rest, nothing new is heard
            ready = replace(planned, input_gain_db=level["input"], output_gain_db=level["output"])
            near = result_in_range(self._predictor, ready, x, self._engine.sample_rate, references, steady.same_source)
        with self._lock:
            if self._frozen or self._references is not references or self._history.effects != steps:  # meanwhile
                return
            if first and self._history.last != paths.REFERENCE:
                self._history.note(State.of(self), "match")
            self._base, self._prediction = keep_locked(found, self._base, self._locked), steady
            self._reached = near
            self._take_level(level, at_once=first)
            self._send(cross_over=first)

    def _follow_morph(self, chosen: bool = False) -> None:
        """Match what of a morph is a clip, and solve the level, without the lock."""
        with self._lock:
            morph, steps, amount = self._morph, self._history.effects, self._amount
        ear = self._listener
        new = morph.anew(self._predictor, ear.heard) if self._predictor and ear.heard else morph
        new = new.levelled(lambda s, goal: ear.solved(s, amount, goal), ear.loudness)
        with self._lock:
            planned = keep_locked(new.settings(self._base), self._base, self._locked)
        level = ear.solved(planned, amount, new.goal(ear.loudness), self._input_gain())
        with self._lock:
            if self._frozen or not self._morph.same_ends(morph) or self._history.effects != steps:  # meanwhile
                return
            self._morph = replace(new, position=self._morph.position)
            self._base = keep_locked(self._morph.settings(self._base), self._base, self._locked)
            self._take_level(level, at_once=chosen)
            self._send(cross_over=chosen)

    # --- level ---------------------------------------------------------------------------------------------

    def _goal_lufs(self) -> float | None:
        if self._morph.active:
            return self._morph.goal(lambda: self._listener.lufs)
        return mean_lufs(self._references) if self._references else self._target

    def _input_gain(self) -> float | None:
        """Give the input gain if it was set by hand."""
        with self._lock:
            return self._base.input_gain_db if ("input", "gain_db") in self._locked else None

    def _take_level(self, level: dict[str, float], at_once: bool) -> bool:
        """Take solved gains, unless set by hand or hardly moved; True if any was taken."""
        if not level:
            return False
        gains = {}
        for stage in ("input", "output"):
            name = f"{stage}_gain_db"
            now = getattr(self._base, name)
            gain_db = level[stage] if at_once else float(within_deadband(level[stage], now, LEVEL_PLAY_DB))
            if gain_db != now and (stage, "gain_db") not in self._locked:
                gains[name] = gain_db
        self._base = replace(self._base, **gains)
        self._dry_gain_db = level["dry"]
        return bool(gains)

    def _follow_level(self, at_once: bool = False) -> None:
        with self._lock:
            base, amount, goal = self._base, self._amount, self._goal_lufs()
        level = self._listener.solved(base, amount, goal, self._input_gain())
        with self._lock:
            if self._take_level(level, at_once):
                self._send()

    def _scaled(self) -> ChainSettings:
        return self._base.scaled(self._amount)

    def _send(self, cross_over: bool = False) -> None:
        self._engine.play(
            self._scaled(),
            bypass=self._bypass,
            muted=self._muted,
            dry_gain_db=self._dry_gain_db,
            cross_over=cross_over,
        )
