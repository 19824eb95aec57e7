"""How much memory this process takes."""

import os
import tracemalloc
from contextlib import contextmanager


def memory_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def most_memory(bound_mb):
    """Fail if Python and numpy together ever take more than this at once."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 1e6 * bound_mb
    finally:
        tracemalloc.stop()
