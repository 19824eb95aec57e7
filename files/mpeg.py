"""MPEG audio (ISO/IEC 11172-3, 13818-3): count its frames, and say so to a decoder that would guess.

An MP3 has no header of its own. A Xing, Info or VBRI frame may say how many frames follow; without one, decoders
estimate from the first frame's bit rate, which loses sound at a variable rate. `inspect` counts the frames, and puts
an Info frame of ours in front where there is none, or one that is wrong.
"""

import struct
from typing import BinaryIO

from .containers import Inspection, id3_size
from .part import Part

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_BITS_1 = {
    3: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),  # layer I
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
_BITS_2 = {
    3: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    1: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_BLOCK = 1 << 20


def frame_of(head: bytes) -> tuple[int, int, int] | None:
    """Read a frame's header: its length in bytes, samples and rate; None if it is none.

    >>> frame_of(bytes.fromhex("fffb9064"))
    (417, 1152, 44100)
    """
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, bits, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 0 or bits in (0, 15) or rate == 3:
        return None
    hz = _RATES[version][rate]
    kbit, padding = (_BITS_1 if version == 3 else _BITS_2)[layer][bits], head[2] >> 1 & 1
    if layer == 3:
        return (12 * kbit * 1000 // hz + padding) * 4, 384, hz
    samples = 1152 if layer == 2 or version == 3 else 576
    return samples // 8 * kbit * 1000 // hz + padding, samples, hz


def inspect(file: BinaryIO) -> Inspection:
    """Look at an open file: where its frames begin, how many there are, what it says itself."""
    size = file.seek(0, 2)
    file.seek(0)
    at = id3_size(file.read(10))
    found = _count(file, at, size)
    if found is None:
        return Inspection("")
    first, frames, end, samples, rate, told, is_info = found
    notes = []
    if told is not None and told != frames:
        notes.append(f"its header claims {told * samples / rate:.2f} s, {frames * samples / rate:.2f} s are there")
    if told == frames or (told is not None and abs(told - frames) <= 1):
        alone = first == at and end == size  # else the decoder would find fault with the length, aloud
        return Inspection("MP3", () if alone else (Part(first, end - first),))
    file.seek(first)
    info = _info_frame(file.read(4), frames)
    body = _next(file, first) if is_info else first
    part = Part(body, end - body, info)
    return Inspection("MP3", (part,), None if told is None else told * samples, frames * samples, "; ".join(notes))


def _next(file: BinaryIO, at: int) -> int:
    file.seek(at)
    frame = frame_of(file.read(4))
    assert frame
    return at + frame[0]


def _count(file: BinaryIO, at: int, size: int) -> tuple[int, int, int, int, int, int | None, bool] | None:
    """Go through all frames; None if this is no MPEG audio.

    Gives the first frame's place, the count of frames of sound, the end of the last, samples a frame, rate,
    the count that a Xing, Info or VBRI frame tells, and whether there is such a frame.
    """
    first = kind = None
    count, end, told, has_info, lost = 0, at, None, False, 0
    buffer, base = b"", at
    place = at
    while place + 4 <= size:
        if place - base + 4 > len(buffer):
            file.seek(place)
            buffer, base = file.read(_BLOCK), place
        frame = frame_of(buffer[place - base : place - base + 4])
        if frame is None or (kind is not None and frame[1:] != kind):
            if first is None and place - at > 1 << 16:
                return None
            place += 1
            lost += 1
            if first is not None and lost > 1 << 20:
                break
            continue
        if first is None:
            file.seek(place + frame[0])
            after = frame_of(file.read(4))  # one header may be chance, two are not
            if after is None or after[1:] != frame[1:]:
                place += 1
                continue
            first, kind = place, frame[1:]
            file.seek(place)
            has_info, told = _told(file.read(min(frame[0], 512)))
            count -= has_info
        if place + frame[0] > size:  # cut off in the middle of a frame
            break
        count, lost = count + 1, 0
        place += frame[0]
        end = place
    if first is None or kind is None or count <= 0:
        return None
    return first, count, end, *kind, told, has_info


def _told(frame: bytes) -> tuple[bool, int | None]:
    """Tell whether a frame is a Xing, Info or VBRI frame, and the number of frames that it tells."""
    for name in (b"Xing", b"Info"):
        at = frame.find(name, 4, 60)
        if at >= 0:
            flags = struct.unpack(">I", frame[at + 4 : at + 8])[0]
            return True, struct.unpack(">I", frame[at + 8 : at + 12])[0] if flags & 1 else None
    if frame[36:40] == b"VBRI":
        return True, struct.unpack(">I", frame[50:54])[0]
    return False, None


def _info_frame(head: bytes, frames: int) -> bytes:
    """Write an Info frame in the manner of the frames that follow it."""
    plain = bytes([head[0], head[1] | 1, head[2] & 0xFD, head[3]])  # without checksum and padding
    bits = (9 if head[1] >> 3 & 3 == 3 else 12) << 4  # 128 kbit/s or near: long enough for what it holds
    plain = bytes([plain[0], plain[1], plain[2] & 0x0F | bits, plain[3]])
    made = frame_of(plain)
    assert made
    mono, first = plain[3] >> 6 == 3, plain[1] >> 3 & 3 == 3
    side = (17 if mono else 32) if first else (9 if mono else 17)
    body = plain + bytes(side) + b"Info" + struct.pack(">II", 1, frames)
    return body.ljust(made[0], b"\0")
