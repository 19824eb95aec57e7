"""The PortAudio callback, compiled: no Python, no allocation, no lock, no system call.

PortAudio calls a C function with a pointer of ours. It points to a `PORT`: a record with the address of every
array of `Memory`, by name, from which the callback builds the `Memory` that `play` works on. It reads the clock
twice a block and counts in METERS what went wrong.
"""

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dsp import library
from ...dsp.compiler import at_address, c_function, carray, jit
from ...dsp.cpu import now_ns
from .engine import Memory, memory_at, play
from .shared_memory import METERS

INPUT_OVERFLOW, OUTPUT_UNDERFLOW = 2, 4
"""PortAudio's flags for drop-outs: input that came too late for us, output that we made too late."""
LOAD_S = 1.0
"""Time constant of the smoothed load."""

PORT = np.dtype(
    [
        ("at", [(name, "i8") for name in Memory._fields]),  # the address of each array
        ("ring_frames", "i8"),
        ("slot_size", "i8"),  # numbers of state that a slot of a chain has room for
        ("loudness_size", "i8"),
        ("effects", "i8"),
        ("rate", "f8"),
        ("inputs", "i8"),
        ("outputs", "i8"),
        ("entered", "i8"),  # ns; 0 before the first call
        ("burst", "i8"),  # ns: when the host began the calls it makes in a row
        ("burst_frames", "i8"),
        ("frames", "i8"),  # of the last call
    ],
    align=True,
)

_ULONG = f"uint{8 * ctypes.sizeof(ctypes.c_ulong)}"
CALLBACK = f"int32(int64, int64, {_ULONG}, int64, {_ULONG}, int64)"
"""PaStreamCallback(input, output, frames, time info, flags, user data); pointers are integers here."""


@jit
def enter(port, meters, frames, flags):
    """Note the time and PortAudio's flags; returns 1 if the host called too late, else 0.

    A host whose own block is longer than ours makes several calls in a row, then pauses: what has
    to come in time is the next row, and it is late after twice the time that the last one lasts.
    """
    now = now_ns()
    late = 0
    if flags & INPUT_OVERFLOW:
        meters.input_overflows += 1
    if flags & OUTPUT_UNDERFLOW:
        meters.output_underflows += 1
    if port.entered == 0:
        port.burst, port.burst_frames = now, 0
    elif (now - port.entered) * port.rate >= 0.5e9 * port.frames:
        if (now - port.burst) * port.rate > 2e9 * port.burst_frames:
            late = 1
        port.burst, port.burst_frames = now, 0
    port.burst_frames += frames
    port.entered, port.frames = now, frames
    return late


@jit
def leave(port, meters, frames, late):
    """Count the call, and how much of its block's time it took."""
    load = (now_ns() - port.entered) * 1e-9 * port.rate / frames
    if load > 1.0 or late > 0:
        meters.late += 1
    meters.load += (1.0 - math.exp(-frames / (LOAD_S * port.rate))) * (load - meters.load)
    meters.load_max = max(meters.load_max, load)
    meters.callbacks += 1


def play_block(indata, outdata, frames, when, flags, user):
    port = carray(at_address(user), (1,), PORT)[0]
    m = memory_at(port.at, port.ring_frames, port.slot_size, port.loudness_size, port.effects)
    frames = np.int64(frames)
    late = enter(port, m.meters[0], frames, flags)
    x = carray(at_address(indata), (frames, port.inputs), np.float32)
    y = carray(at_address(outdata), (frames, port.outputs), np.float32)
    play(m, x, y, port.rate)
    leave(port, m.meters[0], frames, late)
    return 0


def copy_block(indata, outdata, frames, when, flags, user):
    port = carray(at_address(user), (1,), PORT)[0]
    meters = carray(at_address(port.at.meters), (1,), METERS)[0]
    frames = np.int64(frames)
    late = enter(port, meters, frames, flags)
    x = carray(at_address(indata), (frames, port.inputs), np.float32)
    y = carray(at_address(outdata), (frames, port.outputs), np.float32)
    for n in range(frames):
        for c in range(port.outputs):
            y[n, c] = x[n, min(c, port.inputs - 1)]
    leave(port, meters, frames, late)
    return 0


@dataclass
class Callback:
    """A compiled callback and all it works on, which must outlive the stream it is given to.

    `address` is the C function, `user` the pointer that PortAudio hands back to it.
    """

    memory: Memory
    port: np.ndarray
    address: int

    @property
    def user(self) -> int:
        return self.port.ctypes.data

    def call(self, indata: np.ndarray, outdata: np.ndarray, flags: int = 0) -> None:
        """Call it as PortAudio does, from Python: float32 blocks of (frames, inputs) and (frames, outputs)."""
        ulong, pointer = ctypes.c_ulong, ctypes.c_void_p
        function = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ulong, pointer, ulong, pointer)(self.address)
        function(indata.ctypes.data, outdata.ctypes.data, len(indata), None, flags, self.user)


def port_of(memory: Memory, rate: float, inputs: int, outputs: int) -> np.ndarray:
    """Write the record that a callback gets: the addresses of a `Memory`, and the stream's rate in Hz and channels."""
    port = np.zeros(1, PORT)
    for name, array in memory._asdict().items():
        port["at"][name] = array.ctypes.data
    port["ring_frames"], port["slot_size"] = len(memory.ring), memory.effect_state.shape[-1]
    port["loudness_size"], port["effects"] = memory.in_loudness.size, len(memory.address)
    port["rate"], port["inputs"], port["outputs"] = rate, inputs, outputs
    return port


def callback(memory: Memory, rate: float, inputs: int, outputs: int, empty: bool = False) -> Callback:
    """Compile the callback (or load it from the cache) and bind it to a `Memory`.

    inputs and outputs are the channels of the stream, rate is in Hz. `empty` gives the yardstick:
    the same counters around a copy from input to output.
    """
    return Callback(memory, port_of(memory, rate, inputs, outputs), compiled(copy_block if empty else play_block))


def compiled(function: Any) -> int:
    """Compile what PortAudio calls, load it from the cache, or find it in the library; returns its address."""
    return (library.function("callback", function) or c_function(CALLBACK, function)).address
