"""Write a sound file: the format by its name, checked before any work; in place only when it is whole."""

import io
import os
import shutil
import struct
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile

from .encodings import BYTES, FORMATS, SUBTYPES
from .reader import AudioFileError
from .streams import shown

COUNTED_IN_32 = ("WAV", "AIFF", "AU")
_LIMIT = (1 << 32) - (1 << 20)
"""Bytes that WAV, AIFF and AU count in 32 bits, less room for metadata."""
STALE_S = 3600.0
"""What was being written, and has not grown for so long, was left by a killed program."""
_number = count()
WHOLE = ("PCM_16", "PCM_24")
SCALED = ("WAV", "RF64", "W64", "AIFF", "CAF", "AU")
"""Formats in which libsndfile rounds float32 to 32 bits, and keeps the highest."""


def choose_format(
    path: Path, sample_rate: int, channels: int, frames: int | None = None, subtype: str = "", like: str = ""
) -> tuple[str, str]:
    """Choose libsndfile's format and subtype for a new file; called before any work.

    subtype: one of SUBTYPES, or "" for that of the source, `like` (libsndfile's name), where the format can have
    it, else 24 bits. A WAV file beyond 4 GiB becomes RF64; so does one of unknown length (`frames` None), until
    it turns out to be shorter. Raises AudioFileError, with what is allowed.
    """
    suffix = path.suffix.lower()
    if suffix and suffix not in FORMATS:
        raise AudioFileError(f"{shown(path)}: {suffix} cannot be written; use one of {' '.join(sorted(FORMATS))}")
    kind = FORMATS.get(suffix, "WAV")
    if suffix == ".opus":
        found = "OPUS"
    elif subtype:
        found = SUBTYPES[subtype]
    elif like in BYTES and soundfile.check_format(kind, like):
        found = like
    else:
        found = "PCM_24" if soundfile.check_format(kind, "PCM_24") else str(soundfile.default_subtype(kind))
    if not soundfile.check_format(kind, found):
        can = [name for name, one in SUBTYPES.items() if soundfile.check_format(kind, one)]
        fit = f"it can hold {', '.join(can)}" if can else "it has a coding of its own: leave out --subtype"
        raise AudioFileError(f"{shown(path)}: {suffix} cannot hold {subtype}; {fit}")
    try:
        soundfile.SoundFile(io.BytesIO(), "w", sample_rate, channels, found, format=kind).close()
    except (soundfile.LibsndfileError, RuntimeError):
        fit = {"OPUS": "8, 12, 16, 24 or 48 kHz", "MPEG_LAYER_III": "8 to 48 kHz"}.get(found, "another rate")
        raise AudioFileError(
            f"{shown(path)}: {suffix} cannot hold {channels} channel{'s' * (channels > 1)} at {sample_rate} Hz"
            f" ({fit}); choose .wav or .flac"
        ) from None
    if frames is None:
        return "RF64" if kind == "WAV" else kind, found
    if frames * channels * BYTES.get(found, 0) > _LIMIT and kind in COUNTED_IN_32:
        if kind != "WAV":
            raise AudioFileError(f"{shown(path)} would be longer than 4 GiB, which {suffix} cannot say; choose .wav")
        kind = "RF64"
    return kind, found


class AudioWriter:
    """A sound file that is being written, under another name beside its own until `finish`.

    `target` is where it will be: through a symbolic link, where that points to. Raises AudioFileError if there is
    something that is no file (a pipe, a device), OSError with plain words if nothing can be written there.
    """

    def __init__(self, path: Path, sample_rate: int, channels: int, kind: tuple[str, str]) -> None:
        self.path, self.target = path, Path(os.path.realpath(path))
        if self.target.exists() and not self.target.is_file():
            raise AudioFileError(f"{shown(path)} is no file but a folder, pipe or device; name a file, or - for a pipe")
        self._arguments: Any = (sample_rate, channels, kind[1]), kind[0]
        self.part = self.target.with_name(f".afx-{os.getpid()}-{next(_number)}.part")
        self._whole = kind[0] in SCALED and kind[1] in WHOLE
        self._sound: Any = None
        self._room = 0  # bytes that the format's header can still count
        remove_parts(self.target.parent)
        self.rewind()

    def rewind(self) -> None:
        """Begin again from nothing."""
        self._close()
        arguments, kind = self._arguments
        self._room = _LIMIT if kind in COUNTED_IN_32 else 1 << 62
        try:
            part: Any = os.fsencode(self.part)  # soundfile's types know no bytes; its text is UTF-8, a path need not be
            self._sound = soundfile.SoundFile(part, "w", *arguments, format=kind)
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            with suppress(OSError):  # a full disk may have taken the name, if nothing else
                self.part.unlink()
            raise self._said(error) from None

    def write(self, block: np.ndarray) -> None:
        """Write frames (frames, channels)."""
        self._room -= block.size * BYTES.get(self._arguments[0][2], 0)
        if self._room < 0:
            raise OSError(f"{shown(self.path)} would be longer than 4 GiB, which its format cannot say; choose .wav")
        try:
            self._sound.write(_rounded(block) if self._whole and block.dtype == np.float32 else block)
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            raise self._said(error) from None

    def close(self) -> None:
        """End the sound: the part is whole, metadata may be put into it."""
        try:
            self._close()
            if self._arguments[1] == "RF64" and self.path.suffix.lower() != ".rf64":
                _shorten_header(self.part)
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            raise self._said(error) from None

    def finish(self) -> None:
        """Put the file in its place, instead of what is there."""
        self.close()
        try:
            os.replace(self.part, self.target)
        except OSError as error:
            raise self._said(error) from None

    def __enter__(self) -> "AudioWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(Exception):
            self._close()
        with suppress(OSError):  # in place by now, or in a folder that cannot be written
            self.part.unlink()

    def _close(self) -> None:
        sound, self._sound = self._sound, None
        if sound is not None:
            sound.close()

    def _said(self, error: Exception) -> OSError:
        """Say why nothing can be written in a folder; libsndfile only knows of a "System error"."""
        folder = self.target.parent
        if not folder.is_dir():
            why, then = "there is no such folder", "make it, or name another place"
        elif hasattr(os, "statvfs") and os.statvfs(folder).f_flag & os.ST_RDONLY:
            why, then = "it is read-only", "name another place"
        elif not os.access(folder, os.W_OK):
            why, then = "you may not write there", "name another place"
        elif shutil.disk_usage(folder).free < 1 << 20:
            why, then = "the disk is full", "free some room, or name another place"
        else:
            why, then = str(error).rpartition(": ")[2].rstrip("."), "name another place"
        return OSError(f"{shown(self.path)} cannot be written: {why}; {then}")


def _rounded(block: np.ndarray) -> np.ndarray:
    """Make the 32-bit integers of float32 that libsndfile makes, which it does one by one, and clips them."""
    return np.clip(np.rint(block * np.float32(2.0**31)), -(2.0**31), 2.0**31 - 128.0).astype(np.int32)


def _shorten_header(path: Path) -> None:
    """Make an RF64 file of less than 4 GiB a plain WAV, which every program reads (EBU Tech 3306, section 3)."""
    size = path.stat().st_size
    if size > _LIMIT:
        return
    with open(path, "r+b") as file:
        head = file.read(64)
        at = 12
        while at + 8 <= size:
            file.seek(at)
            name, count = struct.unpack("<4sI", file.read(8))
            if name == b"data":
                break
            at += 8 + count + count % 2
        if head[:4] != b"RF64" or head[12:16] != b"ds64" or at + 8 > size:
            return
        file.seek(at + 4)
        file.write(head[28:32])
        file.seek(12)
        file.write(b"JUNK")
        file.seek(0)
        file.write(b"RIFF" + struct.pack("<I", size - 8))


def remove_parts(folder: Path, of: int | None = None) -> None:
    """Remove what a killed program left half-written: that process's, or all that has not grown for an hour."""
    with suppress(OSError):
        for part in folder.glob(f".afx-{'*' if of is None else of}-*.part"):
            if of is not None or time.time() - part.stat().st_mtime > STALE_S:
                part.unlink()
