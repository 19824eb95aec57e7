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

from ...chain import ChainSettings
from ...dsp.loudness import integrated_loudness
from ...effects import load
from ...files import AudioReader
from ...matching import Clip, ClipError, read_clip
from ...matching.clips import MAX_CHANNELS
from .engine import Engine
from .safety import LOOKAHEAD
from .shared_memory import METERS

PREROLL_S, MOST_PREROLL_S = 0.5, 2.5
"""Played before a stretch that does not follow the last one: the former, or longer where an effect has a tail."""
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
    """A recording that is worked on, its highest sample, and its outline: the peaks of up to PEAKS parts."""

    clip: Clip
    peak: float
    outline: np.ndarray

    @classmethod
    def open(cls, path: Path) -> "Recording":
        """Read a file. Raises ClipError, also for more than two channels."""
        clip = read_clip(path)
        if clip.channels > MAX_CHANNELS:
            raise ClipError(f"it has {clip.channels} channels; afx-live plays mono and stereo: split it first")
        size = max(-(-clip.frames // PEAKS), 1)
        outline, at = np.zeros(-(-clip.frames // size), np.float32), 0
        with AudioReader(path) as file:
            for block in file.blocks():
                np.maximum.at(outline, (at + np.arange(len(block))) // size, np.abs(block).max(1))
                at += len(block)
        return cls(clip, float(outline.max()), outline)


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
        return {**QUIET, "in_lufs": self.recording.clip.lufs} if self.recording else QUIET

    def recent_input(self, seconds: float) -> np.ndarray:
        """Give a stretch (frames, channels) that is as loud as the recording is as a whole."""
        return self._typical[: int(seconds * self.sample_rate)]

    @property
    def sample_rate(self) -> float:
        """That of the recording, in Hz; 48 kHz without one."""
        return float(self.recording.clip.sample_rate) if self.recording else 48000.0

    def warm_up(self) -> None:
        """Compile, or load what is compiled: the first stretch would wait for it."""
        Engine(self._settings, self.sample_rate, 2).process(np.zeros((64, 2)))

    # --- the recording ------------------------------------------------------------------------------

    def open(self, recording: Recording | None) -> None:
        """Work on another recording."""
        with self._lock:
            self.recording = recording
            self._players.clear()
            self._typical = _typical(recording.clip) if recording else np.zeros((0, 2), np.float32)
            self.revision += 1
        self._on_change()

    def original(self, start: int, frames: int) -> np.ndarray:
        """Give a stretch of the recording itself (frames, channels)."""
        assert self.recording is not None
        return _read(self.recording.clip.path, start, min(frames, int(MOST_S * self.sample_rate)))

    def stretch(self, start: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Play a stretch: sound (frames, channels) float32, and a row of meters for each 1/30 s, see `fields`.

        A stretch that follows the last one continues it; another begins a little earlier. Raises ValueError
        for one that is not in the recording.
        """
        with self._lock:
            recording, settings, revision = self.recording, self._settings, self.revision
            if recording is None or not 0 <= start < recording.clip.frames:
                raise ValueError(f"start: {start} is not in the recording")
            frames = min(frames, recording.clip.frames - start, int(MOST_S * self.sample_rate))
            player = self._players.pop((revision, start), None) or _begun(recording.clip, settings, start)
            sound, rows = _played(player, recording.clip, frames)
            self._players[revision, player.at] = player
            while len(self._players) > PLAYERS:
                self._players.popitem(last=False)
        return sound, rows


def fields() -> list[tuple[str, int]]:
    """Name the meters of a row, and how many numbers each has."""
    return [(name, int(np.prod(METERS[name].shape))) for name in METERS.names or ()]


def meter_step(sample_rate: float) -> int:
    """Give how many frames a row of meters stands for."""
    return max(int(sample_rate * STEP_S), 1)


def _typical(clip: Clip) -> np.ndarray:
    """Choose up to 12 s whose loudness is next to that of the whole recording; short ones go round."""
    x, size = clip.excerpts, int(12.0 * clip.sample_rate)
    if len(x) <= size:
        return np.resize(x, (max(len(x), int(5.0 * clip.sample_rate)), x.shape[1]))
    pieces = (x[at : at + size] for at in np.linspace(0, len(x) - size, 12).astype(int))
    return min(pieces, key=lambda piece: abs(integrated_loudness(piece, clip.sample_rate) - clip.lufs))


def _read(path: Path, start: int, frames: int) -> np.ndarray:
    """Read a stretch (frames, channels); silence after the end."""
    with AudioReader(path) as file:
        return file.read(start, frames)


def _begun(clip: Clip, settings: ChainSettings, start: int) -> _Player:
    """Begin a little before a frame, and drop what comes out until there."""
    rate = clip.sample_rate
    before = min(start, int(_preroll_s(settings) * rate))
    player = _Player(Engine(settings, rate, clip.channels), LOOKAHEAD + settings.latency, start)
    player.engine.process(_read(clip.path, start - before, before + player.delay))
    return player


def _preroll_s(settings: ChainSettings) -> float:
    """Give how long before a stretch to begin, in s: until what was not played would have fallen by 60 dB."""
    tails = [0.5 * e.tail(**step.values) for step in settings.effects if step.enabled and (e := load(step.effect)).tail]
    return min(max([PREROLL_S, *tails]), MOST_PREROLL_S)


def _played(player: _Player, clip: Clip, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Go on by so many frames."""
    step = meter_step(clip.sample_rate)
    x = _read(clip.path, player.at + player.delay, frames)
    sound, rows = np.empty((frames, clip.channels), np.float32), []
    for at in range(0, frames, step):
        sound[at : at + step] = player.engine.process(x[at : at + step])
        meters = player.engine.shared.read()
        rows.append(np.concatenate([np.atleast_1d(meters[name]) for name, _ in fields()]))
    player.at += frames
    return sound, np.array(rows, np.float32)
