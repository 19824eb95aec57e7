"""What is really in a sound file: its container read by its own rules, sizes believed only when they fit.

Decoders take a header's word for the length. A recorder that lost power leaves sizes of zero, a stream all ones, a
broken copy more than there is; WAV beyond 4 GiB wraps around; an Ogg file may hold several streams, and an MP3 says
nothing at all. `inspect` looks at the bytes and gives the parts to decode, with headers made right, and in words
what does not fit.

Formats: RIFF (Microsoft and IBM, 1991), RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), AIFF and AIFF-C (Apple, 1989),
AU (Sun), Wave64 (Sony), CAF (Apple), FLAC (RFC 9639), Ogg (RFC 3533). MPEG audio is in `mpeg`.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from .part import Part

UNKNOWN = {0, 0x7FFFFFFF, 0x7FFFFFFF - 36, 0x7FFFF000, 0xFFFFFFFF, 0xFFFFFFFF - 36, 0xFFFFFFFF - 8, 0xFFFFF000}
"""Sizes that programs write when they do not know, or never came to know, how long a sound will be."""
SEARCHED = 1 << 16
"""Bytes at the beginning in which a container is looked for behind rubbish."""
MAX_CHUNKS = 10_000
FLAC_FRAME = 1 << 21
"""Bytes at the end in which the last FLAC frame begins: 65,535 samples of 8 channels of 24 bits, uncompressed."""
_FLAC_BLOCKS = {1: 192} | {n: 576 << n - 2 for n in range(2, 6)} | {n: 256 << n - 8 for n in range(8, 16)}
GIB_4 = 1 << 32

W64_RIFF = bytes.fromhex("726966662e91cf11a5d628db04c10000")
W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")


@dataclass(frozen=True)
class Inspection:
    """What a file holds.

    parts: to be decoded one after the other; none if the file should be opened as it stands.
    claimed, present: frames by the header and frames of sample data that are there; None where the header says
    nothing, or only decoding tells. note: what does not fit, for people; "" if all is well.
    """

    container: str
    parts: tuple[Part, ...] = ()
    claimed: int | None = None
    present: int | None = None
    note: str = ""


def inspect(file: BinaryIO) -> Inspection:
    """Look at an open file; a container that is not known gives an empty `container`."""
    size = file.seek(0, 2)
    head = _read(file, 0, SEARCHED)
    for at in _candidates(head):
        magic = head[at : at + 16]
        if magic[:4] in (b"RIFF", b"RF64", b"BW64") and magic[8:12] == b"WAVE":
            return _wave(file, at, size)
        if magic[:4] == b"FORM" and magic[8:12] in (b"AIFF", b"AIFC"):
            return _aiff(file, at, size)
        if magic == W64_RIFF:
            return _wave64(file, at, size)
        if magic[:4] == b".snd":
            return _au(file, at, size)
        if magic[:4] == b"caff" and magic[4:6] == b"\0\1":
            return _caf(file, at, size)
        if magic[:4] == b"fLaC":
            return _flac(file, at, size)
        if magic[:4] == b"OggS":
            return _ogg(file, at, size)
    return Inspection("")


def _candidates(head: bytes) -> Iterator[int]:
    """Where a container may begin: at once, behind an ID3v2 tag, or behind rubbish."""
    yield 0
    if size := id3_size(head):
        yield size
    found = []
    for magic in (b"RIFF", b"RF64", b"BW64", b"FORM", W64_RIFF, b".snd\0\0", b"caff\0\1", b"fLaC", b"OggS"):
        at = head.find(magic, 1)
        while at >= 0 and len(found) < 100:
            found.append(at)
            at = head.find(magic, at + 1)
    yield from sorted(found)


def id3_size(head: bytes) -> int:
    """Give the bytes of the ID3v2 tag that a file begins with; 0 without one."""
    return 10 + sum((b & 0x7F) << 7 * i for i, b in enumerate(reversed(head[6:10]))) if head[:3] == b"ID3" else 0


def _read(file: BinaryIO, at: int, count: int) -> bytes:
    try:
        file.seek(at)
    except (OSError, OverflowError):  # a damaged size points where no file ends
        return b""
    return file.read(count)


def _unpack(layout: str, data: bytes) -> tuple[Any, ...]:
    """Unpack numbers; what a cut file lacks is zero."""
    count = struct.calcsize(layout)
    return struct.unpack(layout, data[:count].ljust(count, b"\0"))


def _lead(at: int) -> list[str]:
    return [f"{at:,} bytes of something else stand before the sound"] if at else []


def _length_note(claimed: int | None, present: int, rate: float) -> list[str]:
    """Say it in seconds if a header and the file do not agree on how long the sound is."""
    if claimed is None or claimed == present or not rate:
        return []
    return [f"its header claims {claimed / rate:.2f} s, {present / rate:.2f} s are there"]


# --- RIFF and its successors ----------------------------------------------------------------------


def _chunks(file: BinaryIO, at: int, end: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Go through chunks: (id, where its data begins, its size by the header), up to the file's end."""
    for _ in range(MAX_CHUNKS):
        head = _read(file, at, 8)
        if len(head) < 8:
            return
        name, size = head[:4], _unpack(order + "I", head[4:])[0]
        yield name, at + 8, size
        at += 8 + size + size % 2
        if at >= end:
            return


def _is_chain(file: BinaryIO, at: int, end: int) -> bool:
    """Tell whether what stands here are chunks, or nothing: text-like names, sizes that fit to the end."""
    if end - at < 8:
        return True
    for name, begin, size in _chunks(file, at, end, "<"):
        if not all(0x20 <= b < 0x7F for b in name) or begin + size > end:
            return False
        if begin + size + size % 2 >= end:
            return True
    return False


def _wave(file: BinaryIO, at: int, size: int) -> Inspection:
    magic, notes = _read(file, at, 4), _lead(at)
    fmt, long_size = b"", None
    for name, begin, claim in _chunks(file, at + 12, size, "<"):
        if name == b"fmt ":
            fmt = _read(file, begin, min(claim, 1024))
        elif name == b"ds64":
            long_size = _unpack("<Q", _read(file, begin + 8, 8))[0] if claim >= 16 else None
        elif name == b"data":
            break
    else:
        return Inspection("WAV", note="; ".join([*notes, "it has no sample data: the file is cut off in its header"]))
    if len(fmt) < 16:
        return Inspection("WAV", note="; ".join([*notes, "its header does not say how samples are stored"]))
    _, _, rate, _, align, _ = _unpack("<HHIIHH", fmt[:16])
    claimed_bytes = long_size if magic != b"RIFF" and claim in (0xFFFFFFFF, 0) and long_size is not None else claim
    there = size - begin
    if claimed_bytes in UNKNOWN and (claimed_bytes or not _is_chain(file, begin, size)):
        claimed, bytes_there = None if claimed_bytes else 0, there
        if there and not claimed_bytes:
            notes.append(f"its header was never finished; all {there / max(1, align) / max(1, rate):.2f} s were read")
    elif (
        there > claimed_bytes
        and magic == b"RIFF"
        and there - (there - claimed_bytes) % GIB_4 == claimed_bytes + ((there - claimed_bytes) // GIB_4 * GIB_4)
        and there - claimed_bytes >= GIB_4
    ):
        bytes_there = claimed_bytes + (there - claimed_bytes) // GIB_4 * GIB_4  # the size went round at 4 GiB
        claimed = bytes_there // max(1, align)
    else:
        bytes_there, claimed = min(there, claimed_bytes), claimed_bytes // max(1, align)
        rest = size - begin - bytes_there - bytes_there % 2
        if rest > 0 and not _is_chain(file, begin + bytes_there + bytes_there % 2, size):
            notes.append(f"{rest:,} bytes after the sound that its header does not mention were left out")
    present = bytes_there // align if align else 0
    compressed = fmt[:2] not in (b"\1\0", b"\3\0", b"\xfe\xff", b"\6\0", b"\7\0")
    if compressed:  # a block holds more than one frame: only the decoder knows
        notes += ["it breaks off before the end that its header claims"] if bytes_there < claimed_bytes else []
        claimed = None
    elif claimed:
        notes += _length_note(claimed, present, rate)
    if at == 0 and magic != b"BW64" and claimed_bytes == bytes_there:
        return Inspection("WAV", claimed=claimed, present=None if compressed else present, note="; ".join(notes))
    part = Part(begin, bytes_there, _wave_header(fmt, bytes_there))
    return Inspection("WAV", (part,), claimed, None if compressed else present, "; ".join(notes))


def _wave_header(fmt: bytes, count: int) -> bytes:
    """Write a header for sample data of so many bytes."""
    body = b"fmt " + struct.pack("<I", len(fmt)) + fmt + b"\0" * (len(fmt) % 2)
    if count + len(body) + 20 < GIB_4:
        return (
            b"RIFF" + struct.pack("<I", 4 + len(body) + 8 + count) + b"WAVE" + body + b"data" + struct.pack("<I", count)
        )
    total = 4 + 36 + len(body) + 8 + count
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, total, count, 0, 0)
    return b"RF64" + b"\xff" * 4 + b"WAVE" + ds64 + body + b"data" + b"\xff" * 4


def _aiff(file: BinaryIO, at: int, size: int) -> Inspection:
    common = sound = None
    for name, begin, claim in _chunks(file, at + 12, size, ">"):
        if name == b"COMM":
            common = (begin, _read(file, begin, min(claim, 64)))
        elif name == b"SSND":
            sound = (begin, claim)
            if claim in UNKNOWN or begin + claim > size:
                break
    notes = _lead(at)
    if not common or not sound or len(common[1]) < 18:
        return Inspection("AIFF", note="; ".join([*notes, "it is cut off in its header"]))
    channels, claimed, bits = _unpack(">hIh", common[1][:8])
    rate = _extended(common[1][8:18])
    kind = common[1][18:22] if len(common[1]) >= 22 else b"NONE"
    sample = {b"fl32": 4, b"FL32": 4, b"fl64": 8, b"FL64": 8, b"ulaw": 1, b"alaw": 1, b"ULAW": 1, b"ALAW": 1}.get(
        kind, (bits + 7) // 8 if kind in (b"NONE", b"sowt", b"twos", b"in24", b"in32", b"raw ") else 0
    )
    if sample <= 0 or channels <= 0:
        return Inspection("AIFF", (Part(at, size - at),) if at else (), note="; ".join(notes))
    begin, claim = sound
    frame, there = sample * channels, size - begin - 8
    of_chunk = claim - 8 if claim not in UNKNOWN else None
    if claimed in UNKNOWN or of_chunk is None:
        present = there // frame if of_chunk is None else min(there, of_chunk) // frame
        said = None if claimed in UNKNOWN - {0} else claimed
        notes += ["its header was never finished; all of it was read"] if claimed == 0 and present else []
    else:
        present, said = min(there // frame, claimed), claimed
    notes += _length_note(said or None, present, rate)
    if at == 0 and present == claimed and of_chunk is not None and of_chunk <= there:
        return Inspection("AIFF", (), said, present, "; ".join(notes))
    patches = {
        4: struct.pack(">I", min(begin - at + present * frame, 0xFFFFFFFF)),
        common[0] - at + 2: struct.pack(">I", present),
        begin - at - 4: struct.pack(">I", min(8 + present * frame, 0xFFFFFFFF)),
    }
    return Inspection("AIFF", (Part(at, size - at, b"", patches),), said, present, "; ".join(notes))


def _extended(data: bytes) -> float:
    """Read an 80-bit number (IEEE 754 extended precision), as AIFF stores a rate."""
    exponent, mantissa = _unpack(">HQ", data)
    return mantissa * 2.0 ** ((exponent & 0x7FFF) - 16446) if exponent & 0x7FFF < 0x7FFF else 0.0


def _wave64(file: BinaryIO, at: int, size: int) -> Inspection:
    notes, align, rate, place = _lead(at), 0, 0, at + 40
    for _ in range(MAX_CHUNKS):
        head = _read(file, place, 24)
        if len(head) < 24 or head[4:16] != W64_TAIL:
            break
        claim = _unpack("<Q", head[16:])[0]
        if head[:4] == b"fmt ":
            _, _, rate, _, align, _ = _unpack("<HHIIHH", _read(file, place + 24, 16))
        elif head[:4] == b"data":
            there = size - place - 24
            known = 24 < claim < 1 << 62
            present = min(there, claim - 24) if known else there
            claimed = (claim - 24) // max(1, align) if known else (0 if claim <= 24 and there else None)
            notes += _length_note(claimed or None, present // max(1, align), rate)
            notes += ["its header was never finished; all of it was read"] if claimed == 0 and there else []
            if at == 0 and known and present == claim - 24 and there - present < 8:
                return Inspection("W64", (), claimed, present // max(1, align), "; ".join(notes))
            patches = {
                16: struct.pack("<Q", place + 24 + present - at),
                place + 16 - at: struct.pack("<Q", 24 + present),
            }
            part = Part(at, place + 24 + present - at, b"", patches)
            return Inspection("W64", (part,), claimed, present // max(1, align), "; ".join(notes))
        place += max(24, (claim + 7) // 8 * 8)
    return Inspection("W64", note="; ".join([*notes, "it is cut off in its header"]))


def _au(file: BinaryIO, at: int, size: int) -> Inspection:
    head = _read(file, at, 24)
    if len(head) < 24:
        return Inspection("AU", note="it is cut off in its header")
    offset, claim, kind, rate, channels = _unpack(">IIIII", head[4:])
    sample = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}.get(kind, 0)
    if not sample or not channels or channels > 4096:
        return Inspection("AU")
    there, frame, notes = size - at - offset, sample * channels, _lead(at)
    known = claim not in UNKNOWN
    present = max(0, min(there, claim) if known else there) // frame
    claimed = claim // frame if known else (0 if claim == 0 and there > 0 else None)
    notes += _length_note(claimed or None, present, rate)
    notes += ["its header was never finished; all of it was read"] if claimed == 0 and there > 0 else []
    if at == 0 and known and claim <= there:
        return Inspection("AU", (), claimed, present, "; ".join(notes))
    part = Part(at, offset + present * frame, b"", {8: struct.pack(">I", min(present * frame, 0xFFFFFFFE))})
    return Inspection("AU", (part,), claimed, present, "; ".join(notes))


def _caf(file: BinaryIO, at: int, size: int) -> Inspection:
    place, rate, frame, notes = at + 8, 0.0, 0, _lead(at)
    for _ in range(MAX_CHUNKS):
        head = _read(file, place, 12)
        if len(head) < 12:
            break
        name, claim = head[:4], _unpack(">q", head[4:])[0]
        if name == b"desc":
            desc = _read(file, place + 12, 32)
            rate, _, _, per_packet, _, _, _ = _unpack(">d4sIIIII", desc)
            frame = per_packet
        elif name == b"data":
            there = size - place - 12
            known = 4 < claim <= 1 << 62
            present = min(there, claim) if known else there
            if not frame:  # packets of several sizes: the decoder knows
                return Inspection("CAF", (Part(at, size - at),) if at else (), note="; ".join(notes))
            claimed = (claim - 4) // frame if known else (0 if 0 <= claim <= 4 and there > 4 else None)
            count = max(0, present - 4) // frame
            notes += _length_note(claimed or None, count, rate)
            notes += ["its header was never finished; all of it was read"] if claimed == 0 else []
            if at == 0 and known and present == claim:
                return Inspection("CAF", (), claimed, count, "; ".join(notes))
            part = Part(at, size - at, b"", {place + 4 - at: struct.pack(">q", 4 + count * frame)})
            return Inspection("CAF", (part,), claimed, count, "; ".join(notes))
        if claim < 0:
            break
        place += 12 + claim
    return Inspection("CAF", note="; ".join([*notes, "it is cut off in its header"]))


# --- coded sound ----------------------------------------------------------------------------------


def _flac(file: BinaryIO, at: int, size: int) -> Inspection:
    head = _read(file, at, 42)
    if len(head) < 42 or head[4] & 0x7F:
        return Inspection("FLAC", note="it is cut off in its header")
    packed = int.from_bytes(head[18:26], "big")
    rate, total = packed >> 44, packed & (1 << 36) - 1
    if total == 0:  # written to a pipe: the last frame tells
        total = _flac_end(file, max(at, size - FLAC_FRAME), int.from_bytes(head[8:10], "big"))
        part = Part(at, size - at, b"", {18: (packed | total).to_bytes(8, "big")})
        return Inspection("FLAC", (part,), None, total, "; ".join(_lead(at)))
    parts = (Part(at, size - at),) if at else ()
    return Inspection("FLAC", parts, total if rate else None, None, "; ".join(_lead(at)))


def _flac_end(file: BinaryIO, at: int, block: int) -> int:
    """Find the last frame of a FLAC stream, and give the number of the sample after it (RFC 9639, section 9.1)."""
    data = _read(file, at, FLAC_FRAME)
    place = len(data)
    while (place := data.rfind(b"\xff", 0, place)) >= 0:
        head = data[place : place + 16]
        if len(head) < 7 or head[1] & 0xFE != 0xF8 or head[2] >> 4 == 0 or head[2] & 15 == 15 or head[3] & 1:
            continue
        ones = 8 - (head[4] ^ 0xFF).bit_length()  # at the front, as in UTF-8: bytes of the number, 0 for one
        more = max(0, ones - 1)
        number = head[4] & (0x7F >> ones)
        for byte in head[5 : 5 + more]:
            number = number << 6 | byte & 0x3F
        end, code = 5 + more, head[2] >> 4
        extra = {6: 1, 7: 2}.get(code, 0)
        size = int.from_bytes(head[end : end + extra], "big") + 1 if extra else _FLAC_BLOCKS.get(code, 0)
        end += extra + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
        if end < len(head) and _crc8(head[:end]) == head[end]:
            return number + size if head[1] & 1 else number * block + size
    return 0


def _crc8(data: bytes) -> int:
    """The checksum of a FLAC frame header: polynomial x^8 + x^2 + x + 1."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ (0x07 if crc & 0x80 else 0)) & 0xFF
    return crc


def _ogg(file: BinaryIO, at: int, size: int) -> Inspection:
    """Cut an Ogg file into its chained streams: each begins with pages that say so (RFC 3533, section 4)."""
    starts, ended, place, begun = [at], False, at, True
    lead = _lead(at)
    while place + 27 <= size:
        head = _read(file, place, 27 + 255)
        if head[:4] != b"OggS":
            found = _read(file, place, SEARCHED).find(b"OggS", 1)
            if found < 0:
                break
            place += found
            continue
        begins, ended = bool(head[5] & 2), bool(head[5] & 4)
        if begins and not begun:
            starts.append(place)
        begun = begins
        place += 27 + head[26] + sum(head[27 : 27 + head[26]])
    notes = lead + ([] if ended and place <= size else ["it breaks off: its last page is missing"])
    ends = [*starts[1:], size]
    if len(starts) == 1 and not at:
        return Inspection("OGG", note="; ".join(notes))
    return Inspection("OGG", tuple(Part(a, b - a) for a, b in zip(starts, ends, strict=True)), note="; ".join(notes))
