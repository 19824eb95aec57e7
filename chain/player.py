"""A chain as it plays: compiled effects by address, parameters that glide, any block size the same.

Everything below `play` runs in the audio callback. Parameters are evaluated at *edges*, every 64th
frame of the stream's own clock, never of the host's block, and coefficients move linearly between
them: cutting the stream into other blocks changes no bit.
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from ..dsp.compiler import MAX_COEFS, call_design, call_kernel, jit
from ..dsp.cpu import flush_denormals, restore_denormals
from ..effects import CONTROL_BLOCK, MAX_PARAMS, load, names
from .parameters import kinds
from .settings import MAX_EFFECTS, ChainSettings

RAMP_S = 0.020
SLOTS = MAX_EFFECTS + 2
"""Steps of a rack: the input gain, the effects, the output gain."""

TARGET_FIELDS = (
    ("count", "i8"),
    ("kind", "i8", (SLOTS,)),
    ("on", "f8", (SLOTS,)),
    ("values", "f8", (SLOTS, MAX_PARAMS)),
)
TARGETS = np.dtype([*TARGET_FIELDS], align=True)
"""Settings as numbers: what a rack is to play."""

PLAYER_STATE = np.dtype(
    [
        ("count", "i8"),
        ("kind", "i8", (SLOTS,)),
        ("left", "i8", (SLOTS,)),  # edges until a glide has arrived
        ("aim", "f8", (SLOTS, MAX_PARAMS)),
        ("now", "f8", (SLOTS, MAX_PARAMS)),  # at the edge ahead; the logarithm for log curves
        ("stride", "f8", (SLOTS, MAX_PARAMS)),
        ("mix", "f8", (SLOTS,)),  # 0 left out, 1 in
        ("mix_aim", "f8", (SLOTS,)),
        ("coef", "f8", (SLOTS, MAX_COEFS)),
        ("step", "f8", (SLOTS, MAX_COEFS)),
        ("ahead", "f8", (SLOTS, MAX_COEFS)),
        ("moving", "i8", (SLOTS,)),  # between two edges at which a coefficient differs
        ("values", "f8", (MAX_PARAMS,)),  # scratch
        ("dry", "f8", (CONTROL_BLOCK, 2)),  # scratch
        ("share", "f8", (CONTROL_BLOCK,)),  # scratch
    ],
    align=True,
)
"""Where a rack is: one record in memory that the audio thread owns."""


@dataclass(frozen=True)
class CompiledEffects:
    """Addresses and curves of every effect there is, and the room each needs.

    Arrays: `address` (effects, 2) of design and kernel; `log` and `used` (effects, params);
    `state` (effects,) in float64 numbers; `meter` (effects,) the place in the state that holds a
    gain reduction in dB, or -1.
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


@cache
def compiled_effects(sample_rate: float, channels: int) -> CompiledEffects:
    """Compile every effect (or load it from the cache) and note where it is."""
    effects = [load(name) for name in names()]
    log = np.zeros((len(effects), MAX_PARAMS), np.bool_)
    for i, e in enumerate(effects):
        log[i, : len(e.params)] = [p.curve != "linear" for p in e.params]
    return CompiledEffects(
        np.array([(e.design_c.address, e.kernel_c.address) for e in effects], np.int64),
        log,
        np.array([len(e.params) for e in effects], np.int64),
        np.array([e.state_size(sample_rate, channels) for e in effects], np.int64),
        np.array([-1 if e.meter is None else e.meter for e in effects], np.int64),
    )


def targets_of(settings: ChainSettings, into: np.ndarray | None = None) -> np.ndarray:
    """Write settings as an AIM record."""
    aim = np.zeros((), TARGETS) if into is None else into
    number, gain = kinds(), load("gain").params[0]
    aim["count"] = len(settings.effects) + 2
    aim["kind"][0] = aim["kind"][len(settings.effects) + 1] = number["gain"]
    aim["on"][0] = aim["on"][len(settings.effects) + 1] = 1.0
    aim["values"][0, 0] = gain.clip(settings.input_gain_db)
    aim["values"][len(settings.effects) + 1, 0] = gain.clip(settings.output_gain_db)
    for i, step in enumerate(settings.effects, 1):
        aim["kind"][i] = number[step.effect]
        aim["on"][i] = float(step.enabled)
        aim["values"][i, : len(step.values)] = [step.values[p.name] for p in load(step.effect).params]
    return aim


# --- compiled -------------------------------------------------------------------------------------


@jit
def _design_ahead(rack, i, address, log, params, sample_rate):
    """Evaluate the coefficients at the edge ahead."""
    kind = rack.kind[i]
    for p in range(params[kind]):
        if rack.left[i] == 0:
            rack.values[p] = rack.aim[i, p]  # arrived: the very number that was asked for
        else:
            rack.values[p] = math.exp(rack.now[i, p]) if log[kind, p] else rack.now[i, p]
    call_design(address[kind, 0], (rack.values, sample_rate, rack.ahead[i]))


@jit
def start(rack, state, aim, address, log, params, size, sample_rate):
    """Begin with `aim` at once and with silence behind: no glide."""
    rack.count = aim.count
    for i in range(aim.count):
        kind = aim.kind[i]
        rack.kind[i] = kind
        rack.mix[i] = rack.mix_aim[i] = aim.on[i]
        rack.left[i] = 0
        rack.moving[i] = 0
        for p in range(params[kind]):
            rack.aim[i, p] = aim.values[i, p]
            rack.now[i, p] = math.log(aim.values[i, p]) if log[kind, p] else aim.values[i, p]
        _design_ahead(rack, i, address, log, params, sample_rate)
        for k in range(MAX_COEFS):
            rack.coef[i, k] = rack.ahead[i, k]
            rack.step[i, k] = 0.0
        for k in range(size[kind]):
            state[i, k] = 0.0


@jit
def ramp(rack, aim, log, params, sample_rate):
    """Let every parameter of the same chain move to `aim`, evenly to the ear, in 20 ms."""
    edges = max(1, math.ceil(RAMP_S * sample_rate / CONTROL_BLOCK))
    for i in range(rack.count):
        kind = rack.kind[i]
        rack.mix_aim[i] = aim.on[i]
        changed = False
        for p in range(params[kind]):
            if rack.aim[i, p] != aim.values[i, p]:
                rack.aim[i, p] = aim.values[i, p]
                changed = True
        if changed:
            for p in range(params[kind]):
                target = math.log(rack.aim[i, p]) if log[kind, p] else rack.aim[i, p]
                rack.stride[i, p] = (target - rack.now[i, p]) / edges
            rack.left[i] = edges


@jit
def _edge(rack, address, log, params, sample_rate):
    """Cross an edge: arrive at the coefficients ahead, and evaluate the next ones if any move."""
    for i in range(rack.count):
        kind = rack.kind[i]
        if rack.moving[i]:
            for k in range(MAX_COEFS):
                rack.coef[i, k] = rack.ahead[i, k]
                rack.step[i, k] = 0.0
            rack.moving[i] = 0
        if rack.left[i] > 0:
            rack.left[i] -= 1
            for p in range(params[kind]):
                rack.now[i, p] += rack.stride[i, p]
                if rack.left[i] == 0:
                    rack.now[i, p] = math.log(rack.aim[i, p]) if log[kind, p] else rack.aim[i, p]
            _design_ahead(rack, i, address, log, params, sample_rate)
            for k in range(MAX_COEFS):
                rack.step[i, k] = (rack.ahead[i, k] - rack.coef[i, k]) / CONTROL_BLOCK
            rack.moving[i] = 1


@jit
def play(rack, state, x, clock, address, log, params, size, sample_rate):
    """Play a block x (frames, channels <= 2) in place; `clock` is its first frame's stream time."""
    frames, channels = x.shape
    fade = 1.0 / (RAMP_S * sample_rate)
    no_tape = rack.dry[:0]
    n = 0
    while n < frames:
        offset = (clock + n) % CONTROL_BLOCK
        if offset == 0:
            _edge(rack, address, log, params, sample_rate)
        count = min(frames - n, CONTROL_BLOCK - offset)
        block = x[n : n + count]
        for i in range(rack.count):
            if rack.mix[i] == 0.0:
                if rack.mix_aim[i] == 0.0:
                    continue
                for k in range(size[rack.kind[i]]):  # switched on: no tail from before
                    state[i, k] = 0.0
            fading = rack.mix[i] != rack.mix_aim[i]
            if fading:
                for m in range(count):
                    if rack.mix[i] < rack.mix_aim[i]:
                        rack.mix[i] = min(rack.mix[i] + fade, rack.mix_aim[i])
                    else:
                        rack.mix[i] = max(rack.mix[i] - fade, rack.mix_aim[i])
                    # First the sound swells in the effect (at once, it would click in the echoes), then it is heard.
                    rise, rack.share[m] = min(3.0 * rack.mix[i], 1.0), max(1.5 * rack.mix[i] - 0.5, 0.0)
                    for c in range(channels):
                        rack.dry[m, c] = block[m, c]
                        block[m, c] *= rise
            kind = rack.kind[i]
            mine = state[i, : size[kind]]
            call_kernel(address[kind, 1], (block, mine, offset, rack.coef[i], rack.step[i], no_tape))
            if fading:
                for m in range(count):
                    if rack.share[m] != 1.0:  # at 1 the wet sample itself, whatever block it falls in
                        for c in range(channels):
                            block[m, c] = rack.dry[m, c] + rack.share[m] * (block[m, c] - rack.dry[m, c])
        n += count


@jit
def _play_alone(rack, state, x, clock, address, log, params, size, sample_rate):
    mode = flush_denormals()
    play(rack, state, x, clock, address, log, params, size, sample_rate)
    restore_denormals(mode)


# --- from Python ----------------------------------------------------------------------------------


class ChainPlayer:
    """A chain that plays blocks, outside any engine: for tests, analysis and refinement.

    >>> import numpy as np
    >>> rack = ChainPlayer(ChainSettings(output_gain_db=20.0), 48000, channels=1)
    >>> rack.play(np.full((100, 1), 0.05))[-1]
    array([0.5])
    """

    def __init__(self, settings: ChainSettings, sample_rate: float, channels: int = 2) -> None:
        if channels not in (1, 2):
            raise ValueError(f"channels: {channels} is not 1 or 2")
        self._table = compiled_effects(float(sample_rate), channels)
        self._rate, self._clock = float(sample_rate), 0
        self._rack = np.zeros(1, PLAYER_STATE)
        self._state = np.zeros((SLOTS, int(self._table.state.max())))
        self._aim = np.zeros(1, TARGETS)
        targets_of(settings, self._aim[0])
        start(self._rack[0], self._state, self._aim[0], *self._table.arrays, self._rate)

    def ramp(self, settings: ChainSettings) -> None:
        """Move to other values of the same effects in the same order."""
        targets_of(settings, self._aim[0])
        if list(self._aim[0]["kind"][: self._aim[0]["count"]]) != list(self._rack[0]["kind"][: self._rack[0]["count"]]):
            raise ValueError("a glide keeps the effects and their order")
        ramp(self._rack[0], self._aim[0], self._table.log, self._table.params, self._rate)

    def play(self, block: np.ndarray) -> np.ndarray:
        """Play a block (frames, channels); returns float64 of the same shape."""
        x = np.array(block, np.float64, order="C")
        _play_alone(self._rack[0], self._state, x, self._clock, *self._table.arrays, self._rate)
        self._clock += len(x)
        return x


def play_clip(settings: ChainSettings, x: np.ndarray, sample_rate: float) -> np.ndarray:
    """Play a whole clip, (frames,) or (frames, channels), in time: what `Settings.latency` makes late is moved up."""
    late = settings.latency
    clip = x[:, None] if x.ndim == 1 else x
    rest = np.zeros((late, clip.shape[1]))
    return ChainPlayer(settings, sample_rate, clip.shape[1]).play(np.concatenate([clip, rest]))[late:].reshape(x.shape)
