"""Every format in every state that people have it in, and what the product makes of it: the table of docs/files.md.

`table_markdown` makes it; a test compares, and `make docs` writes it.
"""

import tempfile
from pathlib import Path

import numpy as np

from afx_live.files import AudioFileError
from afx_live.matching import read_clip
from support.audio_files import BEXT, CUE, FORMATS, LOSSY, RATE, mp3_frames, riff, sound, without_sizes, written

SECONDS = 2.0
RUBBISH = b"this is no sound" * 5
OTHERS = ("Ogg Vorbis chained", "Opus chained", "MP3 without header", "MP3 CBR")
ROWS = (*FORMATS, "WAV with bext and cue", "BW64", *OTHERS)
UNSIZED = {*LOSSY, *OTHERS}
"""Their headers hold no size that could be wrong."""


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
    "cut": None,
    "size 0": lambda row: None if row in UNSIZED else without_sizes(_sized(row), made(row, _plain())),
    "size all ones": lambda row: None if row in UNSIZED else without_sizes(_sized(row), made(row, _plain()), ones=True),
    "rubbish before": lambda row: RUBBISH + made(row, _plain()),
    "rubbish behind": lambda row: made(row, _plain()) + RUBBISH * 10,
    "1 sample": lambda row: made(row, np.full((1, 1), 0.5)),
    "silent": lambda row: made(row, 0.0 * _plain()),
    "DC": lambda row: made(row, 0.2 + _plain()),
    "NaN": lambda row: _holed(row) if "float" in row or "double" in row else None,
    "+12 dBFS": lambda row: made(row, 4.0 / 0.3 * sound(SECONDS, channels=1)) if "float" in row else None,
    "one-sided": lambda row: made(row, _stereo(0.0)),
    "opposite": lambda row: made(row, _stereo(-1.0)),
    "5.1": lambda row: None if "MP3" in row else made(row, np.repeat(_plain(), 6, 1)),
}
"""How a file comes, and the bytes of a row in that state; None where there is no such thing."""


def _sized(row):
    return {"WAV with bext and cue": "WAV 16 bit", "BW64": "RF64"}.get(row, row)


def outcome(path, row, seconds=SECONDS):
    """Say what reading a file gives: "all" or "part", "+" if a note is said of it; "no" if it is refused in words."""
    wanted = seconds * (2 if row.endswith(" chained") else 1)
    try:
        clip = read_clip(path)
    except AudioFileError as error:
        said = str(error)
        return "no" if path.name in said and "\n" not in said else f"no, but in bad words: {said}"
    whole = abs(clip.seconds - wanted) < (0.1 if row in UNSIZED else 1e-3)
    return ("all" if whole else "part") + ("+" if clip.note else "")


def cell(folder, row, state):
    """Give a cell of the table; of ten cuts, what all of them give: "no or part+"."""
    path = folder / f"file.{suffix(row)}"
    if state != "cut":
        data = STATES[state](row)
        if data is None:
            return ""
        path.write_bytes(data)
        return outcome(path, row, 1 / RATE if state == "1 sample" else SECONDS)
    data, found = made(row, _plain()), set()
    for tenth in range(10):
        path.write_bytes(data[: len(data) * (tenth + 1) // 11])
        found.add(outcome(path, row))
    return " or ".join(sorted(found))


def table_markdown():
    """Write the table, a row for each format and a column for each state."""
    with tempfile.TemporaryDirectory() as folder:
        rows = [[row, *(cell(Path(folder), row, state) for state in STATES)] for row in ROWS]
    return "\n".join(f"| {' | '.join(row)} |" for row in (["", *STATES], ["---"] * (1 + len(STATES)), *rows))
