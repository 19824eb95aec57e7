"""Every format with every kind of sound in it, and what is heard of it: the second table of docs/files.md.

`table_markdown` makes it; a test compares, and `make docs` writes it.
"""

import tempfile
from pathlib import Path

import numpy as np

from afx_live.files import AudioFileError
from afx_live.matching import read_clip
from support.audio_files import BEXT, CUE, FORMATS, LOSSY, RATE, mp3_frames, riff, sound, written

SECONDS = 2.0
OTHERS = ("Ogg Vorbis chained", "Opus chained", "MP3 without header", "MP3 CBR")
ROWS = (*FORMATS, "WAV with bext and cue", "BW64", *OTHERS)
ABOUT = {*LOSSY, *OTHERS}
"""Their lengths are those of whole packets."""
FLOATS = ("WAV float", "WAV double", "AIFF-C float")


def made(row, x):
    """Give the bytes of a sound (frames, channels) in the format of a row."""
    if row == "WAV with bext and cue":
        return riff(x[:, 0], BEXT, CUE) if x.shape[1] == 1 else written("WAV 16 bit", x)
    if row == "BW64":
        return b"BW64" + written("RF64", x)[4:]
    if row.endswith(" chained"):
        return written(row.removesuffix(" chained"), x) * 2
    if row == "MP3 without header":
        return b"".join(mp3_frames(written("MP3", x, bitrate_mode="VARIABLE", compression_level=0.5))[1:])
    if row == "MP3 CBR":
        return written("MP3", x, bitrate_mode="CONSTANT", compression_level=0.5)
    return written(row, x)


def suffix(row):
    """Give the ending that files of a row have."""
    base = next((name for name in FORMATS if row.startswith(name)), "WAV 16 bit")
    return FORMATS[base][2]


def _plain():
    return 0.7 * sound(SECONDS, channels=1)


def _stereo(right):
    x = _plain()
    return np.concatenate([x, right * x], 1)


def _holed(row):
    x = _plain()
    x[100] = np.nan
    return made(row, x)


STATES = {
    "whole": lambda row: made(row, _plain()),
    "1 sample": lambda row: made(row, np.full((1, 1), 0.5)),
    "silent": lambda row: made(row, 0.0 * _plain()),
    "DC of 0.2": lambda row: made(row, 0.2 + _plain()),
    "one-sided": lambda row: made(row, _stereo(0.0)),
    "opposite sides": lambda row: made(row, _stereo(-1.0)),
    "NaN": lambda row: _holed(row) if row in FLOATS else None,
    "+12 dBFS": lambda row: made(row, 4.0 / 0.3 * sound(SECONDS, channels=1)) if row in FLOATS else None,
    "scale of 32768": lambda row: made(row, 32767.0 / 0.3 * sound(SECONDS, channels=1)) if row in FLOATS else None,
}
"""What a file holds, and the bytes of a row that does; None where a format cannot."""


def outcome(path, row, seconds=SECONDS):
    """Say what hearing a file gives: "all" or "part", "said" if a note is made of it; "refused" in words."""
    wanted = seconds * (2 if row.endswith(" chained") else 1)
    try:
        clip = read_clip(path)
    except AudioFileError as error:
        said = str(error)
        return "refused" if path.name in said and "\n" not in said else f"refused in bad words: {said}"
    whole = abs(clip.seconds - wanted) < (0.1 if row in ABOUT else 1e-3)
    return ("all" if whole else "part") + (", said" if clip.note else "")


def cell(folder, row, state):
    """Give a cell of the table."""
    data = STATES[state](row)
    if data is None:
        return ""
    path = folder / f"file.{suffix(row)}"
    path.write_bytes(data)
    return outcome(path, row, 1 / RATE if state == "1 sample" else SECONDS)


def table_markdown():
    """Write the table, a row for each format and a column for each state."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [[row, *(cell(Path(folder), row, state) for state in STATES)] for row in ROWS]
    return "\n".join(f"| {' | '.join(row)} |" for row in (["", *STATES], ["---"] * (1 + len(STATES)), *rows))
