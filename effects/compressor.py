"""Feed-forward compressor: soft knee, linked peak detector, attack and release in dB.

Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design: A Tutorial and Analysis",
J. AES 60(6), 2012: log-domain detector after the gain computer (section 2), soft knee (eq. 4),
smooth branching (eq. 17). The time constants are 63 % times: alpha = exp(-1 / (tau fs)).
"""

import math

import numpy as np

from ..dsp.compiler import jit
from ..dsp.fastmath import exp, log
from ._effect import Effect, Param

SILENCE = 1e-6  # -120 dBFS: below it the detector does not look
DB = 20.0 / math.log(10.0)
SLICE = 128  # frames worked on at a time, so that rows stay in the first-level cache. It changes no sample.
# Rows of scratch, in dB: level over the threshold, gain aimed at, gain a frame before, gain (made a factor in the end)
OVER, AIM, BEFORE, GAIN, ROWS = 0, 1, 2, 3, 4
# A tape has these rows for each slice, and two more kinds: loudest channel, each channel's sound.
LOUDEST, SOUND = 4, 5
D_GAIN, POLE, D_SMOOTH, D_OVER = 0, 1, 2, 3  # the adjoint's rows: gradients, and the pole that was at work


def design(sample_rate, threshold_db, ratio, attack_ms, release_ms, knee_db, makeup_db):
    return (
        threshold_db,
        1.0 / ratio - 1.0,
        knee_db,
        np.exp(-1e3 / (attack_ms * sample_rate)),
        np.exp(-1e3 / (release_ms * sample_rate)),
        makeup_db,
    )


@jit
def _over_knee(over, knee):
    """How far the level is over the threshold, in dB, rounded off inside the knee."""
    inside = min(max(over + 0.5 * knee, 0.0), knee)
    return inside * inside / (2.0 * knee) + max(over - 0.5 * knee, 0.0)


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
def _smooth(rows, s, t, coef, step, count):
    """Follow the gain aimed at; s is the gain before the first frame. Returns the last."""
    aim, before, gain = rows[AIM], rows[BEFORE], rows[GAIN]
    for n in range(count):
        before[n] = s
        a, r = coef[3] + (t + n) * step[3], coef[4] + (t + n) * step[4]
        attack, release = a * s + (1.0 - a) * aim[n], r * s + (1.0 - r) * aim[n]  # only the products wait for s
        s = attack if s > aim[n] else release
        gain[n] = s
    return s


@jit
def _record(x, notes):
    """Note the sound and its loudest channel, for the adjoint."""
    frames, channels = x.shape
    loudest = notes[LOUDEST]
    for n in range(frames):
        loudest[n] = 0.0
    for c in range(channels):
        sound = notes[SOUND + c]
        for n in range(frames):
            sound[n] = x[n, c]
    for c in range(1, channels):
        for n in range(frames):
            if abs(x[n, c]) > abs(x[n, int(loudest[n])]):
                loudest[n] = c


def kernel(x, state, start, coef, step, tape):
    frames, channels = x.shape
    rows = state[1:].reshape((ROWS, SLICE))
    for first in range(0, frames, SLICE):
        count, t = min(SLICE, frames - first), start + first
        block = x[first : first + count]
        if tape.shape[0] > 0:
            rows = tape[first : first + count].reshape((SOUND + channels, count))
            _record(block, rows)
        over, aim, gain = rows[OVER], rows[AIM], rows[GAIN]
        _peaks(block, over)
        for n in range(count):
            over[n] = DB * log(max(over[n], SILENCE)) - (coef[0] + (t + n) * step[0])
            aim[n] = (coef[1] + (t + n) * step[1]) * _over_knee(over[n], coef[2] + (t + n) * step[2])
        state[0] = _smooth(rows, state[0], t, coef, step, count)
        for n in range(count):
            gain[n] = exp((gain[n] + (coef[5] + (t + n) * step[5])) * (1.0 / DB))
        for c in range(channels):
            for n in range(count):
                block[n, c] *= gain[n]


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    frames, channels = g.shape
    rows = state[1:].reshape((ROWS, SLICE))
    for first in range((frames - 1) // SLICE * SLICE, -1, -SLICE):  # the slices of the kernel, backwards
        count = min(SLICE, frames - first)
        block, notes = g[first : first + count], tape[first : first + count].reshape((SOUND + channels, count))
        _turn_up(block, notes, rows[D_GAIN])
        state[0] = _unsmooth(notes, rows, state[0], start + first, coef, step)
        _share_out(block, notes, rows, float(start + first), coef, step, gcoef, gstep)


@jit
def _turn_up(g, notes, d_gain):
    """Turn g into the part of its gradient that passes through the product; note that of the gain in dB."""
    frames, channels = g.shape
    gain = notes[GAIN]
    for n in range(frames):
        d_gain[n] = 0.0
    for c in range(channels):
        sound = notes[SOUND + c]
        for n in range(frames):
            d_gain[n] += g[n, c] * sound[n] * (gain[n] * (1.0 / DB))
            g[n, c] *= gain[n]


@jit
def _unsmooth(notes, rows, w, t, coef, step):
    """Run the transpose of `_smooth`, backwards; w is the gradient of the gain that came after the last frame."""
    d_gain, pole, d_smooth = rows[D_GAIN], rows[POLE], rows[D_SMOOTH]
    aim, before = notes[AIM], notes[BEFORE]
    frames = len(aim)
    for n in range(frames):
        a, r = coef[3] + (t + n) * step[3], coef[4] + (t + n) * step[4]
        pole[n] = a if before[n] > aim[n] else r
    for n in range(frames - 1, -1, -1):
        d_smooth[n] = w + d_gain[n]
        w = pole[n] * w + pole[n] * d_gain[n]  # only the first product waits for w
    return w


@jit(fastmath={"contract", "reassoc"})  # sums may be taken in lanes
def _share_out(g, notes, rows, start, coef, step, gcoef, gstep):
    """Add a slice to the gradients of the coefficients, and what came through the detector to that of the input."""
    frames, channels = g.shape
    over, aim, before, loudest = notes[OVER], notes[AIM], notes[BEFORE], notes[LOUDEST]
    d_gain, pole, d_smooth, d_over = rows[D_GAIN], rows[POLE], rows[D_SMOOTH], rows[D_OVER]
    c0 = c1 = c2 = c3 = c4 = c5 = s0 = s1 = s2 = s3 = s4 = s5 = 0.0
    for n in range(frames):
        t = start + n
        c5, s5 = c5 + d_gain[n], s5 + t * d_gain[n]
        d_pole = d_smooth[n] * (before[n] - aim[n])
        d_attack = d_pole if before[n] > aim[n] else 0.0
        d_release = d_pole - d_attack
        c3, s3, c4, s4 = c3 + d_attack, s3 + t * d_attack, c4 + d_release, s4 + t * d_release
        d_aim = (1.0 - pole[n]) * d_smooth[n]
        slope, knee = coef[1] + t * step[1], coef[2] + t * step[2]
        inside = min(max(over[n] + 0.5 * knee, 0.0), knee) / knee
        d_slope = d_aim * (0.5 * inside * inside * knee + max(over[n] - 0.5 * knee, 0.0))
        d_knee = d_aim * slope * 0.5 * inside * (1.0 - inside)
        d = d_aim * slope * inside
        c0, s0, c1, s1 = c0 - d, s0 - t * d, c1 + d_slope, s1 + t * d_slope
        c2, s2 = c2 + d_knee, s2 + t * d_knee
        d_over[n] = d
    for c in range(channels):
        sound = notes[SOUND + c]
        for n in range(frames):
            heard = loudest[n] == c and abs(sound[n]) > SILENCE
            g[n, c] += d_over[n] * DB / sound[n] if heard else 0.0
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
    tape_size=lambda channels: SOUND + channels,
    meter=0,
)
