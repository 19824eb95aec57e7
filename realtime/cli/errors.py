"""Exit codes, and what is printed for an error.

Any room's error says by a class attribute `exit_code` which of these it is, so that this file needs to import none of
them.
"""

import errno
from enum import IntEnum


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
    if isinstance(error, OSError) and error.strerror:  # the system's own words, which are made for programmers
        known = {
            errno.ENOSPC: "free some room, or name another place",
            errno.EDQUOT: "free some room",
            errno.ENAMETOOLONG: "choose a shorter name",
        }
        advice = known.get(error.errno or 0, "name another place")
        return f"{error.filename or 'a file'}: {error.strerror}; {advice}"
    return str(error)
