"""Loudness in LUFS, of a whole clip and of a stream: Recommendation ITU-R BS.1770-4 (10/2015).

One compiled loop serves both: it K-weights a block and keeps the mean squares of hops of 100 ms. A
whole clip is a stream with room for all its hops; the Recommendation's gating blocks (400 ms, 75 %
overlap) are four hops in a row. Every channel has a weight of 1, which is right for mono, stereo and a
centre; surround channels (1.41) are not treated apart. Mono is one channel: the same sound in both ears
is 3.01 LU louder.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .biquad import frequency_response
from .compiler import jit
from .cpu import flush_denormals, restore_denormals
from .entry import FLOAT, INT, MATRIX, VECTOR
from .layout import layout
from .simd import f64x2, unpack

MOMENTARY = 4
"""Hops in EBU's momentary loudness: 400 ms."""
SHORT_TERM = 30
"""Hops in EBU's short-term loudness: 3 s."""
OFFSET = -0.691
"""LUFS of a mean square of 1 after K-weighting, so that 997 Hz at full scale reads -3.01."""
ABSOLUTE_GATE = -70.0
"""Blocks at or under this many LUFS never count."""
RELATIVE_GATE = -10.0
"""Nor do blocks this many LU under the mean of those that are left."""
FAINT_LUFS, FAINT_GATE = -60.0, -100.0
"""What is no louder than the first may be measured with the second as its absolute gate: a low level is no silence."""

STATE = layout(hop=1, fill=1, hops=1, channels=1, k_weighting=8)
"""A meter's state: frames of a hop, those of the open one, whole hops so far, ...; channels and a ring follow."""
CHANNEL = layout(shelf=2, high_pass=2, power=1)
"""Each channel's part of it: the states of two filters, and the sum of squares of the open hop."""
MAX_AMPLITUDE = 1e6
"""What is beyond +120 dBFS, or NaN, is metered as silence."""


@jit
def k_weighting(sample_rate):
    """Give the K-weighting filter of any sample rate: b0, b1, b2, a1, a2 of the shelf; b, a1, a2 of the high-pass.

    The Recommendation prints coefficients for 48 kHz only. These come from the analogue filters
    behind them (B. De Man, Evaluation of implementations of the EBU R128 loudness measurement, AES
    145, 2018), give the printed ones at 48 kHz, and have the same pass band at every rate. The
    shelf's warping makes 997 Hz read 0.05 LU low at 16 kHz and 0.2 at 8 kHz. The high-pass'
    numerator is b (1, -2, 1).
    """
    k = np.tan(np.pi * 1681.974450955533 / sample_rate)
    high = 10.0 ** (3.999843853973347 / 20.0)
    band = high**0.4996667741545416
    q = 0.7071752369554196
    a0 = 1.0 + k / q + k * k
    b0, b1, b2 = (high + band * k / q + k * k) / a0, 2.0 * (k * k - high) / a0, (high - band * k / q + k * k) / a0
    a1, a2 = 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0
    k = np.tan(np.pi * 38.13547087602444 / sample_rate)
    q = 0.5003270373238773
    c0 = 1.0 + k / q + k * k
    # At 48 kHz the printed numerator is (1, -2, 1), which is 0.04 dB more than unity in the pass band.
    k48 = np.tan(np.pi * 38.13547087602444 / 48000.0)
    b = (1.0 + k48 / q + k48 * k48) / c0
    return b0, b1, b2, a1, a2, b, 2.0 * (k * k - 1.0) / c0, (1.0 - k / q + k * k) / c0


def k_weighting_response(hz: ArrayLike, sample_rate: float) -> NDArray[np.float64]:
    """Give the K-weighting filter's gain, as a factor, at frequencies in Hz (bands,)."""
    b0, b1, b2, a1, a2, b, c1, c2 = meter_state(sample_rate, 1)[STATE.k_weighting :][:8]
    return np.abs(frequency_response([[b0, b1, b2, a1, a2], [b, -2.0 * b, b, c1, c2]], hz, sample_rate))


def meter_state(sample_rate: float, channels: int, hops: int = SHORT_TERM) -> NDArray[np.float64]:
    """Make the state of a meter: a vector that holds all it needs, with a ring of `hops` mean squares.

    To start again, copy a fresh one over it. Raises ValueError for less than 8 kHz, or for no
    channel or hop.
    """
    if not sample_rate >= 8000.0:
        raise ValueError(f"sample_rate: {sample_rate:g} Hz is under 8000 Hz")
    if channels < 1 or hops < 1:
        raise ValueError(f"a meter needs a channel and a hop: channels = {channels}, hops = {hops}")
    state = np.zeros(STATE.size + CHANNEL.size * channels + hops)
    start_meter(state, float(sample_rate), channels)
    return state


@jit(entry=(VECTOR, FLOAT, INT))
def start_meter(state, sample_rate, channels):
    """Make a meter of zeros; compiled code may call it."""
    state[STATE.hop], state[STATE.channels] = round(sample_rate / 10), channels
    for i, c in enumerate(k_weighting(sample_rate)):
        state[STATE.k_weighting + i] = c


@jit
def _k_weight(x, c, d, state):
    """Add the squares of channels c and d, K-weighted. Two go together, as each waits for its own last frame."""
    f = state[STATE.k_weighting : STATE.k_weighting + 8]
    b0, b1, b2, a1, a2, b, c1, c2 = f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7]
    i, j = STATE.size + CHANNEL.size * c, STATE.size + CHANNEL.size * d
    s1, s2, r1 = f64x2(state[i], state[j]), f64x2(state[i + 1], state[j + 1]), f64x2(state[i + 2], state[j + 2])
    r2, total = f64x2(state[i + 3], state[j + 3]), f64x2(state[i + 4], state[j + 4])
    for n in range(x.shape[0]):
        p, q = x[n, c], x[n, d]
        v = f64x2(p if abs(p) < MAX_AMPLITUDE else 0.0, q if abs(q) < MAX_AMPLITUDE else 0.0)
        w = b0 * v + s1
        s1 = (b1 * v + s2) - a1 * w
        s2 = b2 * v - a2 * w
        u = b * w
        y = u + r1
        r1 = (r2 - 2.0 * u) - c1 * y
        r2 = u - c2 * y
        total = total + y * y
    for k, lanes in enumerate((s1, s2, r1, r2, total)):
        state[i + k], state[j + k] = unpack(lanes)


@jit
def meter(x, state):
    """Measure a block x (frames, channels) and leave it as it is; `state` is from `meter_state`.

    Runs in the audio callback: no allocation, no exception, no Python, a fixed time per frame. Any
    partition of a stream gives the same numbers, bit for bit. What is not finite counts as silence.
    """
    frames, channels = x.shape
    hop, fill, ring = int(state[STATE.hop]), int(state[STATE.fill]), STATE.size + CHANNEL.size * channels
    at = 0
    while at < frames:
        end = min(frames, at + hop - fill)
        for c in range(0, channels, 2):
            _k_weight(x[at:end], c, min(c + 1, channels - 1), state)
        fill += end - at
        at = end
        if fill == hop:
            power = 0.0
            for c in range(channels):
                at_power = STATE.size + CHANNEL.size * c + CHANNEL.power
                power += state[at_power]
                state[at_power] = 0.0
            state[ring + int(state[STATE.hops]) % (state.shape[0] - ring)] = power / hop
            state[STATE.hops] += 1.0
            fill = 0
    state[STATE.fill] = fill


@jit
def read_loudness(state, hops):
    """Read the loudness of the last `hops` whole hops in LUFS: MOMENTARY or SHORT_TERM; no gate.

    Moves every 100 ms. Early in a stream it is that of the hops there are; -inf before the first,
    and for silence. Compiled, it may be called in the callback; it does not change the state.
    """
    ring = STATE.size + CHANNEL.size * int(state[STATE.channels])
    size, count = state.shape[0] - ring, int(state[STATE.hops])
    hops = min(hops, size, count)
    power = 0.0
    for k in range(hops):
        power += state[ring + (count - 1 - k) % size]
    if power <= 0.0:
        return -np.inf
    return OFFSET + 10.0 * np.log10(power / hops)


@jit(entry=(MATRIX, VECTOR))
def meter_block(x, state):
    """Call `meter` outside the callback: flush denormals meanwhile."""
    mode = flush_denormals()
    meter(x, state)
    restore_denormals(mode)


def hop_powers(state: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the mean squares of the last whole hops, oldest first, as many as the meter's ring holds."""
    ring = STATE.size + CHANNEL.size * int(state[STATE.channels])
    size, count = len(state) - ring, int(state[STATE.hops])
    first = max(0, count - size)
    return state[ring + np.arange(first, count) % size]


def gated_loudness(powers: ArrayLike, faint: bool = False) -> float:
    """Give the gated loudness in LUFS of mean squares of consecutive 100 ms hops, shape (hops,).

    -inf if no 400 ms are louder than -70 LUFS, or there are no 400 ms. faint: measure beyond the Recommendation,
    down to -100 LUFS.
    """
    powers = np.asarray(powers, np.float64)
    if len(powers) < 4:
        return -np.inf
    blocks = (powers[:-3] + powers[1:-2] + powers[2:-1] + powers[3:]) / 4
    found = _gated(blocks, ABSOLUTE_GATE)
    return _gated(blocks, FAINT_GATE) if faint and not found > FAINT_LUFS else found


def _gated(blocks: NDArray[np.float64], absolute_gate: float) -> float:
    blocks = blocks[blocks > 10 ** ((absolute_gate - OFFSET) / 10)]
    if not len(blocks):
        return -np.inf
    blocks = blocks[blocks > np.mean(blocks) * 10 ** (RELATIVE_GATE / 10)]
    return float(OFFSET + 10 * np.log10(np.mean(blocks)))


def integrated_loudness(x: ArrayLike, sample_rate: float, faint: bool = False) -> float:
    """Measure the integrated loudness of a clip in LUFS; full scale is 1.

    x: (frames,) or (frames, channels). Gated as the Recommendation says: 400 ms blocks, 75 %
    overlap, whole blocks only, -70 LUFS absolute, -10 LU relative. A clip of less than 400 ms has
    no block: it is measured as a whole, without gates. -inf for silence, or nothing over -70 LUFS;
    `faint` as in `gated_loudness`.
    Raises ValueError for another shape, for NaN or Inf, and for less than 8 kHz.
    """
    x = np.ascontiguousarray(x, np.float64)
    if x.ndim not in (1, 2):
        raise ValueError(f"audio has the shape (frames,) or (frames, channels), not {x.shape}")
    if not np.isfinite(x).all():
        raise ValueError("audio holds NaN or Inf")
    x = x.reshape(len(x), -1 if x.size else 1)
    hops = len(x) // round(sample_rate / 10) if sample_rate > 0 else 0
    channels = x.shape[1]
    state = meter_state(sample_rate, channels, max(hops, 1))
    meter_block(x, state)
    if hops >= 4:
        return gated_loudness(state[-hops:], faint)
    # Under 400 ms: the whole hops and the open one.
    total = np.sum(state[-hops:]) * state[STATE.hop] if hops else 0.0
    total += np.sum(state[STATE.size : STATE.size + CHANNEL.size * channels].reshape(channels, -1)[:, CHANNEL.power])
    return float(OFFSET + 10 * np.log10(total / len(x))) if total > 0 else -np.inf


def at_loudness(x: ArrayLike, sample_rate: float, lufs: float) -> NDArray[np.float64]:
    """Bring a clip to an integrated loudness in LUFS; silence stays; raises as `integrated_loudness`."""
    x = np.asarray(x, np.float64)
    found = integrated_loudness(x, sample_rate)
    return x * 10 ** ((lufs - found) / 20) if np.isfinite(found) else x


class LoudnessMeter:
    """Integrated loudness of a stream; memory grows with what was measured, not with what a header claims.

    keep_start: keep the first 400 ms, so that `lufs` also measures a sound too short for `powers`. `max_frames`
    is what is measured in one go; a longer block is measured in pieces.

    >>> meter = LoudnessMeter(48000, channels=1)
    >>> meter.add(np.sin(2 * np.pi * 997 / 48000 * np.arange(48000))[:, None])
    >>> round(meter.lufs(gain_db=-20.0), 2)
    -23.01
    """

    def __init__(self, sample_rate: float, channels: int, max_frames: int = 1 << 14, keep_start: bool = True) -> None:
        self._rate, self._max, self._hop, self._frames = sample_rate, max_frames, round(sample_rate / 10), 0
        self._state = meter_state(sample_rate, channels, max_frames // self._hop + 2)
        self._powers: list[np.ndarray] = []
        self._start = [np.zeros((0, channels))] if keep_start else []  # a short sound's loudness is not made of hops

    def add(self, block: np.ndarray) -> None:
        """Measure a block (frames, channels)."""
        for at in range(0, len(block), self._max):
            self._add(block[at : at + self._max])

    def _add(self, block: np.ndarray) -> None:
        meter_block(np.ascontiguousarray(block, np.float64), self._state)
        before, self._frames = self._frames // self._hop, self._frames + len(block)
        if new := self._frames // self._hop - before:
            self._powers.append(hop_powers(self._state)[-new:])
        self._start = [*self._start, block.copy()] if self._start and self._frames < 4 * self._hop else []

    def powers(self) -> NDArray[np.float64]:
        """Give the mean squares (hops,) of all hops of 100 ms, oldest first."""
        return np.concatenate([np.zeros(0), *self._powers])

    def lufs(self, gain_db: float = 0.0, faint: bool = False) -> float:
        """Give the `integrated_loudness` of the whole after a gain; the absolute gate makes that more than a sum."""
        if self._start:
            return integrated_loudness(np.concatenate(self._start) * 10 ** (gain_db / 20), self._rate, faint)
        return gated_loudness(self.powers() * 10 ** (gain_db / 10), faint)
