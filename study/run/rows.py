"""The study's rows: JSON lines that a cut-off run leaves whole, each with a key of its own.

A run's folder holds `rows.jsonl`, and while it goes on one `rows-<rank>.jsonl` of each process. A row:

    {"case": {…}, "index": 3, "seed": 7, "system": "ad", "scores": {"stft": 0.41, "pesq": null, …},
     "failed": null, "unmeasured": {}, "seconds": 0.21, "audio_s": 5.0, "recording": "vctk_p360",
     "about": "…", "versions": {…}, "recordings": {"file.flac": sha256}, "model": sha256 or null}

`seconds` is the processor time of the answer alone, on one core. `not_applicable`, where it is there, says why a
system has no answer: the oracle, where nobody knows the settings.
"""

import json
import lzma
import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..pairs.case import Case

Row = dict[str, Any]
Key = tuple[Any, ...]

ROWS = "rows.jsonl"


def key(case: Case, index: int, seed: int, system: str) -> Key:
    """Name a row: whoever computes it gets the same."""
    return (*asdict(case).values(), index, seed, system)


def key_of(row: Row) -> Key:
    """Name a row that was read."""
    return key(Case(**row["case"]), row["index"], row["seed"], row["system"])


def line(row: Row) -> str:
    """Write a row as a line; NaN and Inf, which JSON has not, are not allowed: ValueError."""
    return json.dumps(row, allow_nan=False) + "\n"


def read(path: Path) -> list[Row]:
    """Read a file of rows, packed by xz or not; a last line that was not finished is dropped.

    ValueError for any other that is no row.
    """
    with lzma.open(path, "rt") if path.suffix == ".xz" else open(path) as file:
        lines = file.read().split("\n")
    rows = []
    for i, text in enumerate(lines[:-1]):  # what follows the last newline was being written when the run ended
        try:
            row = json.loads(text)
            key_of(row)
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"{path}, line {i + 1} is no row of the study ({error}); take it out") from None
        rows.append(row)
    return rows


def read_folder(folder: Path) -> dict[Key, Row]:
    """Read all rows of a run, merged or not; of two with one key the later one counts."""
    parts = [(path, _read_if_there(path)) for path in _parts(folder)]
    whole = _read_if_there(folder / ROWS)  # after the parts: what a merge takes out of them, it has put in here
    return {key_of(row): row for rows in (whole, *(rows for _, rows in parts)) for row in rows}


def merge(folder: Path) -> dict[Key, Row]:
    """Bring all rows of a run into `rows.jsonl`, sorted, and take the processes' own files away."""
    parts = _parts(folder)
    found = read_folder(folder)
    if parts:
        partial = folder / f"{ROWS}.part"
        partial.write_text("".join(line(found[k]) for k in sorted(found, key=str)))
        os.replace(partial, folder / ROWS)
        for path in parts:
            path.unlink()
    return found


def gather(places: Iterable[Path]) -> list[Row]:
    """Read the rows of several files and folders, sorted; the same row in two places counts once.

    Raises FileNotFoundError for a place that is none, ValueError where there are no rows at all.
    """
    found: dict[Key, Row] = {}
    places = list(places)
    for place in places:
        rows = read_folder(place).values() if place.is_dir() else read(place)
        found |= {key_of(row): row for row in rows}
    if not found:
        raise ValueError(f"no rows in {', '.join(map(str, places))}; make some with afx-study run")
    return [found[k] for k in sorted(found, key=str)]


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob("rows-*.jsonl"))


def _read_if_there(path: Path) -> list[Row]:
    try:
        return read(path)
    except FileNotFoundError:
        return []
