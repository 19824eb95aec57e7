"""What a recording says of itself besides its sound: time code, markers, tags, pictures, from a file to the next.

Between files of the WAV family (with Wave64), between AIFF files and between CAF files, every chunk that is not the
sound's own goes along as it is (bext and iXML of field recorders, cue points, LIST, MARK). A cue sheet goes from FLAC
to FLAC, tags and pictures go between all formats that mutagen writes. What cannot be kept is named.
"""

import struct
from pathlib import Path

from .chunks import Chunk, add_chunks, family, read_chunks
from .tags import info_chunk, read_tags, write_tags

_BEXT_LOUDNESS = slice(412, 422)
_LIKE_WAV = ("WAV", "W64")
_NAMES = {
    b"bext": "the broadcast time code (bext)", b"cue ": "cue points", b"iXML": "the recorder's notes (iXML)",
    b"MARK": "markers", b"mark": "markers", b"COMT": "comments", b"smpl": "loops (smpl)",
    b"adtl": "labels of cue points", b"regn": "regions", b"cart": "cart data", b"axml": "what it says in XML (axml)",
    bytes.fromhex("5662f7ab2d39d21186c700c04f8edb8a"): "markers",
    bytes.fromhex("bc945f925a52d21186dc00c04f8edb8a"): "its summary",
}  # fmt: skip
_TAGS = {b"id3 ", b"ID3 ", b"NAME", b"AUTH", b"ANNO", b"(c) ", b"info"}
"""Chunks that are tags, and go on as such."""


def copy_metadata(source: Path, target: Path) -> list[str]:
    """Bring what `source` says of itself into `target`, which is written and closed; returns what could not be kept."""
    chunks, here, there = read_chunks(source), family(source), family(target)
    if chunks and (here == there or (here in _LIKE_WAV and there in _LIKE_WAV)):
        kept = [(name, _changed(name, data)) for name, data in chunks if there == "W64" or len(name) == 4]
        add_chunks(target, kept)
        return _names([(name, data) for name, data in chunks if there != "W64" and len(name) > 4])
    tags, lost = read_tags(source, chunks), _names(chunks)
    if there == "CAF" and tags.texts:
        add_chunks(target, [info_chunk(tags)])
        tags.texts, tags.frames = {}, []
    return [*lost, *write_tags(target, tags)]


def _names(chunks: list[Chunk]) -> list[str]:
    """Name chunks for people, those left out that are tags."""
    found: dict[str, None] = {}
    for name, data in chunks:
        name = data[:4] if name == b"LIST" else name
        if name not in _TAGS and name != b"INFO":
            found[_NAMES.get(name) or f"its chunk {name[:4].decode('latin-1').strip()}"] = None
    return list(found)


def _changed(name: bytes, data: bytes) -> bytes:
    """Take out of a chunk what is not true of the new sound: the loudness that bext version 2 holds (EBU Tech 3285)."""
    if name != b"bext" or len(data) < 602 or struct.unpack("<H", data[346:348])[0] < 2:
        return data
    unknown = struct.pack("<h", 0x7FFF) * 5
    return data[: _BEXT_LOUDNESS.start] + unknown + data[_BEXT_LOUDNESS.stop :]
