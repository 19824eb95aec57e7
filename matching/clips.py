"""Audio files as clips: opened with care, read in blocks, their loudness measured and their active parts picked.

Everything streams: memory does not grow with a file's length, whatever its header claims.
"""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from ..dsp.loudness import LoudnessMeter, gated_loudness, integrated_loudness
from .blocks import BLOCK, prefetch

MAX_WINDOWS = 16
"""Windows of 5 s taken from a long file, spread over its active parts."""
MAX_CHANNELS = 2
MIN_RATE_HZ, MAX_RATE_HZ = 8000, 384_000
SILENT_LUFS = -60.0
"""A clip no louder than this counts as silent."""

Progress = Callable[[int], None]
"""Called with the number of frames done since the last call."""


class ClipError(ValueError):
    """A clip that is too short, silent or unreadable."""

    exit_code = 4


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

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.frames / self.sample_rate


def open_clip(path: Path) -> soundfile.SoundFile:
    """Open a file for reading. Raises ClipError if it is not there, not audio, or has no frames."""
    if not path.is_file():
        raise ClipError(f"{path} is not there" if not path.exists() else f"{path} is not a file")
    try:
        file = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise ClipError(f"{path} cannot be read as audio ({error}); WAV, FLAC, OGG, MP3 and AIFF can") from None
    if file.frames <= 0:
        raise ClipError(f"{path} has no sound in it")
    if not MIN_RATE_HZ <= file.samplerate <= MAX_RATE_HZ:
        raise ClipError(f"{path} runs at {file.samplerate} Hz; {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz can be used")
    return file


def read_blocks(file: soundfile.SoundFile, start: int = 0, frames: float = math.inf) -> Iterator[np.ndarray]:
    """Read a stretch of a file in blocks (frames, channels), float32. Raises ClipError for NaN, Inf or damage."""
    size = max(1, BLOCK * MAX_CHANNELS // max(file.channels, MAX_CHANNELS))
    try:
        file.seek(start)
        while frames > 0 and len(block := file.read(int(min(size, frames)), "float32", always_2d=True)):
            if not np.isfinite(block).all():
                raise ClipError(f"{file.name} holds NaN or Inf; export it again")
            frames -= len(block)
            yield block
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ClipError(f"{file.name} breaks off or is damaged ({error})") from None


def read_clip(path: str | os.PathLike[str], progress: Progress = lambda frames: None) -> Clip:
    """Measure a file's loudness and take its excerpts. Raises ClipError, also for silence."""
    path = Path(path)
    with open_clip(path) as file:
        rate, channels = file.samplerate, file.channels
        meter, frames = LoudnessMeter(rate, channels, BLOCK, keep_start=False), 0
        with ThreadPoolExecutor(1) as pool:
            for block in prefetch(read_blocks(file), pool):
                meter.add(block)
                frames += len(block)
                progress(len(block))
        if not frames:
            raise ClipError(f"{path} has no sound in it, whatever its header says")
        powers = meter.powers()
        excerpts = _excerpts(file, powers, frames)
    lufs = gated_loudness(powers) if len(powers) >= 4 else integrated_loudness(excerpts, rate)
    if not lufs > SILENT_LUFS:
        raise ClipError(f"{path} is silent: {lufs:.0f} LUFS, and at least {SILENT_LUFS:.0f} are needed")
    return Clip(path, rate, channels, frames, lufs, excerpts)


def _excerpts(file: soundfile.SoundFile, powers: np.ndarray, frames: int) -> np.ndarray:
    rate = file.samplerate
    size = 5 * rate
    if frames <= MAX_WINDOWS * size:
        return _at_most_stereo(read_blocks(file, 0, frames))
    level = np.convolve(powers, np.ones(50) / 50, "valid")  # of the 5 s from each tenth of a second on
    active = np.flatnonzero(level > level.max() * 10 ** (-20 / 10))
    if not len(active):  # digital silence
        return np.zeros((0, 1), np.float32)
    hops = active[np.linspace(0, len(active) - 1, MAX_WINDOWS).astype(int)]
    return _at_most_stereo(
        block for hop in hops for block in read_blocks(file, min(int(hop) * rate // 10, frames - size), size)
    )


def _at_most_stereo(blocks: Iterable[np.ndarray]) -> np.ndarray:
    """Join blocks; more than two channels are mixed to one, as the model would: a thousand need not be kept."""
    return np.concatenate([b if b.shape[1] <= MAX_CHANNELS else b.mean(1, keepdims=True) for b in blocks])
