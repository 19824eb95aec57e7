"""Time codes, markers, tags and pictures go along, or it is said that they do not."""

import struct
from typing import Any

import mutagen
import numpy as np
import pytest
import soundfile
from mutagen.apev2 import APEv2
from mutagen.flac import CueSheet, CueSheetTrack, MetadataBlock
from mutagen.id3 import APIC, CHAP, COMM, POPM, TIT2, TXXX

from afx_live.files.chunks import add_chunks, read_chunks
from afx_live.files.metadata import copy_metadata
from support.audio_files import BEXT, CUE, INFO, RATE, chunk, riff

X = 0.1 * np.random.default_rng(0).standard_normal(RATE)


@pytest.fixture
def take(tmp_path):
    """A recorder's file with time code, a marker, a name, tags and a picture."""
    path = tmp_path / "take.wav"
    path.write_bytes(riff(X, BEXT, CUE + INFO))
    file: Any = mutagen.File(path)
    file.add_tags()
    file.tags.add(TIT2(encoding=3, text="Song"))
    file.tags.add(TXXX(encoding=3, desc="Feeling", text="calm"))
    file.tags.add(APIC(encoding=3, mime="image/png", type=3, desc="cover", data=b"picture"))
    file.save()
    return path


def tags_of(path) -> Any:
    file: Any = mutagen.File(path)
    return file.tags


def copied(take, name, **kind):
    target = take.with_name(name)
    soundfile.write(target, X, RATE, **kind)
    lost = copy_metadata(take, target)
    assert len(soundfile.read(target)[0]) == len(X)
    return target, lost


@pytest.mark.parametrize("kind", ["WAV", "RF64"])
def test_wav_keeps_everything(take, kind):
    target, lost = copied(take, "out.wav", format=kind, subtype="PCM_24")
    data = target.read_bytes()
    assert lost == []
    assert CUE in data
    assert INFO in data
    assert b"picture" in data
    assert np.abs(soundfile.read(target)[0] - X).max() < 1e-6
    bext = data[data.index(b"bext") + 8 :]
    assert bext[:320].rstrip(b"\0") == b"scene 1"
    assert struct.unpack("<Q", bext[338:346])[0] == RATE * 3600
    assert struct.unpack("<5h", bext[412:422]) == (0x7FFF,) * 5  # the old sound's loudness is not the new one's


@pytest.mark.parametrize("suffix", ["flac", "ogg", "opus", "mp3", "aiff"])
def test_tags_and_pictures_go_between_formats(take, suffix):
    kind = {"opus": dict(format="OGG", subtype="OPUS")}.get(suffix, {})
    target, lost = copied(take, f"out.{suffix}", **kind)
    assert lost == ["the broadcast time code (bext)", "cue points"]
    tags = tags_of(target)
    title = tags["TIT2"].text if suffix in ("mp3", "aiff") else tags["title"]
    mood = tags["TXXX:Feeling"].text if suffix in ("mp3", "aiff") else tags["feeling"]
    assert (list(title), list(mood)) == (["Song"], ["calm"])
    assert b"picture" in target.read_bytes() or "metadata_block_picture" in tags
    back, lost = copied(target, "back.mp3")
    assert lost == []
    assert tags_of(back)["TIT2"].text == ["Song"]
    assert tags_of(back).getall("APIC")[0].data == b"picture"


def test_every_list_is_kept(tmp_path):
    source, target = tmp_path / "a.wav", tmp_path / "b.wav"
    labels = chunk(b"LIST", b"adtl" + chunk(b"labl", struct.pack("<I", 1) + b"verse\0"))
    source.write_bytes(riff(X, b"", CUE + INFO + labels))
    soundfile.write(target, X, RATE)
    assert copy_metadata(source, target) == []
    assert {CUE, INFO, labels} <= {part for part in (CUE, INFO, labels) if part in target.read_bytes()}


def test_aiff_keeps_its_markers(tmp_path):
    mark = b"MARK" + struct.pack(">IHHIB", 14, 1, 1, 4800, 5) + b"verse"
    name = b"NAME" + struct.pack(">I", 3) + b"duo\0"
    source, target = tmp_path / "a.aif", tmp_path / "b.aifc"
    soundfile.write(source, X, RATE, format="AIFF", subtype="PCM_16")
    data = source.read_bytes()
    source.write_bytes(data[:4] + struct.pack(">I", len(data) - 8 + len(mark + name)) + data[8:] + mark + name)
    soundfile.write(target, X, RATE, format="AIFF", subtype="FLOAT")
    assert copy_metadata(source, target) == []
    kept = target.read_bytes()
    assert mark in kept
    assert name in kept
    assert struct.unpack(">I", kept[4:8])[0] == len(kept) - 8
    assert np.abs(soundfile.read(target)[0] - X).max() < 1e-6
    soundfile.write(tmp_path / "c.wav", X, RATE)
    assert copy_metadata(source, tmp_path / "c.wav") == ["markers"]
    assert tags_of(tmp_path / "c.wav")["TIT2"].text == ["duo"]


def test_what_cannot_be_kept_is_said(take):
    lost = ["the broadcast time code (bext)", "cue points"]
    assert copied(take, "out.au", subtype="PCM_16")[1] == [*lost, "tags", "pictures"]
    target, said = copied(take, "out.caf", subtype="PCM_16")
    assert said == [*lost, "pictures"]
    assert copied(target, "back.flac") == (take.with_name("back.flac"), [])
    assert dict(tags_of(take.with_name("back.flac")))["feeling"] == ["calm"]
    assert copied(target, "labelled.wav")[1] == []


def test_wave64_holds_what_wav_holds(take):
    target, lost = copied(take, "out.w64", subtype="PCM_24")
    assert lost == []
    data = target.read_bytes()
    assert struct.unpack("<Q", data[16:24])[0] == len(data)
    foreign = bytes.fromhex("5662f7ab2d39d21186c700c04f8edb8a")  # Sony's markers
    add_chunks(target, [(foreign, b"verse")])
    again, lost = copied(target, "again.w64", subtype="PCM_16")
    assert lost == []
    assert b"verse" in again.read_bytes()
    back, lost = copied(again, "back.wav", subtype="PCM_24")
    assert lost == ["markers"]
    kept = back.read_bytes()
    assert all(part in kept for part in (CUE, INFO, b"picture", b"scene 1"))


def test_caf_keeps_its_markers(tmp_path):
    source, target = tmp_path / "a.caf", tmp_path / "b.caf"
    for path in (source, target):
        soundfile.write(path, X, RATE, format="CAF", subtype="PCM_24")
    add_chunks(source, [(b"mark", b"verse"), (b"strg", b"words")])
    assert copy_metadata(source, target) == []
    assert read_chunks(target) == [(b"mark", b"verse"), (b"strg", b"words")]
    assert np.abs(soundfile.read(target)[0] - X).max() < 1e-6
    assert copied(source, "c.wav")[1] == ["markers", "its chunk strg"]


def test_a_cue_sheet_goes_from_flac_to_flac(tmp_path):
    source = tmp_path / "album.flac"
    soundfile.write(source, X, RATE)
    flac: Any = mutagen.File(source)
    sheet = CueSheet(None)
    sheet.tracks = [CueSheetTrack(1, 0), CueSheetTrack(170, RATE)]
    flac.metadata_blocks.append(sheet)
    flac.cuesheet = sheet
    block: Any = MetadataBlock(b"afxlnotes")
    block.code = 2
    flac.metadata_blocks.append(block)
    flac.save()
    target, lost = copied(source, "out.flac")
    assert lost == []
    kept: Any = mutagen.File(target)
    assert [track.start_offset for track in kept.cuesheet.tracks] == [0, RATE]
    assert b"afxlnotes" in target.read_bytes()
    other = ["its cue sheet", "what other programs keep in it (FLAC APPLICATION)"]
    assert copied(source, "out.wav")[1] == other
    assert copied(source, "out.au", subtype="PCM_16")[1] == other


def test_a_podcast_keeps_its_chapters_and_not_the_old_loudness(tmp_path):
    source = tmp_path / "episode.mp3"
    soundfile.write(source, X, RATE)
    mp3: Any = mutagen.File(source)
    mp3.add_tags()
    for frame in (
        TIT2(encoding=3, text="Episode"), COMM(encoding=3, lang="eng", desc="", text="a comment"),
        CHAP(element_id="c1", start_time=0, end_time=500, sub_frames=[TIT2(encoding=3, text="Intro")]),
        TXXX(encoding=3, desc="REPLAYGAIN_TRACK_GAIN", text="-7 dB"), POPM(email="a@b", rating=5, count=1),
    ):  # fmt: skip
        mp3.tags.add(frame)
    mp3.save()
    target, lost = copied(source, "out.mp3")
    assert lost == []
    assert tags_of(target)["CHAP:c1"].sub_frames["TIT2"].text == ["Intro"]
    assert tags_of(target).getall("POPM")
    assert not tags_of(target).getall("TXXX")
    target, lost = copied(source, "out.flac")
    assert lost == ["chapters", "ID3 frame POPM"]
    assert dict(tags_of(target)) == {"title": ["Episode"], "comment": ["a comment"]}
    assert copied(target, "back.mp3")[1] == []
    assert tags_of(tmp_path / "back.mp3").getall("COMM")[0].text == ["a comment"]


def test_ape_tags_go_on_as_tags(tmp_path):
    source = tmp_path / "old.mp3"
    soundfile.write(source, X, RATE)
    ape = APEv2()
    ape["Artist"] = "Duo"
    ape.save(source)
    assert copied(source, "new.mp3")[1] == []
    assert tags_of(tmp_path / "new.mp3")["TPE1"].text == ["Duo"]


def test_nothing_to_keep_is_nothing_lost(tmp_path):
    for suffix in ("wav", "au", "flac"):
        source, target = tmp_path / "a.wav", tmp_path / f"b.{suffix}"
        source.write_bytes(riff(X))
        soundfile.write(target, X, RATE)
        assert copy_metadata(source, target) == []
