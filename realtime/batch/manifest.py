"""What a batch has done, a line of JSON for each file, so that it goes on where it was cut off."""

import json
import os
from pathlib import Path
from typing import Any

from ...files.json_checks import finite
from ...files.streams import shown
from .work_list import Item


class ManifestError(ValueError):
    """A manifest that cannot be read or written, or a file that is none."""

    exit_code = 5


class Manifest:
    """A file of JSON lines. A line is written whole or not at all; a broken one, as a full disk leaves, is skipped.

    `key` stands for everything but the input that the output depends on: another key does the work again. Raises
    ManifestError, also for a file that holds something else: nothing is added to a recording.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.path, self.key = path, key
        self._done: dict[str, dict[str, Any]] = {}
        if path.exists() and not path.is_file():
            raise ManifestError(f"{shown(path)} is a folder, pipe or device; the manifest is a file")
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise ManifestError(f"{shown(path)} cannot be read: {error.strerror}") from None
        if data and not data.lstrip().startswith(b"{"):
            raise ManifestError(f"{shown(path)} is not a manifest of JSON lines; name another file")
        for line in data.splitlines():
            try:
                row = json.loads(line)
                self._done[row["input"]] = row
            except (ValueError, KeyError, TypeError):
                continue
        try:  # before any work
            path.parent.mkdir(parents=True, exist_ok=True)
            open(path, "ab").close()
        except OSError as error:
            raise ManifestError(f"{shown(path)} cannot be written: {error.strerror}; name another place") from None

    def done(self, item: Item) -> dict[str, Any] | None:
        """Give the line of an item that needs no work: done with this key, input unchanged, output there."""
        row = self._done.get(str(item.source))
        if (
            row
            and row.get("status") == "done"
            and row.get("key") == self.key
            and row.get("output") == str(item.target)
            and row.get("stamp") == stamp(item.source)
            and item.target.is_file()
        ):
            return row
        return None

    def made(self, item: Item) -> bool:
        """Tell whether what is at an item's target was written for it, and nobody has changed it since."""
        row = self._done.get(str(item.source))
        there = stamp(item.target)
        return bool(row and there and row.get("output") == str(item.target) and row.get("output_stamp") == there)

    def add(self, item: Item, row: dict[str, Any]) -> None:
        """Write a line for an item. Raises ManifestError."""
        row = {
            "input": str(item.source),
            "output": str(item.target),
            **row,
            "stamp": stamp(item.source),
            "output_stamp": stamp(item.target) if row.get("status") == "done" or self.made(item) else None,
            "key": self.key,
        }
        data = json.dumps(finite(row), ensure_ascii=True, allow_nan=False).encode() + b"\n"
        try:
            with open(self.path, "ab+") as file:
                end = file.seek(0, os.SEEK_END)
                if end:
                    file.seek(end - 1)
                    data = data if file.read(1) == b"\n" else b"\n" + data  # what stood there was cut off
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ManifestError(f"{shown(self.path)} cannot be written: {error.strerror}") from None
        self._done[str(item.source)] = row


def stamp(path: Path) -> list[int] | None:
    """Give size and time of a file: another stamp is another sound."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]
