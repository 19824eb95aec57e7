"""Writing files whole or not at all: a power cut or kill at any moment leaves the old file or the new one."""

import contextlib
import errno
import glob
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STALE_S = 60.0
"""Older temporary files are left over from a killed program and are removed."""


@contextmanager
def atomic_path(path: Path, overwrite: bool = True, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; what the block writes there is renamed to `path` when it ends.

    If the block raises, the temporary file is removed and `path` stays as it was. Without `durable` nothing
    waits for the disk: that survives a kill, but not a power cut. Raises FileExistsError if `path` exists,
    before or after the block, and may not be overwritten; OSError as the system does, and for a pipe or device.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "no file but a folder, pipe or device", str(path))
    if not overwrite and path.exists():
        raise _exists(path)
    _remove_stale(path)
    temporary = path.with_name(f".{_begin(path)}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        yield temporary
        if durable:
            _sync(temporary, os.O_RDWR)
        if not overwrite and path.exists():
            raise _exists(path)
        os.replace(temporary, path)
        if durable:
            with contextlib.suppress(OSError):  # not every file system can sync a folder
                _sync(path.parent, os.O_RDONLY)
    except OSError as error:
        if error.filename == str(temporary):  # nobody has asked for that one
            error.filename = str(path)
        raise
    finally:
        with contextlib.suppress(OSError):  # renamed, never made, or in a place that cannot be written
            temporary.unlink()


def atomic_write(path: Path, data: bytes, overwrite: bool = True) -> None:
    """Write a file whole or not at all; raises as `atomic_path` does."""
    with atomic_path(path, overwrite) as temporary:
        temporary.write_bytes(data)


def _begin(path: Path) -> str:
    """Give so much of a file's name that a temporary one has room for it in the 255 bytes of a name."""
    return os.fsdecode(os.fsencode(path.name)[:100])


def _exists(path: Path) -> FileExistsError:
    return FileExistsError(f"{path} exists; choose another name, or overwrite it on purpose")


def _remove_stale(path: Path) -> None:
    for left in path.parent.glob(f".{glob.escape(_begin(path))}.*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > STALE_S:
                left.unlink()


def _sync(path: Path, flags: int) -> None:
    """Have a file, or the names in a folder, written to the disk."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
