"""Audio files as clips: opened with care, read in blocks, their loudness measured and their active parts picked.

Everything streams: memory does not grow with a file's length, whatever its header claims.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..dsp.dc_blocker import AUDIBLE_DC, DcBlocker
from ..dsp.loudness import LoudnessMeter, gated_loudness, integrated_loudness
from ..dsp.polarity import polarity
from ..dsp.sound import INPUT_CLIP
from ..files import AudioFileError, AudioReader
from ..files.streams import shown
from .blocks import BLOCK, prefetch
from .level import SILENT_LUFS
from .windows import RELATIVE_GATE_LU, sounds

MAX_WINDOWS = 16
"""Windows of 5 s taken from a long file, spread over its active parts."""
MAX_CHANNELS = 2
MOST_COMPARED = 32
"""Channels of a file that has more are not compared with each other."""
EIGHT_BIT_STEP = 2**-7
"""Rounding to 8 bits leaves an offset of up to that."""
INTEGER_SCALES = {8: 2**7, 16: 2**15, 24: 2**23, 32: 2**31}

Progress = Callable[[int], None]
"""Called with the number of frames done since the last call."""


ClipError = AudioFileError
"""What is wrong with a file and what is wrong with its sound are one thing to a user."""


@dataclass(frozen=True, eq=False)
class Clip:
    """An audio file's format, loudness, and excerpts of it to be analysed.

    `excerpts` (frames, channels) float32 are the whole of a short file, else 16 windows of 5 s from its active
    parts, one after the other, without direct current; more than two channels are mixed to one. `note` says what is
    odd about the file or its sound; `dc` (channels,) is the direct current that was taken off.
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
    dc: tuple[float, ...] = ()

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
        heard = _Hearing(rate, channels, EIGHT_BIT_STEP if file.subtype in ("PCM_U8", "PCM_S8") else AUDIBLE_DC)
        with ThreadPoolExecutor(1) as pool:
            for block in prefetch(file.blocks(), pool):
                heard.add(block)
                progress(len(block))
        frames, note = heard.frames, file.note_after(heard.frames)
        if not frames:
            raise ClipError(f"{shown(path)} has no sound in it{f': {note}' if note else ''}")
        heard.check_peak(shown(path))
        powers = heard.meter.powers()
        excerpts = _excerpts(file, powers, heard)
    short = len(powers) < 4
    lufs = integrated_loudness(excerpts, rate, faint=True) if short else gated_loudness(powers, faint=True)
    dc = heard.dc()
    if not lufs > SILENT_LUFS:
        but = f" but for a DC offset ({max(map(abs, dc)):.0%} of full scale)" if dc else ""
        level = f"{lufs:.0f} LUFS" if lufs > -np.inf else "no signal"
        raise ClipError(f"{shown(path)} is silent{but}: {level}, and at least {SILENT_LUFS:.0f} LUFS are needed")
    note = "; ".join(filter(None, (note, *heard.notes())))
    return Clip(path, rate, channels, frames, lufs, excerpts, tuple(chosen), note, file.subtype, dc)


def clip_of(x: np.ndarray, sample_rate: int, path: Path, subtype: str = "") -> Clip:
    """Make a clip of a sound (frames, channels) that is there, of a pipe for example; silence is one, too.

    Raises ClipError for samples in another scale.
    """
    heard = _Hearing(sample_rate, x.shape[1])
    heard.add(x)
    heard.check_peak(shown(path))
    clean = DcBlocker(sample_rate, x.shape[1], heard.mean())(x).astype(np.float32)
    lufs = integrated_loudness(clean, sample_rate, faint=True)
    note = "; ".join(heard.notes())
    return Clip(path, sample_rate, x.shape[1], len(x), lufs, clean, note=note, subtype=subtype, dc=heard.dc())


class _Hearing:
    """What is found out of a sound while it is read once: loudness, peak, direct current, polarity."""

    def __init__(self, sample_rate: int, channels: int, least_dc: float = AUDIBLE_DC) -> None:
        self._least_dc, self._least_frames = least_dc, sample_rate // 50  # a period of mains hum
        self.meter = LoudnessMeter(sample_rate, channels, BLOCK, keep_start=False)
        self.frames, self.peak = 0, 0.0
        self._rate, self._channels = sample_rate, channels
        self._sum, self._block_dc = np.zeros(channels), None
        compared = channels if channels <= MOST_COMPARED else 0
        self._products = np.zeros((compared, compared))

    def add(self, block: np.ndarray) -> None:
        """Hear the next block (frames, channels)."""
        if self._block_dc is None:
            before = block.mean(0, dtype=np.float64) if len(block) >= self._least_frames else 0.0
            self._block_dc = DcBlocker(self._rate, self._channels, before)
        self.frames += len(block)
        self.peak = max(self.peak, float(block.max()), -float(block.min()))
        self._sum += np.einsum("fc->c", block.astype(np.float64))  # a quarter of the time of a sum over frames
        clean = self._block_dc(block)
        if len(self._products):
            self._products += clean.T @ clean
        self.meter.add(clean)

    def mean(self) -> np.ndarray:
        """Give the direct current (channels,) in full scales; a click has none."""
        return self._sum / self.frames if self.frames >= self._least_frames else np.zeros(self._channels)

    def dc(self) -> tuple[float, ...]:
        """Give it if it is worth a word, else nothing."""
        mean = self.mean()
        return tuple(map(float, mean)) if np.abs(mean).max() > self._least_dc else ()

    def signs(self) -> np.ndarray:
        """Give the signs (channels,) with which the channels add up."""
        return polarity(self._products) if len(self._products) else np.ones(self._channels)

    def check_peak(self, name: str) -> None:
        """Raise ClipError for samples that no converter makes, with their likely cause."""
        if self.peak <= INPUT_CLIP:
            return
        over = f"{name} peaks at {20 * np.log10(self.peak):+.0f} dBFS ({self.peak:.6g}, where full scale is 1)"
        for bits, scale in INTEGER_SCALES.items():
            if scale / 100 < self.peak <= scale * 1.001 and self.peak > 64.0:
                raise ClipError(f"{over}: {bits}-bit numbers were stored as float? Divide them by {scale}")
        raise ClipError(f"{over}; up to {20 * np.log10(INPUT_CLIP):+.0f} can be used: turn it down and export it again")

    def notes(self) -> list[str]:
        """Say what is odd about the sound."""
        found = []
        if dc := self.dc():
            found.append(f"a DC offset of {max(map(abs, dc)):.1%} of full scale was removed")
        if opposite := [str(i + 1) for i in np.flatnonzero(self.signs() < 0.0)]:
            sides = "its sides are of opposite polarity and cancel"
            others = f"channel {', '.join(opposite)} is of opposite polarity and cancels others"
            which = sides if self._channels == MAX_CHANNELS else others
            found.append(f"{which} in mono: was a lead wired the wrong way round?")
        return found


def _excerpts(file: AudioReader, powers: np.ndarray, heard: _Hearing) -> np.ndarray:
    rate, frames = file.sample_rate, heard.frames
    size = 5 * rate
    starts = [0]
    if frames > MAX_WINDOWS * size:
        level = np.convolve(powers, np.ones(50) / 50, "valid")  # of the 5 s from each tenth of a second on
        share = np.convolve(sounds(powers), np.ones(50) / 50, "valid")  # how much of them is sound
        active = np.flatnonzero((level > level.max() * 10 ** (-RELATIVE_GATE_LU / 10)) & (share > 0.5 * share.max()))
        if not len(active):  # digital silence
            return np.zeros((0, 1), np.float32)
        hops = active[np.linspace(0, len(active) - 1, MAX_WINDOWS).astype(int)]
        starts = [min(int(hop) * rate // 10, frames - size) for hop in hops]
    else:
        size = frames
    mean, signs = heard.mean(), heard.signs()

    def clean(start: int) -> Iterator[np.ndarray]:
        block_dc = DcBlocker(rate, file.channels, mean)
        return map(block_dc, file.blocks(start, size))

    return _at_most_stereo((block for start in starts for block in clean(start)), signs)


def _at_most_stereo(blocks: Iterable[np.ndarray], signs: np.ndarray) -> np.ndarray:
    """Join blocks; more than two channels are mixed to one, as the model would: a thousand need not be kept."""
    mixed = (b if b.shape[1] <= MAX_CHANNELS else (b * signs).mean(1, keepdims=True) for b in blocks)
    return np.concatenate([b.astype(np.float32) for b in mixed])
