"""Sound through pipes: WAV or raw samples from standard input and to standard output, in blocks of bounded memory.

A WAV header in a pipe tells no length, or a wrong one; the sound lasts until the pipe ends. `ffmpeg -f wav -` and
`sox -t wav -` write and read such streams.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from .encodings import ENCODINGS
from .reader import BLOCK, FASTEST_HZ, SLOWEST_HZ, AudioFileError
from .streams import shown

_WAV_TAGS = {(1, 8): "u8", (1, 16): "s16", (1, 24): "s24", (1, 32): "s32", (3, 32): "f32", (3, 64): "f64"}


def is_stream(path: str | os.PathLike[str]) -> bool:
    """Tell whether a name stands for a pipe or a device: `-`, /dev/stdin, a FIFO, a process substitution."""
    if str(path) == "-":
        return True
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISSOCK(mode)


def open_for_writing(path: Path) -> IO[bytes]:
    """Open a FIFO or device that is there, and never wait. Raises AudioFileError if nobody reads from it."""
    try:
        file = os.open(path, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise AudioFileError(f"{shown(path)} is a pipe that nobody reads from: start its reader first") from None
        raise AudioFileError(f"{shown(path)} cannot be written: {error.strerror}; name another place") from None
    os.set_blocking(file, True)
    return open(file, "wb")


class PipeReader:
    """Read a stream: WAV, or raw samples if `encoding` is given, with their rate and channels.

    `note` says what was missing, once it has been read to its end. Raises AudioFileError if the stream is neither,
    or runs at another rate than 8 to 384 kHz.
    """

    def __init__(self, stream: IO[bytes], encoding: str = "", sample_rate: int = 0, channels: int = 0) -> None:
        self._stream, self.encoding, self.sample_rate, self.channels = stream, encoding, sample_rate, channels
        self._left: int | None = None
        self.note = ""
        if not encoding:
            self._read_header()
        if not SLOWEST_HZ <= self.sample_rate <= FASTEST_HZ:
            allowed = f"{SLOWEST_HZ} to {FASTEST_HZ} Hz"
            raise AudioFileError(f"standard input runs at {self.sample_rate} Hz; {allowed} can be used")

    def _read_header(self) -> None:
        head = self._exactly(12)
        if head[:4] not in (b"RIFF", b"RF64", b"BW64") or head[8:12] != b"WAVE":
            raise AudioFileError(
                "standard input is not WAV; convert it (ffmpeg -i … -f wav -, sox … -t wav -), "
                "or give --format, --rate and --channels for raw samples"
            )
        while True:
            head = self._exactly(8)
            name, size = head[:4], struct.unpack("<I", head[4:])[0]
            if name == b"data":
                break
            if size > 1 << 26:
                raise AudioFileError("standard input: its WAV header is damaged")
            body = self._exactly(size + size % 2)
            if name == b"fmt " and size >= 16:
                tag, self.channels, self.sample_rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
                tag = struct.unpack("<H", body[24:26])[0] if tag == 0xFFFE and size >= 26 else tag
                self.encoding = _WAV_TAGS.get((tag, bits), "")
        if not self.encoding or not self.channels:
            raise AudioFileError("standard input: WAV of PCM or float samples can be read; convert it (ffmpeg, sox)")
        known = 0 < size < 0x7FFFF000  # else its writer did not know, as in a pipe
        self._left = size if known else None

    def _exactly(self, count: int) -> bytes:
        data = _all_of(self._stream, count)
        if len(data) < count:
            raise AudioFileError("standard input ends before any sound; is something written into the pipe?")
        return data

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Read to the end in blocks (frames, channels). Raises AudioFileError for NaN or Inf."""
        frame = ENCODINGS[self.encoding] * self.channels
        while self._left is None or self._left >= frame:
            wanted = BLOCK * frame if self._left is None else min(BLOCK * frame, self._left // frame * frame)
            data = _all_of(self._stream, wanted)
            data = data[: len(data) // frame * frame]
            if not data:
                if self._left:
                    self.note = f"its header claims {self._left // frame / self.sample_rate:.2f} s more than came"
                return
            if self._left is not None:
                self._left -= len(data)
            block = _decoded(data, self.encoding).reshape(-1, self.channels)
            if not np.isfinite(block).all():
                raise AudioFileError("standard input holds NaN or Inf; are --format and --channels right?")
            yield block


def _all_of(stream: IO[bytes], count: int) -> bytes:
    """Read until `count` bytes are there or the stream ends: a pipe gives what it has."""
    parts, left = [], count
    while left and (part := stream.read(left)):
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _decoded(data: bytes, encoding: str) -> NDArray[np.float32]:
    if encoding == "s24":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        return (wide.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
    if encoding == "u8":
        return ((np.frombuffer(data, np.uint8).astype(np.float32)) - 128.0) / 128.0
    if encoding in ("s16", "s32"):
        bits = 16 if encoding == "s16" else 32
        return (np.frombuffer(data, f"<i{bits // 8}") / 2.0 ** (bits - 1)).astype(np.float32)
    return np.frombuffer(data, "<f4" if encoding == "f32" else "<f8").astype(np.float32)


class PipeWriter:
    """Write a stream: WAV of unknown length, or raw samples; raises BrokenPipeError if nobody reads on."""

    def __init__(self, stream: IO[bytes], sample_rate: int, channels: int, encoding: str = "s24", raw: bool = False):
        self._stream, self.encoding = stream, encoding
        if not raw:
            size = ENCODINGS[encoding]
            tag = 3 if encoding[0] == "f" else 1
            fmt = struct.pack(
                "<HHIIHH", tag, channels, sample_rate, sample_rate * channels * size, channels * size, size * 8
            )
            unknown = b"\xff" * 4
            stream.write(b"RIFF" + unknown + b"WAVEfmt " + struct.pack("<I", 16) + fmt + b"data" + unknown)

    def write(self, block: NDArray[np.float32]) -> None:
        """Write frames (frames, channels)."""
        self._stream.write(_encoded(block, self.encoding))

    def close(self) -> None:
        """Hand on what is still held."""
        self._stream.flush()


def _encoded(block: NDArray[np.float32], encoding: str) -> bytes:
    if encoding[0] == "f":
        return block.astype("<f4" if encoding == "f32" else "<f8").tobytes()
    bits = ENCODINGS[encoding] * 8
    top = 2.0 ** (bits - 1)
    whole = np.rint(block.astype(np.float64) * top).clip(-top, top - 1)
    if encoding == "u8":
        return (whole + 128).astype(np.uint8).tobytes()
    if encoding == "s24":
        return whole.astype("<i4").reshape(-1, 1).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    return whole.astype(f"<i{bits // 8}").tobytes()
