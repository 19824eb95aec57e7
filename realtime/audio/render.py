"""Rendering of files through the very engine that plays live: a file is the proof of the stream.

Everything streams: memory does not grow with a file's length.
"""

import struct
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np

from ...chain import GAIN, ChainPlayer, ChainSettings
from ...dsp.dc_blocker import DcBlocker
from ...dsp.loudness import LoudnessMeter
from ...dsp.sound import INPUT_CLIP
from ...dsp.true_peak import TruePeak
from ...files import AudioReader
from ...files.metadata import copy_metadata
from ...files.streams import shown
from ...files.writer import AudioWriter, choose_format
from ...matching import Clip, ClipError, Match
from ...matching.blocks import BLOCK, prefetch, split_chain
from ...matching.clips import MAX_CHANNELS, SILENT_LUFS, Progress
from .engine import Engine
from .safety import LOOKAHEAD

TOLERANCE_LU = 0.2
"""A rendered file misses its target by no more, except where the ceiling is in the way."""
MAX_PASSES = 4
"""The level is corrected and the file rendered again until it has been rendered this often."""


@dataclass(frozen=True)
class Rendering:
    """How a rendering came out: settings with their final level, loudness in LUFS, true peak in dBTP.

    lost: what the input says of itself that the output's format cannot hold, in words.
    """

    settings: ChainSettings
    lufs: float
    true_peak_db: float
    lost: tuple[str, ...] = ()


class Source(Protocol):
    """What is played, as often as is needed: a file, or what was heard of a stream."""

    sample_rate: int
    channels: int

    def blocks(self) -> Iterator[np.ndarray]:
        """Give it from the beginning, in blocks (frames, channels)."""
        ...


class Sink(Protocol):
    """What a sound is written into."""

    def write(self, block: np.ndarray) -> None:
        """Write frames (frames, channels)."""


def render(
    clip: Clip, match: Match, out: Path, progress: Progress, force: bool = False, subtype: str = ""
) -> Rendering:
    """Play a file through the engine into `out`.

    One pass is enough if the level that was solved on excerpts is right over the whole file; else another with a
    corrected level follows, and up to two more where the ceiling takes some of it away. The result appears under
    its name only when it is complete, with the input's sample format (or `subtype`, see `files.writer`), time code,
    markers and tags, as far as the format can hold them. Raises FileExistsError without `force`, ClipError for more
    than two channels or a format that cannot be written, OSError for a full disk.
    """
    check_channels(clip)
    kind = choose_format(out, clip.sample_rate, clip.channels, clip.frames, subtype, clip.subtype)
    _check_free(out, clip, force)
    with AudioReader(clip.path, clip.chosen) as file, AudioWriter(out, clip.sample_rate, clip.channels, kind) as writer:
        done, _ = settled(file, match, writer, progress)
        writer.close()
        lost = _kept(clip.path, writer.part)
        _check_free(out, clip, force)
        writer.finish()
    return replace(done, lost=(*_coarser(clip.subtype, kind[1], subtype), *lost))


def check_channels(clip: Clip) -> None:
    """Raise ClipError for a clip of more channels than are played, with the way out."""
    if clip.channels > MAX_CHANNELS:
        kind = {6: " (5.1)", 8: " (7.1)"}.get(clip.channels, "")
        raise ClipError(
            f"{shown(clip.path)} has {clip.channels} channels{kind}; afx-live plays mono and stereo: "
            f"choose one or two with --channels 1,2, or split it first"
        )


def _check_free(out: Path, clip: Clip, force: bool) -> None:
    if out.exists() and not force:
        raise FileExistsError(f"{shown(out)} exists; add --force to replace it, or choose another name")
    if out.exists() and out.samefile(clip.path):
        raise FileExistsError(f"{shown(out)} is the input itself; choose another name")


def _coarser(before: str, after: str, asked: str) -> list[str]:
    """Say it if the format has no room for the input's samples, and nobody asked for fewer bits."""
    fine = {"PCM_32": "32-bit samples", "FLOAT": "32-bit float samples", "DOUBLE": "64-bit float samples"}
    return [] if asked or before not in fine or after in (before, "DOUBLE") else [f"{fine[before]} ({after})"]


def _kept(source: Path, target: Path) -> list[str]:
    try:
        return copy_metadata(source, target)
    except (ValueError, OSError, KeyError, struct.error):
        return ["what the input says of itself, which is damaged"]


class _Takes:
    """A sink that may be written anew from the beginning."""

    def __init__(self, writer: AudioWriter | None) -> None:
        self._writer = writer

    def rewind(self) -> None:
        if self._writer is not None:
            self._writer.rewind()

    def write(self, block: np.ndarray) -> None:
        if self._writer is not None:
            self._writer.write(block)


def settled(
    file: Source, match: Match, writer: AudioWriter | None, progress: Progress
) -> tuple[Rendering, tuple[ChainSettings, ChainSettings]]:
    """Play a file until its level is right, into `writer`, or nowhere; also gives the two parts that played last."""
    settings, target, sink = match.settings, match.target_lufs, _Takes(writer)
    (done, parts), slope = _take(file, settings, sink, progress), 1.0
    for _ in range(MAX_PASSES - 1):
        if target is None or abs(target - done.lufs) < TOLERANCE_LU or not done.lufs > SILENT_LUFS:
            break
        old_gain_db, old_lufs = settings.output_gain_db, done.lufs
        gain_db = GAIN.clip(old_gain_db + (target - old_lufs) / slope)
        if abs(gain_db - old_gain_db) < TOLERANCE_LU:
            break
        settings = replace(settings, output_gain_db=gain_db)
        done, parts = _take(file, settings, sink, progress)
        slope = float(np.clip((done.lufs - old_lufs) / (gain_db - old_gain_db), 0.2, 1.0))  # the ceiling takes the rest
    return done, parts


def _take(
    file: Source, settings: ChainSettings, sink: _Takes, progress: Progress
) -> tuple[Rendering, tuple[ChainSettings, ChainSettings]]:
    """Play a whole file from the beginning of the sink: in two parts if that is what the whole plays."""
    for parts in (split_chain(settings), (ChainSettings(), settings)):
        sink.rewind()
        try:
            lufs, true_peak_db = play(file.blocks(), file.sample_rate, file.channels, parts, progress, sink)
        except _SplitDiffers:
            continue
        return Rendering(settings, lufs, true_peak_db), parts
    raise AssertionError("the engine plays a whole chain, whatever it does")


class _SplitDiffers(ArithmeticError):
    """The two parts of a chain would not play as the engine plays the whole."""


def play(
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    parts: tuple[ChainSettings, ChainSettings],
    progress: Progress,
    sink: Sink,
) -> tuple[float, float]:
    """Play blocks (frames, channels) into a sink, the delay of engine and effects removed.

    parts: a chain in two parts, see `split_chain`; neutral settings and the whole play anything. Returns the result's
    loudness in LUFS and true peak in dBTP. Reading, both parts of the chain, and writing run in parallel.
    """
    meter, peak, late = LoudnessMeter(sample_rate, channels, BLOCK), TruePeak(channels), _delay(*parts)

    def write(played: np.ndarray) -> None:
        sink.write(played)
        meter.add(played)
        peak.add(played)

    with ThreadPoolExecutor(3) as pool:
        written = pool.submit(int)
        for played in _played(blocks, sample_rate, channels, *parts, pool):
            kept = played[late:]
            late = max(0, late - len(played))
            written.result()
            written = pool.submit(write, kept)
            progress(len(kept))
        written.result()
    return meter.lufs(faint=True), peak.db()


def _delay(front: ChainSettings, back: ChainSettings) -> int:
    """Give the delay of engine and effects in frames."""
    return LOOKAHEAD + front.latency + back.latency


def _played(
    blocks: Iterable[np.ndarray],
    sample_rate: int,
    channels: int,
    front: ChainSettings,
    back: ChainSettings,
    pool: ThreadPoolExecutor,
) -> Iterator[np.ndarray]:
    """Play blocks and the chain's delay after them: the front of the chain ahead of the engine, which plays the back.

    Bit for bit what the engine plays alone, unless the signal between them exceeds what the engine lets in: then
    _SplitDiffers.
    """
    whole = front == ChainSettings()  # the engine plays all of it, its input stage too
    engine = Engine(back, sample_rate, channels, input_stage=whole, metered=False)
    player, block_dc = ChainPlayer(front, sample_rate), DcBlocker(sample_rate, 2)
    rest = np.zeros((_delay(front, back), channels), np.float32)

    def play(block: np.ndarray) -> np.ndarray:
        if whole:
            return block
        stereo = block if block.shape[1] == 2 else block.repeat(2, axis=1)
        played = player.play(block_dc(stereo.clip(-INPUT_CLIP, INPUT_CLIP)))
        if not max(played.max(), -played.min()) <= INPUT_CLIP:  # the engine would clip it
            raise _SplitDiffers
        return played

    for block in prefetch(map(play, prefetch(chain(blocks, [rest]), pool)), pool):
        yield engine.process(block)
    if not whole and engine.shared.read()["muted_blocks"]:  # the front would have been reset, too
        raise _SplitDiffers
