"""Feed-forward compressor: soft knee, linked peak detector, attack and release in dB.

Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design: A Tutorial and Analysis",
J. AES 60(6), 2012: log-domain detector after the gain computer (section 2), soft knee (eq. 4),
smooth branching (eq. 17). The time constants are 63 % times: alpha = exp(-1 / (tau fs)).
"""

import math
from typing import Any

import numpy as np

from ..dsp.array_math import at_least, at_most
from ..dsp.compiler import MAX_COEFS, carray, jit, stack_of
from ..dsp.fastmath import exp, log
from ..dsp.layout import layout
from ._effect import Effect, Param, log_uniform

FLOOR = 1e-6
"""Detector floor, -120 dBFS."""
DB = 20.0 / math.log(10.0)
"""dB of a natural logarithm of 1."""
TILE = 128
"""Frames worked on at a time, so that rows stay in the first-level cache. It changes no sample."""

COEF = layout(threshold_db=1, slope=1, knee_db=1, attack=1, release=1, makeup_db=1)
"""slope is 1 / ratio - 1; attack and release are poles."""
TOGETHER = 4
"""Sounds of a batch played at once: a recursion alone leaves most of the processor idle, four of them do not."""
ROW = layout(over=1, target=1, before=1, gain=1)
"""Rows of a tile in dB: level over the threshold, static gain, gain a frame before, gain (a factor in the end)."""
NOTE = layout(over=1, target=1, before=1, gain=1, loudest=1)
"""Rows of a tile's tape: the same, the loudest channel, then each channel's sound."""
GRAD = layout(gain=1, pole=1, smooth=1, over=1)
"""The adjoint's rows: gradients, and the pole that was at work."""
_rows = stack_of(TOGETHER * ROW.size * TILE)


def static_gain_db(level_db: Any, threshold_db: Any, ratio: Any, knee_db: Any) -> Any:
    """Give the gain in dB at steady levels in dB (equation 4); make-up gain comes on top.

    Numbers, arrays or tensors that broadcast; a ratio of inf is a limiter.
    """
    return (1.0 / ratio - 1.0) * soft_knee(level_db - threshold_db, knee_db)


def soft_knee(over_db: Any, knee_db: Any) -> Any:
    """Give how far a level is over the threshold, in dB, rounded off inside the knee; arrays or tensors."""
    inside = at_most(at_least(over_db + 0.5 * knee_db, 0.0), knee_db)
    return inside * inside / (2.0 * knee_db) + at_least(over_db - 0.5 * knee_db, 0.0)


@jit
def soft_knee_db(over, knee):
    """Give `soft_knee` of two numbers, in compiled code."""
    inside = min(max(over + 0.5 * knee, 0.0), knee)
    return inside * inside / (2.0 * knee) + max(over - 0.5 * knee, 0.0)


@jit(fastmath=False)
def smoothing_pole(sample_rate, time_ms):
    """Give the pole of a smoother from the time, in ms, in which it does 63 % of a step."""
    return np.exp(-1e3 / (time_ms * sample_rate))


@jit
def smoothed(gain, target, attack, release):
    """Give the gain in dB that follows `gain` on its way to a target: attack on the way down, else release."""
    down, up = attack * gain + (1.0 - attack) * target, release * gain + (1.0 - release) * target
    return down if gain > target else up  # only the products wait for the gain before


def design(sample_rate, threshold_db, ratio, attack_ms, release_ms, knee_db, makeup_db):
    return (
        threshold_db,
        1.0 / ratio - 1.0,
        knee_db,
        smoothing_pole(sample_rate, attack_ms),
        smoothing_pole(sample_rate, release_ms),
        makeup_db,
    )


@jit
def _peaks(x, row):
    """Find the loudest channel's level in every frame."""
    frames, channels = x.shape
    for n in range(frames):
        row[n] = abs(x[n, 0])
    for c in range(1, channels):
        for n in range(frames):
            row[n] = max(row[n], abs(x[n, c]))


@jit
def _levels(x, rows, t, coef, step):
    """Fill in how far a tile is over the threshold, and its static gain."""
    over, target = rows[ROW.over], rows[ROW.target]
    _peaks(x, over)
    for n in range(len(x)):
        threshold = coef[COEF.threshold_db] + (t + n) * step[COEF.threshold_db]
        over[n] = DB * log(max(over[n], FLOOR)) - threshold
        knee = coef[COEF.knee_db] + (t + n) * step[COEF.knee_db]
        target[n] = (coef[COEF.slope] + (t + n) * step[COEF.slope]) * soft_knee_db(over[n], knee)


@jit
def _smooth(rows, gain_db, t, coef, step, count):
    """Follow the static gain; `gain_db` is the gain before the first frame. Returns the last."""
    target, before, gain = rows[ROW.target], rows[ROW.before], rows[ROW.gain]
    for n in range(count):
        before[n] = gain_db
        attack = coef[COEF.attack] + (t + n) * step[COEF.attack]
        release = coef[COEF.release] + (t + n) * step[COEF.release]
        gain_db = smoothed(gain_db, target[n], attack, release)
        gain[n] = gain_db
    return gain_db


@jit
def _smooth_together(rows, state, coef, count):
    """Do the same for four sounds, whose poles stand still: while one waits for its product, the others go on."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    attack, release = coef[COEF.attack :: MAX_COEFS], coef[COEF.release :: MAX_COEFS]
    a_attack, b_attack, c_attack, d_attack = attack[0], attack[1], attack[2], attack[3]
    a_release, b_release, c_release, d_release = release[0], release[1], release[2], release[3]
    target, before, gain = rows[:, ROW.target], rows[:, ROW.before], rows[:, ROW.gain]
    for n in range(count):
        before[0, n], before[1, n], before[2, n], before[3, n] = a, b, c, d
        a, b = smoothed(a, target[0, n], a_attack, a_release), smoothed(b, target[1, n], b_attack, b_release)
        c, d = smoothed(c, target[2, n], c_attack, c_release), smoothed(d, target[3, n], d_attack, d_release)
        gain[0, n], gain[1, n], gain[2, n], gain[3, n] = a, b, c, d
    state[0], state[1], state[2], state[3] = a, b, c, d


@jit
def _apply(x, rows, t, coef, step):
    """Turn gains into factors, and multiply."""
    gain = rows[ROW.gain]
    for n in range(len(x)):
        makeup = coef[COEF.makeup_db] + (t + n) * step[COEF.makeup_db]
        gain[n] = exp((gain[n] + makeup) * (1.0 / DB))
    for c in range(x.shape[1]):
        for n in range(len(x)):
            x[n, c] *= gain[n]


@jit
def _record(x, notes):
    """Note the sound and its loudest channel, for the adjoint."""
    frames, channels = x.shape
    loudest = notes[NOTE.loudest]
    for n in range(frames):
        loudest[n] = 0.0
    for c in range(channels):
        sound = notes[NOTE.size + c]
        for n in range(frames):
            sound[n] = x[n, c]
    for c in range(1, channels):
        for n in range(frames):
            if abs(x[n, c]) > abs(x[n, int(loudest[n])]):
                loudest[n] = c


@jit
def _tile(numbers, items, height, first, count):
    """Give the rows of a tile (items, height, count); a tape's tiles lie one after another, each with all its items."""
    size = items * height
    return numbers[size * first : size * (first + count)].reshape((items, height, count))


def kernel(x, state, start, coef, step, tape):
    items, channels = len(coef) // MAX_COEFS, x.shape[1]
    frames, notes, record = len(x) // items, tape.reshape(tape.size), tape.shape[0] > 0
    scratch = carray(_rows(), (TOGETHER * ROW.size * TILE,), np.float64)
    for first in range(0, frames, TILE):
        count, t = min(TILE, frames - first), start + first
        rows = _tile(scratch, items, ROW.size, 0, count)
        if record:
            rows = _tile(notes, items, NOTE.size + channels, first, count)
        for k in range(items):
            block = x[k * frames + first :][:count]
            if record:
                _record(block, rows[k])
            _levels(block, rows[k], t, coef[k * MAX_COEFS :], step)
        if items == TOGETHER:
            _smooth_together(rows, state, coef, count)
        else:
            state[0] = _smooth(rows[0], state[0], t, coef, step, count)
        for k in range(items):
            _apply(x[k * frames + first :][:count], rows[k], t, coef[k * MAX_COEFS :], step)


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    items, channels = len(coef) // MAX_COEFS, g.shape[1]
    frames, tapes = len(g) // items, tape.reshape(tape.size)
    rows = carray(_rows(), (TOGETHER, GRAD.size, TILE), np.float64)
    for first in range((frames - 1) // TILE * TILE, -1, -TILE):  # the tiles of the kernel, backwards
        count, t = min(TILE, frames - first), start + first
        notes = _tile(tapes, items, NOTE.size + channels, first, count)
        for k in range(items):
            _gain_adjoint(g[k * frames + first :][:count], notes[k], rows[k, GRAD.gain])
            _poles_at_work(notes[k], rows[k, GRAD.pole], t, coef[k * MAX_COEFS :], step)
        if items == TOGETHER:
            _smoothing_adjoint_together(rows, state, count)
        else:
            state[0] = _smoothing_adjoint(rows[0], state[0], count)
        for k in range(items):
            block, own = g[k * frames + first :][:count], k * MAX_COEFS
            _accumulate(block, notes[k], rows[k], float(t), coef[own:], step, gcoef[own:], gstep[own:])


@jit
def _gain_adjoint(g, notes, d_gain):
    """Turn g into the part of its gradient that passes through the product; note that of the gain in dB."""
    frames, channels = g.shape
    gain = notes[NOTE.gain]
    for n in range(frames):
        d_gain[n] = 0.0
    for c in range(channels):
        sound = notes[NOTE.size + c]
        for n in range(frames):
            d_gain[n] += g[n, c] * sound[n] * (gain[n] * (1.0 / DB))
            g[n, c] *= gain[n]


@jit
def _poles_at_work(notes, pole, t, coef, step):
    """Find the pole that was at work in each frame."""
    target, before = notes[NOTE.target], notes[NOTE.before]
    for n in range(len(target)):
        attack = coef[COEF.attack] + (t + n) * step[COEF.attack]
        release = coef[COEF.release] + (t + n) * step[COEF.release]
        pole[n] = attack if before[n] > target[n] else release


@jit
def _smoothing_adjoint(rows, w, count):
    """Run the transpose of `_smooth`, backwards; w is the gradient of the gain that came after the last frame."""
    d_gain, pole, d_smooth = rows[GRAD.gain], rows[GRAD.pole], rows[GRAD.smooth]
    for n in range(count - 1, -1, -1):
        d_smooth[n] = w + d_gain[n]
        w = pole[n] * w + pole[n] * d_gain[n]  # only the first product waits for w
    return w


@jit
def _smoothing_adjoint_together(rows, state, count):
    """Do the same for four sounds."""
    a, b, c, d = state[0], state[1], state[2], state[3]
    d_gain, pole, d_smooth = rows[:, GRAD.gain], rows[:, GRAD.pole], rows[:, GRAD.smooth]
    for n in range(count - 1, -1, -1):
        d_smooth[0, n], d_smooth[1, n] = a + d_gain[0, n], b + d_gain[1, n]
        d_smooth[2, n], d_smooth[3, n] = c + d_gain[2, n], d + d_gain[3, n]
        a, b = pole[0, n] * a + pole[0, n] * d_gain[0, n], pole[1, n] * b + pole[1, n] * d_gain[1, n]
        c, d = pole[2, n] * c + pole[2, n] * d_gain[2, n], pole[3, n] * d + pole[3, n] * d_gain[3, n]
    state[0], state[1], state[2], state[3] = a, b, c, d


@jit(fastmath={"contract", "reassoc"})  # sums may be taken in lanes
def _accumulate(g, notes, rows, start, coef, step, gcoef, gstep):
    """Add a tile to the gradients of the coefficients, and what came through the detector to that of the input."""
    frames, channels = g.shape
    over, target, before, loudest = notes[NOTE.over], notes[NOTE.target], notes[NOTE.before], notes[NOTE.loudest]
    d_gain, pole, d_smooth, d_over = rows[GRAD.gain], rows[GRAD.pole], rows[GRAD.smooth], rows[GRAD.over]
    c0 = c1 = c2 = c3 = c4 = c5 = s0 = s1 = s2 = s3 = s4 = s5 = 0.0
    for n in range(frames):
        t = start + n
        c5, s5 = c5 + d_gain[n], s5 + t * d_gain[n]
        d_pole = d_smooth[n] * (before[n] - target[n])
        d_attack = d_pole if before[n] > target[n] else 0.0
        d_release = d_pole - d_attack
        c3, s3, c4, s4 = c3 + d_attack, s3 + t * d_attack, c4 + d_release, s4 + t * d_release
        d_target = (1.0 - pole[n]) * d_smooth[n]
        slope, knee = coef[COEF.slope] + t * step[COEF.slope], coef[COEF.knee_db] + t * step[COEF.knee_db]
        inside = min(max(over[n] + 0.5 * knee, 0.0), knee) / knee
        d_slope = d_target * (0.5 * inside * inside * knee + max(over[n] - 0.5 * knee, 0.0))
        d_knee = d_target * slope * 0.5 * inside * (1.0 - inside)
        d = d_target * slope * inside
        c0, s0, c1, s1 = c0 - d, s0 - t * d, c1 + d_slope, s1 + t * d_slope
        c2, s2 = c2 + d_knee, s2 + t * d_knee
        d_over[n] = d
    for c in range(channels):
        sound = notes[NOTE.size + c]
        for n in range(frames):
            detected = loudest[n] == c and abs(sound[n]) > FLOOR
            g[n, c] += d_over[n] * DB / sound[n] if detected else 0.0
    for i, c, s in ((0, c0, s0), (1, c1, s1), (2, c2, s2), (3, c3, s3), (4, c4, s4), (5, c5, s5)):
        gcoef[i] += c
        gstep[i] += s


def summary(values):
    times = f"attack {values['attack_ms']:.1f} ms, release {values['release_ms']:.0f} ms"
    return f"{values['threshold_db']:.0f} dB {values['ratio']:.1f}:1, {times}"


def prior(rng):
    return {
        "threshold_db": rng.uniform(-50.0, -18.0),
        "ratio": 1.0 / (1.0 - rng.uniform(0.3, 0.95)),
        "attack_ms": log_uniform(rng, 0.3, 80.0),
        "release_ms": log_uniform(rng, 20.0, 800.0),
        "knee_db": rng.uniform(0.1, 12.0),
    }


effect = Effect(
    params=(
        Param("threshold_db", -60.0, 0.0, -18.0, "level above which it compresses"),
        Param("ratio", 1.0, 20.0, 3.0, "input dB over the threshold for one dB more out", "slope", neutral=1.0),
        Param("attack_ms", 0.1, 100.0, 10.0, "attack time constant (63 %)", "log"),
        Param("release_ms", 5.0, 1000.0, 100.0, "release time constant (63 %)", "log"),
        Param("knee_db", 0.1, 18.0, 6.0, "width of the soft knee; 0.1 is a hard one"),
        Param("makeup_db", -12.0, 24.0, 0.0, "gain after compression", neutral=0.0),
    ),
    design=design,
    kernel=kernel,
    adjoint=adjoint,
    state_size=lambda sample_rate, channels: 1,
    tape_size=lambda channels: NOTE.size + channels,
    linear=False,
    summary=summary,
    prior=prior,
    follows_level={"threshold_db": 1.0},
    together=TOGETHER,
    meter=0,  # the gain in dB before the next frame is all the state
)
