"""The study's rows: JSON lines that an interrupted run leaves complete, each with a key of its own.

A run's folder holds `rows.jsonl`, and during the run one `rows-<rank>.jsonl` for each process. A row:

    {"condition": {…}, "index": 3, "seed": 7, "system": "ad", "scores": {"stft": 0.41, "pesq": null, …},
     "failed": null, "unmeasured": {}, "seconds": 0.21, "audio_s": 5.0, "recording": "vctk_p360",
     "about": "…", "versions": {…}, "recordings": {"file.flac": sha256}, "model": sha256 or null}

`seconds` is the processor time of the answer alone, on one core. `not_applicable`, where present, is the reason
why a system has no answer: the oracle, where the settings are unknown. Rows of earlier versions, with "case" and
"row" in place of "condition" and "effect_set", are read as rows of today.
"""

import json
import lzma
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...files.atomic_write import atomic_write
from ..pairs.condition import Condition

Row = dict[str, Any]
Key = tuple[Any, ...]

ROWS = "rows.jsonl"


def key(condition: Condition, index: int, seed: int, system: str) -> Key:
    """Return the key of a row: the same one wherever it is computed."""
    return (*asdict(condition).values(), index, seed, system)


def key_of(row: Row) -> Key:
    """Return the key of a row that was read."""
    return key(Condition.of(row["condition"]), row["index"], row["seed"], row["system"])


def line(row: Row) -> str:
    """Write a row as a line; ValueError for NaN and Inf, which JSON does not have."""
    return json.dumps(row, allow_nan=False) + "\n"


def read(path: Path) -> list[Row]:
    """Read a file of rows, compressed by xz or not; an unfinished last line is dropped.

    Raises ValueError for any other line that is not a row.
    """
    with lzma.open(path, "rt") if path.suffix == ".xz" else open(path) as file:
        lines = file.read().split("\n")
    rows = []
    for i, text in enumerate(lines[:-1]):  # what follows the last newline was being written when the run ended
        try:
            rows.append(_present(json.loads(text)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{path}, line {i + 1} is not a row of the study ({error}); remove it") from None
    return rows


def _present(row: Row) -> Row:
    """Bring a row to today's names."""
    condition = Condition.of(row["condition"] if "condition" in row else row["case"])
    row = {"condition": asdict(condition), **{k: v for k, v in row.items() if k not in ("condition", "case")}}
    key_of(row)
    return row


def read_folder(folder: Path) -> dict[Key, Row]:
    """Read all rows of a run, merged or not; of two with one key the later one counts."""
    parts = [(path, _read_if_there(path)) for path in _parts(folder)]
    whole = _read_if_there(folder / ROWS)  # after the parts: what a merge removes from them, it has added here
    return {key_of(row): row for rows in (whole, *(rows for _, rows in parts)) for row in rows}


def merge(folder: Path) -> dict[Key, Row]:
    """Merge all rows of a run into `rows.jsonl`, sorted, and remove the processes' own files."""
    parts = _parts(folder)
    found = read_folder(folder)
    if parts:
        atomic_write(folder / ROWS, "".join(line(found[k]) for k in sorted(found, key=str)).encode())
        for path in parts:
            path.unlink()
    return found


def gather(places: Iterable[Path]) -> list[Row]:
    """Read the rows of several files and folders, sorted; the same row in two places counts once.

    Raises FileNotFoundError for a place that does not exist, ValueError where there are no rows at all.
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
