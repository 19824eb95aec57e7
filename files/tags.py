"""Tags and pictures, between all formats that mutagen writes, and CAF."""

import base64
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import mutagen
from mutagen._vorbis import VComment
from mutagen.apev2 import APETextValue, APEv2
from mutagen.easyid3 import EasyID3
from mutagen.flac import FLAC, CueSheet, MetadataBlock, Picture
from mutagen.id3 import APIC, COMM, ID3, TXXX, UFID, USLT, Frame, TextFrame, UrlFrame

from .chunks import Chunk

_INFO = {
    b"INAM": "title", b"IART": "artist", b"IPRD": "album", b"ICRD": "date", b"IGNR": "genre", b"ITRK": "tracknumber",
    b"ICMT": "comment", b"ICOP": "copyright", b"IENG": "engineer",
}  # fmt: skip
"""RIFF's LIST INFO; what else there is goes by its own four letters."""
_AIFF = {b"NAME": "title", b"AUTH": "artist", b"ANNO": "comment", b"(c) ": "copyright"}
_ABOUT_OLD_SOUND = ("replaygain_", "r128_", "itunnorm", "itunsmpb", "encoder")
"""Beginnings of names of tags that are true of the old sound only: its loudness, its coder."""
_OLD_FRAMES = {"RVA2", "RVAD", "MLLT", "SEEK", "ASPI", "TSSE", "ETCO", "EQU2", "EQUA"}
_APPLICATION = 2
"""FLAC's block type for what other programs keep there (RFC 9639, section 8.1)."""


@dataclass
class Tags:
    """What a file says of itself: texts by the names of Vorbis comments, in lower case; pictures; ID3 and FLAC's own.

    frames: ID3 frames as they are; other: those that only ID3 can hold, in words; blocks: FLAC's cue sheet and
    what other programs keep in a file.
    """

    texts: dict[str, list[str]] = field(default_factory=dict)
    pictures: list[Picture] = field(default_factory=list)
    frames: list[Frame] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    blocks: list[MetadataBlock] = field(default_factory=list)


def read_tags(path: Path, chunks: list[Chunk]) -> Tags:
    """Read what a file says, in chunks that are texts, too."""
    file = _opened(path)
    found = Tags(_chunk_texts(chunks))
    tags = getattr(file, "tags", None)
    if isinstance(tags, ID3):
        found.frames = [frame for frame in tags.values() if not _is_old(frame)]
        found.texts.update(_id3_texts(tags))
        found.pictures = [_picture(frame) for frame in tags.getall("APIC")]
        held = TextFrame | UrlFrame | APIC | COMM | USLT | UFID
        names = {frame.FrameID for frame in found.frames if not isinstance(frame, held)}
        found.other = ["chapters"] * bool(names & {"CHAP", "CTOC"})
        found.other += [f"ID3 frame {name}" for name in sorted(names - {"CHAP", "CTOC"})]
    elif isinstance(tags, VComment):
        listed: Any = tags
        keys = {str(key).lower() for key in listed.keys()} - {"metadata_block_picture"}
        found.texts.update({key: [str(v) for v in listed[key]] for key in keys})
        found.pictures = [Picture(base64.b64decode(text)) for text in listed.get("metadata_block_picture", ())]
    if isinstance(file, FLAC):
        found.pictures = list(file.pictures)
        blocks: Any = file.metadata_blocks
        found.blocks = [b for b in blocks if isinstance(b, CueSheet) or b.code == _APPLICATION]
    for key, values in _ape_texts(path).items():
        found.texts.setdefault(key, values)
    found.texts = {key: v for key, v in found.texts.items() if not key.startswith(_ABOUT_OLD_SOUND)}
    return found


def write_tags(path: Path, tags: Tags) -> list[str]:
    """Write tags into a sound file; returns, in words, what it cannot hold."""
    blocks = [_block_name(block) for block in tags.blocks]
    if not (tags.texts or tags.pictures or tags.frames or blocks):
        return []
    new = _opened(path)
    if new is None:
        return ["tags"] * bool(tags.texts) + ["pictures"] * bool(tags.pictures) + tags.other + blocks
    if new.tags is None:
        new.add_tags()
    held: Any = new.tags
    if isinstance(held, ID3):
        _to_id3(held, tags)
        new.save()
        return blocks
    for name, values in tags.texts.items():
        held[name] = values
    if isinstance(new, FLAC):
        for picture in tags.pictures:
            new.add_picture(picture)
        new.metadata_blocks += tags.blocks
        new.cuesheet = next((b for b in tags.blocks if isinstance(b, CueSheet)), None)
        blocks = []
    elif tags.pictures:
        held["metadata_block_picture"] = [base64.b64encode(p.write()).decode() for p in tags.pictures]
    new.save()
    return [*tags.other, *blocks]


def info_chunk(tags: Tags) -> Chunk:
    """Write texts as CAF's chunk of information strings."""
    pairs = [(key, value) for key, values in tags.texts.items() for value in values]
    body = b"".join(key.encode() + b"\0" + value.encode() + b"\0" for key, value in pairs)
    return b"info", struct.pack(">I", len(pairs)) + body


# --- reading --------------------------------------------------------------------------------------


def _opened(path: Path) -> Any:
    try:
        return mutagen.File(path)  # pyright: ignore[reportPrivateImportUsage]
    except (mutagen.MutagenError, OSError, ValueError):  # pyright: ignore[reportPrivateImportUsage]
        return None


def _chunk_texts(chunks: list[Chunk]) -> dict[str, list[str]]:
    """Read the texts of LIST INFO, of AIFF's text chunks, and of CAF's information strings."""
    found: dict[str, list[str]] = {}
    for name, data in chunks:
        if name in _AIFF:
            found.setdefault(_AIFF[name], []).append(_text(data))
        elif name == b"info":
            words = data[4:].split(b"\0")[:-1]
            found.update(
                {_text(key).lower(): [_text(text)] for key, text in zip(words[::2], words[1::2], strict=False)}
            )
        elif name == b"LIST" and data[:4] == b"INFO":
            at = 4
            while at + 8 <= len(data):
                key, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
                if (text := _text(data[at + 8 : at + 8 + size])) and key != b"ISFT":  # the program that wrote it
                    found.setdefault(_INFO.get(key, _text(key).lower()), [text])
                at += 8 + size + size % 2
    return {key: texts for key, texts in found.items() if key and any(texts)}


def _text(data: bytes) -> str:
    return data.rstrip(b"\0").decode("utf-8", "replace").strip()


def _id3_texts(tags: ID3) -> dict[str, list[str]]:
    easy, found = EasyID3(), {}
    easy._EasyID3__id3 = tags  # pyright: ignore[reportAttributeAccessIssue]
    for name in easy:
        found[name] = [str(v) for v in easy[name]]
    for frame in tags.getall("TXXX"):
        found.setdefault(frame.desc.lower(), [str(v) for v in frame.text])
    for key, frames in (("comment", tags.getall("COMM")), ("lyrics", tags.getall("USLT"))):
        texts = [str(t) for f in frames if not _is_old(f) for t in (f.text if key == "comment" else [f.text]) if t]
        if texts:
            found.setdefault(key, texts)
    known = {text for texts in found.values() for text in texts}
    frames: Any = tags.values()
    for frame in frames:  # those that have no name among Vorbis comments
        if isinstance(frame, TextFrame | UrlFrame) and not isinstance(frame, COMM | TXXX):
            told: Any = frame
            texts = [str(t) for t in told.text] if isinstance(frame, TextFrame) else [told.url]
            if not known.intersection(texts):
                found.setdefault(frame.FrameID.lower(), texts)
    return found


def _is_old(frame: Frame) -> bool:
    description = str(getattr(frame, "desc", "")).lower()
    return frame.FrameID in _OLD_FRAMES or description.startswith(_ABOUT_OLD_SOUND)


def _ape_texts(path: Path) -> dict[str, list[str]]:
    """Read APE tags, which some programs put behind an MP3."""
    if path.suffix.lower() != ".mp3":
        return {}
    try:
        tags: Any = APEv2(path)
    except (mutagen.MutagenError, OSError, ValueError):  # pyright: ignore[reportPrivateImportUsage]
        return {}
    return {str(key).lower(): list(value) for key, value in tags.items() if isinstance(value, APETextValue)}


def _picture(frame: APIC) -> Picture:
    made = Picture()
    made.type, made.mime, made.desc, made.data = frame.type, frame.mime, frame.desc, frame.data  # pyright: ignore
    return made


def _block_name(block: MetadataBlock) -> str:
    return "its cue sheet" if isinstance(block, CueSheet) else "what other programs keep in it (FLAC APPLICATION)"


# --- writing --------------------------------------------------------------------------------------


def _to_id3(held: ID3, tags: Tags) -> None:
    """Put frames in as they are, or texts and pictures where they come from elsewhere."""
    for frame in tags.frames:
        held.add(frame)
    if tags.frames:
        return
    easy = EasyID3()
    easy._EasyID3__id3 = held  # pyright: ignore[reportAttributeAccessIssue]
    for name, values in tags.texts.items():
        if name in EasyID3.valid_keys:
            easy[name] = values
        elif name == "comment":
            held.add(COMM(encoding=3, lang="eng", desc="", text=values))
        elif name == "lyrics":
            held.add(USLT(encoding=3, lang="eng", desc="", text="\n".join(values)))
        else:
            held.add(TXXX(encoding=3, desc=name, text=values))
    for p in tags.pictures:
        held.add(APIC(encoding=3, mime=p.mime, type=p.type, desc=p.desc, data=p.data))
