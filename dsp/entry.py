"""How Python calls a function of the library (library.py): what it takes, packed into one piece of memory.

A *spec* says what an argument is: `FLOAT`, `INT`, `Array` of a dtype and a number of dimensions, or `Group`,
a named tuple of arrays. Numbers take 8 bytes; an array is its address and its shape. There is no result.
"""

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FLOAT, INT = "d", "q"


@dataclass(frozen=True)
class Array:
    """A C-contiguous array."""

    dtype: Any
    ndim: int

    def matches(self, value: Any) -> bool:
        return (
            isinstance(value, np.ndarray)
            and value.ndim == self.ndim
            and value.dtype == self.dtype
            and value.flags.c_contiguous
            and value.flags.writeable
        )


@dataclass(frozen=True)
class Group:
    """A named tuple of arrays: its class, and the spec of each field."""

    of: Any
    fields: tuple[Array, ...]


Spec = str | Array | Group
VECTOR, MATRIX = Array(np.float64, 1), Array(np.float64, 2)


def entry_name(function: Callable[..., Any], role: str = "entry") -> str:
    """Name a function of the package as C can: its role, file and name."""
    return re.sub(r"\W", "_", f"{role}_{function.__module__.partition('.')[2]}_{function.__qualname__}")


def flat(specs: Sequence[Spec]) -> Iterator[str | Array]:
    """Give the numbers and arrays that are handed over."""
    for spec in specs:
        if isinstance(spec, Group):
            yield from spec.fields
        else:
            yield spec


class Entry:
    """A function at an address that takes packed arguments."""

    def __init__(self, function: Callable[[bytes], None], specs: Sequence[Spec]) -> None:
        self._function, self._specs = function, tuple(specs)
        parts = (spec if isinstance(spec, str) else "q" * (1 + spec.ndim) for spec in flat(specs))
        self._layout = struct.Struct("=" + "".join(parts))

    def pack(self, arguments: Sequence[Any]) -> bytes | None:
        """Pack arguments; None if they are not just what the specs say."""
        if len(arguments) != len(self._specs):
            return None
        slots: list[Any] = []
        for spec, value in zip(self._specs, arguments, strict=True):
            if isinstance(spec, str):
                slots.append(float(value) if spec == FLOAT else int(value))
            elif isinstance(spec, Array):
                if not spec.matches(value):
                    return None
                slots += (value.ctypes.data, *value.shape)
            else:
                for each, part in zip(spec.fields, value, strict=True):
                    if not each.matches(part):
                        return None
                    slots += (part.ctypes.data, *part.shape)
        return self._layout.pack(*slots)

    def __call__(self, packed: bytes) -> None:
        self._function(packed)
