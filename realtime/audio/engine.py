"""The engine: input block → chain → safety → output block, compiled, without Python.

`play` is everything the audio callback does, and `Engine` runs the same code on files, so a
rendered file is the proof of the stream. In order: channel choice and scrub, input meter, rack (two
while one crosses over to the other), NaN guard, bypass, fade and mute, look-ahead limiter, clamp,
output meter.
"""

import math
from collections import namedtuple
from collections.abc import Sequence

import numpy as np

from ...chain import ChainSettings
from ...chain.player import PLAYER_STATE, SLOTS, compiled_effects, ramp, start
from ...chain.player import play as play_rack
from ...dsp.compiler import jit
from ...dsp.cpu import fence, flush_denormals, restore_denormals
from ...dsp.loudness import SHORT_TERM, meter, meter_state, read_loudness
from ...effects import CONTROL_BLOCK
from .shared_memory import COMMAND, Shared

CEILING = 10 ** (-1.0 / 20)
"""Nothing leaves the engine above -1 dBFS."""
LATENCY = CONTROL_BLOCK - 1
"""Frames of look-ahead: 1.3 ms at 48 kHz, the engine's only delay beside the host's block."""
CROSS_S = 0.030
FADE_S = 0.005
"""Mute, un-mute, bypass and fade-out."""
FADE_IN_S = 0.5
SCRUB = 8.0
"""Input beyond +18 dBFS is no sound: it is clipped there before any effect sees it."""

CORE = np.dtype(
    [
        ("seen", "i8"),
        ("playing", "i8"),
        ("generation", "i8"),
        ("crossing", "i8"),  # frames left of a cross-over
        ("bypass", "f8"),
        ("dry_gain", "f8"),
        ("open", "f8"),  # 0 muted, 1 open
        ("level", "f8"),  # fades in once, at the start
        ("env", "f8"),
        ("sum", "f8"),
        ("calm", "i8"),  # frames since the limiter last had to do anything
        ("wet", "f8", (CONTROL_BLOCK, 2)),
        ("other", "f8", (CONTROL_BLOCK, 2)),
        ("dry", "f8", (CONTROL_BLOCK, 2)),
        ("need", "f8", (CONTROL_BLOCK,)),
        ("envs", "f8", (CONTROL_BLOCK,)),
        ("delay", "f8", (CONTROL_BLOCK, 2)),
    ],
    align=True,
)
"""The audio thread's own variables."""

Memory = namedtuple(
    "Memory", "meters commands ring command core racks state loud_in loud_out address log params size gauge source sink"
)
"""Every array that `play` works on."""


@jit
def _latch(m, rate):
    """Take the latest command, whole; if Python writes just now, take it in the next block."""
    sequence = m.meters[0].sequence
    if sequence == m.core[0].seen:
        return
    m.command[0] = m.commands[sequence % 2]
    fence()
    if m.meters[0].sequence != sequence:
        return
    core, command = m.core[0], m.command[0]
    if command.generation != core.generation:
        if core.crossing > 0:  # finish the cross-over under way first
            return
        if core.generation == 0:  # the very first settings
            start(m.racks[0], m.state[0], command, m.address, m.log, m.params, m.size, rate)
        else:
            other = 1 - core.playing
            start(m.racks[other], m.state[other], command, m.address, m.log, m.params, m.size, rate)
            core.crossing = int(CROSS_S * rate)
            core.playing = other
        core.generation = command.generation
    else:
        ramp(m.racks[core.playing], command, m.log, m.params, rate)
    core.seen = sequence
    m.meters[0].applied = sequence


@jit
def _approach(now, aim, step):
    return min(now + step, aim) if now < aim else max(now - step, aim)


@jit
def _level(x, count, peak, rms, rate):
    """Follow the peak (falling 20 dB/s) and the RMS (0.3 s) of a piece."""
    keep = math.exp(-count / (0.3 * rate))
    peak *= 10.0 ** (-count / rate)
    total = 0.0
    for n in range(count):
        for c in range(2):
            peak = max(peak, abs(x[n, c]))
            total += x[n, c] * x[n, c]
    return peak, math.sqrt(keep * rms * rms + (1.0 - keep) * total / (2 * count))


@jit
def _finite(x, count):
    for n in range(count):
        if not abs(x[n, 0]) + abs(x[n, 1]) < np.inf:
            return False
    return True


@jit
def _take(block, left, right, x):
    """Choose the two channels that are played, and make numbers of what is no sound."""
    for n in range(block.shape[0]):
        v, w = float(block[n, left]), float(block[n, right])
        x[n, 0] = min(max(v, -SCRUB), SCRUB) if v == v else 0.0
        x[n, 1] = min(max(w, -SCRUB), SCRUB) if w == w else 0.0


@jit
def _give(x, left, right, block):
    """Write both ears where they are heard, and silence elsewhere."""
    frames, outputs = block.shape
    if outputs > 2 or left == right:
        block[:] = 0.0
    for n in range(frames):
        if left == right:
            block[n, left] = 0.5 * (x[n, 0] + x[n, 1])
        else:
            block[n, left], block[n, right] = x[n, 0], x[n, 1]


@jit
def _remember(ring, written, x, count):
    """Keep a piece of the input for listening to."""
    place = written % ring.shape[0]
    for n in range(count):
        ring[place, 0], ring[place, 1] = x[n, 0], x[n, 1]
        place = place + 1 if place + 1 < ring.shape[0] else 0


@jit
def _fade(core, command, count, step, rise):
    """Bypass, mute, and fade in."""
    if (
        core.bypass == command.bypass
        and core.bypass == 0.0
        and core.dry_gain == command.dry_gain
        and core.open == 1.0
        and command.muted == 0.0
        and core.level == 1.0
    ):
        return  # as nearly always
    for n in range(count):
        core.bypass = _approach(core.bypass, command.bypass, step)
        core.open = _approach(core.open, 1.0 - command.muted, step)
        core.dry_gain = _approach(core.dry_gain, command.dry_gain, step)
        core.level = min(core.level + rise, 1.0)
        for c in range(2):
            v = core.wet[n, c]
            if core.bypass > 0.0:
                v += core.bypass * (core.dry_gain * core.dry[n, c] - v)
            if core.open < 1.0 or core.level < 1.0:
                v *= core.open * core.level
            core.wet[n, c] = v


@jit
def _over(x, count):
    """Count the samples that the limiter has to turn down."""
    found = 0
    for n in range(count):
        for c in range(2):
            if abs(x[n, c]) > CEILING:
                found += 1
    return found


@jit
def _limit(core, x, count, clock, release):
    """Bring a piece under the ceiling, `LATENCY` frames later.

    The gain that a peak needs is held for 64 frames (sliding minimum), let go slowly, and averaged
    over 64 frames: it arrives, smoothly, just when the delayed peak does. Untouched sound passes
    with a gain of exactly 1.
    """
    lowest = 1.0
    for n in range(count):
        at = (clock + n) % CONTROL_BLOCK
        peak = max(abs(x[n, 0]), abs(x[n, 1]))
        need = CEILING / peak if peak > CEILING else 1.0
        core.need[at] = need
        core.calm = 0 if need < 1.0 or core.env < 1.0 else core.calm + 1
        gain = 1.0
        if core.calm < 2 * CONTROL_BLOCK:
            hold = 1.0
            for k in range(CONTROL_BLOCK):
                hold = min(hold, core.need[k])
            core.env = min(hold, core.env + release * (1.0 - core.env))
            if core.env > 1.0 - 1e-6:
                core.env = min(hold, 1.0)
            core.sum += core.env - core.envs[at]
            core.envs[at] = core.env
            gain = min(core.sum / CONTROL_BLOCK, 1.0)
        else:
            core.sum = CONTROL_BLOCK
            core.envs[at] = 1.0
        lowest = min(lowest, gain)
        oldest = (at + 1) % CONTROL_BLOCK
        left, right = core.delay[oldest, 0], core.delay[oldest, 1]
        core.delay[at, 0], core.delay[at, 1] = x[n, 0], x[n, 1]
        x[n, 0] = min(max(left * gain, -CEILING), CEILING)
        x[n, 1] = min(max(right * gain, -CEILING), CEILING)
    return lowest


@jit
def play(m, indata, outdata, rate):
    """Play a block. indata (frames, inputs) is float32 or float64, outdata (frames, outputs) float32.

    `m.source` names the two input channels (twice the same for mono, which goes to both ears) and
    `m.sink` the two outputs; twice the same output gets the mean of both ears. Others are silent.
    """
    mode = flush_denormals()
    core, meters, command = m.core[0], m.meters[0], m.command[0]
    frames = indata.shape[0]
    _latch(m, rate)
    fade, release = 1.0 / (FADE_S * rate), 1.0 - math.exp(-1.0 / (0.1 * rate))
    total = float(int(CROSS_S * rate))
    clock = meters.clock
    done = 0
    while done < frames:
        count = min(frames - done, CONTROL_BLOCK - (clock + done) % CONTROL_BLOCK)
        _take(indata[done : done + count], m.source[0], m.source[1], core.dry)
        core.wet[:count] = core.dry[:count]
        if core.crossing > 0:
            core.other[:count] = core.dry[:count]
        _remember(m.ring, meters.ring, core.dry, count)
        meters.ring += count
        meters.in_peak, meters.in_rms = _level(core.wet, count, meters.in_peak, meters.in_rms, rate)
        meter(core.wet[:count], m.loud_in)

        now = core.playing
        if core.crossing > 0:  # a sound that began at once would click in the fresh chain's echoes
            for n in range(count):
                rise = min(3.0 * (1.0 - (core.crossing - n) / total), 1.0)
                core.wet[n, 0] *= rise
                core.wet[n, 1] *= rise
        play_rack(m.racks[now], m.state[now], core.wet[:count], clock + done, m.address, m.log, m.params, m.size, rate)
        if core.crossing > 0:
            play_rack(
                m.racks[1 - now],
                m.state[1 - now],
                core.other[:count],
                clock + done,
                m.address,
                m.log,
                m.params,
                m.size,
                rate,
            )
            for n in range(count):
                old = max(core.crossing - n, 0) / total
                for c in range(2):
                    core.wet[n, c] += old * (core.other[n, c] - core.wet[n, c])
            core.crossing = max(core.crossing - count, 0)
        if not _finite(core.wet, count):
            # A kernel blew up: silence for this piece, the same settings with nothing behind them.
            core.wet[:count] = 0.0
            core.crossing = 0
            start(m.racks[now], m.state[now], command, m.address, m.log, m.params, m.size, rate)
            core.generation = command.generation
            meters.muted_blocks += 1

        _fade(core, command, count, fade, 1.0 / (FADE_IN_S * rate))
        meters.clipped += _over(core.wet, count)
        meters.ceiling_gain = _limit(core, core.wet, count, clock + done, release)
        meters.out_peak, meters.out_rms = _level(core.wet, count, meters.out_peak, meters.out_rms, rate)
        meter(core.wet[:count], m.loud_out)
        _give(core.wet, m.sink[0], m.sink[1], outdata[done : done + count])
        done += count
    meters.clock = clock + frames
    meters.in_lufs, meters.out_lufs = read_loudness(m.loud_in, SHORT_TERM), read_loudness(m.loud_out, SHORT_TERM)
    rack = m.racks[core.playing]
    for i in range(rack.count):
        place = m.gauge[rack.kind[i]]
        meters.gain_reduction_db[i] = m.state[core.playing, i, place] if place >= 0 and rack.mix[i] > 0.0 else 0.0
    restore_denormals(mode)


def memory(
    shared: Shared,
    sample_rate: float,
    source: Sequence[int] = (0, 1),
    sink: Sequence[int] = (0, 1),
    fade_in: bool = True,
) -> Memory:
    """Allocate all that the audio thread will ever need at this rate."""
    t = compiled_effects(float(sample_rate), 2)
    core = np.zeros(1, CORE)
    core["seen"] = -1
    core["open"] = core["env"] = core["dry_gain"] = 1.0
    core["level"] = 0.0 if fade_in else 1.0
    core["sum"] = CONTROL_BLOCK
    core["envs"] = core["need"] = 1.0
    return Memory(
        shared.meters,
        shared.commands,
        shared.ring,
        np.zeros(1, COMMAND),
        core,
        np.zeros(2, PLAYER_STATE),
        np.zeros((2, SLOTS, max(1, int(t.state.max())))),
        meter_state(sample_rate, 2),
        meter_state(sample_rate, 2),
        t.address,
        t.log,
        t.params,
        t.state,
        t.meter,
        np.array(source, np.int64),
        np.array(sink, np.int64),
    )


class Engine:
    """The engine without a device: blocks in, blocks out.

    >>> engine = Engine(ChainSettings(), 48000.0, channels=1)
    >>> engine.process(np.full((200, 1), 0.25, np.float32))[-1]
    array([0.25], dtype=float32)
    """

    def __init__(self, settings: ChainSettings, sample_rate: float, channels: int = 2, fade_in: bool = False) -> None:
        if channels not in (1, 2):
            raise ValueError(f"channels: {channels} is not 1 or 2")
        self.shared = Shared.create(None, sample_rate)
        self.shared.play(settings)
        places = (0, 0) if channels == 1 else (0, 1)
        self._memory = memory(self.shared, sample_rate, places, places, fade_in=fade_in)
        self._rate, self._channels = float(sample_rate), channels

    def process(self, block: np.ndarray) -> np.ndarray:
        """Play a block (frames, channels) of any length; returns float32 of the same shape, `LATENCY` frames late.

        A mono engine also takes both ears, as the front of a chain may have left them.
        """
        block = np.ascontiguousarray(block, np.float64)
        if block.ndim != 2 or block.shape[1] not in (self._channels, 2):
            raise ValueError(f"block has shape {block.shape}; it must be (frames, {self._channels})")
        self._memory.source[1] = block.shape[1] - 1
        out = np.empty((len(block), self._channels), np.float32)
        play(self._memory, block, out, self._rate)
        return out
