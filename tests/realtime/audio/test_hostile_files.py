"""Hostile presets and sound files: each ends in its own error, quickly, and without much memory."""

import os
import struct
import time

import numpy as np
import pytest
import soundfile

from afx_live import presets
from afx_live.chain import ChainSettings
from afx_live.matching.clips import ClipError, read_clip
from afx_live.matching.match import given_settings
from afx_live.realtime.audio.render import render
from support.memory import memory_mb, most_memory
from support.programs_here import exit_code

HEAD = '{"format": "afx-live-preset", "version": 1, '
PRESETS = {
    "number as text": HEAD + '"amount": "1"}',
    "not a number": HEAD + '"amount": NaN}',
    "1e400": HEAD + '"input_gain_db": 1e400}',
    "5000 digits": HEAD + '"amount": ' + "9" * 5000 + "}",
    "truth as a number": HEAD + '"amount": true}',
    "deep lists": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "deep in the chain": HEAD + '"chain": ' + "[" * 900 + "]" * 900 + "}",
    "a key twice": HEAD + '"amount": 1, "amount": 0}',
    "version as text": '{"format": "afx-live-preset", "version": "1"}',
    "version 2": '{"format": "afx-live-preset", "version": 2}',
    "version -1": '{"format": "afx-live-preset", "version": -1}',
    "version 1.0": '{"format": "afx-live-preset", "version": 1.0}',
    "UTF-16": (HEAD + '"amount": 1}').encode("utf-16"),
    "a mark twice": b"\xef\xbb\xbf\xef\xbb\xbf" + HEAD.encode() + b'"amount": 1}',
    "not UTF-8": b'{"format": "\xff"}',
    "zeros": bytes(1000),
    "half a pair": HEAD + '"name": "\\ud800"}',
    "a name that is a path": HEAD + '"name": "../../x"}',
    "an escape": HEAD + '"notes": "\\u001b[2J"}',
    "nine effects": HEAD + '"chain": [' + ",".join(['{"effect": "gain"}'] * 9) + "]}",
    "effect that is none": HEAD + '"chain": [{"effect": "__init__"}]}',
    "effect from elsewhere": HEAD + '"chain": [{"effect": "../../os"}]}',
    "many references": HEAD + '"source": {"references": [' + ",".join(["3"] * 1000) + "]}}",
}


@pytest.mark.parametrize("name", PRESETS)
def test_a_hostile_preset_is_a_preset_error(tmp_path, name):
    data = PRESETS[name] if isinstance(PRESETS[name], bytes) else PRESETS[name].encode()
    path = tmp_path / "p.json"
    path.write_bytes(data)
    begin = time.thread_time()
    with pytest.raises(presets.PresetError) as error:
        presets.load(path)
    assert time.thread_time() - begin < 0.5
    assert len(str(error.value)) < 1000
    assert str(error.value).isprintable()


def test_a_mark_in_front_is_no_offence(tmp_path):
    assert presets.from_json(b"\xef\xbb\xbf" + HEAD.encode() + b'"amount": 0.5}').amount == 0.5


def test_a_file_without_end_is_not_read(tmp_path, capsys):
    huge = tmp_path / "huge.json"
    huge.touch()
    os.truncate(huge, 1 << 30)
    level = memory_mb()
    assert exit_code(capsys, "preset", "check", huge) == 5
    (tmp_path / "zero.json").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.json")
    for name in ("zero.json", "pipe.json"):
        assert exit_code(capsys, "preset", "check", tmp_path / name) == 5
    assert memory_mb() - level < 20.0


def wav(rate=48000, channels=1, bits=16, kind=1, data=bytes(48000), claim=None, frame=None):
    """Write a WAV file whose header says what it likes."""
    frame = channels * bits // 8 if frame is None else frame
    size = len(data) if claim is None else claim
    form = struct.pack("<HHIIHH", kind, channels, rate, rate * frame & 0xFFFFFFFF, frame & 0xFFFF, bits)
    return (
        b"RIFF"
        + struct.pack("<I", (36 + size) & 0xFFFFFFFF)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + (b"data" + struct.pack("<I", size & 0xFFFFFFFF) + data)
    )


def rf64(frames):
    """Write a file that claims any number of frames, in 64 bits."""
    ds64 = b"ds64" + struct.pack("<IQQQI", 28, 2 * frames + 72, 2 * frames, frames, 0)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 48000, 96000, 2, 16)
    return b"RF64\xff\xff\xff\xffWAVE" + ds64 + form + b"data\xff\xff\xff\xff" + bytes(4000)


NOISE = np.random.default_rng(1).normal(0.0, 0.1, 48000).astype("<f4")
SOUNDS = {
    "no channels": wav(channels=0, frame=2),
    "65535 channels": wav(channels=65535),
    "1 Hz": wav(rate=1, data=(NOISE * 3e4).astype("<i2").tobytes()),
    "10 MHz": wav(rate=10_000_000, data=(NOISE * 3e4).astype("<i2").tobytes()),
    "0 Hz": wav(rate=0),
    "2 GHz": wav(rate=2**31 - 1),
    "0 bits": wav(bits=0, frame=2),
    "a frame of 0 bytes": wav(frame=0),
    "unknown coding": wav(kind=0x4242),
    "claims 4 GB, holds silence": wav(claim=2**32 - 40),
    "claims 10^12 frames": rf64(10**12),
    "claims 2^63 frames": rf64(2**62),
    "NaN": wav(bits=32, kind=3, data=np.where(np.arange(48000) == 40000, np.nan, NOISE).astype("<f4").tobytes()),
    "Inf": wav(bits=32, kind=3, data=np.where(np.arange(48000) == 3, -np.inf, NOISE).astype("<f4").tobytes()),
    "silence of 90 s": wav(rate=8000, bits=8, data=b"\x80" * 720_000),
    "cut in the header": wav()[:30],
    "only a header": wav(data=b""),
    "a FLAC of 2^36 frames": b"fLaC\x80\0\0\x22\x10\0\x10\0" + bytes(6) + b"\x0b\xb8\1" + b"\xff" * 5 + bytes(16),
    "an Ogg that ends": b"OggS\0\x02" + bytes(22) + b"\xff" + b"\xff" * 255,
    "an AIFF of 2^32 frames": b"FORM\0\0\0\x2eAIFFCOMM\0\0\0\x12\0\1\xff\xff\xff\xff\0\x10\x40\x0e\xbb\x80\0\0\0\0\0\0"
    b"SSND\0\0\0\x08" + bytes(8),
    "an AU of no encoding": b".snd\0\0\0\x18\xff\xff\xff\xff\0\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff" + bytes(200),
    "a CAF of negative size": b"caff\0\1\0\0desc" + struct.pack(">q", -5) + bytes(60),
}


@pytest.fixture(scope="module")
def compiled():
    read_clip(presets.clip("drums"))


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("name", SOUNDS)
def test_a_hostile_sound_is_a_clip_error(tmp_path, name, capsys):
    path = tmp_path / "sound.wav"
    path.write_bytes(SOUNDS[name])
    begin = time.thread_time()
    with most_memory(20.0), pytest.raises(ClipError) as error:
        read_clip(path)
    assert time.thread_time() - begin < 5.0
    assert len(str(error.value)) < 1000
    words = "render", path, "--preset", "warm", "-o", tmp_path / "out.wav", "-q"
    assert exit_code(capsys, *words) == 4
    assert not (tmp_path / "out.wav").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("compiled")
def test_a_thousand_channels_take_no_more_memory_than_two(tmp_path):
    noise = np.resize(NOISE, (8000, 1000)) * np.linspace(0.5, 1.0, 1000)
    soundfile.write(tmp_path / "wide.wav", noise, 8000, "PCM_16")
    with most_memory(10.0):
        heard = read_clip(tmp_path / "wide.wav")
    assert heard.excerpts.shape == (8000, 1)
    with pytest.raises(ClipError, match="1000 channels"):
        render(heard, given_settings(heard, ChainSettings(), None), tmp_path / "out.wav", lambda frames: None)
