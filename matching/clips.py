"""Audio files as clips: opened with care, read in blocks, their loudness measured and their active parts picked.

Everything streams: memory does not grow with a file's length, whatever its header claims.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dsp.loudness import LoudnessMeter, gated_loudness, integrated_loudness
from ..files import AudioFileError, AudioReader
from ..files.reader import shown
from .blocks import BLOCK, prefetch

MAX_WINDOWS = 16
"""Windows of 5 s taken from a long file, spread over its active parts."""
MAX_CHANNELS = 2
SILENT_LUFS = -60.0
"""A clip no louder than this counts as silent."""

Progress = Callable[[int], None]
"""Called with the number of frames done since the last call."""


ClipError = AudioFileError
"""What is wrong with a file and what is wrong with its sound are one thing to a user."""


@dataclass(frozen=True, eq=False)
class Clip:
    """An audio file's format, loudness, and excerpts of it to be analysed.

    `excerpts` (frames, channels) float32 are the whole of a short file, else 16 windows of 5 s from its active
    parts, one after the other; more than two channels are mixed to one.
    """

    path: Path
    sample_rate: int
    channels: int
    frames: int
    lufs: float
    excerpts: np.ndarray
    chosen: tuple[int, ...] = ()
    note: str = ""
    subtype: str = ""

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.frames / self.sample_rate


def read_clip(
    path: str | os.PathLike[str], progress: Progress = lambda frames: None, chosen: Sequence[int] = ()
) -> Clip:
    """Measure a file's loudness and take its excerpts. Raises ClipError, also for silence.

    chosen: the channels to read, counted from 1; all if empty.
    """
    path = Path(path)
    with AudioReader(path, chosen) as file:
        rate, channels = file.sample_rate, file.channels
        meter, frames = LoudnessMeter(rate, channels, BLOCK, keep_start=False), 0
        with ThreadPoolExecutor(1) as pool:
            for block in prefetch(file.blocks(), pool):
                meter.add(block)
                frames += len(block)
                progress(len(block))
        note = file.note_after(frames)
        if not frames:
            raise ClipError(f"{shown(path)} has no sound in it{f': {note}' if note else ''}")
        powers = meter.powers()
        excerpts = _excerpts(file, powers, frames)
    lufs = gated_loudness(powers) if len(powers) >= 4 else integrated_loudness(excerpts, rate)
    if not lufs > SILENT_LUFS:
        raise ClipError(f"{shown(path)} is silent: {lufs:.0f} LUFS, and at least {SILENT_LUFS:.0f} are needed")
    return Clip(path, rate, channels, frames, lufs, excerpts, tuple(chosen), note, file.subtype)


def _excerpts(file: AudioReader, powers: np.ndarray, frames: int) -> np.ndarray:
    rate = file.sample_rate
    size = 5 * rate
    if frames <= MAX_WINDOWS * size:
        return _at_most_stereo(file.blocks(0, frames))
    level = np.convolve(powers, np.ones(50) / 50, "valid")  # of the 5 s from each tenth of a second on
    active = np.flatnonzero(level > level.max() * 10 ** (-20 / 10))
    if not len(active):  # digital silence
        return np.zeros((0, 1), np.float32)
    hops = active[np.linspace(0, len(active) - 1, MAX_WINDOWS).astype(int)]
    return _at_most_stereo(
        block for hop in hops for block in file.blocks(min(int(hop) * rate // 10, frames - size), size)
    )


def _at_most_stereo(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Join blocks; more than two channels are mixed to one, as the model would: a thousand need not be kept."""
    return np.concatenate([b if b.shape[1] <= MAX_CHANNELS else b.mean(1, keepdims=True) for b in blocks])
