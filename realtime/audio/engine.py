"""The engine: input block → chain → safety → output block, compiled, without Python.

`play` is everything the audio callback does, and `Engine` runs the same code on files, so a
rendered file is the proof of the stream. In order: the input stage (channel choice, input clip, direct current
taken off), input meter, chain (two while one crosses over to the other), NaN guard, bypass, fade and mute,
look-ahead limiter, clamp, output meter.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ...chain import ChainSettings
from ...chain.player import PLAYER_STATE, SLOTS, compiled_effects, ramp, start
from ...chain.player import play as play_chain
from ...dsp.compiler import at_address, carray, jit
from ...dsp.cpu import fence, flush_denormals, restore_denormals
from ...dsp.dc_blocker import block_dc, dc_share
from ...dsp.entry import FLOAT, INT, MATRIX, VECTOR, Array, Group
from ...dsp.loudness import SHORT_TERM, meter, meter_state, read_loudness
from ...effects import CONTROL_BLOCK, MAX_PARAMS
from .safety import FADE_IN_S, FADE_S, RELEASE_S, count_over, fade, is_finite, limit, read_input
from .shared_memory import COMMAND, METERS, Shared

CROSSFADE_S = 0.030
"""From one chain to the next, when effects or their order change."""
RMS_S = 0.3
"""Time constant of the RMS meters."""
DC_S = 3.0
"""And of the direct current that is shown: a bass note must not look like one."""

ENGINE_STATE = np.dtype(
    [
        ("sequence", "i8"),  # of the last command taken
        ("playing", "i8"),  # 0 or 1: which of the two chains
        ("generation", "i8"),
        ("crossing", "i8"),  # frames left of a crossfade
        ("metered", "i8"),  # 0: nobody reads levels, loudness and the kept input
        ("dc_share", "f8"),  # the coefficient of the input stage's high-pass
        ("dc", "f8", (2,)),  # and what it has found
        ("bypass", "f8"),
        ("dry_gain", "f8"),
        ("mute_gain", "f8"),  # 0 muted, 1 open
        ("fade_in_gain", "f8"),  # rises once, at the start
        ("envelope", "f8"),
        ("envelope_sum", "f8"),
        ("idle_frames", "i8"),  # since the limiter last had to do anything
        ("wet", "f8", (CONTROL_BLOCK, 2)),
        ("other", "f8", (CONTROL_BLOCK, 2)),
        ("dry", "f8", (CONTROL_BLOCK, 2)),
        ("required_gain", "f8", (CONTROL_BLOCK,)),
        ("envelopes", "f8", (CONTROL_BLOCK,)),
        ("delay_line", "f8", (CONTROL_BLOCK, 2)),
    ],
    align=True,
)
"""The audio thread's own variables."""


class Memory(NamedTuple):
    """Every array that `play` works on. The audio thread gets their addresses by these names (callback.py)."""

    meters: np.ndarray
    """(1,) METERS."""
    commands: np.ndarray
    """(2,) COMMAND: the double buffer that Python writes."""
    ring: np.ndarray
    """(frames, 2) float32: the last seconds of input."""
    command: np.ndarray
    """(1,) COMMAND: the one that is playing."""
    engine: np.ndarray
    """(1,) ENGINE_STATE."""
    players: np.ndarray
    """(2,) PLAYER_STATE: the chain that plays, and the one it crosses over from."""
    effect_state: np.ndarray
    """(2, SLOTS, numbers) float64."""
    in_loudness: np.ndarray
    """State of the input's loudness meter."""
    out_loudness: np.ndarray
    """State of the output's."""
    address: np.ndarray
    """(effects, 2): compiled functions; this and the next four are those of `chain.player.CompiledEffects`."""
    log: np.ndarray
    """(effects, MAX_PARAMS)."""
    params: np.ndarray
    """(effects,)."""
    state_size: np.ndarray
    """(effects,)."""
    gauge: np.ndarray
    """(effects,): where in an effect's state its gain reduction is, or -1."""
    source: np.ndarray
    """(2,): input channels, from 0."""
    sink: np.ndarray
    """(2,): output channels, from 0."""


_ARRAYS = {
    "meters": Array(METERS, 1),
    "commands": Array(COMMAND, 1),
    "ring": Array(np.float32, 2),
    "command": Array(COMMAND, 1),
    "engine": Array(ENGINE_STATE, 1),
    "players": Array(PLAYER_STATE, 1),
    "effect_state": Array(np.float64, 3),
    "in_loudness": VECTOR,
    "out_loudness": VECTOR,
    "address": Array(np.int64, 2),
    "log": Array(np.bool_, 2),
    **dict.fromkeys(("params", "state_size", "gauge", "source", "sink"), Array(np.int64, 1)),
}
MEMORY = Group(Memory, tuple(_ARRAYS[name] for name in Memory._fields))
"""What the arrays are."""


@jit
def memory_at(at, ring_frames, slot_size, loudness_size, effects):
    """Build a `Memory` from a record of addresses; slot_size is the numbers of state that each slot has room for."""
    return Memory(
        meters=carray(at_address(at.meters), (1,), METERS),
        commands=carray(at_address(at.commands), (2,), COMMAND),
        ring=carray(at_address(at.ring), (ring_frames, 2), np.float32),
        command=carray(at_address(at.command), (1,), COMMAND),
        engine=carray(at_address(at.engine), (1,), ENGINE_STATE),
        players=carray(at_address(at.players), (2,), PLAYER_STATE),
        effect_state=carray(at_address(at.effect_state), (2, SLOTS, slot_size), np.float64),
        in_loudness=carray(at_address(at.in_loudness), (loudness_size,), np.float64),
        out_loudness=carray(at_address(at.out_loudness), (loudness_size,), np.float64),
        address=carray(at_address(at.address), (effects, 2), np.int64),
        log=carray(at_address(at.log), (effects, MAX_PARAMS), np.bool_),
        params=carray(at_address(at.params), (effects,), np.int64),
        state_size=carray(at_address(at.state_size), (effects,), np.int64),
        gauge=carray(at_address(at.gauge), (effects,), np.int64),
        source=carray(at_address(at.source), (2,), np.int64),
        sink=carray(at_address(at.sink), (2,), np.int64),
    )


@jit
def begin(state, sample_rate, fade_in):
    """Make the audio thread's own variables, an ENGINE_STATE of zeros: nothing played yet, the limiter at rest."""
    state.sequence, state.metered = -1, 1
    state.dc_share = dc_share(sample_rate)
    state.mute_gain = state.envelope = state.dry_gain = 1.0
    state.fade_in_gain = 0.0 if fade_in else 1.0
    state.envelope_sum = CONTROL_BLOCK
    state.envelopes[:] = 1.0
    state.required_gain[:] = 1.0


@jit(entry=(Array(ENGINE_STATE, 1), FLOAT, INT))
def _begin_alone(engine, sample_rate, fade_in):
    begin(engine[0], sample_rate, fade_in != 0)


@jit
def _copy(x, y, count):
    """Copy a piece; an assignment of slices would be compiled with an allocation, for arrays that overlap."""
    for n in range(count):
        y[n, 0], y[n, 1] = x[n, 0], x[n, 1]


@jit
def _start_chain(m, which, command, rate):
    start(m.players[which], m.effect_state[which], command, m.address, m.log, m.params, m.state_size, rate)


@jit
def _play_chain(m, which, x, clock, rate):
    play_chain(m.players[which], m.effect_state[which], x, clock, m.address, m.log, m.params, m.state_size, rate)


@jit
def _read_command(m, rate):
    """Take the latest command, whole; if Python writes just now, take it in the next block."""
    sequence = m.meters[0].sequence
    if sequence == m.engine[0].sequence:
        return
    m.command[0] = m.commands[sequence % 2]
    fence()
    if m.meters[0].sequence != sequence:
        return
    engine, command = m.engine[0], m.command[0]
    if command.generation != engine.generation:
        if engine.crossing > 0:  # finish the crossfade under way first
            return
        if engine.generation == 0:  # the very first settings
            _start_chain(m, 0, command, rate)
        else:
            other = 1 - engine.playing
            _start_chain(m, other, command, rate)
            engine.crossing = int(CROSSFADE_S * rate)
            engine.playing = other
        engine.generation = command.generation
    else:
        ramp(m.players[engine.playing], command, m.log, m.params, rate)
    engine.sequence = sequence
    m.meters[0].applied = sequence


@jit(fastmath={"contract", "reassoc", "nnan", "nsz"})  # a meter may add and compare in lanes; x is finite
def _measure(x, count, peak, rms, rate):
    """Follow the peak (falling 20 dB/s) and the RMS of x (frames, 2); returns both."""
    keep = math.exp(-count / (RMS_S * rate))
    peak *= 10.0 ** (-count / rate)
    total = 0.0
    for n in range(count):
        for c in range(2):
            peak = max(peak, abs(x[n, c]))
            total += x[n, c] * x[n, c]
    return peak, math.sqrt(keep * rms * rms + (1.0 - keep) * total / (2 * count))


@jit
def _follow_dc(offset, shown, count, rate):
    """Show the mean of what the input stage takes off each channel."""
    share = 1.0 - math.exp(-count / (DC_S * rate))
    for c in range(2):
        shown[c] += share * (offset[c] - shown[c])


@jit
def _write_output(x, left, right, block):
    """Write both ears to their channels, and silence to the others."""
    frames, outputs = block.shape
    if outputs > 2 or left == right:
        block[:] = 0.0
    for n in range(frames):
        if left == right:
            block[n, left] = 0.5 * (x[n, 0] + x[n, 1])
        else:
            block[n, left], block[n, right] = x[n, 0], x[n, 1]


@jit
def _record(ring, written, x, count):
    """Keep the input for analysis."""
    place = written % ring.shape[0]
    for n in range(count):
        ring[place, 0], ring[place, 1] = x[n, 0], x[n, 1]
        place = place + 1 if place + 1 < ring.shape[0] else 0


@jit(entry=(MEMORY, MATRIX, Array(np.float32, 2), FLOAT))
def play(m, indata, outdata, rate):
    """Play a block. indata (frames, inputs) is float32 or float64, outdata (frames, outputs) float32.

    `m.source` names the two input channels (twice the same for mono, which goes to both ears) and
    `m.sink` the two outputs; twice the same output gets the mean of both ears. Others are silent.
    """
    mode = flush_denormals()
    engine, meters, command = m.engine[0], m.meters[0], m.command[0]
    frames = indata.shape[0]
    _read_command(m, rate)
    step, release = 1.0 / (FADE_S * rate), 1.0 - math.exp(-1.0 / (RELEASE_S * rate))
    total = float(int(CROSSFADE_S * rate))
    clock = meters.clock
    done = 0
    while done < frames:
        count = min(frames - done, CONTROL_BLOCK - (clock + done) % CONTROL_BLOCK)
        read_input(indata[done : done + count], m.source[0], m.source[1], engine.dry)
        block_dc(engine.dry[:count], engine.dc, engine.dc_share)
        _copy(engine.dry, engine.wet, count)
        if engine.crossing > 0:
            _copy(engine.dry, engine.other, count)
        if engine.metered:
            _follow_dc(engine.dc, meters.in_dc, count, rate)
            _record(m.ring, meters.ring, engine.dry, count)
            meters.ring += count
            meters.in_peak, meters.in_rms = _measure(engine.wet, count, meters.in_peak, meters.in_rms, rate)
            meter(engine.wet[:count], m.in_loudness)

        now = engine.playing
        if engine.crossing > 0:  # a sudden start would click in the fresh chain's echoes
            for n in range(count):
                rise = min(3.0 * (1.0 - (engine.crossing - n) / total), 1.0)
                engine.wet[n, 0] *= rise
                engine.wet[n, 1] *= rise
        _play_chain(m, now, engine.wet[:count], clock + done, rate)
        if engine.crossing > 0:
            _play_chain(m, 1 - now, engine.other[:count], clock + done, rate)
            for n in range(count):
                old = max(engine.crossing - n, 0) / total
                for c in range(2):
                    engine.wet[n, c] += old * (engine.other[n, c] - engine.wet[n, c])
            engine.crossing = max(engine.crossing - count, 0)
        if not is_finite(engine.wet, count):
            # An effect blew up: silence for these frames, then the same settings from a fresh state.
            engine.wet[:count] = 0.0
            engine.crossing = 0
            _start_chain(m, now, command, rate)
            engine.generation = command.generation
            meters.muted_blocks += 1

        fade(engine, command, count, step, 1.0 / (FADE_IN_S * rate))
        over = count_over(engine.wet, count)
        meters.clipped += over
        meters.ceiling_gain = limit(engine, engine.wet, count, over, clock + done, release)
        if engine.metered:
            meters.out_peak, meters.out_rms = _measure(engine.wet, count, meters.out_peak, meters.out_rms, rate)
            meter(engine.wet[:count], m.out_loudness)
        _write_output(engine.wet, m.sink[0], m.sink[1], outdata[done : done + count])
        done += count
    meters.clock = clock + frames
    meters.in_lufs, meters.out_lufs = (
        read_loudness(m.in_loudness, SHORT_TERM),
        read_loudness(m.out_loudness, SHORT_TERM),
    )
    player = m.players[engine.playing]
    for i in range(player.count):
        place = m.gauge[player.kind[i]]
        active = place >= 0 and player.mix[i] > 0.0
        meters.gain_reduction_db[i] = m.effect_state[engine.playing, i, place] if active else 0.0
    restore_denormals(mode)


def memory(
    shared: Shared,
    sample_rate: float,
    source: Sequence[int] = (0, 1),
    sink: Sequence[int] = (0, 1),
    fade_in: bool = True,
) -> Memory:
    """Allocate all that the audio thread will ever need at this rate, in Hz; channels count from 0."""
    effects = compiled_effects(float(sample_rate), 2)
    engine = np.zeros(1, ENGINE_STATE)
    _begin_alone(engine, float(sample_rate), fade_in)
    return Memory(
        meters=shared.meters,
        commands=shared.commands,
        ring=shared.ring,
        command=np.zeros(1, COMMAND),
        engine=engine,
        players=np.zeros(2, PLAYER_STATE),
        effect_state=np.zeros((2, SLOTS, max(1, int(effects.state.max())))),
        in_loudness=meter_state(sample_rate, 2),
        out_loudness=meter_state(sample_rate, 2),
        address=effects.address,
        log=effects.log,
        params=effects.params,
        state_size=effects.state,
        gauge=effects.meter,
        source=np.array(source, np.int64),
        sink=np.array(sink, np.int64),
    )


class Engine:
    """The engine without a device: blocks in, blocks out.

    >>> engine = Engine(ChainSettings(), 48000.0, channels=1)
    >>> engine.process(np.tile([[0.25], [-0.25]], (100, 1)))[-2:].round(2)
    array([[-0.25],
           [ 0.25]], dtype=float32)

    `input_stage` False leaves direct current in: for what comes out of a `DcBlocker` or another engine. `metered`
    False leaves out the meters of level and loudness, and the input that is kept for analysis.
    """

    def __init__(
        self,
        settings: ChainSettings,
        sample_rate: float,
        channels: int = 2,
        fade_in: bool = False,
        input_stage: bool = True,
        metered: bool = True,
    ) -> None:
        if channels not in (1, 2):
            raise ValueError(f"channels: {channels} is not 1 or 2")
        self.shared = Shared.create(None, sample_rate)
        self.shared.play(settings)
        places = (0, 0) if channels == 1 else (0, 1)
        self._memory = memory(self.shared, sample_rate, places, places, fade_in=fade_in)
        if not input_stage:
            self._memory.engine["dc_share"] = 0.0
        self._memory.engine["metered"] = metered
        self._rate, self._channels = float(sample_rate), channels

    def process(self, block: np.ndarray) -> np.ndarray:
        """Play a block (frames, channels) of any length; returns float32 of the same shape, LOOKAHEAD frames late.

        A mono engine also takes two channels, as the front of a chain may have left them.
        """
        block = np.ascontiguousarray(block, np.float64)
        if block.ndim != 2 or block.shape[1] not in (self._channels, 2):
            raise ValueError(f"block has shape {block.shape}; it must be (frames, {self._channels})")
        self._memory.source[1] = block.shape[1] - 1
        out = np.empty((len(block), self._channels), np.float32)
        play(self._memory, block, out, self._rate)
        return out
