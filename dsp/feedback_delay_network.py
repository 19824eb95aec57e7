"""A feedback delay network: eight delay lines with dampers, an orthogonal matrix between them, stereo in and out.

Jot and Chaigne, "Digital delay networks for designing artificial reverberators", AES 90, 1991. The
matrix is Householder's I - (2/N) 11'. In each line of length L is a one-pole damper that is exact at
DC and at 16 kHz (so a setting decays alike at every sample rate):

    H(z) = g0 (1 - p) / (1 - p / z),   g = 10^(-3 L / (fs T60)),   r = (gw / g0)^2
    p = (1 - r) / (q + sqrt(q^2 - (1 - r)^2)),   q = 1 - r cos w,   w = 2 pi 16000 / fs, at most pi

with T60 = rt60_s at DC (g0) and rt60_s * hf_ratio at 16 kHz (gw). As |H| <= g0 < 1 and the matrix
turns without stretching, it is stable wherever the parameters go, and while they move. Lines are tapped
after g0 and before the low-pass; otherwise level compensation would boost the lows of dark settings.

Everything here is compiled. `coef`, `step`, `state`, `tape` and `rows` are the network's parts of an effect's
vectors, laid out as COEF, STATE, NOTE and ROW say; `lines` is its memory, all lines in a row.
"""

import numpy as np

from . import delay_line
from .compiler import jit, tuple_setitem
from .layout import layout

LINES = 8
LENGTHS = (1031, 1327, 1523, 1871, 2053, 2311, 2539, 2803)  # frames at 48 kHz: 21 to 58 ms
MAX_RATE = 384000
DAMPED_HZ = 16000.0
PRIMES = delay_line.primes(LENGTHS[-1] * MAX_RATE // 48000 + 100)

COEF = layout(length=LINES, gain=LINES, pole=LINES)
STATE = layout(at=LINES, damper=LINES)
ROW = layout(total=1, out=LINES, into=LINES)
"""Rows of a tile: what the matrix takes off every line, what lines give, what they get."""
NOTE = layout(line=LINES, damper=LINES)
"""A frame's tape: what each line gave, and its damper before the frame."""

# A line enters and leaves in a direction off every axis, so that left, right, mid and side all reach
# all lines. sum(cos 2a) = sum(sin 2a) = 0 makes left and right equally loud, and orthogonal. The lines
# near an axis are dealt out in Thue-Morse order (0, 3, 5, 6 to left), so that the balance holds when the
# long lines have decayed more. Lines near mid on the way in are not all near it on the way out. That
# leaves signs, searched for energies nearest to 1 in left, right and mid.
_IN = np.radians([22.5, 67.5, -67.5, 157.5, -67.5, 157.5, 22.5, 67.5])
_OUT = np.radians([22.5, 112.5, -67.5, 22.5, 67.5, -22.5, 157.5, 67.5])
IN_LEFT, IN_RIGHT, OUT_LEFT, OUT_RIGHT = np.cos(_IN), np.sin(_IN), np.cos(_OUT), np.sin(_OUT)


@jit
def damper_pole(r, cos):
    """Give a damper's pole: r is its power gain at `DAMPED_HZ` over that at DC, cos the cosine of that frequency."""
    q = 1.0 - r * cos
    return (1.0 - r) / (q + np.sqrt(q * q - (1.0 - r) * (1.0 - r)))


@jit
def design(sample_rate, rt60_s, hf_ratio):
    """Give length, gain and pole of each line, and the energy they give out for white noise of 1.

    Lines of different prime lengths are uncorrelated, so powers add. With G = |H|^2 and
    (I - 2/N 11')^2 = 1/2 I + 1/16 11' elementwise for N = 8, the power in line i is
    P_i = 1 / ((1 - G_i / 2)(1 - a / 16)), a = sum G / (1 - G / 2). Over frequency, for lines of one
    length, P - 1 = G / (1 - G) has as its mean exactly the geometric mean of its two ends.
    """
    rate = -3.0 * np.log(10.0) / (sample_rate * rt60_s)
    kind = type(rate)  # a tuple of one type, float or complex; not 0 * rate, which can be nan
    zero = kind(0.0)
    lengths = gains = poles = (zero, zero, zero, zero, zero, zero, zero, zero)
    cos = np.cos(2.0 * np.pi * min(DAMPED_HZ / sample_rate, 0.5))
    prime, at_dc, at_nyquist = -1, zero, zero
    for i in range(LINES):
        prime = max(prime + 1, np.searchsorted(PRIMES, LENGTHS[i] * sample_rate / 48000.0))
        length = float(PRIMES[prime])
        low = np.exp(rate * length)
        pole = damper_pole(np.exp(2.0 * rate * length * (1.0 / hf_ratio - 1.0)), cos)
        high = low * (1.0 - pole) / (1.0 + pole)
        lengths = tuple_setitem(lengths, i, kind(length))
        gains = tuple_setitem(gains, i, low)
        poles = tuple_setitem(poles, i, pole)
        at_dc += low * low / (1.0 - 0.5 * low * low)
        at_nyquist += high * high / (1.0 - 0.5 * high * high)
    energy = zero
    for i in range(LINES):
        low, high = gains[i], gains[i] * (1.0 - poles[i]) / (1.0 + poles[i])
        more_dc = 1.0 / ((1.0 - 0.5 * low * low) * (1.0 - at_dc / 16.0)) - 1.0
        more_nyquist = 1.0 / ((1.0 - 0.5 * high * high) * (1.0 - at_nyquist / 16.0)) - 1.0
        energy += low * low * (1.0 + np.sqrt(more_dc * more_nyquist))
    return lengths, gains, poles, 0.5 * energy


@jit
def memory_size(sample_rate):
    """Count the frames of all lines."""
    size = 0.0
    for length in design(sample_rate, 1.0, 1.0)[0]:
        size += length
    return int(size)


@jit
def _damp(damper, pole, d_pole, v, u, count, t):
    """Low-pass four lines at once: each waits for its own last frame."""
    h0, h1, h2, h3 = damper[0], damper[1], damper[2], damper[3]
    p0, p1, p2, p3 = pole[0], pole[1], pole[2], pole[3]
    d0, d1, d2, d3 = d_pole[0], d_pole[1], d_pole[2], d_pole[3]
    v0, v1, v2, v3, u0, u1, u2, u3 = v[0], v[1], v[2], v[3], u[0], u[1], u[2], u[3]
    for n in range(count):
        at = t + n
        k0, k1, k2, k3 = p0 + at * d0, p1 + at * d1, p2 + at * d2, p3 + at * d3
        h0, h1 = k0 * h0 + (v0[n] - k0 * v0[n]), k1 * h1 + (v1[n] - k1 * v1[n])
        h2, h3 = k2 * h2 + (v2[n] - k2 * v2[n]), k3 * h3 + (v3[n] - k3 * v3[n])
        u0[n], u1[n], u2[n], u3[n] = h0, h1, h2, h3
    damper[0], damper[1], damper[2], damper[3] = h0, h1, h2, h3


@jit
def run(left, right, late_left, late_right, state, lines, t, coef, step, rows, tape):
    """Take a tile out of the lines, through dampers and matrix, and back in with what enters.

    left, right: rows that enter; late_left, late_right: rows for what is heard; no line is shorter than a row.
    """
    count = left.shape[0]
    v, u, taken = rows[ROW.out : ROW.out + LINES], rows[ROW.into : ROW.into + LINES], rows[ROW.total]
    ring = 0
    for i in range(LINES):
        length = int(coef[COEF.length + i])
        delay_line.read(lines[ring : ring + length], int(state[STATE.at + i]), v[i], count)
        ring += length
        if tape.shape[0] > 0:
            for n in range(count):
                tape[n, NOTE.line + i] = v[i, n]
        for n in range(count):
            v[i, n] *= coef[COEF.gain + i] + (t + n) * step[COEF.gain + i]
    for i in range(LINES):
        if tape.shape[0] > 0:
            tape[0, NOTE.damper + i] = state[STATE.damper + i]
    for i in range(0, LINES, 4):
        _damp(state[STATE.damper + i :], coef[COEF.pole + i :], step[COEF.pole + i :], v[i:], u[i:], count, t)
    for n in range(count):
        heard_left = heard_right = total = 0.0
        for i in range(LINES):
            heard_left += OUT_LEFT[i] * v[i, n]
            heard_right += OUT_RIGHT[i] * v[i, n]
            total += (2.0 / LINES) * u[i, n]
        late_left[n], late_right[n], taken[n] = heard_left, heard_right, total
    if tape.shape[0] > 0:
        for n in range(1, count):
            for i in range(LINES):
                tape[n, NOTE.damper + i] = u[i, n - 1]
    ring = 0
    for i in range(LINES):
        at, length = int(state[STATE.at + i]), int(coef[COEF.length + i])
        for n in range(count):
            u[i, n] += IN_LEFT[i] * left[n] + IN_RIGHT[i] * right[n] - taken[n]
        delay_line.write(lines[ring : ring + length], at, u[i], count)
        state[STATE.at + i] = delay_line.ahead(at, count, length)
        ring += length


@jit
def run_adjoint(late_left, late_right, left, right, state, lines, start, coef, step, tape, gcoef, gstep):
    """Run the transpose for a tile: gradients of what is heard to those of what enters, in rows left and right."""
    for n in range(late_left.shape[0] - 1, -1, -1):
        t = start + n
        total = enters_left = enters_right = 0.0
        ring = 0
        for i in range(LINES):
            s = lines[ring + int(state[STATE.at + i])]
            ring += int(coef[COEF.length + i])
            enters_left += IN_LEFT[i] * s
            enters_right += IN_RIGHT[i] * s
            total += s
        ring = 0
        for i in range(LINES):
            at, length = int(state[STATE.at + i]), int(coef[COEF.length + i])
            gain, pole = coef[COEF.gain + i] + t * step[COEF.gain + i], coef[COEF.pole + i] + t * step[COEF.pole + i]
            h = state[STATE.damper + i] + lines[ring + at] - (2.0 / LINES) * total
            d_pole = h * (tape[n, NOTE.damper + i] - gain * tape[n, NOTE.line + i])
            gcoef[COEF.pole + i] += d_pole
            gstep[COEF.pole + i] += t * d_pole
            state[STATE.damper + i] = pole * h
            v = (1.0 - pole) * h + OUT_LEFT[i] * late_left[n] + OUT_RIGHT[i] * late_right[n]
            d_gain = v * tape[n, NOTE.line + i]
            gcoef[COEF.gain + i] += d_gain
            gstep[COEF.gain + i] += t * d_gain
            lines[ring + at] = gain * v
            state[STATE.at + i] = delay_line.ahead(at, 1, length)
            ring += length
        left[n], right[n] = enters_left, enters_right
