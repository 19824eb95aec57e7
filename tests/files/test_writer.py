"""Sound files are written whole or not at all, in the format of their name, and over nothing that is no file."""

import os
import time

import numpy as np
import pytest
import soundfile

from afx_live.files import AudioFileError
from afx_live.files.writer import AudioWriter, choose_format, remove_parts
from support.audio_files import RATE, sound

X = sound(0.5)


@pytest.mark.parametrize(
    ("name", "more", "kind"),
    [
        ("a.wav", {}, ("WAV", "PCM_24")),
        ("a", {"like": "PCM_16"}, ("WAV", "PCM_16")),
        ("a.AIFC", {"like": "FLOAT"}, ("AIFF", "FLOAT")),
        ("a.flac", {"like": "FLOAT"}, ("FLAC", "PCM_24")),
        ("a.flac", {"subtype": "16", "like": "PCM_24"}, ("FLAC", "PCM_16")),
        ("a.oga", {"like": "PCM_16"}, ("OGG", "VORBIS")),
        ("a.opus", {}, ("OGG", "OPUS")),
        ("a.wav", {"frames": 1 << 30}, ("RF64", "PCM_24")),
        ("a.wav", {"frames": None}, ("RF64", "PCM_24")),
        ("a.w64", {"frames": 1 << 30}, ("W64", "PCM_24")),
    ],
)
def test_the_name_and_the_length_say_the_format(tmp_path, name, more, kind):
    assert choose_format(tmp_path / name, 48000, 2, **{"frames": 1000, **more}) == kind


@pytest.mark.parametrize(
    ("name", "rate", "more", "why"),
    [
        ("a.xyz", 48000, {}, "cannot be written; use one of"),
        ("a.mp3", 96000, {}, "8 to 48 kHz"),
        ("a.opus", 44100, {}, "8, 12, 16, 24 or 48 kHz"),
        ("a.flac", 48000, {"subtype": "float"}, "it can hold 16, 24"),
        ("a.aif", 48000, {"frames": 1 << 30}, "longer than 4 GiB"),
    ],
)
def test_what_cannot_be_held_is_said_before_the_work(tmp_path, name, rate, more, why):
    with pytest.raises(AudioFileError, match=why):
        choose_format(tmp_path / name, rate, 2, **{"frames": 1000, **more})


def test_a_file_of_unknown_length_is_a_plain_wav_in_the_end(tmp_path):
    path = tmp_path / "a.wav"
    with AudioWriter(path, RATE, 2, choose_format(path, RATE, 2)) as writer:
        for block in np.array_split(X, 3):
            writer.write(block)
        assert [p.name[:5] for p in tmp_path.iterdir()] == [".afx-"]
        writer.finish()
    assert path.read_bytes()[:4] == b"RIFF"
    assert int.from_bytes(path.read_bytes()[4:8], "little") == path.stat().st_size - 8
    assert soundfile.info(path).format in ("WAV", "WAVEX")
    assert np.abs(soundfile.read(path)[0] - X).max() < 2**-22
    assert [*tmp_path.iterdir()] == [path]


def test_what_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("old")
    with AudioWriter(path, RATE, 2, ("WAV", "PCM_16")) as writer:
        writer.write(X)  # and no finish
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.wav", "old")]


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "folder.wav").mkdir()
    for name in ("pipe.wav", "folder.wav"):
        with pytest.raises(AudioFileError, match="name a file"):
            AudioWriter(tmp_path / name, RATE, 2, ("WAV", "PCM_16"))


def test_what_a_killed_program_left_goes(tmp_path):
    for name, age_s in ((".afx-1-0.part", 7200), (".afx-2-0.part", 10), (".afx-3-0.part", 10), ("a.part", 7200)):
        (tmp_path / name).touch()
        then = time.time() - age_s
        os.utime(tmp_path / name, (then, then))
    remove_parts(tmp_path, 3)
    remove_parts(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [".afx-2-0.part", "a.part"]


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.w64", "a.caf", "a.flac"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_samples_are_rounded_and_clipped_as_libsndfile_does(tmp_path, name, subtype):
    kind = choose_format(tmp_path / name, RATE, 2, 1000, like=subtype)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((4000, 2)) * np.geomspace(1e-10, 4.0, 4000)[:, None]
    edges = [[0.0, -0.0], [1.0, -1.0], [2.0, -2.0], [2**-31, -(2**-31)], [2**-24, -(2**-24)], [1 - 2**-24, 2**-24 - 1]]
    x = np.concatenate([x, edges]).astype(np.float32)
    with AudioWriter(tmp_path / name, RATE, 2, kind) as writer:
        writer.write(x)
        writer.finish()
    soundfile.write(tmp_path / f"theirs-{name}", x, RATE, kind[1], format=kind[0])
    ours, theirs = (soundfile.read(tmp_path / each, dtype="int32")[0] for each in (name, f"theirs-{name}"))
    assert np.array_equal(ours, theirs)
