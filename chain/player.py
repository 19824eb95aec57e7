"""A chain as it plays: compiled effects by address, parameters that ramp, any block size the same samples.

What stands under "compiled" runs in the audio callback. Parameters are evaluated at control ticks, every 64th
frame of the stream's own clock, never of the host's block, and coefficients move linearly between
them: cutting the stream into other blocks changes no bit.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..dsp.compiler import MAX_COEFS, call_design, call_kernel, jit
from ..dsp.cpu import flush_denormals, restore_denormals
from ..dsp.entry import FLOAT, INT, MATRIX, Array
from ..effects import CONTROL_BLOCK, MAX_PARAMS, Effect, catalogue, load, number_of
from .settings import GAIN, MAX_EFFECTS, ChainSettings

RAMP_S = 0.020
"""Time in which a parameter moves to a new value, and an effect is faded in or out."""
SLOTS = MAX_EFFECTS + 2
"""Places of a chain: the input gain, the effects, the output gain."""

TARGET_FIELDS = (
    ("count", "i8"),  # slots in use
    ("kind", "i8", (SLOTS,)),  # the effect's number in the catalogue
    ("on", "f8", (SLOTS,)),
    ("values", "f8", (SLOTS, MAX_PARAMS)),
)
TARGETS = np.dtype([*TARGET_FIELDS], align=True)
"""Settings as numbers: what a player is to play."""

PLAYER_STATE = np.dtype(
    [
        ("count", "i8"),
        ("kind", "i8", (SLOTS,)),
        ("ticks_left", "i8", (SLOTS,)),  # until a ramp has arrived
        ("target", "f8", (SLOTS, MAX_PARAMS)),
        ("value", "f8", (SLOTS, MAX_PARAMS)),  # at the next tick; the logarithm for curves that are not linear
        ("increment", "f8", (SLOTS, MAX_PARAMS)),  # of a value, from tick to tick
        ("mix", "f8", (SLOTS,)),  # 0 left out, 1 in
        ("mix_target", "f8", (SLOTS,)),
        ("coef", "f8", (SLOTS, MAX_COEFS)),  # at the last tick
        ("step", "f8", (SLOTS, MAX_COEFS)),  # from frame to frame
        ("next_coef", "f8", (SLOTS, MAX_COEFS)),  # at the next tick
        ("moving", "i8", (SLOTS,)),  # between two ticks at which a coefficient differs
        ("values", "f8", (MAX_PARAMS,)),  # scratch
        ("dry", "f8", (CONTROL_BLOCK, 2)),  # scratch
        ("share", "f8", (CONTROL_BLOCK,)),  # scratch
    ],
    align=True,
)
"""Where a player is: one record in memory that the audio thread owns."""


@dataclass(frozen=True)
class CompiledEffects:
    """Addresses and curves of every effect of the catalogue, and the room each needs.

    Arrays: `address` (effects, 2) of design and kernel; `log` (effects, params), whether a parameter ramps in
    its logarithm; `params` (effects,), how many there are; `state` (effects,) in float64 numbers; `meter`
    (effects,) the place in the state that holds a gain reduction in dB, or -1.
    """

    address: np.ndarray
    log: np.ndarray
    params: np.ndarray
    state: np.ndarray
    meter: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays, in the order in which `play` takes them."""
        return self.address, self.log, self.params, self.state


def compiled_effects(sample_rate: float, channels: int) -> CompiledEffects:
    """Compile every effect (or load it from the cache) and note where it is."""
    return _compiled(catalogue(), float(sample_rate), channels)


@cache
def _compiled(effects: tuple[Effect, ...], sample_rate: float, channels: int) -> CompiledEffects:
    log = np.zeros((len(effects), MAX_PARAMS), np.bool_)
    for i, e in enumerate(effects):
        log[i, : len(e.params)] = [p.curve != "linear" for p in e.params]
    return CompiledEffects(
        np.array([(e.design_c.address, e.kernel_c.address) for e in effects], np.int64),
        log,
        np.array([len(e.params) for e in effects], np.int64),
        np.array([e.state_for(sample_rate, channels) for e in effects], np.int64),
        np.array([-1 if e.meter is None else e.meter for e in effects], np.int64),
    )


def targets_of(settings: ChainSettings, into: np.ndarray | None = None) -> np.ndarray:
    """Write settings as a TARGETS record."""
    target = np.zeros((), TARGETS) if into is None else into
    last = len(settings.effects) + 1
    target["count"] = last + 1
    target["kind"][0] = target["kind"][last] = number_of("gain")
    target["on"][0] = target["on"][last] = 1.0
    target["values"][0, 0] = GAIN.clip(settings.input_gain_db)
    target["values"][last, 0] = GAIN.clip(settings.output_gain_db)
    for i, each in enumerate(settings.effects, 1):
        target["kind"][i] = number_of(each.effect)
        target["on"][i] = float(each.enabled)
        target["values"][i, : len(each.values)] = [each.values[p.name] for p in load(each.effect).params]
    return target


# --- compiled -------------------------------------------------------------------------------------


@jit
def _design_next(player, i, address, log, params, sample_rate):
    """Evaluate the coefficients at the next tick."""
    kind = player.kind[i]
    for p in range(params[kind]):
        if player.ticks_left[i] == 0:
            player.values[p] = player.target[i, p]  # arrived: the very number that was asked for
        else:
            player.values[p] = math.exp(player.value[i, p]) if log[kind, p] else player.value[i, p]
    call_design(address[kind, 0], (player.values, sample_rate, player.next_coef[i]))


@jit
def start(player, state, target, address, log, params, size, sample_rate):
    """Begin with `target` at once and with silence behind. An effect that the tables do not hold is left out."""
    player.count = target.count
    for i in range(target.count):
        known = 0 <= target.kind[i] < params.shape[0]  # an effect may have been registered since
        kind = target.kind[i] if known else 0
        player.kind[i] = kind
        player.mix[i] = player.mix_target[i] = target.on[i] if known else 0.0
        player.ticks_left[i] = 0
        player.moving[i] = 0
        for p in range(params[kind]):
            player.target[i, p] = target.values[i, p]
            player.value[i, p] = math.log(target.values[i, p]) if log[kind, p] else target.values[i, p]
        _design_next(player, i, address, log, params, sample_rate)
        for k in range(MAX_COEFS):
            player.coef[i, k] = player.next_coef[i, k]
            player.step[i, k] = 0.0
        for k in range(size[kind]):
            state[i, k] = 0.0


@jit
def ramp(player, target, log, params, sample_rate):
    """Let every parameter of the same chain move to `target`, evenly to the ear, in 20 ms."""
    ticks = max(1, math.ceil(RAMP_S * sample_rate / CONTROL_BLOCK))
    for i in range(player.count):
        kind = player.kind[i]
        if target.kind[i] != kind:
            continue
        player.mix_target[i] = target.on[i]
        changed = False
        for p in range(params[kind]):
            if player.target[i, p] != target.values[i, p]:
                player.target[i, p] = target.values[i, p]
                changed = True
        if changed:
            for p in range(params[kind]):
                goal = math.log(player.target[i, p]) if log[kind, p] else player.target[i, p]
                player.increment[i, p] = (goal - player.value[i, p]) / ticks
            player.ticks_left[i] = ticks


@jit
def _tick(player, address, log, params, sample_rate):
    """Pass a tick: arrive at the next coefficients, and evaluate those after them if any move."""
    for i in range(player.count):
        kind = player.kind[i]
        if player.moving[i]:
            for k in range(MAX_COEFS):
                player.coef[i, k] = player.next_coef[i, k]
                player.step[i, k] = 0.0
            player.moving[i] = 0
        if player.ticks_left[i] > 0:
            player.ticks_left[i] -= 1
            for p in range(params[kind]):
                player.value[i, p] += player.increment[i, p]
                if player.ticks_left[i] == 0:
                    player.value[i, p] = math.log(player.target[i, p]) if log[kind, p] else player.target[i, p]
            _design_next(player, i, address, log, params, sample_rate)
            for k in range(MAX_COEFS):
                player.step[i, k] = (player.next_coef[i, k] - player.coef[i, k]) / CONTROL_BLOCK
            player.moving[i] = 1


@jit
def play(player, state, x, clock, address, log, params, size, sample_rate):
    """Play a block x (frames, channels <= 2) in place; `clock` is its first frame's stream time."""
    frames, channels = x.shape
    fade = 1.0 / (RAMP_S * sample_rate)
    no_tape = player.dry[:0]
    n = 0
    while n < frames:
        offset = (clock + n) % CONTROL_BLOCK
        if offset == 0:
            _tick(player, address, log, params, sample_rate)
        count = min(frames - n, CONTROL_BLOCK - offset)
        block = x[n : n + count]
        for i in range(player.count):
            if player.mix[i] == 0.0:
                if player.mix_target[i] == 0.0:
                    continue
                for k in range(size[player.kind[i]]):  # switched on: no tail from before
                    state[i, k] = 0.0
            fading = player.mix[i] != player.mix_target[i]
            if fading:
                for m in range(count):
                    if player.mix[i] < player.mix_target[i]:
                        player.mix[i] = min(player.mix[i] + fade, player.mix_target[i])
                    else:
                        player.mix[i] = max(player.mix[i] - fade, player.mix_target[i])
                    # First the sound swells in the effect (at once, it would click in the echoes), then it is heard.
                    rise, player.share[m] = min(3.0 * player.mix[i], 1.0), max(1.5 * player.mix[i] - 0.5, 0.0)
                    for c in range(channels):
                        player.dry[m, c] = block[m, c]
                        block[m, c] *= rise
            kind = player.kind[i]
            mine = state[i, : size[kind]]
            call_kernel(address[kind, 1], (block, mine, offset, player.coef[i], player.step[i], no_tape))
            if fading:
                for m in range(count):
                    if player.share[m] != 1.0:  # at 1 the wet sample itself, whatever block it falls in
                        for c in range(channels):
                            block[m, c] = player.dry[m, c] + player.share[m] * (block[m, c] - player.dry[m, c])
        n += count


_PLAYER, _TARGET, _INTS = Array(PLAYER_STATE, 1), Array(TARGETS, 1), Array(np.int64, 1)
_TABLES = Array(np.int64, 2), Array(np.bool_, 2), _INTS, _INTS


@jit(entry=(_PLAYER, MATRIX, MATRIX, INT, *_TABLES, FLOAT))
def _play_alone(player, state, x, clock, address, log, params, size, sample_rate):
    mode = flush_denormals()
    play(player[0], state, x, clock, address, log, params, size, sample_rate)
    restore_denormals(mode)


@jit(entry=(_PLAYER, MATRIX, _TARGET, *_TABLES, FLOAT))
def _start_alone(player, state, target, address, log, params, size, sample_rate):
    start(player[0], state, target[0], address, log, params, size, sample_rate)


@jit(entry=(_PLAYER, _TARGET, Array(np.bool_, 2), _INTS, FLOAT))
def _ramp_alone(player, target, log, params, sample_rate):
    ramp(player[0], target[0], log, params, sample_rate)


# --- from Python ----------------------------------------------------------------------------------


class ChainPlayer:
    """A chain that plays a stream in blocks, outside any engine. Raises ValueError for more than two channels.

    >>> player = ChainPlayer(ChainSettings(output_gain_db=20.0), 48000, channels=1)
    >>> player.play(np.full((100, 1), 0.05))[-1]
    array([0.5])
    """

    def __init__(self, settings: ChainSettings, sample_rate: float, channels: int = 2) -> None:
        if channels not in (1, 2):
            raise ValueError(f"channels: {channels} is not 1 or 2")
        self._effects = compiled_effects(float(sample_rate), channels)
        self._rate, self._clock = float(sample_rate), 0
        self._player = np.zeros(1, PLAYER_STATE)
        self._state = np.zeros((SLOTS, int(self._effects.state.max())))
        self._target = np.zeros(1, TARGETS)
        targets_of(settings, self._target[0])
        _start_alone(self._player, self._state, self._target, *self._effects.arrays, self._rate)

    def ramp(self, settings: ChainSettings) -> None:
        """Move to other values of the same effects in the same order, in 20 ms; ValueError for another chain."""
        targets_of(settings, self._target[0])
        player, target = self._player[0], self._target[0]
        if list(target["kind"][: target["count"]]) != list(player["kind"][: player["count"]]):
            raise ValueError("a ramp keeps the effects and their order")
        _ramp_alone(self._player, self._target, self._effects.log, self._effects.params, self._rate)

    def play(self, block: np.ndarray) -> np.ndarray:
        """Play a block (frames, channels); returns float64 of the same shape."""
        x = np.array(block, np.float64, order="C")
        _play_alone(self._player, self._state, x, self._clock, *self._effects.arrays, self._rate)
        self._clock += len(x)
        return x


def play_clip(settings: ChainSettings, x: np.ndarray, sample_rate: float) -> np.ndarray:
    """Play a whole clip, (frames,) or (frames, channels), in time: moved up by `ChainSettings.latency`."""
    late = settings.latency
    clip = x[:, None] if x.ndim == 1 else x
    rest = np.zeros((late, clip.shape[1]))
    return ChainPlayer(settings, sample_rate, clip.shape[1]).play(np.concatenate([clip, rest]))[late:].reshape(x.shape)
