"""The library that was compiled when the package was built (native/): compiled code without a compiler.

It is there if the package was built with a C compiler at hand, and it is used only if its sources are, byte for
byte, those that lie here. Without it, and for what is not in it, numba compiles. AFX_LIVE_LIBRARY=off leaves it aside.
"""

import ctypes
import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, NamedTuple

from .entry import Entry, Spec, entry_name
from .sources import ROOT

PATH = ROOT / "native" / "libafx-live.so"  # no name that Python would import
SWITCH = "AFX_LIVE_LIBRARY"


class Ready(NamedTuple):
    """A compiled function, where it is."""

    address: int


class Library(NamedTuple):
    """The open library, and the instruction set that it is used for."""

    shared: ctypes.CDLL
    level: int
    name: str


def digest(files: Iterable[str]) -> str:
    """Hash files of the package, given relative to it. Raises OSError if one is not there."""
    found = hashlib.sha256()
    for file in files:
        found.update(file.encode() + b"\0" + (ROOT / file).read_bytes() + b"\0")
    return found.hexdigest()


@cache
def opened() -> Library | None:
    """Open the library; None if there is none for these sources, or none that this processor runs."""
    if os.environ.get(SWITCH, "").lower() == "off" or not PATH.is_file():
        return None
    try:
        shared = ctypes.CDLL(str(PATH))
        shared.afx_sources.restype = shared.afx_level_name.restype = ctypes.c_char_p
        shared.afx_function.restype, shared.afx_level_runs.restype = ctypes.c_void_p, ctypes.c_bool
        wanted, *files = shared.afx_sources().decode().split("\n")
        if digest(files) != wanted:
            return None
    except (OSError, AttributeError):
        return None
    levels = [i for i in range(shared.afx_level_count()) if shared.afx_level_runs(i)]
    return Library(shared, levels[-1], shared.afx_level_name(levels[-1]).decode()) if levels else None


def _address(name: str) -> int | None:
    library = opened()
    return library.shared.afx_function(library.level, name.encode()) if library else None


def function(role: str, of: Callable[..., Any]) -> Ready | None:
    """Find the C function that was compiled from a function of the package, in a role; None if it is not there."""
    if of.__module__.partition(".")[0] != __name__.partition(".")[0]:
        return None
    address = _address(entry_name(of, role))
    return Ready(address) if address else None


def entry(name: str, specs: Sequence[Spec]) -> Entry | None:
    """Find a function that Python calls; None if it is not there."""
    address = _address(name)
    return Entry(ctypes.CFUNCTYPE(None, ctypes.c_char_p)(address), specs) if address else None
