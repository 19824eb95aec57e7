"""What C calls: the engine over one block of memory, and the design, kernel, size and tail of each effect."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numba import types

from ..dsp.compiler import DESIGN, KERNEL, at_address, carray, jit, specialise, to_fixed_tuple
from ..dsp.loudness import meter_state, start_meter
from ..effects import CONTROL_BLOCK, Effect, built_in, load
from ..realtime.audio.engine import Memory, begin, memory_at, play

RING = CONTROL_BLOCK
"""Frames of input that an instance keeps: the engine writes them, and nobody listens."""
LOUDNESS_SIZE = len(meter_state(48000.0, 2))
"""Numbers of state of a loudness meter, which are as many at every rate."""
KINDS = len(built_in())

INSTANCE = np.dtype(
    [*((field, "i8") for field in Memory._fields), ("rate", "f8"), ("channels", "i8"), ("room", "i8")], align=True
)
"""Addresses of all that one instance works on; `room` is the numbers of state in each slot."""

SIZE = types.int64(types.float64, types.int64)
"""size(sample_rate, channels): count the numbers of state."""
_I64 = types.int64
TAIL = types.float64(_I64)
"""tail(address of values): seconds until what went in has died away."""
PLAY = types.void(_I64, _I64, _I64, _I64)
BEGIN = types.void(_I64)


@jit
def _memory(i):
    return memory_at(i, RING, i.room, LOUDNESS_SIZE, KINDS)


def _play(indata, outdata, frames, instance):
    i = carray(at_address(instance), (1,), INSTANCE)[0]
    x = carray(at_address(indata), (frames, i.channels), np.float32)
    y = carray(at_address(outdata), (frames, i.channels), np.float32)
    play(_memory(i), x, y, i.rate)


def _begin(instance):
    i = carray(at_address(instance), (1,), INSTANCE)[0]
    m = _memory(i)
    begin(m.engine[0], i.rate, False)
    start_meter(m.in_loudness, i.rate, 2)
    start_meter(m.out_loudness, i.rate, 2)


# --- wrapper texts, as for designs: one for each effect -------------------------------------------

inner: Any = None  # replaced by `specialise`
COUNT = 0  # replaced by `specialise`: the number of parameters


def _size_wrapper(sample_rate, channels):
    return inner(sample_rate, channels)


def _tail_wrapper(values):
    return inner(*to_fixed_tuple(carray(at_address(values), (COUNT,), np.float64), COUNT))


def entries() -> Iterator[tuple[str, Any, Callable[..., Any]]]:
    """Give the name, the signature and the function of everything that C calls."""
    yield "play", PLAY, _play
    yield "begin", BEGIN, _begin
    for name in built_in():
        yield from _of_effect(name, load(name))


def _of_effect(name: str, effect: Effect) -> Iterator[tuple[str, Any, Callable[..., Any]]]:
    yield f"design_{name}", DESIGN, effect.design_text
    yield f"kernel_{name}", KERNEL, effect.kernel
    yield f"size_{name}", SIZE, specialise(_size_wrapper, f"{name}_size", inner=jit(effect.state_size))
    if effect.tail:
        text = specialise(_tail_wrapper, f"{name}_tail", inner=jit(effect.tail), COUNT=len(effect.params))
        yield f"tail_{name}", TAIL, text
