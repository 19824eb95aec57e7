"""docs/files.md: what each format gets in each kind of disrepair, as it is read here and now."""

import os
from pathlib import Path

import numpy as np
import pytest

from afx_live.files import AudioFileError, AudioReader
from support.audio_files import CODED, FORMATS, LOSSY, RATE, SECONDS, sound, without_sizes, written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "files.md"
BEGIN, END = "<!-- table: formats -->\n", "<!-- end -->\n"
HEAD = ("", "whole", "cut at ten places", "sizes of 0", "sizes of all ones", "rubbish before", "rubbish after", "5.1")
RUBBISH = b"this is no sound" * 50


def outcome(path, data, seconds):
    """Read bytes as a file: "all", "part" or "refused", with a mark if something was said of it."""
    path.write_bytes(data)
    try:
        with AudioReader(path) as reader:
            frames = sum(map(len, reader.blocks()))
            note = reader.note_after(frames)
    except AudioFileError:
        return "refused"
    read = "all" if abs(frames - seconds * RATE) <= 2400 else "part"
    return f"{read}, said" if note else read


def summed(found):
    """Count outcomes: one alone as it is."""
    kinds = list(dict.fromkeys(found))
    return kinds[0] if len(kinds) == 1 else "; ".join(f"{found.count(kind)} {kind}" for kind in kinds)


def row(name, folder):
    data, path = written(name), folder / f"file.{FORMATS[name][2]}"
    cuts = [outcome(path, data[: len(data) * (tenth + 1) // 11], SECONDS) for tenth in range(10)]
    sizes = [
        "–" if name in LOSSY or (name in CODED and not ones)
        else outcome(path, without_sizes(name, data, ones), SECONDS)
        for ones in (False, True)
    ]  # fmt: skip
    if name == "FLAC":
        sizes = [sizes[1], "–"]  # 0 stands for "unknown"
    six = "–" if name == "MP3" else outcome(path, written(name, sound(0.5, channels=6)), 0.5)
    before, after = (outcome(path, each, SECONDS) for each in (RUBBISH + data, data + RUBBISH))
    return [name, outcome(path, data, SECONDS), summed(cuts), *sizes, before, after, six]


def line(cells):
    return f"| {' | '.join(cells)} |\n"


@pytest.mark.slow
def test_the_table_is_what_happens(tmp_path):
    rows = [row(name, tmp_path) for name in FORMATS]
    table = "".join([line(HEAD), line(["---"] * len(HEAD)), *map(line, rows)])
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    wanted = before + BEGIN + table + END + rest.split(END)[1]
    if os.environ.get("AFX_WRITE_TABLES"):
        PAGE.write_text(wanted, encoding="utf-8")
    assert page == wanted, "run: AFX_WRITE_TABLES=1 pytest tests/files/test_table.py, and look at what has changed"


@pytest.mark.slow
@pytest.mark.parametrize("name", FORMATS)
def test_nothing_is_lost_in_silence(tmp_path, name):
    """Whatever is less than all is said, or refused."""
    cells = row(name, tmp_path)[1:]
    assert not [cell for cell in cells for kind in cell.split("; ") if kind.split(" ")[-1] == "part"], cells
    assert cells[0] == "all"


def test_a_reader_gives_what_was_written(tmp_path):
    (tmp_path / "a.wav").write_bytes(written("WAV float"))
    with AudioReader(tmp_path / "a.wav", [2]) as reader:
        x = reader.read(RATE, 3 * RATE)
    assert x.shape == (3 * RATE, 1)
    assert np.abs(x[: 2 * RATE, 0] - sound()[RATE:, 1]).max() < 1e-6
    assert not x[2 * RATE :].any()
