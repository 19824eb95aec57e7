"""Files that the page sends: decoded in a process that may die, bounded, and named by us."""

import io
import json
import random
import socket
import struct
import time

import numpy as np
import pytest
import soundfile

from afx_live.realtime.web import decoder
from afx_live.realtime.web.uploads import MAX_BYTES, shown
from support.page import sound


def test_a_recording_is_taken_and_decoded(client, desk, place):
    status, _, body = client.put("My%20voice.flac", sound(2.0, 44100))
    assert status == 200
    found = json.loads(body)
    assert found["name"] == "My voice.flac"
    assert (found["sample_rate"], found["channels"], found["frames"]) == (44100, 2, 88200)
    assert found["peak"] == pytest.approx(0.5, abs=1e-3)
    x, rate = soundfile.read(place[0].folder / f"{found['id']}.wav")
    assert (x.shape, rate) == ((88200, 2), 44100)
    assert desk.uploads[-1]["id"] == found["id"]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_all_common_formats_are_read(client, kind):
    assert client.put(f"x.{kind.lower()}", sound(1.0, 44100, 1, kind))[0] == 200


NAMES = [
    "..%2F..%2Fetc%2Fpasswd",
    "%2Fetc%2Fpasswd",
    "a%00b",
    "%0d%0aSet-Cookie:x",
    "x" * 5000,
    "",
    "con",
    "%F0%9F%8E%B8",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_and_never_a_path(client, place, name):
    status, headers, body = client.put(name, sound(0.5))
    assert status in (200, 414, 400)
    assert "set-cookie" not in headers
    folder = place[0].folder
    assert all(file.parent == folder and file.suffix in (".wav", ".log") for file in folder.rglob("*"))
    if status == 200:
        assert len(json.loads(body)["name"]) <= 80


def test_names_are_cut_and_cleaned():
    assert shown("a\0b\x1b[31m\n") == "ab[31m"
    assert shown("\n") == "recording"
    assert len(shown("x" * 500)) == 80


def _claims(frames, channels=2, rate=48000):
    """A WAV that claims so much, and holds nothing."""
    size = frames * channels * 2
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        min(size + 36, 2**32 - 1),
        b"WAVE",
        b"fmt ",
        16,
        1,
        channels,
        rate,
        rate * channels * 2 & 0xFFFFFFFF,
        channels * 2 & 0xFFFF,
        16,
        b"data",
        min(size, 2**32 - 1),
    )
    return head + bytes(4000)


def _broken(kind):
    data = bytearray(sound(1.0, kind=kind))
    rng = random.Random(kind)
    for _ in range(200):
        data[rng.randrange(len(data))] = rng.randrange(256)
    return bytes(data)


BAD = {
    "text": b"hello" * 100,
    "nothing": b"",
    "a script": b"#!/bin/sh\nrm -rf ~\n",
    "a head alone": sound()[:40],
    "no frames": sound(0.0, kind="WAV"),
    "NaN": b"",  # below
    "100 channels": sound(0.01, channels=100, kind="WAV"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_sound_is_refused_in_words_and_leaves_nothing(client, desk, place, what):
    data = BAD[what]
    if what == "NaN":
        file = io.BytesIO()
        soundfile.write(file, np.full(1000, np.nan), 48000, format="WAV", subtype="FLOAT")
        data = file.getvalue()
    count = len(desk.uploads)
    status, _, body = client.put("x.wav", data)
    assert status == 422
    assert json.loads(body)["error"]
    assert len(desk.uploads) == count
    assert not list(place[0].folder.glob("*.upload"))
    assert client.put("x.wav", sound())[0] == 200


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["FLAC", "OGG", "MP3", "WAV", "AIFF"])
def test_a_damaged_file_ends_at_most_its_decoder(client, kind):
    assert client.put("x", _broken(kind))[0] in (200, 422)
    assert client.put("x", _claims(2**30))[0] in (200, 422)
    assert client.put("x.wav", sound())[0] == 200


def test_more_than_may_come_is_not_taken(client, place):
    assert client.put("x", b"", Content_Length=str(MAX_BYTES + 1))[0] == 413
    for lie in ("-1", "1e3", "٣", "0x10"):
        raw = socket.create_connection((client.host, client.port), 5)
        head = f"PUT /upload HTTP/1.1\r\nHost: {client.netloc}\r\nAuthorization: Bearer {client.token}\r\n"
        raw.sendall((head + f"Content-Length: {lie}\r\n\r\n").encode())
        assert b" 4" in raw.recv(100)
    assert not list(place[0].folder.glob("*.upload"))


@pytest.mark.slow
def test_a_sender_that_breaks_off_leaves_nothing(client, place):
    raw = socket.create_connection((client.host, client.port), 5)
    head = f"PUT /upload HTTP/1.1\r\nHost: {client.netloc}\r\nAuthorization: Bearer {client.token}\r\n"
    raw.sendall(head.encode() + b"Content-Length: 1000000\r\n\r\n" + bytes(1000))
    time.sleep(0.3)
    raw.close()
    time.sleep(0.5)
    assert not list(place[0].folder.glob("*.upload"))
    assert client.put("x.wav", sound())[0] == 200


@pytest.mark.slow
def test_the_decoder_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(decoder, "MAX_SAMPLES", 48000)
    (tmp_path / "x.flac").write_bytes(sound(2.0, channels=1))
    with pytest.raises(ValueError, match="longer than"):
        decoder.decode(tmp_path / "x.flac", tmp_path / "y.wav")
