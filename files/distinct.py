"""No file of a command is written over another one: compared before any work, through links."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .streams import shown


class SameFileError(ValueError):
    """Two files of a command are one, and one of them would be written."""

    exit_code = 2


class Named(NamedTuple):
    """A file of a command: what it is to the user ("the input"), where it is, whether it will be written."""

    role: str
    path: Path
    written: bool = False


def check_distinct(named: Iterable[Named]) -> None:
    """Raise SameFileError if a file that will be written is any other file of the command."""
    seen: dict[object, Named] = {}
    for file in named:
        for identity in _identities(file.path):
            other = seen.setdefault(identity, file)
            if other is not file and (other.written or file.written):
                raise SameFileError(
                    f"{shown(file.path)} is {other.role} and {file.role}, and would be lost; choose another name"
                )


def check_replaced(folder: Path, mark: str, what: str, read: Iterable[Named] = ()) -> None:
    """Raise SameFileError unless a folder that will be replaced whole is not there, empty, or what it is replaced by.

    mark: a file that `what`, in words, always holds. read: the command's files, none of which may be in the folder.
    """
    if (
        os.path.lexists(folder)
        and not (folder / mark).is_file()
        and not (folder.is_dir() and not any(folder.iterdir()))
    ):
        raise SameFileError(f"{shown(folder)} is there and is no {what} (no {mark} in it): choose another name")
    place = Path(os.path.realpath(folder))
    for file in read:
        if place in (here := Path(os.path.realpath(file.path)), *here.parents):
            raise SameFileError(f"{shown(file.path)}, {file.role}, lies in {shown(folder)}, which would be replaced")


def _identities(path: Path) -> list[object]:
    """Give what tells a file: its place, through symbolic links, and its number on its disk, through hard ones."""
    place = os.path.realpath(path)
    try:
        found = os.stat(place)
    except OSError:
        return [place]
    return [place, (found.st_dev, found.st_ino)]
