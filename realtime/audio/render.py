"""Audio files: listen to them, and render them through the very engine that plays live.

Everything streams: memory does not grow with a file's length.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from ...chain import ChainPlayer, ChainSettings
from ...dsp.loudness import gated_loudness, integrated_loudness
from ...matching.match import Match, Reference, match, solve_level
from ...matching.model import GATE_LUFS, ClipError, MatchModel
from .blocks import BLOCK, Meter, ahead, loudness, parted
from .engine import Engine
from .safety import INPUT_CLIP, LOOKAHEAD

MOST_WINDOWS = 16
"""Windows of 5 s that are listened to in a long file, spread over its active parts."""
MOST_CHANNELS = 2
SLOWEST_HZ, FASTEST_HZ = 8000, 384_000
NEAR_LU = 0.2
"""A rendered file's loudness may miss its target by so much, and more only where the ceiling is in the way."""
MOST_TAKES = 4

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Heard:
    """A file's loudness, and stretches of it worth listening to, one after the other."""

    path: Path
    sample_rate: int
    channels: int
    frames: int
    lufs: float
    stretches: np.ndarray

    @property
    def seconds(self) -> float:
        """Length of the file."""
        return self.frames / self.sample_rate


def open_sound(path: Path) -> soundfile.SoundFile:
    """Open a file for reading. Raises ClipError: not there, not audio, or no frames."""
    if not path.is_file():
        raise ClipError(f"{path} is not there" if not path.exists() else f"{path} is not a file")
    try:
        sound = soundfile.SoundFile(path)
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise ClipError(f"{path} cannot be read as audio ({error}); WAV, FLAC, OGG, MP3 and AIFF can") from None
    if sound.frames <= 0:
        raise ClipError(f"{path} has no sound in it")
    if not SLOWEST_HZ <= sound.samplerate <= FASTEST_HZ:
        raise ClipError(f"{path} runs at {sound.samplerate} Hz; {SLOWEST_HZ} to {FASTEST_HZ} Hz can be used")
    return sound


def blocks(sound: soundfile.SoundFile, start: int = 0, frames: float = math.inf) -> Iterator[np.ndarray]:
    """Read a stretch of a file in blocks (frames, channels), float32. Raises ClipError for NaN, Inf or damage.

    However many frames a file claims to have, no more are allocated than a block's: it may lie.
    """
    most = max(1, BLOCK * MOST_CHANNELS // max(sound.channels, MOST_CHANNELS))
    try:
        sound.seek(start)
        while frames > 0 and len(block := sound.read(int(min(most, frames)), "float32", always_2d=True)):
            if not np.isfinite(block).all():
                raise ClipError(f"{sound.name} holds NaN or Inf; export it again")
            frames -= len(block)
            yield block
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ClipError(f"{sound.name} breaks off or is damaged ({error})") from None


def listen(path: str | os.PathLike[str], progress: Progress = lambda frames: None) -> Heard:
    """Measure a file's loudness and pick what to listen to. Raises ClipError, also for silence."""
    path = Path(path)
    with open_sound(path) as sound:
        rate, channels = sound.samplerate, sound.channels
        meter, frames = Meter(rate, channels, whole=False), 0
        with ThreadPoolExecutor(1) as pool:
            for block in ahead(blocks(sound), pool):
                meter.hear(block)
                frames += len(block)
                progress(len(block))
        if not frames:
            raise ClipError(f"{path} has no sound in it, whatever it says of itself")
        powers = meter.powers()
        whole = _stretches(sound, powers, frames)
    lufs = gated_loudness(powers) if len(powers) >= 4 else integrated_loudness(whole, rate)
    if not lufs > GATE_LUFS:
        raise ClipError(f"{path} is silent: {lufs:.0f} LUFS, and at least {GATE_LUFS:.0f} are needed")
    return Heard(path, rate, channels, frames, lufs, whole)


def _stretches(sound: soundfile.SoundFile, powers: np.ndarray, frames: int) -> np.ndarray:
    """Read the whole of a short file, else windows of 5 s spread over the loud parts.

    More than two channels are mixed to one, as the predictor would: a thousand need not be kept.
    """
    rate = sound.samplerate
    size = 5 * rate
    if frames <= MOST_WINDOWS * size:
        return _mixed(blocks(sound, 0, frames))
    level = np.convolve(powers, np.ones(50) / 50, "valid")  # of the 5 s from each tenth of a second on
    active = np.flatnonzero(level > level.max() * 10 ** (-20 / 10))
    if not len(active):  # nothing but silence
        return np.zeros((0, 1), np.float32)
    chosen = active[np.linspace(0, len(active) - 1, MOST_WINDOWS).astype(int)]
    return _mixed(b for hop in chosen for b in blocks(sound, min(int(hop) * rate // 10, frames - size), size))


def _mixed(pieces: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([p if p.shape[1] <= MOST_CHANNELS else p.mean(1, keepdims=True) for p in pieces])


def reference(path: str | os.PathLike[str], predictor: MatchModel) -> Reference:
    """Listen to a reference clip of any rate, channel count and length. Raises ClipError."""
    heard = listen(path)
    description = predictor.analyse(heard.stretches, heard.sample_rate, str(path))
    return Reference(Path(path), description, heard.lufs, heard.seconds)


def match_file(heard: Heard, predictor: MatchModel, references: list[Reference], amount: float = 1.0) -> Match:
    """Match a file to references; its level is made right on its whole length when it is rendered."""
    description = predictor.analyse(heard.stretches, heard.sample_rate, str(heard.path))
    return match(predictor, description, heard.stretches, heard.sample_rate, references, amount, heard.lufs)


def fixed(heard: Heard, settings: ChainSettings, target_lufs: float | None, trained_lufs: float = -23.0) -> Match:
    """Use given settings on a file, at a loudness or (None) at the file's own."""
    goal = heard.lufs if target_lufs is None else target_lufs
    here = loudness(heard.stretches, heard.sample_rate)
    solved = solve_level(settings, heard.stretches, heard.sample_rate, goal + here - heard.lufs, trained_lufs)
    return Match(solved, None, heard.lufs, goal)


def render(
    heard: Heard, found: Match, out: Path, progress: Progress, force: bool = False
) -> tuple[ChainSettings, float]:
    """Play a file through the engine into `out`; returns the settings with their final level and the loudness.

    Once, if the level that was solved on stretches of it is right over the whole file; else again with a
    better one, and once or twice more where the ceiling takes some of it away. The result appears under
    its name only when it is whole.
    Raises FileExistsError without `force`, ClipError for more than two channels or a format that
    cannot be written, OSError for a full disk.
    """
    kind = _format(out)
    if out.exists() and not force:
        raise FileExistsError(f"{out} exists; add --force to replace it, or choose another name")
    if out.exists() and out.samefile(heard.path):
        raise FileExistsError(f"{out} is the input itself; choose another name")
    if heard.channels > MOST_CHANNELS:
        raise ClipError(f"{heard.path} has {heard.channels} channels; afx-live plays mono and stereo: split it first")
    settings, goal = found.settings, found.target_lufs
    part = out.with_name(f".{out.stem}.{os.getpid()}.part{out.suffix}")
    with open_sound(heard.path) as sound:
        try:
            lufs, slope = _write(sound, settings, part, kind, progress), 1.0
            for _ in range(MOST_TAKES - 1):
                if goal is None or abs(goal - lufs) < NEAR_LU or not lufs > GATE_LUFS:
                    break
                before, was = settings.output_gain_db, lufs
                wanted_db = float(np.clip(before + (goal - was) / slope, -48.0, 48.0))
                if abs(wanted_db - before) < NEAR_LU:
                    break
                settings = replace(settings, output_gain_db=wanted_db)
                lufs = _write(sound, settings, part, kind, progress)
                slope = float(np.clip((lufs - was) / (wanted_db - before), 0.2, 1.0))  # the ceiling takes the rest
            os.replace(part, out)
        finally:
            with suppress(OSError):  # not there, or in a place that cannot be written
                part.unlink()
    return settings, lufs


def _format(out: Path) -> str:
    kind = out.suffix.lower().lstrip(".").upper() or "WAV"
    if kind not in soundfile.available_formats():
        raise ClipError(f"{out}: .{kind.lower()} is not a format that can be written; use .wav or .flac")
    return kind


def _write(sound: soundfile.SoundFile, settings: ChainSettings, out: Path, kind: str, progress: Progress) -> float:
    subtype = "PCM_24" if soundfile.check_format(kind, "PCM_24") else soundfile.default_subtype(kind)
    try:
        for front, back in (parted(settings), (ChainSettings(), settings)):
            with (
                suppress(_Wild),
                soundfile.SoundFile(out, "w", sound.samplerate, sound.channels, subtype, format=kind) as target,
            ):
                return _play(sound, front, back, progress, target)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        why = _why_not(out.parent) or str(error).rstrip(".")
        raise OSError(f"{out.parent} could not be written to: {why}; free some room or name another place") from None
    raise AssertionError("the engine plays a whole chain, whatever it does")


def _why_not(folder: Path) -> str:
    """Say why nothing can be written in a folder; libsndfile only knows of a "System error"."""
    if not folder.is_dir():
        return "there is no such folder"
    if not os.access(folder, os.W_OK):
        return "it is read-only for you"
    return "the disk is full" if shutil.disk_usage(folder).free < 8 * BLOCK else ""


class _Wild(ArithmeticError):
    """The engine would not play a part of a chain as it plays the whole one."""


def _play(
    sound: soundfile.SoundFile,
    front: ChainSettings,
    back: ChainSettings,
    progress: Progress,
    target: soundfile.SoundFile,
) -> float:
    """Play a whole file, without the delay of engine and effects, into `target`; returns the loudness of the result.

    Reading, both parts of the chain, and writing go on side by side. Raises _Wild.
    """
    meter, late = Meter(sound.samplerate, sound.channels), _late(front, back)

    def keep(played: np.ndarray) -> None:
        target.write(played)
        meter.hear(played)

    with ThreadPoolExecutor(3) as pool:
        written = pool.submit(int)
        for played in _played(sound, front, back, pool):
            kept = played[late:]
            late = max(0, late - len(played))
            written.result()
            written = pool.submit(keep, kept)
            progress(len(kept))
        written.result()
    return meter.lufs()


def _late(front: ChainSettings, back: ChainSettings) -> int:
    """Count the frames by which a file comes out late."""
    return LOOKAHEAD + front.latency + back.latency


def _played(
    sound: soundfile.SoundFile, front: ChainSettings, back: ChainSettings, pool: ThreadPoolExecutor
) -> Iterator[np.ndarray]:
    """Play a file and the chain's delay after it: the front of the chain ahead of the engine, which plays the back.

    To the bit what the engine plays alone, unless something is out of all bounds between them: then _Wild.
    """
    engine, rack = Engine(back, sound.samplerate, sound.channels), ChainPlayer(front, sound.samplerate)
    rest = np.zeros((_late(front, back), sound.channels), np.float32)

    def play(block: np.ndarray) -> np.ndarray:
        ears = block if block.shape[1] == 2 else block.repeat(2, axis=1)
        found = rack.play(ears.clip(-INPUT_CLIP, INPUT_CLIP))
        if not max(found.max(), -found.min()) <= INPUT_CLIP:  # the engine would limit it
            raise _Wild
        return found

    for block in ahead(map(play, ahead(chain(blocks(sound), [rest]), pool)), pool):
        yield engine.process(block)
    if front != ChainSettings() and engine.shared.read()["muted_blocks"]:  # the front would have begun anew, too
        raise _Wild
