"""The desk of a recording: what is worked on, stretches of it as they are and as the chain plays them, and saving."""

import importlib.util
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from ... import presets
from ...files import AudioReader
from ...matching import Match, ReferenceClip
from ..audio import devices
from ..audio.file_engine import FileEngine, fields, meter_step
from ..audio.render import render
from ..session.file_session import FileSession
from ..session.spectra import spectrum_of
from ..session.state import SessionState
from .desk import SessionDesk, asked

MAX_FRAMES, MAX_MESSAGES = 1 << 21, 20
MAX_REFERENCE_S = 120.0
"""More of a reference is not played."""
MAX_REFERENCES = 8
PLUGIN_S = 300.0


class FileDesk(SessionDesk):
    """A recording as pages see it; `working_on` is its file and name.

    `folder` is where uploads lie; `go_live(options)`, if there is one, goes over to devices; `messages` are (seconds
    since 1970, text); `notice` is told each page that opens.
    """

    def __init__(
        self,
        session: FileSession,
        engine: FileEngine,
        folder: Path,
        go_live: Callable[[Mapping[str, Any]], None] | None = None,
        messages: Sequence[tuple[float, str]] = (),
        notice: str = "",
    ) -> None:
        super().__init__(session, folder)
        self._files, self._session, self._go_live = engine, session, go_live
        self._messages, self._notice = messages, notice
        self.working_on: tuple[Path, str] | None = None
        self._recording: dict[str, Any] | None = None
        self._resampled_of: dict[tuple[Path, float], np.ndarray] = {}
        self._spectra: dict[Path, list[float | None] | None] = {}
        self._handlers |= {"recording": self._open, "live": self._live}

    # --- telling --------------------------------------------------------------------------------------

    def sections(self, state: SessionState) -> dict[str, Any]:
        """Give what changes with the state."""
        found = super().sections(state)
        lufs = self._recording["lufs"] if self._recording else None
        loudness = {"input_lufs": lufs, "output_lufs": None if lufs is None else round(lufs + state.dry_gain_db, 2)}
        return {
            **found,
            "mode": "files",
            "switchable": self._go_live is not None,
            "notice": self._notice,
            "messages": [list(m) for m in list(self._messages)[-MAX_MESSAGES:]],
            "recording": self._recording,
            "revision": self._files.revision,
            "loudness": loudness,
            "spectra": {
                "input_db": self._spectrum(self._files.recording.clip.path) if self._files.recording else None,
                "reference_db": self._spectrum(state.references[0].path) if state.references else None,
            },
        }

    def _told(self, reference: ReferenceClip) -> dict[str, Any]:
        """Give what is shown of a reference: with its length in frames of the recording's rate, and its peak."""
        x = self._resampled(reference.path)
        return {**super()._told(reference), "frames": len(x), "peak": round(float(np.abs(x).max()), 4)}

    def _resampled(self, path: Path) -> np.ndarray:
        """Give a reference (frames, channels) at the rate of the recording."""
        key = path, self._files.sample_rate
        if key not in self._resampled_of:
            with AudioReader(path) as file:
                own = file.sample_rate
                x = np.concatenate([*file.blocks(0, MAX_REFERENCE_S * own), np.zeros((0, file.channels))])[:, :2]
            while len(self._resampled_of) >= MAX_REFERENCES:
                self._resampled_of.pop(next(iter(self._resampled_of)))
            self._resampled_of[key] = soxr.resample(x, own, key[1]) if own != key[1] else x
        return self._resampled_of[key]

    def _spectrum(self, path: Path) -> list[float | None] | None:
        if path not in self._spectra:
            self._spectra[path] = spectrum_of(path)
        return self._spectra[path]

    # --- being told -----------------------------------------------------------------------------------

    def _open(self, id: Any) -> None:
        """Work on a recording that was sent, or a bundled one."""
        path = self._path_of(id)
        self.work_on(path, self._uploads[id][0] if id in self._uploads else path.stem.replace("_", " "))

    def work_on(self, path: Path, name: str) -> None:
        """Work on a recording as soon as it is read; what is wrong with it becomes the state's error."""

        def work() -> None:
            recording = self._session.open(path)
            clip = recording.clip
            self.working_on = path, name
            self._recording = {
                "id": str(time.monotonic_ns()),
                "name": name,
                "seconds": round(clip.seconds, 3),
                "frames": clip.frames,
                "sample_rate": clip.sample_rate,
                "channels": clip.channels,
                "lufs": round(clip.lufs, 2),
                "peak": round(recording.peak, 4),
                "peaks": [round(float(v), 3) for v in recording.outline],
            }

        self.session.matcher.later("recording", work)

    def _live(self, options: Any) -> None:
        if self._go_live is None or not isinstance(options, dict):
            raise ValueError("this afx-live works on files; to play live run afx-live --web")
        self._go_live(options)

    def ask(self, message: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
        """Answer a question. Raises ValueError."""
        if "sound" in message:
            return self._sound(message)
        if "devices" in message:
            return {"devices": _devices()}, b""
        if message.get("save") == "sound":
            return self._save_sound()
        if message.get("save") == "plugin":
            return self._save_plugin()
        return super().ask(message)

    def _sound(self, message: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
        """Give a stretch: float32, interleaved, then what the meters have said."""
        which = asked(message, "sound", str, ("before", "after", "reference"))
        start, frames = asked(message, "start", int), asked(message, "frames", int)
        if not (0 <= start and 0 < frames <= MAX_FRAMES):
            raise ValueError(f"start and frames: {start} and {frames} are no stretch; up to {MAX_FRAMES} frames are")
        if self._files.recording is None:
            raise ValueError("there is no recording yet")
        rows = np.zeros((0, 0), np.float32)
        if which == "after":
            x, rows = self._files.stretch(start, frames)
        elif which == "before":
            x = self._files.original(start, frames)
        else:
            x = self._resampled(self._path_of(message.get("id")))[start : start + frames]
        about = {"frames": len(x), "channels": x.shape[1], "fields": fields() if len(rows) else []}
        about["step"] = meter_step(self._files.sample_rate)
        return about, np.ascontiguousarray(x, np.float32).tobytes() + rows.tobytes()

    # --- saving ---------------------------------------------------------------------------------------

    def _save_sound(self) -> tuple[Mapping[str, Any], bytes]:
        """Play the whole recording, as afx-live render does, with its level made right over all of it."""
        if self._files.recording is None or self._recording is None:
            raise ValueError("there is no recording yet")
        clip, state = self._files.recording.clip, self.session.state
        goal = None if ("output", "gain_db") in state.locked else clip.lufs + state.dry_gain_db
        path = self._folder / f"saved-{time.monotonic_ns()}.wav"
        match = Match(state.playing, clip.sample_rate, clip.lufs, goal)
        render(clip, match, path, lambda frames: None, force=True)
        stem = Path(self._recording["name"]).stem or "recording"
        return {"file": str(path), "name": f"{stem} matched.wav", "once": True}, b""

    def _save_plugin(self) -> tuple[Mapping[str, Any], bytes]:
        """Make a plug-in of what plays, by the program that makes them."""
        if importlib.util.find_spec("afx_live.export.plugin") is None:
            raise ValueError("this installation cannot make plug-ins: it lacks the package afx_live.export")
        place = self._folder / f"plugin-{time.monotonic_ns()}"
        place.mkdir()
        preset = self.session.preset("afx-live")
        presets.save(preset, place / "afx-live.json")
        words = ["plugin", str(place / "afx-live.json"), "-o", str(place / "afx-live.lv2")]
        done = subprocess.run(
            [sys.executable, "-m", "afx_live.export.cli", *words],
            capture_output=True,
            text=True,
            timeout=PLUGIN_S,
            env=devices.child_env(None),
        )
        if done.returncode:
            raise ValueError((done.stderr.strip().splitlines() or ["the plug-in could not be made"])[-1])
        (place / "afx-live.json").unlink()
        made = shutil.make_archive(str(place), "zip", place)
        shutil.rmtree(place)
        return {"file": made, "name": "afx-live.lv2.zip", "once": True}, b""


def _devices() -> list[dict[str, Any]]:
    """List the devices that can be chosen, and what each is the default of."""
    found = devices.query()
    kinds: tuple[devices.Kind, ...] = ("input", "output")
    return [
        {
            "number": d.number,
            "name": d.name,
            "api": d.api,
            "inputs": d.inputs,
            "outputs": d.outputs,
            "default": [kind for kind in kinds if found.default(kind) == d],
        }
        for d in found.devices
        if d.inputs or d.outputs
    ]
