"""A live session: what is played, what may change it, and the loop that keeps matching.

Settings live here once, as they are at amount 1. OSC, keys and the matching loop change them;
every change goes to the engine as one command. Matching listens to the last seconds of input,
pools what it has heard so far, and moves only what has clearly changed, so settings settle.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import presets
from ..effects import Settings, load
from ..effects._loudness import integrated_loudness
from .files import reference
from .match import Reference, goal_of, solve_level
from .predictor import ClipError, Description, Prediction, Predictor

if TYPE_CHECKING:
    from .supervisor import LiveEngine

log = logging.getLogger(__name__)

LISTEN_S = 5.0
LOOK_S = 2.0
LEVEL_S = 12.0
"""Input on which the level is solved: long enough that a phrase does not move it."""
SILENT_LUFS = -55.0
MOST_WINDOWS = 24.0
"""What was heard earlier weighs as much as this many windows at most: an old song is forgotten."""
MARGIN = 0.1
"""An effect is switched only when its probability has passed the threshold by this much."""
STEP = 0.02
"""Unit parameters that moved less stay where they are."""
CURVE_STEP_DB = 0.5
"""So does the equaliser's curve, if it moved less than this at any frequency."""
LEVEL_STEP_LU = 0.5
BOTH_EARS_LU = 10.0 * np.log10(2.0)
"""The input is kept as one channel and played by two, which is that much louder."""


class Session:
    """Everything that can be asked of a running afx-live; safe to call from any thread.

    `clip_folders` are the only places from which a name that came over the network is read, beside
    the bundled clips and the preset folder.
    """

    def __init__(
        self,
        engine: "LiveEngine",
        predictor: Predictor | None,
        settings: Settings,
        references: Sequence[Reference] = (),
        amount: float = 1.0,
        target_lufs: float | None = None,
        clip_folders: Sequence[Path] = (),
        preset_name: str = "",
    ) -> None:
        self._engine, self._predictor = engine, predictor
        self._lock = threading.RLock()
        self._base, self._amount, self._target = settings, amount, target_lufs
        self._references = list(references)
        self._reference_name = ", ".join(r.path.name for r in references)
        self._preset_name = preset_name
        self._bypass = self._muted = self._frozen = False
        self._dry_gain_db = 0.0
        self._locked: set[tuple[str, str]] = set()  # set by hand: the model leaves it alone
        self._heard: Description | None = None
        self._prediction: Prediction | None = None
        self._clip_folders = [p.resolve() for p in clip_folders]
        self._work: queue.Queue[tuple[str, str]] = queue.Queue(maxsize=16)
        self._closing = False
        self._level_asked = False
        self._thread = threading.Thread(target=self._run, name="matching", daemon=True)
        self.error = ""

    # --- life -----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Send the settings to the engine and begin to listen."""
        with self._lock:
            self._send(cross_over=True)
        self._thread.start()

    def close(self) -> None:
        """Stop listening; the engine plays on."""
        self._closing = True
        with suppress(queue.Full):  # if it is full, the thread is awake
            self._work.put_nowait(("", ""))
        if self._thread.is_alive():
            self._thread.join(5.0)

    @property
    def playing(self) -> Settings:
        """What the engine was last asked to play."""
        with self._lock:
            return self._scaled()

    @property
    def chosen(self) -> bool:
        """Whether what plays was chosen, by a match or a preset."""
        with self._lock:
            return self._prediction is not None or bool(self._preset_name)

    @property
    def prediction(self) -> Prediction | None:
        """The last prediction, if there was one."""
        with self._lock:
            return self._prediction

    def preset(self, name: str) -> presets.Preset:
        """Give the session as a preset, with where it came from."""
        with self._lock:
            files = {r.path: r.lufs for r in self._references if r.path.is_file()}
            model = self._predictor.name if self._predictor and self._references else ""
            return presets.Preset(name, self._base, self._amount, self._goal_lufs(), presets.provenance(files, model))

    # --- OSC: the `Controls` of osc.py ------------------------------------------------------------------

    def apply(self, values: dict[str, float]) -> None:
        """Set any number of values at once; they reach the sound in one audio block."""
        with self._lock:
            for path, value in values.items():
                self._set(path, value)
            self._send()

    def _set(self, path: str, value: float) -> None:
        _, _, stage, *rest = path.split("/")
        if not rest and stage in ("bypass", "panic", "freeze"):
            setattr(self, {"bypass": "_bypass", "panic": "_muted", "freeze": "_frozen"}[stage], value >= 0.5)
        elif path == "/afx/amount":
            self._amount = value
            self._ask_level()
        elif stage in ("input", "output"):
            self._base = replace(self._base, **{f"{stage}_gain_db": value})
            self._locked.add((stage, "gain_db"))
        elif stage in {s.effect for s in self._base.steps}:
            if rest[0] == "bypass":
                self._base = self._base.with_step(stage, on=value < 0.5)
            else:
                self._base = self._base.with_step(stage, None, **{rest[0]: load(stage).param(rest[0]).clip(value)})
            self._locked.add((stage, rest[0]))

    def _ask_level(self) -> None:
        """Have the level solved again soon, on the thread that has time for it."""
        if not self._level_asked:
            with suppress(queue.Full):
                self._work.put_nowait(("/afx/amount", ""))
                self._level_asked = True

    def value(self, path: str) -> float | str | bool:
        """Give the current value of an address; 0 for an effect that is not in the chain."""
        with self._lock:
            _, _, stage, *rest = path.split("/")
            plain = {
                "amount": self._amount,
                "bypass": self._bypass,
                "panic": self._muted,
                "freeze": self._frozen,
                "reference": self._reference_name,
            }
            if not rest and stage in plain:
                return plain[stage]
            if stage == "preset":
                return self._preset_name
            if stage in ("input", "output"):
                return getattr(self._base, f"{stage}_gain_db")
            for step in self._base.steps:
                if step.effect == stage:
                    return not step.on if rest[0] == "bypass" else step.values[rest[0]]
            return rest == ["bypass"]

    def command(self, path: str, text: str) -> None:
        """Queue what takes time: a new reference, a preset. Never blocks."""
        try:
            self._work.put_nowait((path, text))
        except queue.Full:
            self.error = f"{path}: too many at once"

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
        if path == "/afx/reference":
            self._guarded(lambda: self.use_reference(self._allowed(text)))
        elif path == "/afx/preset/load":
            self._guarded(lambda: self.use_preset(self._allowed_preset(text)))
        elif path == "/afx/amount":
            self._level_asked = False
            self._guarded(lambda: self._follow_level(at_once=True))

    def _guarded(self, work: Callable[[], object]) -> None:
        try:
            work()
            self.error = ""
        except (ClipError, presets.PresetError, OSError, ValueError) as error:
            self.error = str(error)
            log.warning("%s", error)
        except Exception as error:  # a bug in matching must not end the session
            self.error = f"matching failed: {error!r}"
            log.exception("matching failed")

    def _allowed(self, text: str) -> Path:
        """Find a clip by name, only where clips may be read from."""
        if text in presets.clips():
            return presets.clip(text)
        for folder in self._clip_folders:
            path = (folder / text).resolve()
            if folder in path.parents and path.is_file():
                return path
        raise ClipError(
            f"{text!r} is neither a bundled clip nor in {', '.join(map(str, self._clip_folders)) or 'a clip folder'}"
        )

    def _allowed_preset(self, text: str) -> presets.Preset:
        if text not in presets.names():
            raise presets.PresetError(f"{text!r} is not a preset; there are {', '.join(presets.names())}")
        return presets.load(text)

    def use_reference(self, path: Path) -> None:
        """Match this clip from now on. Raises ClipError."""
        if self._predictor is None:
            raise ValueError("no model is loaded, so a reference cannot be matched")
        found = reference(path, self._predictor)
        with self._lock:
            self._references, self._reference_name, self._preset_name = [found], path.name, ""
            self._locked.clear()
            self._frozen, self._prediction = False, None
            order = [s.effect for s in self._base.steps]
            if order != list(self._predictor.chain.order):
                self._base = Settings.default(self._predictor.chain.order)
        self.look()

    def use_preset(self, preset: presets.Preset) -> None:
        """Play a preset instead of matching."""
        self._locked.clear()
        level = self._solved(preset.settings, preset.amount, preset.target_lufs)
        with self._lock:
            self._references, self._reference_name, self._preset_name = [], "", preset.name
            self._base, self._amount, self._target = preset.settings, preset.amount, preset.target_lufs
            self._prediction = None
            self._take_level(level, at_once=True)
            self._send(cross_over=True)

    def look(self) -> bool:
        """Listen once: follow style and level, unless frozen. True if there was anything to hear."""
        if self._engine.meters()["in_lufs"] < SILENT_LUFS:
            return False
        rate = self._engine.sample_rate
        x = self._engine.heard(LISTEN_S)
        if len(x) < LISTEN_S * rate * 0.5 or not integrated_loudness(x, rate) > SILENT_LUFS:
            return False
        with self._lock:
            frozen, references = self._frozen, self._references
        if frozen:
            return True
        if references:
            self._follow(x, rate, references)
        else:
            self._follow_level()
        return True

    def _follow(self, x: np.ndarray, rate: float, references: list[Reference]) -> None:
        """Predict, and solve the level, without the lock: a mute must not wait for either."""
        assert self._predictor is not None
        new = self._predictor.describe(x, rate, "the input")
        if self._heard is None:
            self._heard = new
        else:
            old = replace(self._heard, windows=min(self._heard.windows, MOST_WINDOWS))
            self._heard = old + replace(new, windows=LOOK_S / LISTEN_S)
        prediction = self._predictor.predict(self._heard, [r.description for r in references])
        with self._lock:
            first = self._prediction is None
            steady = self._steadied(prediction)
            found = self._predictor.settings(steady, self._switched(steady, first))
            planned, amount = self._unlocked(found), self._amount
        level = self._solved(planned, amount, goal_of(references))
        with self._lock:
            if self._frozen or self._references is not references:  # meanwhile
                return
            self._base, self._prediction = self._unlocked(found), steady
            self._take_level(level, at_once=first)
            self._send(cross_over=first)

    def _steadied(self, prediction: Prediction) -> Prediction:
        """Keep every unit parameter that has hardly moved, and the curve."""
        old = self._prediction
        if old is None:
            return prediction
        unit = np.where(np.abs(prediction.unit - old.unit) < STEP, old.unit, prediction.unit)
        moved = np.abs(prediction.curve_db - old.curve_db).max() > CURVE_STEP_DB
        return replace(prediction, unit=unit, curve_db=prediction.curve_db if moved else old.curve_db)

    def _switched(self, prediction: Prediction, first: bool) -> list[bool]:
        """Switch an effect only when its probability is well past the threshold."""
        assert self._predictor is not None
        if first:
            return self._predictor.probable(prediction)
        margin = [MARGIN if s.on else -MARGIN for s in self._base.steps]
        return self._predictor.probable(prediction, margin)

    def _unlocked(self, new: Settings) -> Settings:
        """Take new settings, but for what was set by hand."""
        for stage, name in self._locked:
            if stage in ("input", "output"):
                continue
            old = self._base.step(stage)
            new = (
                new.with_step(stage, on=old.on)
                if name == "bypass"
                else new.with_step(stage, None, **{name: old.values[name]})
            )
        return replace(new, input_gain_db=self._base.input_gain_db, output_gain_db=self._base.output_gain_db)

    # --- level ---------------------------------------------------------------------------------------------

    def _goal_lufs(self) -> float | None:
        return goal_of(self._references) if self._references else self._target

    def _solved(self, settings: Settings, amount: float, goal: float | None) -> dict[str, float]:
        """Solve both gains, and the bypass', on the last seconds of input; nothing for silence. Takes a while."""
        x, rate = self._engine.heard(LEVEL_S), self._engine.sample_rate
        heard = integrated_loudness(x, rate) if len(x) else -np.inf
        if not heard > SILENT_LUFS:
            return {}
        target = heard if goal is None else heard + amount * (goal - BOTH_EARS_LU - heard)
        trained = self._predictor.lufs if self._predictor else -23.0
        by_hand = settings.input_gain_db if ("input", "gain_db") in self._locked else None
        solved = solve_level(settings.at_amount(amount), x, rate, target, trained, by_hand)
        return {"input": solved.input_gain_db, "output": solved.output_gain_db, "dry": target - heard}

    def _take_level(self, level: dict[str, float], at_once: bool) -> bool:
        """Take solved gains, unless set by hand or hardly moved; True if any was taken."""
        if not level:
            return False
        gains = {}
        for stage in ("input", "output"):
            name = f"{stage}_gain_db"
            moved = abs(level[stage] - getattr(self._base, name)) > LEVEL_STEP_LU
            if (at_once or moved) and (stage, "gain_db") not in self._locked:
                gains[name] = level[stage]
        self._base = replace(self._base, **gains)
        self._dry_gain_db = level["dry"]
        return bool(gains)

    def _follow_level(self, at_once: bool = False) -> None:
        with self._lock:
            base, amount, goal = self._base, self._amount, self._goal_lufs()
        level = self._solved(base, amount, goal)
        with self._lock:
            if self._take_level(level, at_once):
                self._send()

    def _scaled(self) -> Settings:
        return self._base.at_amount(self._amount)

    def _send(self, cross_over: bool = False) -> None:
        self._engine.play(
            self._scaled(),
            bypass=self._bypass,
            muted=self._muted,
            dry_gain_db=self._dry_gain_db,
            cross_over=cross_over,
        )
