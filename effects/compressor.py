"""Feed-forward compressor: soft knee, linked peak detector, attack and release in dB.

Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design: A Tutorial and Analysis",
J. AES 60(6), 2012: log-domain detector after the gain computer (section 2), soft knee (eq. 4),
smooth branching (eq. 17). The time constants are 63 % times: alpha = exp(-1 / (tau fs)).
"""

import math

import numpy as np

from ._math import exp, log
from ._native import loop
from ._spec import Effect, Param

SILENCE = 1e-6  # -120 dBFS: below it the detector does not look
DB = 20.0 / math.log(10.0)
SLICE = 64  # frames worked on at a time, so that rows stay in the first-level cache. It changes no sample.
OVER, AIM, GAIN, ROWS = 0, 1, 2, 3  # rows of scratch, in dB: level over the threshold, gain aimed at, gain


def design(sample_rate, threshold_db, ratio, attack_ms, release_ms, knee_db, makeup_db):
    return (
        threshold_db,
        1.0 / ratio - 1.0,
        knee_db,
        np.exp(-1e3 / (attack_ms * sample_rate)),
        np.exp(-1e3 / (release_ms * sample_rate)),
        makeup_db,
    )


@loop
def _over_knee(over, knee):
    """How far the level is over the threshold, in dB, rounded off inside the knee."""
    inside = min(max(over + 0.5 * knee, 0.0), knee)
    return inside * inside / (2.0 * knee) + max(over - 0.5 * knee, 0.0)


@loop
def _peaks(x, row):
    """Find the loudest channel's level in every frame."""
    frames, channels = x.shape
    for n in range(frames):
        row[n] = abs(x[n, 0])
    for c in range(1, channels):
        for n in range(frames):
            row[n] = max(row[n], abs(x[n, c]))


@loop
def _record(x, rows, s, tape):
    """Note what the adjoint needs; s is the gain before the first frame."""
    frames, channels = x.shape
    for n in range(frames):
        loudest = 0
        for c in range(1, channels):
            if abs(x[n, c]) > abs(x[n, loudest]):
                loudest = c
        tape[n, 0], tape[n, 1], tape[n, 3] = rows[OVER, n], rows[AIM, n], loudest
        tape[n, 2] = rows[GAIN, n - 1] if n > 0 else s
        for c in range(channels):
            tape[n, 5 + c] = x[n, c]


def kernel(x, state, start, coef, step, tape):
    frames, channels = x.shape
    rows = state[1:].reshape((ROWS, SLICE))
    over, aim, gain = rows[OVER], rows[AIM], rows[GAIN]
    for first in range(0, frames, SLICE):
        count, t, s = min(SLICE, frames - first), start + first, state[0]
        block = x[first : first + count]
        _peaks(block, over)
        for n in range(count):
            over[n] = DB * log(max(over[n], SILENCE)) - (coef[0] + (t + n) * step[0])
            aim[n] = (coef[1] + (t + n) * step[1]) * _over_knee(over[n], coef[2] + (t + n) * step[2])
        for n in range(count):
            d = s - aim[n]
            attack = aim[n] + (coef[3] + (t + n) * step[3]) * d
            release = aim[n] + (coef[4] + (t + n) * step[4]) * d
            s = attack if d > 0.0 else release
            gain[n] = s
        if tape.shape[0] > 0:
            _record(block, rows, state[0], tape[first : first + count])
        state[0] = s
        for n in range(count):
            gain[n] += coef[5] + (t + n) * step[5]
        if tape.shape[0] > 0:
            for n in range(count):
                tape[first + n, 4] = gain[n]
        for n in range(count):
            gain[n] = exp(gain[n] * (1.0 / DB))
        for n in range(count):
            for c in range(channels):
                block[n, c] *= gain[n]


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    frames = g.shape[0]
    gain = state[1 : 1 + SLICE]
    for done in range(0, frames, SLICE):  # backwards in time
        count = min(SLICE, frames - done)
        first = frames - done - count
        for n in range(count):
            gain[n] = exp(tape[first + n, 4] * (1.0 / DB))
        _unwind(g[first : first + count], state, start + first, coef, step, tape[first:], gain, gcoef, gstep)


@loop
def _unwind(g, state, start, coef, step, tape, gain, gcoef, gstep):
    """Go backwards through a slice, with its sums in registers."""
    frames, channels = g.shape
    w = state[0]
    c0 = c1 = c2 = c3 = c4 = c5 = s0 = s1 = s2 = s3 = s4 = s5 = 0.0
    for n in range(frames - 1, -1, -1):
        t = float(start + n)
        over, u, before, loudest = tape[n, 0], tape[n, 1], tape[n, 2], int(tape[n, 3])
        d_gain = 0.0
        for c in range(channels):
            d_gain += g[n, c] * tape[n, 5 + c]
            g[n, c] *= gain[n]
        d_gain *= gain[n] * (1.0 / DB)
        c5, s5 = c5 + d_gain, s5 + t * d_gain
        w += d_gain
        attack = u < before
        d_pole = w * (before - u)
        d_attack = d_pole if attack else 0.0
        d_release = 0.0 if attack else d_pole
        c3, s3, c4, s4 = c3 + d_attack, s3 + t * d_attack, c4 + d_release, s4 + t * d_release
        a = coef[3] + t * step[3] if attack else coef[4] + t * step[4]
        d_u = (1.0 - a) * w
        w *= a
        slope, knee = coef[1] + t * step[1], coef[2] + t * step[2]
        if over > -0.5 * knee:  # else nothing of it depends on the level
            inside = min(over + 0.5 * knee, knee) / knee
            d_slope, d_over = d_u * (0.5 * inside * inside * knee + max(over - 0.5 * knee, 0.0)), d_u * slope * inside
            d_knee = d_u * slope * 0.5 * inside * (1.0 - inside)
            c0, s0, c1, s1 = c0 - d_over, s0 - t * d_over, c1 + d_slope, s1 + t * d_slope
            c2, s2 = c2 + d_knee, s2 + t * d_knee
            if abs(tape[n, 5 + loudest]) > SILENCE:
                g[n, loudest] += d_over * DB / tape[n, 5 + loudest]
    state[0] = w
    for i, c, s in ((0, c0, s0), (1, c1, s1), (2, c2, s2), (3, c3, s3), (4, c4, s4), (5, c5, s5)):
        gcoef[i] += c
        gstep[i] += s


effect = Effect(
    params=(
        Param("threshold_db", -60.0, 0.0, -18.0, "level above which it turns down"),
        Param("ratio", 1.0, 20.0, 3.0, "input dB over the threshold for one dB more out", "slope", neutral=1.0),
        Param("attack_ms", 0.1, 100.0, 10.0, "63 % time of turning down", "log"),
        Param("release_ms", 5.0, 1000.0, 100.0, "63 % time of coming back", "log"),
        Param("knee_db", 0.1, 18.0, 6.0, "width of the soft knee; 0.1 is a hard one"),
        Param("makeup_db", -12.0, 24.0, 0.0, "gain after compression", neutral=0.0),
    ),
    design=design,
    kernel=kernel,
    adjoint=adjoint,
    state_size=lambda sample_rate, channels: 1 + ROWS * SLICE,
    tape_size=lambda channels: 5 + channels,
    meter=0,
)
