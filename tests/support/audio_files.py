"""Sound files as people have them: every format there is, whole and in every kind of disrepair."""

import io
import struct

import numpy as np
import soundfile

RATE = 48000
SECONDS = 3.0
FORMATS = {
    "WAV 8 bit": ("WAV", "PCM_U8", "wav"),
    "WAV 16 bit": ("WAV", "PCM_16", "wav"),
    "WAV 24 bit": ("WAV", "PCM_24", "wav"),
    "WAV 32 bit": ("WAV", "PCM_32", "wav"),
    "WAV float": ("WAV", "FLOAT", "wav"),
    "WAV double": ("WAV", "DOUBLE", "wav"),
    "WAV extensible": ("WAVEX", "PCM_24", "wav"),
    "RF64": ("RF64", "PCM_24", "wav"),
    "W64": ("W64", "PCM_24", "w64"),
    "AIFF": ("AIFF", "PCM_24", "aif"),
    "AIFF-C float": ("AIFF", "FLOAT", "aifc"),
    "CAF": ("CAF", "PCM_24", "caf"),
    "AU": ("AU", "PCM_16", "au"),
    "FLAC": ("FLAC", "PCM_24", "flac"),
    "Ogg Vorbis": ("OGG", "VORBIS", "ogg"),
    "Opus": ("OGG", "OPUS", "opus"),
    "MP3": ("MP3", "MPEG_LAYER_III", "mp3"),
}
CODED = ("FLAC", "Ogg Vorbis", "Opus", "MP3")
LOSSY = ("Ogg Vorbis", "Opus", "MP3")


def sound(seconds=SECONDS, rate=RATE, channels=2):
    """A tone, then noise: (frames, channels), float64. The halves tell what is missing."""
    n = int(seconds * rate)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(n // 2) / rate)
    noise = 0.1 * np.random.default_rng(0).standard_normal(n - n // 2)
    return np.repeat(np.concatenate([tone, noise])[:, None], channels, axis=1)


def written(name, x=None, rate=RATE, **more):
    """The bytes of a file of a format of FORMATS."""
    kind, subtype, _ = FORMATS[name]
    file = io.BytesIO()
    soundfile.write(file, sound() if x is None else x, rate, format=kind, subtype=subtype, **more)
    return file.getvalue()


def without_sizes(name, data, ones=False):
    """The file of a recorder that lost power (zeros), or of a program that wrote into a pipe (all ones)."""
    data, few, many = bytearray(data), b"\xff" * 4 if ones else bytes(4), b"\xff" * 8 if ones else bytes(8)
    if name.startswith("WAV"):
        at = data.index(b"data")
        data[4:8] = data[at + 4 : at + 8] = few
    elif name == "RF64":
        at = data.index(b"ds64")
        data[at + 8 : at + 24] = many * 2
    elif name == "W64":
        at = data.index(b"data")
        data[16:24] = data[at + 16 : at + 24] = many
    elif name.startswith("AIFF"):
        at = data.index(b"COMM")
        data[at + 10 : at + 14] = few
        at = data.index(b"SSND")
        data[4:8] = data[at + 4 : at + 8] = few
    elif name == "AU":
        data[8:12] = few
    elif name == "CAF":
        at = data.index(b"data")
        data[at + 4 : at + 12] = many
    elif name == "FLAC":
        data[18:26] = (int.from_bytes(data[18:26], "big") >> 36 << 36).to_bytes(8, "big")
    else:
        raise ValueError(f"{name} has no sizes in its header")
    return bytes(data)


def mp3_frames(data):
    """An MP3's frames; the first one is its Xing or Info frame."""
    bits = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
    at, frames = 0, []
    while at + 4 <= len(data):
        if data[at] == 0xFF and data[at + 1] & 0xE0 == 0xE0:
            size = 144 * bits[data[at + 2] >> 4] * 1000 // RATE + (data[at + 2] >> 1 & 1)
            frames.append(data[at : at + size])
            at += size
        else:
            at += 1
    return frames


def chunk(name, data):
    """A RIFF chunk."""
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def riff(x, before=b"", after=b"", rate=RATE):
    """A 16-bit WAV file of x (frames,), with other chunks before and after its sound."""
    fmt = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, rate, rate * 2, 2, 16))
    body = b"WAVE" + before + fmt + chunk(b"data", (np.clip(x, -1, 1) * 32767).astype("<i2").tobytes()) + after
    return b"RIFF" + struct.pack("<I", len(body)) + body


BEXT = chunk(
    b"bext",
    b"scene 1".ljust(320, b"\0") + b"2024-01-0110:00:00" + struct.pack("<QH", RATE * 3600, 2) + bytes(64)
    + struct.pack("<5h", -2300, 700, -100, -1500, -1600) + bytes(180),
)  # fmt: skip
CUE = chunk(b"cue ", struct.pack("<III4sIII", 1, 1, RATE, b"data", 0, 0, RATE))
INFO = chunk(b"LIST", b"INFO" + chunk(b"INAM", b"A take\0"))
