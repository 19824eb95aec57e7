"""What a recording says of itself besides its sound: time code, markers, tags, pictures, from a file to the next.

Between files of the WAV family, and between AIFF files, every chunk that is not the sound's own goes along as it is
(bext and iXML of field recorders, cue points, LIST, MARK). Tags and pictures go between all formats that mutagen
writes.
"""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import mutagen
from mutagen._vorbis import VComment
from mutagen.easyid3 import EasyID3
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, ID3, TXXX

_OWN = {b"fmt ", b"fact", b"data", b"ds64", b"JUNK", b"junk", b"PAD ", b"FLLR", b"PEAK", b"levl"}
_OWN |= {b"COMM", b"SSND", b"FVER"}
MAX_BYTES = 1 << 26
"""Of metadata that is carried; what claims more is no metadata."""
_BEXT_LOUDNESS = slice(412, 422)
_INFO = {"INAM": "title", "IART": "artist", "IPRD": "album", "ICRD": "date", "IGNR": "genre", "ITRK": "tracknumber"}


def copy_metadata(source: Path, target: Path) -> list[str]:
    """Bring what `source` says of itself into `target`, which is written and closed; returns what could not be kept."""
    chunks = [*_chunks(source)]
    if chunks and _order(source) == _order(target):
        _append(target, [(name, _changed(name, data)) for name, data in chunks])
        return []
    lost = [_NAMES[name] for name in dict(chunks) if name in _NAMES]
    infos = [data for name, data in chunks if name == b"LIST" and data[:4] == b"INFO"]
    if not _copy_tags(source, target, _info(b"".join(infos[:1]))):
        lost.append("tags")
    return lost


_NAMES = {
    b"bext": "the broadcast time code (bext)", b"cue ": "cue points", b"iXML": "the recorder's notes (iXML)",
    b"MARK": "markers", b"COMT": "comments", b"NAME": "its name", b"AUTH": "its author", b"ANNO": "annotations",
}  # fmt: skip


# --- WAV and AIFF ---------------------------------------------------------------------------------


def _order(path: Path) -> str:
    """Tell how a file of chunks writes their sizes: "<" the WAV family, ">" AIFF, "" another file."""
    with open(path, "rb") as file:
        head = file.read(12)
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return "<"
    return ">" if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC") else ""


def _chunks(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Give the chunks of a WAV or AIFF file that are not the sound's own."""
    order = _order(path)
    if not order:
        return
    size, left = path.stat().st_size, MAX_BYTES
    with open(path, "rb") as file:
        at = 12
        long_size = None
        while at + 8 <= size:
            file.seek(at)
            head = file.read(8)
            name, claim = head[:4], struct.unpack(order + "I", head[4:])[0]
            if name == b"ds64":
                long_size = struct.unpack("<Q", file.read(16)[8:].ljust(8, b"\0"))[0]
            if name == b"data" and claim == 0xFFFFFFFF and long_size is not None:
                claim = long_size
            if at + 8 + claim > size or not all(0x20 <= b < 0x7F for b in name):
                return
            if name not in _OWN and claim <= left:
                left -= claim
                yield name, file.read(claim)
            at += 8 + claim + claim % 2


def _changed(name: bytes, data: bytes) -> bytes:
    """Take out of a chunk what is not true of the new sound: the loudness that bext version 2 holds (EBU Tech 3285)."""
    if name != b"bext" or len(data) < 602 or struct.unpack("<H", data[346:348])[0] < 2:
        return data
    unknown = struct.pack("<h", 0x7FFF) * 5
    return data[: _BEXT_LOUDNESS.start] + unknown + data[_BEXT_LOUDNESS.stop :]


def _append(path: Path, chunks: list[tuple[bytes, bytes]]) -> None:
    """Write chunks behind the sound, and set the size of the whole."""
    order = _order(path)
    with open(path, "r+b") as file:
        end = file.seek(0, 2)
        if end % 2:
            end += file.write(b"\0")
        for name, data in chunks:
            end += file.write(name + struct.pack(order + "I", len(data)) + data + b"\0" * (len(data) % 2))
        _set_size(file, end)


def _set_size(file: BinaryIO, end: int) -> None:
    file.seek(0)
    head = file.read(24)
    if head[:4] in (b"RIFF", b"FORM"):
        file.seek(4)
        file.write(struct.pack("<I" if head[:4] == b"RIFF" else ">I", end - 8))
    elif head[12:16] == b"ds64":
        file.seek(20)
        file.write(struct.pack("<Q", end - 8))


def _info(chunk: bytes) -> dict[str, str]:
    """Read the names of a LIST INFO chunk."""
    found, at = {}, 4
    while chunk[:4] == b"INFO" and at + 8 <= len(chunk):
        name, size = chunk[at : at + 4].decode("latin-1"), struct.unpack("<I", chunk[at + 4 : at + 8])[0]
        text = chunk[at + 8 : at + 8 + size].rstrip(b"\0").decode("utf-8", "replace")
        if name in _INFO and text:
            found[_INFO[name]] = text
        at += 8 + size + size % 2
    return found


# --- tags -----------------------------------------------------------------------------------------


def _copy_tags(source: Path, target: Path, info: dict[str, str]) -> bool:
    """Copy tags and pictures by mutagen; False if there are some and the target cannot hold them."""
    old = _opened(source)
    texts, pictures = _texts(old), _pictures(old)
    texts = {**{name: [text] for name, text in info.items()}, **texts}
    if not texts and not pictures:
        return True
    new = _opened(target)
    if new is None:
        return False
    if new.tags is None:
        new.add_tags()
    tags: Any = new.tags
    if isinstance(tags, ID3):
        _to_id3(tags, texts, pictures)
    else:
        for name, values in texts.items():
            tags[name] = values
        if isinstance(new, FLAC):
            for picture in pictures:
                new.add_picture(picture)
        elif pictures:
            tags["metadata_block_picture"] = [base64.b64encode(p.write()).decode() for p in pictures]
    new.save()
    return True


def _opened(path: Path) -> Any:
    try:
        return mutagen.File(path)  # pyright: ignore[reportPrivateImportUsage]
    except (mutagen.MutagenError, OSError, ValueError):  # pyright: ignore[reportPrivateImportUsage]
        return None


def _texts(file: Any) -> dict[str, list[str]]:
    """Give tags by the names of Vorbis comments, in lower case."""
    tags = getattr(file, "tags", None)
    if not tags:
        return {}
    if isinstance(tags, ID3):
        easy, found = EasyID3(), {}
        easy._EasyID3__id3 = tags  # pyright: ignore[reportAttributeAccessIssue]
        for name in easy:
            found[name] = [str(v) for v in easy[name]]
        for frame in tags.getall("TXXX"):
            found.setdefault(frame.desc.lower(), [str(v) for v in frame.text])
        return found
    listed: Any = tags
    if not isinstance(tags, VComment):  # of another kind, as MP4's
        return {}
    keys = set(tags.keys()) - {"metadata_block_picture", "encoder"}  # pyright: ignore
    return {str(key).lower(): [str(v) for v in listed[key]] for key in keys}


def _pictures(file: Any) -> list[Picture]:
    if isinstance(file, FLAC):
        return list(file.pictures)
    tags = getattr(file, "tags", None)
    if isinstance(tags, ID3):
        return [_picture(frame) for frame in tags.getall("APIC")]
    if tags and "metadata_block_picture" in tags:
        return [Picture(base64.b64decode(text)) for text in tags["metadata_block_picture"]]
    return []


def _picture(frame: APIC) -> Picture:
    made = Picture()
    made.type, made.mime, made.desc, made.data = frame.type, frame.mime, frame.desc, frame.data  # pyright: ignore
    return made


def _to_id3(tags: ID3, texts: dict[str, list[str]], pictures: list[Picture]) -> None:
    easy = EasyID3()
    easy._EasyID3__id3 = tags  # pyright: ignore[reportAttributeAccessIssue]
    for name, values in texts.items():
        if name in EasyID3.valid_keys:
            easy[name] = values
        else:
            tags.add(TXXX(encoding=3, desc=name, text=values))
    for p in pictures:
        tags.add(APIC(encoding=3, mime=p.mime, type=p.type, desc=p.desc, data=p.data))
