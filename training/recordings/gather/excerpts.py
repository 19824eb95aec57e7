"""Recorded files → excerpts of at most half a minute, mono: cut from long ones, joined from short ones, kept whole."""

import random
import re
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr

from .packages import Source, Unavailable

PIECE_S = 30.0
"""An excerpt's length, at most."""
HIGHEST_RATE, LOWEST_RATE = 48000, 16000
"""Faster files are resampled; telephone-band ones are left out."""
AUDIO = (".wav", ".ogg", ".oga", ".opus", ".flac", ".mp3", ".aif", ".aiff", ".g722")
SILENT_DB = -55.0


class Excerpt(NamedTuple):
    """A mono sound (frames,) float32, its rate, the group it belongs to, and the files it was made of."""

    sound: np.ndarray
    rate: int
    group: str
    made_of: str


# --- sound -----------------------------------------------------------------------------------------------------


def to_mono(x: np.ndarray) -> np.ndarray:
    """Mix (frames, channels) down; where the channels cancel each other, take the louder one."""
    if not len(x) or x.shape[1] == 1:
        return x[:, 0]
    mono, power = x.mean(axis=1), np.square(x).mean(axis=0)
    return x[:, power.argmax()] if np.square(mono).mean() < 0.2 * power.max() else mono


def read_mono(path: Path, start_s: float = 0.0, seconds: float | None = None) -> tuple[np.ndarray, int]:
    """Read (part of) a file as float32 (frames,) and its rate, HIGHEST_RATE at most.

    Raises Unavailable for G.722 without ffmpeg, soundfile.LibsndfileError for what is no audio.
    """
    if path.suffix == ".g722":
        if not shutil.which("ffmpeg"):
            raise Unavailable("ffmpeg is missing; G.722 is decoded with it")
        decode = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "s16le", "-"]
        raw = subprocess.run(decode, stdout=subprocess.PIPE, check=True).stdout
        return np.frombuffer(raw, "<i2").astype(np.float32) / 32768, 16000
    with soundfile.SoundFile(path) as file:
        rate = file.samplerate
        file.seek(int(start_s * rate))
        x = to_mono(file.read(-1 if seconds is None else int(seconds * rate), dtype="float32", always_2d=True))
    if rate > HIGHEST_RATE:
        x, rate = soxr.resample(x, rate, HIGHEST_RATE), HIGHEST_RATE
    return x, rate


def trimmed(x: np.ndarray, rate: int, margin_s: float = 0.15, noisy: bool = False) -> np.ndarray:
    """Cut the silence at both ends: what is 45 dB under the peak or, in noisy clips, near the noise floor."""
    hop = max(1, rate // 100)
    level = np.abs(x[: len(x) // hop * hop]).reshape(-1, hop).max(axis=1)
    if not len(level) or not level.max():
        return x[:0]
    silence = level.max() * 10 ** (-45 / 20)
    if noisy:
        silence = min(max(silence, 3 * np.percentile(level, 10)), level.max() / 10)
    loud = np.flatnonzero(level > silence)
    margin = int(margin_s * rate)
    return x[max(0, loud[0] * hop - margin) : (loud[-1] + 1) * hop + margin]


def faded(x: np.ndarray, rate: int, seconds: float = 0.01) -> np.ndarray:
    """Fade a sound in and out."""
    n = min(int(seconds * rate), len(x) // 2)
    if n:
        ramp = np.linspace(0, 1, n, dtype=np.float32)
        x = x.copy()
        x[:n] *= ramp
        x[-n:] *= ramp[::-1]
    return x


def crossfaded(parts: Sequence[np.ndarray], rate: int, seconds: float = 0.03) -> np.ndarray:
    """Join clips with equal-gain crossfades, so that the background noise goes on between words."""
    out = parts[0]
    for part in parts[1:]:
        n = min(int(seconds * rate), len(out), len(part))
        ramp = np.linspace(0, 1, n, dtype=np.float32)
        out = np.concatenate([out[:-n], out[-n:] * (1 - ramp) + part[:n] * ramp, part[n:]])
    return out


def is_usable(x: np.ndarray, rate: int, shortest_s: float) -> bool:
    """Tell whether a sound is long and loud enough to learn from."""
    return len(x) >= shortest_s * rate and float(np.sqrt(np.square(x).mean())) > 10 ** (SILENT_DB / 20)


# --- excerpts --------------------------------------------------------------------------------------------------


def group_of(source: Source, name: str) -> str:
    """Name the group of a file by the source's expression, or by the file."""
    found = re.search(source.group, name) if source.group else None
    if found:
        return "-".join(g.strip("_ ") for g in found.groups() if g) or "default"
    return Path(name).stem


def grouped(source: Source, names: Sequence[str]) -> dict[str, list[str]]:
    """Sort files by group."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[group_of(source, name)].append(name)
    return groups


def in_turn(makers: Sequence[Iterator[Excerpt]]) -> Iterator[Excerpt]:
    """Give one excerpt of each maker in turn, so that a limit on minutes still leaves every group in."""
    left = list(makers)
    while left:
        for maker in list(left):
            excerpt = next(maker, None)
            if excerpt is None:
                left.remove(maker)
            else:
                yield excerpt


def cut(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Cut excerpts spread evenly over each file, the files in turn."""
    turns: dict[int, list[tuple[str, float, float]]] = defaultdict(list)
    for name in names:
        try:
            info = soundfile.info(root / name)
        except soundfile.LibsndfileError:
            continue
        length = info.duration
        if length >= source.shortest and info.samplerate >= LOWEST_RATE:
            count = max(1, round(length / (PIECE_S + 2)))
            for i in range(count):
                turns[i].append((name, length / count * i, min(PIECE_S, length / count)))
    for i in sorted(turns):
        for name, start_s, seconds in turns[i]:
            x, rate = read_mono(root / name, start_s, seconds)
            yield Excerpt(trimmed(x, rate), rate, group_of(source, name), name)


def join(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Join the short clips of each group, in an order that its name decides."""
    groups = grouped(source, names)
    for group, members in groups.items():
        random.Random(group).shuffle(members)
    return in_turn([_joined(root, members, group, 60 * source.group_minutes) for group, members in groups.items()])


def _joined(root: Path, members: Sequence[str], group: str, enough_s: float) -> Iterator[Excerpt]:
    parts: list[np.ndarray] = []
    used: list[str] = []
    length, made, rate = 0.0, 0.0, 0

    def whole() -> Excerpt:
        return Excerpt(crossfaded(parts, rate)[: int(2 * PIECE_S * rate)], rate, group, " ; ".join(used))

    for name in members:
        try:
            x, now = read_mono(root / name)
        except soundfile.LibsndfileError:
            continue
        x = trimmed(x, now, noisy=True)
        if len(x) < 0.2 * now or now < LOWEST_RATE:
            continue
        if parts and (now != rate or length + len(x) / now > PIECE_S):
            yield whole()
            made += length
            parts, used, length = [], [], 0.0
            if made >= enough_s:
                return
        parts.append(x)
        used.append(Path(name).name)
        length, rate = length + len(x) / now, now
    if parts:
        yield whole()


def keep(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Keep impulse responses whole: the first channel, its peak at 0.9."""
    for name in names:
        with soundfile.SoundFile(root / name) as file:
            x, rate = file.read(dtype="float32", always_2d=True)[:, 0], file.samplerate
        if rate > HIGHEST_RATE:
            x, rate = soxr.resample(x, rate, HIGHEST_RATE), HIGHEST_RATE
        peak = float(np.abs(x).max(initial=0))
        if peak > 0:
            yield Excerpt(x * (0.9 / peak), rate, group_of(source, name), name)


def sweep(root: Path, names: Sequence[str], source: Source) -> Iterator[Excerpt]:
    """Turn recordings of a sweep in a room into impulse responses, with the sweep itself."""
    dry_name = next(n for n in names if Path(n).name.lower().startswith("sweep"))
    dry, rate = read_mono(root / dry_name)
    for name in names:
        wet, its_rate = read_mono(root / name)
        if name == dry_name or its_rate != rate:
            continue
        size = 1 << (len(dry) + len(wet)).bit_length()
        d, w = np.fft.rfft(dry, size), np.fft.rfft(wet, size)
        power = np.square(np.abs(d))
        ir = np.fft.irfft(w * d.conj() / (power + 1e-4 * power.max()), size)
        first = int(np.abs(ir).argmax()) - int(0.005 * rate)
        ir = np.roll(ir, -first)[: int(1.5 * rate)]  # distortion products lie before the direct sound
        sound = faded(ir * (0.9 / np.abs(ir).max()), rate, 0.002).astype(np.float32)
        yield Excerpt(sound, rate, group_of(source, name), name)
