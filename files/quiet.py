"""C libraries kept from writing to the terminal while they work."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_lock = threading.Lock()
_inside, _saved = 0, -1


@contextmanager
def quiet() -> Iterator[None]:
    """Send what is written to file descriptor 2 nowhere meanwhile: mpg123 and ALSA have no other way to be quiet.

    Python's own `sys.stderr` is spared where it has a file descriptor of its own, as in `afx-live`. Threads may be
    inside at the same time.
    """
    global _inside, _saved
    with _lock:
        if _inside == 0:
            _saved = _away()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and _saved >= 0:
                os.dup2(_saved, 2)
                os.close(_saved)


def _away() -> int:
    """Point file descriptor 2 nowhere; returns another one for where it pointed, or -1 if it is closed."""
    try:
        saved = os.dup(2)
    except OSError:
        return -1
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return saved
