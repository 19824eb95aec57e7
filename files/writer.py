"""Write a sound file: the format by its name, checked before any work; in place only when it is whole."""

import io
import os
import shutil
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import soundfile

from .reader import AudioFileError, shown

FORMATS = {
    ".wav": "WAV", ".wave": "WAV", ".bwf": "WAV", ".rf64": "RF64", ".w64": "W64",
    ".aif": "AIFF", ".aiff": "AIFF", ".aifc": "AIFF", ".caf": "CAF", ".au": "AU", ".snd": "AU",
    ".flac": "FLAC", ".ogg": "OGG", ".oga": "OGG", ".opus": "OGG", ".mp3": "MP3",
}  # fmt: skip
"""Formats by suffix; a name without one is WAV."""
SUBTYPES = {"16": "PCM_16", "24": "PCM_24", "32": "PCM_32", "float": "FLOAT", "double": "DOUBLE"}
"""What `--subtype` may be, and libsndfile's names."""
_BYTES = {"PCM_16": 2, "PCM_24": 3, "PCM_32": 4, "FLOAT": 4, "DOUBLE": 8}
_LIMIT = (1 << 32) - (1 << 20)
"""Bytes that WAV, AIFF and AU count in 32 bits, less room for metadata."""
_number = count()


def choose_format(
    path: Path, sample_rate: int, channels: int, frames: int = 0, subtype: str = "", like: str = ""
) -> tuple[str, str]:
    """Choose libsndfile's format and subtype for a new file; called before any work.

    subtype: one of SUBTYPES, or "" for that of the source, `like` (libsndfile's name), where the format can have
    it, else 24 bits. A WAV file beyond 4 GiB becomes RF64. Raises AudioFileError, with what is allowed.
    """
    suffix = path.suffix.lower()
    if suffix and suffix not in FORMATS:
        raise AudioFileError(f"{shown(path)}: {suffix} cannot be written; use one of {' '.join(sorted(FORMATS))}")
    kind = FORMATS.get(suffix, "WAV")
    if suffix == ".opus":
        found = "OPUS"
    elif subtype:
        found = SUBTYPES[subtype]
    elif like in _BYTES and soundfile.check_format(kind, like):
        found = like
    else:
        found = "PCM_24" if soundfile.check_format(kind, "PCM_24") else str(soundfile.default_subtype(kind))
    if not soundfile.check_format(kind, found):
        can = [name for name, one in SUBTYPES.items() if soundfile.check_format(kind, one)]
        raise AudioFileError(
            f"{shown(path)}: {suffix} cannot hold {subtype}; it can hold {', '.join(can) or 'its own'}"
        )
    try:
        soundfile.SoundFile(io.BytesIO(), "w", sample_rate, channels, found, format=kind).close()
    except (soundfile.LibsndfileError, RuntimeError):
        fit = {"OPUS": "8, 12, 16, 24 or 48 kHz", "MPEG_LAYER_III": "8 to 48 kHz"}.get(found, "another rate")
        raise AudioFileError(
            f"{shown(path)}: {suffix} cannot hold {channels} channel{'s' * (channels > 1)} at {sample_rate} Hz"
            f" ({fit}); choose .wav or .flac"
        ) from None
    if frames * channels * _BYTES.get(found, 0) > _LIMIT and kind in ("WAV", "AIFF", "AU"):
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
        self._sound: Any = None
        self.rewind()

    def rewind(self) -> None:
        """Begin again from nothing."""
        self._close()
        arguments, kind = self._arguments
        try:
            self._sound = soundfile.SoundFile(str(self.part), "w", *arguments, format=kind)
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            raise self._said(error) from None

    def write(self, block: np.ndarray) -> None:
        """Write frames (frames, channels)."""
        try:
            self._sound.write(block)
        except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
            raise self._said(error) from None

    def close(self) -> None:
        """End the sound: the part is whole, metadata may be put into it."""
        try:
            self._close()
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
        elif not os.access(folder, os.W_OK):
            why, then = "you may not write there", "name another place"
        elif shutil.disk_usage(folder).free < 1 << 20:
            why, then = "the disk is full", "free some room, or name another place"
        else:
            why, then = str(error).rpartition(": ")[2].rstrip("."), "name another place"
        return OSError(f"{shown(self.path)} cannot be written: {why}; {then}")
