"""The test signal of `afx-live doctor --loopback`: a noise, sent out while the input is recorded.

The noise is a maximum-length sequence, which resembles no shift of itself. A compiled callback, as free of Python as
the engine's, keeps noise and input side by side in the ring, frame by frame; doctor/mls.py finds the one in the
other.
"""

import numpy as np

from ...dsp.compiler import at_address, carray
from .callback import PORT, Callback, compiled, enter, leave, port_of
from .engine import Memory
from .shared_memory import METERS

PERIOD = 2**16 - 1
"""Frames until the noise repeats: 1.4 s at 48 kHz, longer than any round trip."""
TAPS = 0xB400
"""The feedback x^16 + x^14 + x^13 + x^11 + 1, which takes a register of 16 bits through all states but 0."""
LEVEL = 10 ** (-26.0 / 20)
"""Audible through any cable, harmless to ears and loudspeakers."""

TEST_PORT = np.dtype([("port", PORT), ("register", "i8"), ("level", "f8")], align=True)


def test_signal(indata, outdata, frames, when, flags, user):
    signal = carray(at_address(user), (1,), TEST_PORT)[0]
    port, at = signal.port, signal.port.at
    meters = carray(at_address(at.meters), (1,), METERS)[0]
    ring = carray(at_address(at.ring), (port.ring_frames, 2), np.float32)
    source = carray(at_address(at.source), (2,), np.int64)[0]
    sink = carray(at_address(at.sink), (2,), np.int64)[0]
    frames = np.int64(frames)
    late = enter(port, meters, frames, flags)
    x = carray(at_address(indata), (frames, port.inputs), np.float32)
    y = carray(at_address(outdata), (frames, port.outputs), np.float32)
    for n in range(frames):
        bit = signal.register & 1
        signal.register = (signal.register >> 1) ^ (bit * TAPS)
        value = signal.level if bit == 1 else -signal.level
        place = (meters.ring + n) % ring.shape[0]
        ring[place, 0], ring[place, 1] = x[n, source], value
        for c in range(port.outputs):
            y[n, c] = value if c == sink else 0.0
    meters.ring += frames
    leave(port, meters, frames, late)
    return 0


def noise_callback(memory: Memory, rate: float, inputs: int, outputs: int, level: float) -> Callback:
    """Compile the callback and bind it: it plays on the first sink, and keeps (first source, noise) in the ring.

    level: the noise's, 0 to 1; 0 gives a callback that counts and plays silence.
    """
    port = np.zeros(1, TEST_PORT)
    port["port"] = port_of(memory, rate, inputs, outputs)
    port["register"], port["level"] = 1, level
    return Callback(memory, port, compiled(test_signal))
