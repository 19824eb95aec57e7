"""Reading files that anybody may have put there: a pipe would block for ever, a device would never end."""

import os
import stat
from pathlib import Path


def bounded_read(path: Path, max_bytes: int) -> bytes:
    """Read a regular file of at most `max_bytes`.

    Raises OSError as the system does, and ValueError for anything but a regular file, for a longer one and for
    a path that cannot be one.
    """
    try:
        file = open(path, "rb", opener=lambda p, flags: os.open(p, flags | getattr(os, "O_NONBLOCK", 0)))
    except ValueError as error:  # a NUL in it
        raise ValueError(f"{str(path)!r} cannot be read: {error}") from None
    with file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} is not a regular file")
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise ValueError(f"{path} is longer than the {max_bytes} bytes allowed")
    return data
