"""`afx-live render` through pipes: from standard input, or to standard output, in blocks of bounded memory."""

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from time import perf_counter
from typing import IO, Any

import numpy as np

from ...chain import ChainSettings
from ...files import AudioFileError, AudioReader
from ...files.encodings import PIPED, SUBTYPES
from ...files.pipe import PipeReader, PipeWriter, is_stream, open_for_writing
from ...files.streams import shown
from ...files.writer import AudioWriter, choose_format
from ...matching.clips import SILENT_LUFS, Clip, clip_of, read_clip
from ..audio.render import Rendering, check_channels, play, settled
from ..batch import Item
from .errors import UsageError
from .render_job import Rendered, RenderJob

STDIN, STDOUT = Path("-"), Path("-")


@dataclass(frozen=True)
class Raw:
    """Samples without a header on standard input and output: their encoding (see `files.pipe`), rate in Hz, channels.

    Without an encoding, standard input and output are WAV.
    """

    encoding: str = ""
    sample_rate: int = 0
    channels: int = 0


class _Heard:
    """The beginning of a stream, as `settled` plays it."""

    def __init__(self, blocks: list[np.ndarray], sample_rate: int, channels: int) -> None:
        self._blocks, self.sample_rate, self.channels = blocks, sample_rate, channels

    def blocks(self) -> Iterator[np.ndarray]:
        return iter(self._blocks)


def input_of(source: str) -> Path | None:
    """Give the file that standard input was redirected from, as a path; None for a pipe."""
    with suppress(OSError, ValueError, AttributeError):  # closed, or none
        if source == "-" and os.path.exists("/dev/stdin") and stat.S_ISREG(os.fstat(sys.stdin.fileno()).st_mode):
            return Path("/dev/stdin")
    return None


def render_pipe(job: RenderJob, item: Item, listen_s: float, raw: Raw) -> Rendered:
    """Render one stream or file into one file or stream. Raises as `render` does, and BrokenPipeError.

    A stream is listened to for `listen_s` before it plays; its level is solved on that, as it cannot be played twice.
    A file that goes into a pipe is played until its level is right, then once more.
    """
    with ExitStack() as stack:
        begin = perf_counter()
        if is_stream(item.source):
            return _from_stream(job, item, listen_s, raw, begin, stack)
        clip = read_clip(item.source, chosen=job.channels)
        check_channels(clip)
        found = job.match(clip)
        with AudioReader(clip.path, clip.chosen) as file:
            done, parts = settled(file, found, None, lambda frames: None)
            sink = _sink(job, item.target, clip, raw, stack)
            play(file.blocks(), file.sample_rate, file.channels, parts, lambda frames: None, sink)
            sink.close()
        return job.told(item, clip, found, done, perf_counter() - begin)


def _from_stream(job: RenderJob, item: Item, listen_s: float, raw: Raw, begin: float, stack: ExitStack) -> Rendered:
    file = _opened(item.source, stack)
    reader = PipeReader(file, raw.encoding, raw.sample_rate, raw.channels)
    chosen = [channel - 1 for channel in job.channels] if not raw.encoding else []
    if max(chosen, default=-1) >= reader.channels:
        raise AudioFileError(f"standard input has no channel {max(chosen) + 1}: it has {reader.channels}")
    blocks = (block[:, chosen] if chosen else block for block in reader.blocks())
    heard, frames = [], 0
    while frames < listen_s * reader.sample_rate and (block := next(blocks, None)) is not None:
        heard.append(block)
        frames += len(block)
    clip = _clip(item.source, reader, heard, frames)
    found = job.match(clip)
    settled_on, _ = settled(_Heard(heard, clip.sample_rate, clip.channels), found, None, lambda count: None)
    sink = _sink(job, item.target, clip, raw, stack)
    played = 0

    def on(count: int) -> None:
        nonlocal played
        played += count

    parts = ChainSettings(), settled_on.settings
    lufs, true_peak_db = play(chain(heard, blocks), clip.sample_rate, clip.channels, parts, on, sink)
    sink.close()
    done = Rendering(settled_on.settings, lufs, true_peak_db)
    whole = Clip(clip.path, clip.sample_rate, clip.channels, played, clip.lufs, clip.excerpts)
    whole = replace(whole, note="; ".join(filter(None, (reader.note, clip.note))))
    return job.told(item, whole, found, done, perf_counter() - begin)


def _clip(source: Path, reader: PipeReader, heard: list[np.ndarray], frames: int) -> Clip:
    name = "standard input" if source == STDIN else shown(source)
    if not frames:
        raise AudioFileError(f"{name} has no sound in it")
    source = Path(name)
    x = np.concatenate(heard)
    subtype = {encoding: subtype for subtype, encoding in PIPED.items()}.get(reader.encoding, "")
    clip = clip_of(x, reader.sample_rate, source, subtype)
    check_channels(clip)
    if not clip.lufs > SILENT_LUFS:
        heard_s = frames / reader.sample_rate
        raise AudioFileError(f"{name} is silent for its first {heard_s:.0f} s; listen to more of it with --listen")
    return clip


def _opened(source: Path, stack: ExitStack) -> IO[bytes]:
    if source != STDIN:
        return stack.enter_context(open(source, "rb"))
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            "standard input is closed or a terminal: pipe sound into it, as in ffmpeg -i in.mp3 -f wav - | …"
        )
    return sys.stdin.buffer


class _File:
    """A file as a sink of a stream, whose length nobody knows."""

    def __init__(self, writer: AudioWriter) -> None:
        self._writer = writer

    def write(self, block: np.ndarray) -> None:
        self._writer.write(block)

    def close(self) -> None:
        self._writer.finish()


def _sink(job: RenderJob, target: Path, clip: Clip, raw: Raw, stack: ExitStack) -> Any:
    rate, channels = clip.sample_rate, clip.channels
    if not is_stream(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        kind = choose_format(target, rate, channels, None, job.subtype, clip.subtype)
        return _File(stack.enter_context(AudioWriter(target, rate, channels, kind)))
    if target != STDOUT:
        stream = stack.enter_context(open_for_writing(target))
    elif sys.stdout is None or sys.stdout.isatty():
        raise UsageError("standard output is closed or a terminal: pipe the sound on, or name a file with -o")
    else:
        stream = sys.stdout.buffer
    subtype = SUBTYPES[job.subtype] if job.subtype else clip.subtype
    return PipeWriter(stream, rate, channels, raw.encoding or PIPED.get(subtype, "s24"), raw=bool(raw.encoding))
