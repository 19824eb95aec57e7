"""Audio files: listen to them, and render them through the very engine that plays live.

Everything streams: memory does not grow with a file's length.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from ..effects import Settings
from ..effects._loudness import gated_loudness, hops_of, integrated_loudness, meter_all, meter_state
from .engine import LATENCY, Engine
from .match import Match, Reference, match, solve_level, target_of
from .predictor import GATE_LUFS, ClipError, Predictor

BLOCK = 1 << 15
MOST_WINDOWS = 16
"""Windows of 5 s that are listened to in a long file, spread over its active parts."""
MOST_CHANNELS = 2
SLOWEST_HZ = 8000
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
    if sound.samplerate < SLOWEST_HZ:
        raise ClipError(f"{path} runs at {sound.samplerate} Hz; at least {SLOWEST_HZ} Hz are needed")
    return sound


def blocks(sound: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Read a file from the start in blocks (frames, channels), float32. Raises ClipError for NaN or Inf."""
    try:
        sound.seek(0)
        while len(block := sound.read(BLOCK, "float32", always_2d=True)):
            if not np.isfinite(block).all():
                raise ClipError(f"{sound.name} holds NaN or Inf; export it again")
            yield block
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise ClipError(f"{sound.name} breaks off or is damaged ({error})") from None


def listen(path: str | os.PathLike[str], progress: Progress = lambda frames: None) -> Heard:
    """Measure a file's loudness and pick what to listen to. Raises ClipError, also for silence."""
    path = Path(path)
    with open_sound(path) as sound:
        rate, channels = sound.samplerate, sound.channels
        state = meter_state(rate, channels, max(1, 10 * sound.frames // rate + 1))
        frames = 0
        for block in blocks(sound):
            meter_all(block.astype(np.float64), state)
            frames += len(block)
            progress(len(block))
        powers = hops_of(state)
        whole = _stretches(sound, powers, frames)
    lufs = gated_loudness(powers) if len(powers) >= 4 else integrated_loudness(whole, rate)
    if not lufs > GATE_LUFS:
        raise ClipError(f"{path} is silent: {lufs:.0f} LUFS, and at least {GATE_LUFS:.0f} are needed")
    return Heard(path, rate, channels, frames, lufs, whole)


def _stretches(sound: soundfile.SoundFile, powers: np.ndarray, frames: int) -> np.ndarray:
    """Read the whole of a short file, else windows of 5 s spread over the loud parts."""
    rate = sound.samplerate
    size = 5 * rate
    if frames <= MOST_WINDOWS * size:
        sound.seek(0)
        return sound.read(frames, "float32", always_2d=True)
    level = np.convolve(powers, np.ones(50) / 50, "valid")  # of the 5 s from each tenth of a second on
    active = np.flatnonzero(level > level.max() * 10 ** (-20 / 10))
    chosen = active[np.linspace(0, len(active) - 1, MOST_WINDOWS).astype(int)]
    pieces = []
    for hop in chosen:
        sound.seek(min(int(hop) * rate // 10, frames - size))
        pieces.append(sound.read(size, "float32", always_2d=True))
    return np.concatenate(pieces)


def reference(path: str | os.PathLike[str], predictor: Predictor) -> Reference:
    """Listen to a reference clip of any rate, channel count and length. Raises ClipError."""
    heard = listen(path)
    description = predictor.describe(heard.stretches, heard.sample_rate, str(path))
    return Reference(Path(path), description, heard.lufs, heard.seconds)


def match_file(heard: Heard, predictor: Predictor, references: list[Reference], amount: float = 1.0) -> Match:
    """Match a file to references; its level is solved on its whole length when it is rendered."""
    description = predictor.describe(heard.stretches, heard.sample_rate, str(heard.path))
    found = match(predictor, description, heard.stretches, heard.sample_rate, references, amount)
    return replace(found, input_lufs=heard.lufs, target_lufs=target_of(references, heard.lufs, amount))


def fixed(heard: Heard, settings: Settings, target_lufs: float | None, trained_lufs: float = -23.0) -> Match:
    """Use given settings on a file, at a loudness or (None) at the file's own."""
    goal = heard.lufs if target_lufs is None else target_lufs
    return Match(solve_level(settings, heard.stretches, heard.sample_rate, goal, trained_lufs), None, heard.lufs, goal)


def render(heard: Heard, found: Match, out: Path, progress: Progress, force: bool = False) -> tuple[Settings, float]:
    """Play a file through the engine into `out`; returns the settings with their final level and the loudness.

    Twice: once to measure, so that the loudness is right over the whole file; and once or twice more
    where the ceiling takes some of it away. The result appears under its name only when it is whole.
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
        lufs, slope = _play(sound, settings, progress, None), 1.0
        try:
            for _ in range(MOST_TAKES):
                before, was = settings.output_gain_db, lufs
                if goal is not None and was > GATE_LUFS:
                    wanted_db = before + (goal - was) / slope
                    settings = replace(settings, output_gain_db=float(np.clip(wanted_db, -48.0, 48.0)))
                lufs = _write(sound, settings, part, kind, progress)
                raised = settings.output_gain_db - before
                if goal is None or abs(goal - lufs) < NEAR_LU or abs(raised) < NEAR_LU:
                    break
                slope = float(np.clip((lufs - was) / raised, 0.2, 1.0))  # the ceiling takes away the rest
            os.replace(part, out)
        finally:
            with contextlib.suppress(FileNotFoundError):
                part.unlink()
    return settings, lufs


def _format(out: Path) -> str:
    kind = out.suffix.lower().lstrip(".").upper() or "WAV"
    if kind not in soundfile.available_formats():
        raise ClipError(f"{out}: .{kind.lower()} is not a format that can be written; use .wav or .flac")
    return kind


def _write(sound: soundfile.SoundFile, settings: Settings, out: Path, kind: str, progress: Progress) -> float:
    subtype = "PCM_24" if soundfile.check_format(kind, "PCM_24") else soundfile.default_subtype(kind)
    try:
        with soundfile.SoundFile(out, "w", sound.samplerate, sound.channels, subtype, format=kind) as target:
            return _play(sound, settings, progress, target)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise OSError(f"{out.parent} could not be written to: {error}") from None


def _play(
    sound: soundfile.SoundFile, settings: Settings, progress: Progress, target: soundfile.SoundFile | None
) -> float:
    """Play a whole file, without the engine's delay, into `target`; returns the loudness of the result."""
    rate, late = sound.samplerate, LATENCY
    engine, rest = Engine(settings, rate, sound.channels), np.zeros((LATENCY, sound.channels), np.float32)
    state = meter_state(rate, sound.channels, max(1, 10 * sound.frames // rate + 1))
    short, kept = sound.frames < rate // 2, [rest[:0]]
    for block in chain(blocks(sound), [rest]):
        played = engine.process(block)[late:]
        late = max(0, late - len(block))
        meter_all(played.astype(np.float64), state)
        if target is not None and len(played):
            target.write(played)
        if short:
            kept.append(played)
        progress(len(played))
    return integrated_loudness(np.concatenate(kept), rate) if short else gated_loudness(hops_of(state))
