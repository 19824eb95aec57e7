"""Rendering of files through the very engine that plays live: a file is the proof of the stream.

Everything streams: memory does not grow with a file's length.
"""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from ...chain import ChainPlayer, ChainSettings
from ...dsp.dc_blocker import DcBlocker
from ...dsp.loudness import LoudnessMeter
from ...effects import load
from ...matching import Clip, ClipError, Match, open_clip
from ...matching.blocks import BLOCK, prefetch, split_chain
from ...matching.clips import MAX_CHANNELS, SILENT_LUFS, Progress, read_blocks
from ...presets.atomic_write import atomic_path
from .engine import Engine
from .safety import INPUT_CLIP, LOOKAHEAD

TOLERANCE_LU = 0.2
"""A rendered file misses its target by no more, except where the ceiling is in the way."""
MAX_PASSES = 4
"""The level is corrected and the file rendered again until it has been rendered this often."""


def render(clip: Clip, match: Match, out: Path, progress: Progress, force: bool = False) -> tuple[ChainSettings, float]:
    """Play a file through the engine into `out`; returns the settings with their final level, and the loudness.

    One pass is enough if the level that was solved on excerpts is right over the whole file; else another with a
    corrected level follows, and up to two more where the ceiling takes some of it away. The result appears under
    its name only when it is complete. Raises FileExistsError without `force`, ClipError for more than two
    channels or a format that cannot be written, OSError for a full disk.
    """
    kind = _format(out)
    if out.exists() and not force:
        raise FileExistsError(f"{out} exists; add --force to replace it, or choose another name")
    if out.exists() and out.samefile(clip.path):
        raise FileExistsError(f"{out} is the input itself; choose another name")
    if clip.channels > MAX_CHANNELS:
        raise ClipError(f"{clip.path} has {clip.channels} channels; afx-live plays mono and stereo: split it first")
    settings, target = match.settings, match.target_lufs
    with open_clip(clip.path) as file, atomic_path(out, durable=False) as part:
        lufs, slope = _write(file, settings, part, kind, progress), 1.0
        for _ in range(MAX_PASSES - 1):
            if target is None or abs(target - lufs) < TOLERANCE_LU or not lufs > SILENT_LUFS:
                break
            old_gain_db, old_lufs = settings.output_gain_db, lufs
            gain_db = load("gain").param("gain_db").clip(old_gain_db + (target - old_lufs) / slope)
            if abs(gain_db - old_gain_db) < TOLERANCE_LU:
                break
            settings = replace(settings, output_gain_db=gain_db)
            lufs = _write(file, settings, part, kind, progress)
            slope = float(np.clip((lufs - old_lufs) / (gain_db - old_gain_db), 0.2, 1.0))  # the ceiling takes the rest
    return settings, lufs


def _format(out: Path) -> str:
    kind = out.suffix.lower().lstrip(".").upper() or "WAV"
    if kind not in soundfile.available_formats():
        raise ClipError(f"{out}: .{kind.lower()} is not a format that can be written; use .wav or .flac")
    return kind


def _write(file: soundfile.SoundFile, settings: ChainSettings, out: Path, kind: str, progress: Progress) -> float:
    subtype = "PCM_24" if soundfile.check_format(kind, "PCM_24") else soundfile.default_subtype(kind)
    try:
        for front, back in (split_chain(settings), (ChainSettings(), settings)):
            with (
                suppress(_SplitDiffers),
                soundfile.SoundFile(out, "w", file.samplerate, file.channels, subtype, format=kind) as target,
            ):
                return _play(file, front, back, progress, target)
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


class _SplitDiffers(ArithmeticError):
    """The two parts of a chain would not play as the engine plays the whole."""


def _play(
    file: soundfile.SoundFile,
    front: ChainSettings,
    back: ChainSettings,
    progress: Progress,
    target: soundfile.SoundFile,
) -> float:
    """Play a whole file into `target`, the delay of engine and effects removed; returns the loudness of the result.

    Reading, both parts of the chain, and writing run in parallel. Raises _SplitDiffers.
    """
    meter, late = LoudnessMeter(file.samplerate, file.channels, BLOCK), _delay(front, back)

    def write(played: np.ndarray) -> None:
        target.write(played)
        meter.add(played)

    with ThreadPoolExecutor(3) as pool:
        written = pool.submit(int)
        for played in _played(file, front, back, pool):
            kept = played[late:]
            late = max(0, late - len(played))
            written.result()
            written = pool.submit(write, kept)
            progress(len(kept))
        written.result()
    return meter.lufs()


def _delay(front: ChainSettings, back: ChainSettings) -> int:
    """Give the delay of engine and effects in frames."""
    return LOOKAHEAD + front.latency + back.latency


def _played(
    file: soundfile.SoundFile, front: ChainSettings, back: ChainSettings, pool: ThreadPoolExecutor
) -> Iterator[np.ndarray]:
    """Play a file and the chain's delay after it: the front of the chain ahead of the engine, which plays the back.

    Bit for bit what the engine plays alone, unless the signal between them exceeds what the engine lets in: then
    _SplitDiffers.
    """
    whole = front == ChainSettings()  # the engine plays all of it, its input stage too
    engine = Engine(back, file.samplerate, file.channels, input_stage=whole)
    player, block_dc = ChainPlayer(front, file.samplerate), DcBlocker(file.samplerate, 2)
    rest = np.zeros((_delay(front, back), file.channels), np.float32)

    def play(block: np.ndarray) -> np.ndarray:
        if whole:
            return block
        stereo = block if block.shape[1] == 2 else block.repeat(2, axis=1)
        played = player.play(block_dc(stereo.clip(-INPUT_CLIP, INPUT_CLIP)))
        if not max(played.max(), -played.min()) <= INPUT_CLIP:  # the engine would clip it
            raise _SplitDiffers
        return played

    for block in prefetch(map(play, prefetch(chain(read_blocks(file), [rest]), pool)), pool):
        yield engine.process(block)
    if not whole and engine.shared.read()["muted_blocks"]:  # the front would have been reset, too
        raise _SplitDiffers
