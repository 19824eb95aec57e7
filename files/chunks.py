"""Chunks that stand beside the sound: markers, time codes and names of WAV, AIFF, W64 and CAF files.

Formats: RIFF (Microsoft and IBM, 1991), AIFF (Apple, 1989), Wave64 (Sony), CAF (Apple). A chunk has a name of four
letters; Wave64 has GUIDs, most of which begin with the letters that RIFF has.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .containers import W64_RIFF, W64_TAIL

MAX_BYTES = 1 << 26
"""Of metadata that is carried; what claims more is no metadata."""

_MOVED = 1 << 20
"""Bytes moved at a time."""

Chunk = tuple[bytes, bytes]
"""Name and data. The name of a Wave64 chunk that RIFF does not know is its whole GUID."""


class _Family(NamedTuple):
    """Formats whose chunks go from file to file as they are."""

    first: int  # where the first chunk begins
    name: int  # bytes of a chunk's name
    size: str  # how a chunk's size is stored
    counts_head: bool  # whether that size counts name and size, too
    grid: int  # chunks begin at multiples of that
    own: frozenset[bytes]  # chunks that are the sound's own, or true of the old sound only


_WAV_OWN = {b"fmt ", b"fact", b"data", b"ds64", b"JUNK", b"junk", b"PAD ", b"FLLR", b"PEAK", b"levl", b"MD5 "}
_FAMILIES = {
    "WAV": _Family(12, 4, "<I", False, 2, frozenset(_WAV_OWN)),
    "AIFF": _Family(12, 4, ">I", False, 2, frozenset({b"COMM", b"SSND", b"FVER", b"PEAK"})),
    "W64": _Family(40, 16, "<Q", True, 8, frozenset(_WAV_OWN)),
    "CAF": _Family(
        8, 4, ">q", False, 1,
        frozenset({b"desc", b"data", b"chan", b"pakt", b"kuki", b"free", b"peak", b"ovvw", b"edct"}),
    ),
}  # fmt: skip


def family(path: Path) -> str:
    """Tell which family a file is of: WAV (with RF64 and BW64), AIFF, W64, CAF, or "" if it has no chunks."""
    with open(path, "rb") as file:
        head = file.read(16)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "AIFF"
    return "W64" if head == W64_RIFF else "CAF" if head[:4] == b"caff" else ""


def read_chunks(path: Path) -> list[Chunk]:
    """Read the chunks that are not the sound's own, up to what is damaged; those of an empty name are left out."""
    kind = family(path)
    return [*_read(path, _FAMILIES[kind])] if kind else []


def _read(path: Path, kind: _Family) -> Iterator[Chunk]:
    size, left, at, long_size = path.stat().st_size, MAX_BYTES, kind.first, None
    width = struct.calcsize(kind.size)
    with open(path, "rb") as file:
        while at + kind.name + width <= size:
            file.seek(at)
            head = file.read(kind.name + width)
            name, claim = _short(head[: kind.name]), struct.unpack(kind.size, head[kind.name :])[0]
            begin = at + len(head)
            claim -= len(head) if kind.counts_head else 0
            if name == b"ds64":
                long_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
            if name == b"data" and claim == 0xFFFFFFFF and long_size is not None:
                claim = long_size
            if not 0 <= claim <= size - begin or (len(name) == 4 and not all(0x20 <= b < 0x7F for b in name)):
                return
            if name not in kind.own and claim <= left:
                left -= claim
                file.seek(begin)
                yield name, file.read(claim)
            at = begin + claim + -(begin + claim) % kind.grid


def _short(name: bytes) -> bytes:
    return name[:4] if name[4:] == W64_TAIL else name


def add_chunks(path: Path, chunks: list[Chunk]) -> None:
    """Write chunks behind the sound, and set the size of the whole; before it in W64, where libsndfile plays on."""
    kind = _FAMILIES[family(path)]
    body = b""
    for name, data in chunks:
        head = name.ljust(4, b" ") + W64_TAIL if len(name) < kind.name else name
        body += head + struct.pack(kind.size, len(data) + (kind.name + 8 if kind.counts_head else 0)) + data
        body += bytes(-len(body) % kind.grid)
    with open(path, "r+b") as file:
        end = file.seek(0, 2)
        if kind.counts_head:
            _insert(file, _sound_at(file), body)
        else:
            file.write(bytes(-end % kind.grid) + body)
        _set_size(file, file.seek(0, 2))


def _sound_at(file: BinaryIO) -> int:
    """Find where the sound of a W64 file begins, its chunk's head with it."""
    at = _FAMILIES["W64"].first
    while True:
        file.seek(at)
        head = file.read(24)
        if len(head) < 24 or _short(head[:16]) == b"data":
            return at
        at += max(24, (struct.unpack("<Q", head[16:])[0] + 7) // 8 * 8)


def _insert(file: BinaryIO, at: int, data: bytes) -> None:
    """Make room in the middle of a file, from its end on."""
    place = file.seek(0, 2)
    while place > at:
        count = min(_MOVED, place - at)
        place -= count
        file.seek(place)
        block = file.read(count)
        file.seek(place + len(data))
        file.write(block)
    file.seek(at)
    file.write(data)


def _set_size(file: BinaryIO, end: int) -> None:
    file.seek(0)
    head = file.read(24)
    if head[:4] in (b"RIFF", b"FORM"):
        file.seek(4)
        file.write(struct.pack("<I" if head[:4] == b"RIFF" else ">I", end - 8))
    elif head[:16] == W64_RIFF:
        file.seek(16)
        file.write(struct.pack("<Q", end))
    elif head[12:16] == b"ds64":
        file.seek(20)
        file.write(struct.pack("<Q", end - 8))
