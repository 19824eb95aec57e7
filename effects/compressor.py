"""Feed-forward compressor: soft knee, linked peak detector, attack and release in dB.

Giannoulis, Massberg and Reiss, "Digital Dynamic Range Compressor Design: A Tutorial and Analysis",
J. AES 60(6), 2012: log-domain detector after the gain computer (section 2), soft knee (eq. 4),
smooth branching (eq. 17). The time constants are 63 % times: alpha = exp(-1 / (tau fs)).
"""

import math

import numpy as np

from ._native import loop
from ._spec import Effect, Param

SILENCE = 1e-6  # -120 dBFS: below it the detector does not look
DB = 20.0 / math.log(10.0)


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
    if over <= -0.5 * knee:
        return 0.0
    if over < 0.5 * knee:
        return (over + 0.5 * knee) ** 2 / (2.0 * knee)
    return over


def kernel(x, state, start, coef, step, tape):
    frames, channels = x.shape
    record = tape.shape[0] > 0
    s = state[0]
    for n in range(frames):
        t = start + n
        loudest = 0
        for c in range(1, channels):
            if abs(x[n, c]) > abs(x[n, loudest]):
                loudest = c
        peak = abs(x[n, loudest])
        over = (DB * math.log(peak) if peak > SILENCE else -120.0) - (coef[0] + t * step[0])
        u = (coef[1] + t * step[1]) * _over_knee(over, coef[2] + t * step[2])
        a = coef[3] + t * step[3] if u < s else coef[4] + t * step[4]
        if record:
            tape[n, 0], tape[n, 1], tape[n, 2], tape[n, 3] = over, u, s, loudest
            for c in range(channels):
                tape[n, 5 + c] = x[n, c]
        s = u + a * (s - u)
        gain_db = s + (coef[5] + t * step[5])
        if record:
            tape[n, 4] = gain_db
        if gain_db != 0.0:
            gain = math.exp(gain_db / DB)
            for c in range(channels):
                x[n, c] *= gain
    state[0] = s


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    frames, channels = g.shape
    w = state[0]
    for n in range(frames - 1, -1, -1):
        t = start + n
        over, u, before, loudest = tape[n, 0], tape[n, 1], tape[n, 2], int(tape[n, 3])
        gain = math.exp(tape[n, 4] / DB)
        d_gain = 0.0
        for c in range(channels):
            d_gain += g[n, c] * tape[n, 5 + c]
            g[n, c] *= gain
        d_gain *= gain / DB
        gcoef[5] += d_gain
        gstep[5] += t * d_gain
        w += d_gain
        pole = 3 if u < before else 4
        a = coef[pole] + t * step[pole]
        gcoef[pole] += w * (before - u)
        gstep[pole] += t * w * (before - u)
        d_u = (1.0 - a) * w
        w *= a
        slope, knee = coef[1] + t * step[1], coef[2] + t * step[2]
        shape = _over_knee(over, knee)
        gcoef[1] += d_u * shape
        gstep[1] += t * d_u * shape
        d_over = 0.0
        if over >= 0.5 * knee:
            d_over = d_u * slope
        elif over > -0.5 * knee:
            z = over + 0.5 * knee
            d_over = d_u * slope * z / knee
            d_knee = d_u * slope * (0.5 * z / knee - 0.5 * (z / knee) ** 2)
            gcoef[2] += d_knee
            gstep[2] += t * d_knee
        gcoef[0] -= d_over
        gstep[0] -= t * d_over
        if abs(tape[n, 5 + loudest]) > SILENCE:
            g[n, loudest] += d_over * DB / tape[n, 5 + loudest]
    state[0] = w


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
    state_size=lambda sample_rate, channels: 1,
    tape_size=lambda channels: 5 + channels,
    meter=0,
)
