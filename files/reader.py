"""Open a sound file, and read what is really in it, in blocks of bounded memory."""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from . import mpeg
from .containers import inspect
from .part import PartReader
from .quiet import quiet
from .streams import shown

SLOWEST_HZ, FASTEST_HZ = 8000, 384_000
BLOCK = 1 << 14
"""Frames of a stereo block; blocks of more channels are shorter."""
READABLE = "WAV (RF64, BW64, W64), AIFF, CAF, AU, FLAC, Ogg Vorbis, Opus and MP3 can"


GUESSED = {"MP3", "RAW", "SDS"}
"""What libsndfile takes rubbish for."""


class AudioFileError(ValueError):
    """A sound file that cannot be read, or cannot be used."""

    exit_code = 4


class AudioReader:
    """A sound file open for reading; close it, or use it in a `with` statement.

    `frames` are those by the header, made right where the container shows better, or the decoder's estimate: only
    reading tells. `claimed` are the header's own, None where it says nothing. `note` says what does not fit.
    chosen: channels to read, counted from 1; all if it is empty. Raises AudioFileError: not there, not audio, without
    those channels, another rate than 8 to 384 kHz.
    """

    def __init__(self, path: str | os.PathLike[str], chosen: Sequence[int] = ()) -> None:
        self.path, self._chosen = Path(path), [channel - 1 for channel in chosen]
        if not self.path.is_file():
            raise AudioFileError(f"{shown(self.path)} is not {'a file' if self.path.exists() else 'there'}")
        if not self.path.stat().st_size:
            raise AudioFileError(f"{shown(self.path)} is empty (0 bytes): was it copied whole?")
        with ExitStack() as stack:
            self._raw = stack.enter_context(open(self.path, "rb"))
            self._found = inspect(self._raw)
            self._sounds = self._open(stack)
            first = self._sounds[0]
            self.sample_rate, self.channels = first.samplerate, first.channels
            self.format, self.subtype = first.format, first.subtype
            self._check()
            self.channels = len(self._chosen) or self.channels
            self._stack = stack.pop_all()

    def _open(self, stack: ExitStack) -> list[Any]:
        try:
            if not self._found.container:
                self._found = mpeg.inspect(self._raw)
            if not self._found.parts:
                with quiet():  # mpg123 writes what it thinks of a file to the terminal
                    sound = stack.enter_context(soundfile.SoundFile(_as_file(os.fsencode(self.path))))
                if sound.format in GUESSED and not self._found.container:
                    raise RuntimeError("no frames of sound in it")
                return [sound]
            files = [_as_file(PartReader(self._raw, part)) for part in self._found.parts]
            with quiet():
                return [stack.enter_context(soundfile.SoundFile(file)) for file in files]
        except (soundfile.LibsndfileError, RuntimeError, TypeError, OSError) as error:
            why = self._found.note or str(error).rpartition(": ")[2].rstrip(".")
            raise AudioFileError(f"{shown(self.path)} cannot be read as audio ({why}); {READABLE}") from None

    def _check(self) -> None:
        for sound in self._sounds[1:]:
            if (sound.samplerate, sound.channels) != (self.sample_rate, self.channels):
                raise AudioFileError(
                    f"{shown(self.path)} holds several streams of different rates or channels; split it first"
                )
        if not SLOWEST_HZ <= self.sample_rate <= FASTEST_HZ:
            allowed = f"{SLOWEST_HZ} to {FASTEST_HZ} Hz"
            raise AudioFileError(f"{shown(self.path)} runs at {self.sample_rate} Hz; {allowed} can be used")
        if max(self._chosen, default=-1) >= self.channels:
            raise AudioFileError(f"{shown(self.path)} has no channel {max(self._chosen) + 1}: it has {self.channels}")

    def __enter__(self) -> "AudioReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._stack.close()

    @property
    def container(self) -> str:
        """The container by its own bytes: WAV, AIFF, W64, AU, CAF, FLAC, OGG, MP3, or "" if it is another."""
        return self._found.container

    @property
    def claimed(self) -> int | None:
        """Frames that the header claims; None if it says nothing."""
        return self._found.claimed

    @property
    def note(self) -> str:
        """What does not fit between header and file, in words; "" if all is well."""
        several = len(self._sounds)
        return self._found.note or (f"{several} streams one after the other were read" if several > 1 else "")

    def note_after(self, frames: int) -> str:
        """Give the note of a file that has been read to its end, which gave so many frames."""
        if self.note or self.claimed is None or self.claimed == frames:
            return self.note
        claimed_s, read_s = self.claimed / self.sample_rate, frames / self.sample_rate
        return f"its header claims {claimed_s:.2f} s, {read_s:.2f} s could be read"

    @property
    def frames(self) -> int:
        """Frames, as far as they are known before reading."""
        return self._found.present if self._found.present is not None else sum(s.frames for s in self._sounds)

    def blocks(self, start: int = 0, frames: float = math.inf) -> Iterator[NDArray[np.float32]]:
        """Read a stretch in blocks (frames, channels). Raises AudioFileError for NaN, Inf or damage.

        However many frames a file claims to have, no more are allocated than a block's: it may lie.
        """
        size = max(1, BLOCK * 2 // max(self._sounds[0].channels, 2))
        for sound in self._sounds:
            if start >= sound.frames > 0 and sound is not self._sounds[-1]:
                start -= sound.frames
                continue
            try:
                self._seek(sound, min(start, sound.frames))
                while frames > 0 and len(block := self._read(sound, int(min(size, frames)))):
                    if not np.isfinite(block).all():
                        raise AudioFileError(f"{shown(self.path)} holds NaN or Inf; export it again")
                    frames -= len(block)
                    yield block[:, self._chosen] if self._chosen else block
            except (soundfile.LibsndfileError, RuntimeError) as error:
                raise AudioFileError(f"{shown(self.path)} breaks off or is damaged ({error})") from None
            start = 0

    def read(self, start: int, frames: int) -> NDArray[np.float32]:
        """Read a stretch (frames, channels); silence after the end. Raises AudioFileError as `blocks` does."""
        x, at = np.zeros((frames, self.channels), np.float32), 0
        for block in self.blocks(start, frames):
            x[at : at + len(block)] = block
            at += len(block)
        return x

    def _seek(self, sound: Any, start: int) -> None:
        with self._quiet():
            sound.seek(start)

    def _read(self, sound: Any, frames: int) -> NDArray[np.float32]:
        with self._quiet():
            return sound.read(frames, "float32", always_2d=True)

    def _quiet(self) -> AbstractContextManager[None]:
        return quiet() if self.format == "MP3" else nullcontext()


def _as_file(file: PartReader | bytes) -> Any:
    """Hand soundfile what its types leave out: a path in bytes, and what only reads, seeks and tells."""
    return file
