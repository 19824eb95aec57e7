"""A file as a decoder is to see it: some of its bytes, with others before them or in their place."""

import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True)
class Part:
    """A range of a file's bytes that is a sound file of its own.

    start, length: the range, in bytes; prefix: bytes that stand before it; patches: bytes in place of
    those at an offset into the range.
    """

    start: int
    length: int
    prefix: bytes = b""
    patches: Mapping[int, bytes] = field(default_factory=dict)


class PartReader(io.RawIOBase):
    """Read and seek in a part as if it were a file; for `soundfile.SoundFile`."""

    def __init__(self, file: BinaryIO, part: Part) -> None:
        self._file, self._part, self._at = file, part, 0
        self._size = len(part.prefix) + part.length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int = -1) -> bytes:
        """Give up to `size` bytes; fewer only at the end."""
        left = max(0, self._size - self._at)
        size = left if size < 0 else min(size, left)
        head = self._part.prefix[self._at : self._at + size]
        begin = max(0, self._at + len(head) - len(self._part.prefix))
        self._file.seek(self._part.start + begin)
        body = bytearray(self._file.read(size - len(head)))
        for offset, data in self._part.patches.items():
            first, last = max(offset, begin), min(offset + len(data), begin + len(body))
            if first < last:
                body[first - begin : last - begin] = data[first - offset : last - offset]
        self._at += len(head) + len(body)
        return head + bytes(body)

    def readinto(self, buffer) -> int:
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
