"""The PortAudio callback, compiled: no Python, no allocation, no lock, no system call.

PortAudio calls a C function with a pointer of our own. Ours points to a `PORT`: a record of
addresses from which the callback builds the `Memory` that `play` works on. It reads the clock twice
a block and counts in METERS what went wrong.
"""

import ctypes
import math
from dataclasses import dataclass

import numpy as np
from numba import types

from ...chain.player import PLAYER_STATE, SLOTS
from ...dsp.compiler import at_address, c_function, carray, jit
from ...dsp.cpu import now_ns
from ...effects import MAX_PARAMS
from .engine import CORE, Memory, play
from .shared_memory import COMMAND, METERS

INPUT_OVERFLOW, OUTPUT_UNDERFLOW = 2, 4
"""PortAudio's flags for drop-outs: input that came too late for us, output that we made too late."""
LOAD_S = 1.0
"""Time constant of the smoothed load."""

PORT = np.dtype(
    [
        ("address", "i8", (len(Memory._fields),)),  # of every array of Memory, in its order
        ("length", "i8", (len(Memory._fields),)),  # its numbers
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

_ULONG = types.uint64 if ctypes.sizeof(ctypes.c_ulong) == 8 else types.uint32
CALLBACK = types.int32(types.int64, types.int64, _ULONG, types.int64, _ULONG, types.int64)
"""PaStreamCallback(input, output, frames, time info, flags, user data); pointers are integers here."""


@jit
def _enter(port, meters, frames, flags):
    """Note the time and what PortAudio says; tell whether the host called too late.

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
def _leave(port, meters, frames, late):
    """Count the call, and how much of its block's time it took."""
    load = (now_ns() - port.entered) * 1e-9 * port.rate / frames
    if load > 1.0 or late > 0:
        meters.late += 1
    meters.load += (1.0 - math.exp(-frames / (LOAD_S * port.rate))) * (load - meters.load)
    meters.load_max = max(meters.load_max, load)
    meters.callbacks += 1


@jit
def _memory(port):
    """Build the arrays from their addresses."""
    at, length = port.address, port.length
    size = length[6] // (2 * SLOTS)
    kinds = length[11]
    return Memory(
        carray(at_address(at[0]), (1,), METERS),
        carray(at_address(at[1]), (2,), COMMAND),
        carray(at_address(at[2]), (length[2] // 2, 2), np.float32),
        carray(at_address(at[3]), (1,), COMMAND),
        carray(at_address(at[4]), (1,), CORE),
        carray(at_address(at[5]), (2,), PLAYER_STATE),
        carray(at_address(at[6]), (2, SLOTS, size), np.float64),
        carray(at_address(at[7]), (length[7],), np.float64),
        carray(at_address(at[8]), (length[8],), np.float64),
        carray(at_address(at[9]), (kinds, 2), np.int64),
        carray(at_address(at[10]), (kinds, MAX_PARAMS), np.bool_),
        carray(at_address(at[11]), (kinds,), np.int64),
        carray(at_address(at[12]), (kinds,), np.int64),
        carray(at_address(at[13]), (kinds,), np.int64),
        carray(at_address(at[14]), (2,), np.int64),
        carray(at_address(at[15]), (2,), np.int64),
    )


def _engine(indata, outdata, frames, when, flags, user):
    port = carray(at_address(user), (1,), PORT)[0]
    m = _memory(port)
    frames = np.int64(frames)
    late = _enter(port, m.meters[0], frames, flags)
    x = carray(at_address(indata), (frames, port.inputs), np.float32)
    y = carray(at_address(outdata), (frames, port.outputs), np.float32)
    play(m, x, y, port.rate)
    _leave(port, m.meters[0], frames, late)
    return 0


def _empty(indata, outdata, frames, when, flags, user):
    port = carray(at_address(user), (1,), PORT)[0]
    meters = carray(at_address(port.address[0]), (1,), METERS)[0]
    frames = np.int64(frames)
    late = _enter(port, meters, frames, flags)
    x = carray(at_address(indata), (frames, port.inputs), np.float32)
    y = carray(at_address(outdata), (frames, port.outputs), np.float32)
    for n in range(frames):
        for c in range(port.outputs):
            y[n, c] = x[n, min(c, port.inputs - 1)]
    _leave(port, meters, frames, late)
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


def callback(memory: Memory, rate: float, inputs: int, outputs: int, empty: bool = False) -> Callback:
    """Compile the callback (or load it from the cache) and bind it to a `Memory`.

    inputs and outputs are the channels of the stream, in Hz the rate. `empty` gives the yardstick:
    the same counters around a copy from input to output.
    """
    port = np.zeros(1, PORT)
    port["address"][0] = [array.ctypes.data for array in memory]
    port["length"][0] = [array.size for array in memory]
    port["rate"], port["inputs"], port["outputs"] = rate, inputs, outputs
    return Callback(memory, port, c_function(CALLBACK, _empty if empty else _engine).address)
