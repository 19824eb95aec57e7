"""Every format with every kind of sound: the table of docs/files.md is what is heard, and all readers agree."""

from pathlib import Path

import numpy as np
import pytest

from afx_live.matching import read_clip
from afx_live.realtime.web.decoder import decode
from afx_live.training.recordings.layouts import find
from afx_live.training.recordings.reading import read_mono
from support import sweep
from support.sweep import ROWS, SECONDS, STATES, cell, made, suffix

DOCS = Path(__file__).resolve().parents[2] / "docs"


@pytest.fixture(scope="module")
def table():
    lines = (DOCS / "files.md").read_text(encoding="utf-8").split("<!-- files table -->")[1].splitlines()
    cells = [[c.strip() for c in line.strip().strip("|").split("|")] for line in lines if line.startswith("| ")]
    head, _, *rows = cells
    return {(row[0], state): word for row in rows for state, word in zip(head[1:], row[1:], strict=True)}


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_the_table_is_what_is_heard(table, row, tmp_path):
    for state in STATES:
        assert cell(tmp_path, row, state) == table[row, state], f"{row}, {state}; run: make docs"


def test_what_is_odd_is_said_and_nothing_else(table):
    for (row, state), word in table.items():
        plain = "all, said" if row.endswith(" chained") else "all"
        wanted = {
            "whole": (plain,),
            "one-sided": (plain,),
            "+12 dBFS": ("all", ""),
            "1 sample": ("all", "all, said", "refused"),  # a packet of Opus is more than a sample
            "DC of 0.2": ("all, said", plain) if row in sweep.ABOUT else ("all, said",),  # an encoder may take it off
            "opposite sides": ("all, said",),
        }.get(state, ("refused", ""))
        assert word in wanted, (row, state, word)


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS)
def test_the_page_reads_what_clips_read(row, tmp_path):
    for state in ("whole", "DC of 0.2", "opposite sides"):
        data = STATES[state](row)
        if data is None:
            continue
        path = tmp_path / f"file.{suffix(row)}"
        path.write_bytes(data)
        found = decode(path, tmp_path / "decoded.wav")
        assert found["frames"] == read_clip(path).frames


@pytest.mark.parametrize("row", ["WAV 16 bit", "AIFF", "FLAC", "Ogg Vorbis chained", "MP3 without header"])
def test_training_reads_what_clips_read(row, tmp_path):
    (tmp_path / f"file.{suffix(row)}").write_bytes(made(row, sweep._stereo(-1.0)))
    (recording,) = find(tmp_path, "folder")
    wanted = SECONDS * (2 if "chained" in row else 1)
    assert recording.seconds == pytest.approx(wanted, abs=0.1)
    x = read_mono(recording, 0.0, recording.seconds, 48000)
    assert np.sqrt(np.mean(np.square(x))) > 0.05
