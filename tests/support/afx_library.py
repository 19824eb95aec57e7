"""The library from Python, by ctypes: what `afx.h` says, without numba."""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np


class _Param(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_char_p) for name in ("path", "effect", "label", "unit", "doc")),
        *((name, ctypes.c_double) for name in ("low", "high", "initial", "neutral")),
        *((name, ctypes.c_int) for name in ("curve", "is_switch")),
    )


_INT, _DOUBLE, _VOID, _TEXT = ctypes.c_int, ctypes.c_double, ctypes.c_void_p, ctypes.c_char_p
_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "param_count": (_INT, ()),
    "param_info": (ctypes.POINTER(_Param), (_INT,)),
    "param_number": (_INT, (_TEXT,)),
    "param_value": (_DOUBLE, (_INT, _DOUBLE)),
    "param_unit": (_DOUBLE, (_INT, _DOUBLE)),
    "effect_count": (_INT, ()),
    "effect_name": (_TEXT, (_INT,)),
    "level_count": (_INT, ()),
    "level_name": (_TEXT, (_INT,)),
    "level_runs": (ctypes.c_bool, (_INT,)),
    "create": (_VOID, (_DOUBLE, _INT)),
    "create_at": (_VOID, (_DOUBLE, _INT, _INT)),
    "destroy": (None, (_VOID,)),
    "set": (None, (_VOID, _INT, _DOUBLE)),
    "get": (_DOUBLE, (_VOID, _INT)),
    "set_order": (ctypes.c_bool, (_VOID, ctypes.POINTER(_INT), _INT)),
    "order": (None, (_VOID, ctypes.POINTER(_INT))),
    "cross_over": (None, (_VOID,)),
    "process": (None, (_VOID, ctypes.POINTER(_VOID), ctypes.POINTER(_VOID), ctypes.c_size_t)),
    "reset": (None, (_VOID,)),
    "latency": (ctypes.c_uint32, (_VOID,)),
    "tail": (ctypes.c_uint64, (_VOID,)),
    "meter_count": (_INT, ()),
    "meter_name": (_TEXT, (_INT,)),
    "meter": (_DOUBLE, (_VOID, _INT)),
    "save": (ctypes.c_size_t, (_VOID, _VOID, ctypes.c_size_t)),
    "load": (ctypes.c_bool, (_VOID, _TEXT, ctypes.c_size_t)),
}


class Library:
    """The functions of `afx.h` without their prefix, as attributes; OSError for no such file."""

    def __init__(self, path: Path) -> None:
        shared = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(shared, f"afx_{name}")
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:  # what `__init__` sets: for type checkers
        raise AttributeError(name)

    def paths(self) -> list[str]:
        """List the parameters by number."""
        return [self.param_info(i).contents.path.decode() for i in range(self.param_count())]

    def effects(self) -> list[str]:
        """List the effects by number."""
        return [self.effect_name(i).decode() for i in range(self.effect_count())]

    def levels(self) -> list[str]:
        """List the instruction-set levels, worst first."""
        return [self.level_name(i).decode() for i in range(self.level_count())]


@cache
def open_library(path: Path) -> Library:
    """Load a library once."""
    return Library(path)


class Instance:
    """One instance: blocks in, blocks out. ValueError for a rate or channel count that it refuses.

    `level` names an instruction-set level; without it the best that runs is used.
    """

    def __init__(self, library: Library, sample_rate: float, channels: int = 2, level: str | None = None) -> None:
        self._own = None
        self._library, self._channels = library, channels
        if level is None:
            self._own = library.create(sample_rate, channels)
        else:
            self._own = library.create_at(sample_rate, channels, library.levels().index(level))
        if not self._own:
            raise ValueError(f"{sample_rate:g} Hz, {channels} channels, {level or 'any level'}: the library refuses")

    def __del__(self) -> None:
        if self._own:
            self._library.destroy(self._own)

    def set(self, path: str, value: float) -> None:
        """Set a parameter by its path; KeyError if there is none."""
        number = self._library.param_number(path.encode())
        if number < 0:
            raise KeyError(path)
        self._library.set(self._own, number, value)

    def get(self, path: str) -> float:
        """Read a parameter by its path."""
        return self._library.get(self._own, self._library.param_number(path.encode()))

    def set_order(self, effects: Sequence[str]) -> bool:
        """Choose the playing order by effects' names; the others follow."""
        numbers = [self._library.effects().index(e) for e in effects]
        return self._library.set_order(self._own, (ctypes.c_int * len(numbers))(*numbers), len(numbers))

    def order(self) -> list[str]:
        """List the effects in playing order."""
        numbers = (ctypes.c_int * self._library.effect_count())()
        self._library.order(self._own, numbers)
        return [self._library.effects()[i] for i in numbers]

    def process(self, block: np.ndarray) -> np.ndarray:
        """Play a block (frames, channels), float32; returns the same shape."""
        inputs = np.ascontiguousarray(block.T, np.float32)
        outputs = np.empty_like(inputs)
        pointers = [(ctypes.c_void_p * self._channels)(*(row.ctypes.data for row in a)) for a in (inputs, outputs)]
        self._library.process(self._own, *pointers, len(block))
        return outputs.T.copy()

    def reset(self) -> None:
        self._library.reset(self._own)

    def cross_over(self) -> None:
        self._library.cross_over(self._own)

    @property
    def latency(self) -> int:
        return self._library.latency(self._own)

    @property
    def tail(self) -> int:
        return self._library.tail(self._own)

    def meters(self) -> dict[str, float]:
        """Read every meter by its name."""
        numbers = range(self._library.meter_count())
        return {self._library.meter_name(i).decode(): self._library.meter(self._own, i) for i in numbers}

    def save(self) -> bytes:
        """Give values and order as bytes."""
        room = ctypes.create_string_buffer(self._library.save(self._own, None, 0))
        self._library.save(self._own, room, len(room))
        return room.raw

    def load(self, state: bytes) -> bool:
        """Take values and order; False for what is not a state."""
        return self._library.load(self._own, state, len(state))
