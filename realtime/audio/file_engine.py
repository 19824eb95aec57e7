"""An engine that plays a recording in stretches, for whoever asks for them: a session without a device.

To a session it is what the live engine is. What is heard of a change is played at once, from a little
before the asked stretch on, so that envelopes and echoes are as they would be there.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from ...chain import ChainSettings
from ...dsp.loudness import integrated_loudness
from .engine import LATENCY, Engine
from .render import Heard, listen
from .shared_memory import METERS

PREROLL_S, MOST_PREROLL_S = 0.5, 2.5
"""Played before a stretch that does not follow the last one: that much, and as long as a reverb's decay."""
MOST_S = 30.0
"""Longer stretches are not given in one piece."""
STEP_S = 1 / 30
"""Meters are read so often."""
PLAYERS = 4
"""Stretches that go on from where one ended: as many places are remembered."""
PEAKS = 600
QUIET = {"in_lufs": -np.inf, "out_lufs": -np.inf}


@dataclass(frozen=True)
class Recording:
    """A recording that is worked on: what was heard of it, its highest sample, and its outline (PEAKS,)."""

    heard: Heard
    peak: float
    outline: np.ndarray

    @classmethod
    def open(cls, path: Path) -> "Recording":
        """Listen to a file. Raises ClipError."""
        heard = listen(path)
        outline = np.zeros(PEAKS)
        with soundfile.SoundFile(path) as sound:
            size = max(-(-heard.frames // PEAKS), 1)
            for i, block in enumerate(sound.blocks(size, dtype="float32", always_2d=True)):
                outline[min(i, PEAKS - 1)] = max(outline[min(i, PEAKS - 1)], np.abs(block).max())
        used = outline[: max(-(-heard.frames // size), 1)]
        return cls(heard, float(used.max()), used)


@dataclass
class _Player:
    """An engine in the middle of a recording: it is fed `delay` frames ahead of `at`, the next one that it gives."""

    engine: Engine
    delay: int
    at: int


class FileEngine:
    """Play a recording in stretches, as the latest settings say.

    `on_change` is called, on the thread of whoever calls `play`, when what would be heard is another.
    """

    def __init__(self, on_change: Callable[[], None] = lambda: None) -> None:
        self.recording: Recording | None = None
        self.revision = 0
        self._settings, self._on_change = ChainSettings(), on_change
        self._lock = threading.Lock()
        self._players: OrderedDict[tuple[int, int], _Player] = OrderedDict()
        self._typical: np.ndarray = np.zeros((0, 2), np.float32)

    # --- what a session needs of an engine ----------------------------------------------------------

    def play(self, settings: ChainSettings, **_: Any) -> None:
        """Play these settings from now on. Bypass and mute are for whoever plays the stretches."""
        if settings != self._settings:
            self._settings = settings
            self.revision += 1
            self._on_change()

    def meters(self) -> Mapping[str, Any]:
        """Give the loudness of the recording; silence without one."""
        return {**QUIET, "in_lufs": self.recording.heard.lufs} if self.recording else QUIET

    def heard(self, seconds: float) -> np.ndarray:
        """Give a stretch (frames, channels) that is as loud as the recording is as a whole."""
        return self._typical[: int(seconds * self.sample_rate)]

    @property
    def sample_rate(self) -> float:
        """That of the recording, in Hz; 48 kHz without one."""
        return float(self.recording.heard.sample_rate) if self.recording else 48000.0

    # --- the recording ------------------------------------------------------------------------------

    def open(self, recording: Recording | None) -> None:
        """Work on another recording."""
        with self._lock:
            self.recording = recording
            self._players.clear()
            self._typical = _typical(recording.heard) if recording else np.zeros((0, 2), np.float32)
            self.revision += 1
        self._on_change()

    def original(self, start: int, frames: int) -> np.ndarray:
        """Give a stretch of the recording itself (frames, channels)."""
        assert self.recording is not None
        return _read(self.recording.heard.path, start, min(frames, int(MOST_S * self.sample_rate)))

    def stretch(self, start: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Play a stretch: sound (frames, channels) float32, and a row of meters for each 1/30 s, see `fields`.

        A stretch that follows the last one continues it; another begins a little earlier. Raises ValueError
        for one that is not in the recording.
        """
        with self._lock:
            recording, settings, revision = self.recording, self._settings, self.revision
            if recording is None or not 0 <= start < recording.heard.frames:
                raise ValueError(f"start: {start} is not in the recording")
            frames = min(frames, recording.heard.frames - start, int(MOST_S * self.sample_rate))
            player = self._players.pop((revision, start), None) or _begun(recording.heard, settings, start)
            sound, rows = _played(player, recording.heard, frames)
            self._players[revision, player.at] = player
            while len(self._players) > PLAYERS:
                self._players.popitem(last=False)
        return sound, rows


def fields() -> list[tuple[str, int]]:
    """Name the meters of a row, and how many numbers each has."""
    return [(name, int(np.prod(METERS[name].shape))) for name in METERS.names or ()]


def _typical(heard: Heard) -> np.ndarray:
    """Choose up to 12 s whose loudness is next to that of the whole recording; short ones go round."""
    x, size = heard.stretches, int(12.0 * heard.sample_rate)
    if len(x) <= size:
        return np.resize(x, (max(len(x), int(5.0 * heard.sample_rate)), x.shape[1]))
    pieces = (x[at : at + size] for at in np.linspace(0, len(x) - size, 12).astype(int))
    return min(pieces, key=lambda piece: abs(integrated_loudness(piece, heard.sample_rate) - heard.lufs))


def _read(path: Path, start: int, frames: int) -> np.ndarray:
    """Read a stretch (frames, channels); silence after the end."""
    with soundfile.SoundFile(path) as sound:
        sound.seek(min(max(start, 0), sound.frames))
        return sound.read(frames, "float32", always_2d=True, fill_value=0.0)


def _begun(heard: Heard, settings: ChainSettings, start: int) -> _Player:
    """Begin a little before a frame, and drop what comes out until there."""
    rate = heard.sample_rate
    tails = [step.values["rt60_s"] for step in settings.effects if step.enabled and "rt60_s" in step.values]
    before = min(start, int(min(max([PREROLL_S, *tails]), MOST_PREROLL_S) * rate))
    player = _Player(Engine(settings, rate, heard.channels), LATENCY + settings.latency, start)
    player.engine.process(_read(heard.path, start - before, before + player.delay))
    return player


def _played(player: _Player, heard: Heard, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Go on by so many frames."""
    step = max(int(STEP_S * heard.sample_rate), 1)
    x = _read(heard.path, player.at + player.delay, frames)
    sound, rows = np.empty((frames, heard.channels), np.float32), []
    for at in range(0, frames, step):
        sound[at : at + step] = player.engine.process(x[at : at + step])
        meters = player.engine.shared.read()
        rows.append(np.concatenate([np.atleast_1d(meters[name]) for name, _ in fields()]))
    player.at += frames
    return sound, np.array(rows, np.float32)
