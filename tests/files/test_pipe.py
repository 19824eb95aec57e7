"""WAV and raw samples through pipes."""

import io
import subprocess

import numpy as np
import pytest
import soundfile

from afx_live.files import AudioFileError
from afx_live.files.encodings import ENCODINGS
from afx_live.files.pipe import PipeReader, PipeWriter
from support.audio_files import RATE, riff, sound
from support.jack import need

X = np.random.default_rng(0).uniform(-0.99, 0.99, (50_000, 2)).astype(np.float32)
STEP = {"u8": 2**-7, "s16": 2**-15, "s24": 2**-23, "s32": 2**-31 + 1e-7, "f32": 1e-9, "f64": 1e-9}


@pytest.mark.parametrize("raw", [False, True], ids=["wav", "raw"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_there_and_back(encoding, raw):
    pipe = io.BytesIO()
    writer = PipeWriter(pipe, 44100, 2, encoding, raw)
    for part in np.array_split(X, 7):
        writer.write(part)
    writer.close()
    pipe.seek(0)
    reader = PipeReader(pipe, encoding, 44100, 2) if raw else PipeReader(pipe)
    assert (reader.encoding, reader.sample_rate, reader.channels) == (encoding, 44100, 2)
    assert np.abs(np.concatenate([*reader.blocks()]) - X).max() <= STEP[encoding]
    if not raw:
        pipe.seek(0)
        assert np.abs(soundfile.read(pipe, dtype="float32")[0] - X).max() <= STEP[encoding]


def test_full_scale_does_not_go_round():
    pipe = io.BytesIO()
    PipeWriter(pipe, 48000, 1, "s16", raw=True).write(np.array([[1.5], [-1.5], [1.0]], np.float32))
    assert np.frombuffer(pipe.getvalue(), "<i2").tolist() == [32767, -32768, 32767]


def test_what_follows_the_sound_is_no_sound():
    reader = PipeReader(io.BytesIO(riff(X[:, 0], after=b"LIST" + (4).to_bytes(4, "little") + b"INFO")))
    assert sum(map(len, reader.blocks())) == len(X)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "ends before"), (b"fLaC" + bytes(100), "not WAV"), (riff(X[:9, 0])[:40], "ends before")],
    ids=["nothing", "flac", "half a header"],
)
def test_what_cannot_be_read_says_why(data, why):
    with pytest.raises(AudioFileError, match=why):
        PipeReader(io.BytesIO(data))


@pytest.mark.parametrize("command", [["sox", "{}", "-t", "wav", "-"], ["sox", "{}", "-t", "wav", "-e", "float", "-"]])
def test_sox_writes_what_is_read(tmp_path, command):
    need("sox", "sox")
    soundfile.write(tmp_path / "in.wav", sound(), RATE, subtype="PCM_16")
    words = [word.format(tmp_path / "in.wav") for word in command]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as sox:
        assert sox.stdout
        x = np.concatenate([*PipeReader(sox.stdout).blocks()])
    assert np.abs(x - sound()).max() < 1e-4


def test_sox_reads_what_is_written(tmp_path):
    need("sox", "sox")
    words = ["sox", "-t", "wav", "-", str(tmp_path / "out.wav")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as sox:
        assert sox.stdin
        writer = PipeWriter(sox.stdin, RATE, 2)
        writer.write(X)
        writer.close()
        sox.stdin.close()
    assert np.abs(soundfile.read(tmp_path / "out.wav")[0] - X).max() < 1e-6
