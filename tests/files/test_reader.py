"""Every format, whole and in every kind of disrepair: all the sound that is there, and a word where some is not."""

import os

import numpy as np
import pytest

from afx_live.files import AudioFileError, AudioReader
from support.audio_files import CODED, FORMATS, LOSSY, RATE, SECONDS, mp3_frames, sound, without_sizes, written

EACH = pytest.mark.parametrize("name", FORMATS)
SIZED = pytest.mark.parametrize("name", [n for n in FORMATS if n not in LOSSY])


def heard(folder, name, data):
    """Write bytes as a file of a format and read it; returns the reader and its sound (frames, channels)."""
    path = folder / f"file.{FORMATS[name][2]}"
    path.write_bytes(data)
    with AudioReader(path) as reader:
        return reader, np.concatenate([*reader.blocks(), np.zeros((0, reader.channels), np.float32)])


def is_all(x, name):
    """Whether a sound is the whole of what `written` wrote, as near as the format keeps it."""
    wanted = sound()
    frames = slice(None) if name not in LOSSY else slice(0, min(len(x), len(wanted)))
    near = 2e-2 if FORMATS[name][1] == "PCM_U8" else 1e-4
    return abs(len(x) - len(wanted)) <= (2400 if name in LOSSY else 0) and (
        name in LOSSY or np.abs(x[frames] - wanted[frames]).max() < near
    )


@pytest.mark.slow
@EACH
def test_whole(tmp_path, name):
    reader, x = heard(tmp_path, name, written(name))
    assert is_all(x, name)
    assert reader.note == ""
    assert reader.sample_rate == RATE


@pytest.mark.slow
@EACH
def test_cut_off_at_ten_places(tmp_path, name):
    data = written(name)
    for tenth in range(10):
        try:
            reader, x = heard(tmp_path, name, data[: len(data) * (tenth + 1) // 11])
        except AudioFileError:
            continue
        assert len(x) < SECONDS * RATE if name == "MP3" else len(x) < (tenth + 2) / 10 * SECONDS * RATE
        assert "are there" in reader.note or "breaks off" in reader.note, tenth


@SIZED
@pytest.mark.parametrize("ones", [False, True], ids=["zeros", "ones"])
def test_sizes_that_were_never_written(tmp_path, name, ones):
    reader, x = heard(tmp_path, name, without_sizes(name, written(name), ones))
    assert is_all(x, name)
    if not ones and name not in CODED:
        assert "never finished" in reader.note


@EACH
def test_rubbish_before_the_sound(tmp_path, name):
    reader, x = heard(tmp_path, name, b"this is no sound" * 5 + written(name))
    assert is_all(x, name)
    assert name == "MP3" or "80 bytes" in reader.note


@EACH
def test_rubbish_after_the_sound(tmp_path, name):
    _, x = heard(tmp_path, name, written(name) + b"this is no sound" * 50)
    assert is_all(x, name)


@EACH
def test_an_id3_tag_before_the_sound(tmp_path, name):
    tag = b"ID3\x04\0\0\0\0\x02\0" + bytes(256)
    _, x = heard(tmp_path, name, tag + written(name))
    assert is_all(x, name)


@EACH
def test_one_sample_is_one_sample(tmp_path, name):
    _, x = heard(tmp_path, name, written(name, np.full((1, 1), 0.5)))
    assert 1 <= len(x) <= (4000 if name in LOSSY else 1)


@EACH
def test_no_sample_at_all(tmp_path, name):
    try:
        _, x = heard(tmp_path, name, written(name, np.zeros((0, 2))))
    except AudioFileError:
        return
    assert len(x) == 0 or name in LOSSY


def test_bw64_is_rf64s_successor(tmp_path):
    reader, x = heard(tmp_path, "RF64", b"BW64" + written("RF64")[4:])
    assert is_all(x, "RF64")
    assert reader.note == ""


@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
def test_an_mp3_that_does_not_say_how_long_it_is(tmp_path, mode):
    frames = mp3_frames(written("MP3", bitrate_mode=mode, compression_level=0.5))
    _, x = heard(tmp_path, "MP3", b"".join(frames[1:]))
    assert abs(len(x) / RATE - SECONDS) < 0.1
    _, x = heard(tmp_path, "MP3", b"".join(frames[1:]) * 3)
    assert abs(len(x) / RATE - 3 * SECONDS) < 0.2


def test_an_mp3_whose_header_tells_less_than_there_is(tmp_path):
    reader, x = heard(tmp_path, "MP3", written("MP3") * 2)
    assert abs(len(x) / RATE - 2 * SECONDS) < 0.2
    assert "are there" in reader.note


@pytest.mark.parametrize("name", ["Ogg Vorbis", "Opus"])
def test_chained_streams(tmp_path, name):
    _, x = heard(tmp_path, name, written(name) * 2)
    assert abs(len(x) / RATE - 2 * SECONDS) < 0.1
    with pytest.raises(AudioFileError, match="several streams"):
        heard(tmp_path, name, written(name) + written(name, sound(channels=1)))


def test_a_stretch_across_chained_streams(tmp_path):
    (tmp_path / "a.ogg").write_bytes(written("Ogg Vorbis") * 2)
    with AudioReader(tmp_path / "a.ogg") as reader:
        whole = np.concatenate([*reader.blocks()])
        part = np.concatenate([*reader.blocks(int(2.5 * RATE), RATE)])
    assert len(part) == RATE
    assert np.abs(part - whole[int(2.5 * RATE) : int(3.5 * RATE)]).max() < 1e-4


def test_a_wav_whose_size_went_round_at_4_gib(tmp_path):
    data = written("WAV 16 bit")
    path = tmp_path / "long.wav"
    count = (1 << 32) + len(data) - 44
    with open(path, "wb") as file:  # sparse: it takes no room on the disk
        file.write(data[:44])
        file.truncate(44 + count)
    with AudioReader(path) as reader:
        assert reader.frames == count // 4


@pytest.mark.parametrize("name", [n for n in FORMATS if n.startswith("WAV") and n not in ("WAV float", "WAV double")])
def test_a_list_after_an_empty_sound_is_no_sound(tmp_path, name):
    data = written(name, np.zeros((0, 1)))
    try:
        _, x = heard(tmp_path, name, data + b"LIST" + (26).to_bytes(4, "little") + b"INFOINAM\x0e\0\0\0a long name...")
    except AudioFileError:
        return
    assert len(x) == 0


def test_what_is_no_sound_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    for n, data in enumerate([b"", b"text", rng.bytes(100_000), b"\xff" * 5000, b"\0" * 5000, b"RIFF", b"{}" * 3000]):
        for suffix in ("wav", "mp3"):
            path = tmp_path / f"{n}.{suffix}"
            path.write_bytes(data)
            with pytest.raises(AudioFileError, match=f"{n}.{suffix}"):
                AudioReader(path)


@pytest.mark.slow
def test_damaged_headers_never_end_in_anything_else(tmp_path):
    rng = np.random.default_rng(1)
    for name in FORMATS:
        data = written(name, sound(0.2))
        for _ in range(40):
            bad = bytearray(data)
            for at in rng.integers(0, 120, rng.integers(1, 8)):
                bad[at % len(bad)] = rng.integers(256)
            try:
                _, x = heard(tmp_path, name, bytes(bad))
            except AudioFileError:
                continue
            assert len(x) < 60 * RATE


def test_a_name_that_is_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    with open(path, "wb") as file:
        file.write(written("WAV 16 bit"))
    with AudioReader(os.fsdecode(path)) as reader:
        assert reader.frames == SECONDS * RATE
    with pytest.raises(AudioFileError, match="not there") as told:
        AudioReader(os.fsdecode(path + b"x"))
    str(told.value).encode()
