"""What `afx-live doctor --loopback` plays and hears: a noise that resembles nothing but itself, and when it is back.

The noise is a maximum-length sequence. Correlated with a period of it, a sound that went through a
cable has one peak, at the delay in frames, whatever the gain, the polarity and (within reason) the
hum and the noise on the way. Sequence and input are kept side by side, frame by frame, in the ring,
by a compiled callback that is as free of Python as the engine's.
"""

from dataclasses import dataclass

import numpy as np

from ...dsp.compiler import at_address, c_function, carray
from .callback import CALLBACK, PORT, Callback, _enter, _leave
from .engine import Memory
from .shared_memory import METERS

PERIOD = 2**16 - 1
"""Frames until the noise repeats: 1.4 s at 48 kHz, longer than any round trip."""
TAPS = 0xB400
"""The feedback x^16 + x^14 + x^13 + x^11 + 1, which takes a register of 16 bits through all states but 0."""
LEVEL = 10 ** (-26.0 / 20)
"""At which it is heard through any cable, and hurts nobody."""
NEAR = 64
"""Frames around a peak that belong to it: converters' filters ring."""
LEAST = 12.0
"""A peak has to stand out of the rest's RMS by this factor; the largest of 65,534 chance values has 4.5."""
LINE = 8.0
"""The noise has a flat spectrum; what rises over the median by more is hum, and is cut down to this."""
TWICE = 0.5
"""A second peak of this share of the first one makes it unclear which is the way."""

PROBE = np.dtype([*PORT.descr, ("register", "i8"), ("level", "f8")], align=True)
RING, SOURCE, SINK = (Memory._fields.index(name) for name in ("ring", "source", "sink"))


def _probe(indata, outdata, frames, when, flags, user):
    port = carray(at_address(user), (1,), PROBE)[0]
    meters = carray(at_address(port.address[0]), (1,), METERS)[0]
    ring = carray(at_address(port.address[RING]), (port.length[RING] // 2, 2), np.float32)
    source = carray(at_address(port.address[SOURCE]), (2,), np.int64)[0]
    sink = carray(at_address(port.address[SINK]), (2,), np.int64)[0]
    frames = np.int64(frames)
    late = _enter(port, meters, frames, flags)
    x = carray(at_address(indata), (frames, port.inputs), np.float32)
    y = carray(at_address(outdata), (frames, port.outputs), np.float32)
    for n in range(frames):
        bit = port.register & 1
        port.register = (port.register >> 1) ^ (bit * TAPS)
        value = port.level if bit == 1 else -port.level
        place = (meters.ring + n) % ring.shape[0]
        ring[place, 0], ring[place, 1] = x[n, source], value
        for c in range(port.outputs):
            y[n, c] = value if c == sink else 0.0
    meters.ring += frames
    _leave(port, meters, frames, late)
    return 0


def probe(memory: Memory, rate: float, inputs: int, outputs: int, level: float) -> Callback:
    """Compile the callback and bind it: it plays on the first sink, and keeps (first source, noise) in the ring.

    level: the noise's, 0 to 1; 0 gives an empty callback that is silent.
    """
    port = np.zeros(1, PROBE)
    port["address"][0] = [array.ctypes.data for array in memory]
    port["length"][0] = [array.size for array in memory]
    port["rate"], port["inputs"], port["outputs"] = rate, inputs, outputs
    port["register"], port["level"] = 1, level
    return Callback(memory, port, c_function(CALLBACK, _probe).address)


@dataclass(frozen=True)
class Echo:
    """The noise as it came back: after how many frames, how loud (negative: upside down).

    `other` is the delay in frames of a second, similarly loud way, if there is one.
    """

    frames: int
    gain: float
    other: int | None = None


def find(heard: np.ndarray) -> Echo | None:
    """Find the noise in the last period of `heard` (frames, 2), which is input and noise side by side.

    None if it is not there. The noise must have played for a round trip before that period began.
    """
    if len(heard) < PERIOD:
        raise ValueError(f"{len(heard)} frames; a period of {PERIOD} is needed")
    x, noise = np.nan_to_num(heard[-PERIOD:].T.astype(np.float64))
    bins = np.fft.rfft(x)
    size = np.abs(bins)
    bins *= np.minimum(1.0, LINE * np.median(size) / np.maximum(size, 1e-30))
    way = np.fft.irfft(bins * np.fft.rfft(noise).conj(), PERIOD) / max(noise @ noise, 1e-30)
    at = int(np.argmax(np.abs(way)))
    rest = np.abs(np.roll(way, NEAR - at)[2 * NEAR + 1 :])
    if not abs(way[at]) > LEAST * np.sqrt(np.mean(rest**2)):
        return None
    second = int(np.argmax(rest))
    clear = rest[second] < TWICE * abs(way[at])
    return Echo(at, float(way[at]), None if clear else (at + NEAR + 1 + second) % PERIOD)
