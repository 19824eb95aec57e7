"""A ring buffer that is read and written several frames at a time, in compiled code.

`ring` is a vector; `at` is a place in it, 0 <= at < its length; `count` frames may wrap around its end but must
be no more than its length.
"""

import numpy as np
from numpy.typing import NDArray

from .compiler import jit


def primes(limit: int) -> NDArray[np.int64]:
    """List the primes below a limit: lines whose lengths are primes have no echo in common.

    >>> primes(20)
    array([ 2,  3,  5,  7, 11, 13, 17, 19])
    """
    sieve = np.arange(limit)
    for n in range(2, int(limit**0.5) + 1):
        sieve[n * n :: n] = 0
    return sieve[sieve > 1]


@jit
def read(ring, at, row, count):
    """Copy `count` frames from place `at` on out of a ring."""
    whole = min(count, ring.shape[0] - at)
    near, far = ring[at : at + whole], row[whole:count]
    for n in range(whole):
        row[n] = near[n]
    for n in range(count - whole):
        far[n] = ring[n]


@jit
def write(ring, at, row, count):
    """Copy `count` frames into a ring, from place `at` on."""
    whole = min(count, ring.shape[0] - at)
    near, far = ring[at : at + whole], row[whole:count]
    for n in range(whole):
        near[n] = row[n]
    for n in range(count - whole):
        ring[n] = far[n]


@jit
def add_tap(ring, at, gain, row, count):
    """Add `count` frames from place `at` on of a ring, times a gain, to a row."""
    whole = min(count, ring.shape[0] - at)
    near, far = ring[at : at + whole], row[whole:count]
    for n in range(whole):
        row[n] += gain * near[n]
    for n in range(count - whole):
        far[n] += gain * ring[n]


@jit
def back(at, frames, size):
    """Give the place `frames` before `at` in a ring of `size`."""
    return at - frames if at >= frames else at - frames + size


@jit
def ahead(at, frames, size):
    """Give the place `frames` after `at` in a ring of `size`."""
    return at + frames if at + frames < size else at + frames - size
