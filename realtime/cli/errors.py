"""Exit codes, and what is printed for an error.

Any room's error says by a class attribute `exit_code` which of these it is, so that this file needs to import none of
them.
"""

import errno
import os
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

from ...files.streams import shown


class ExitCode(IntEnum):
    """What `afx-live` returns to the shell."""

    DONE = 0
    BUG = 1
    USAGE = 2
    DEVICE = 3
    CLIP = 4
    PRESET = 5
    PORT = 6


INTERRUPTED = 130
"""Ctrl-C where there is nothing to end gently: 128 and the signal's number, as shells have it."""

KINDS = {1: "bug", 2: "usage", 3: "device", 4: "file", 5: "preset", 6: "port", INTERRUPTED: "interrupted"}
"""What an exit code is called in JSON."""


class UsageError(ValueError):
    """Arguments that do not fit together."""

    exit_code = ExitCode.USAGE


def exit_code(error: BaseException) -> int:
    """Give the exit code of an error: its own, else by its kind; 1 (a bug) for what nobody expected."""
    own = getattr(error, "exit_code", None)
    if own is not None:
        return int(own)
    if isinstance(error, FileExistsError):
        return ExitCode.USAGE
    return ExitCode.CLIP if isinstance(error, OSError) else ExitCode.BUG


def message(error: BaseException) -> str:
    """Say what went wrong and what to do next."""
    if exit_code(error) == ExitCode.BUG:
        return f"a bug: {error!r}. Run again with -v and report it, please."
    if isinstance(error, FileExistsError) and error.strerror:  # a folder could not be made
        return f"{shown(str(error.filename or 'a file'))} is a file, not a folder; choose another place"
    if isinstance(error, OSError) and error.strerror:  # the system's own words, which are made for programmers
        return f"{shown(str(error.filename or 'a file'))}: {error.strerror}; {advice(error)}"
    return str(error)


def advice(error: OSError) -> str:
    """Say what to do about a file that could not be read or written."""
    known = {
        errno.ENOSPC: "free some room, or name another place",
        errno.EDQUOT: "free some room",
        errno.ENAMETOOLONG: "choose a shorter name",
    }
    return known.get(error.errno or 0, "name another place")


def as_data(code: int, text: str, given: Iterable[Any] = ()) -> dict[str, Any]:
    """Give an error as plain data: code, kind, path (None if it is of no file) and message.

    given: values of the command line; the path is the longest of them that the message names.
    """
    named = [word for word in _words(given) if shown(word) in text and not word.startswith("-")]
    return {"code": code, "kind": KINDS.get(code, "bug"), "path": max(named, key=len, default=None), "message": text}


def _words(given: Iterable[Any]) -> Iterator[str]:
    for value in given:
        if isinstance(value, list | tuple):
            yield from _words(value)
        elif isinstance(value, os.PathLike):
            yield os.fspath(value)
        elif isinstance(value, str) and len(value) > 1 and ("/" in value or "." in value or os.path.exists(value)):
            yield value
