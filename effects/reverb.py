"""Reverb: early taps, then a feedback delay network of eight lines.

Jot and Chaigne, "Digital delay networks for designing artificial reverberators", AES 90, 1991: an
orthogonal matrix between the lines, here Householder's I - (2/N) 11', and in each line of length L
a one-pole damper that is exact at DC and at 16 kHz (so a setting decays alike at every sample rate):

    H(z) = g0 (1 - p) / (1 - p / z),   g = 10^(-3 L / (fs T60)),   r = (gw / g0)^2
    p = (1 - r) / (q + sqrt(q^2 - (1 - r)^2)),   q = 1 - r cos w,   w = 2 pi 16000 / fs, at most pi

with T60 = rt60_s at DC (g0) and rt60_s * hf_ratio at 16 kHz (gw). As |H| <= g0 < 1 and the matrix
turns without stretching, it is stable wherever the parameters go, and while they move. A line is heard
after its gain g0 and before its low-pass, else level made good for dark settings would boom.

The wet path is low cut -> pre-delay -> taps + lines, and has about unit energy gain for white noise
at any setting, so that `mix` means what it says. A mono signal is a stereo one whose channels agree,
of which the left output is heard.
"""

import numpy as np

from ..dsp import biquad
from ..dsp.compiler import jit, tuple_setitem
from ._effect import Effect, Param

LINES = 8
LENGTHS = (1031, 1327, 1523, 1871, 2053, 2311, 2539, 2803)  # frames at 48 kHz: 21 to 58 ms
MAX_RATE = 192000
PREDELAY_S = 0.1
DAMPED_HZ = 16000.0

_SIEVE = np.arange(LENGTHS[-1] * MAX_RATE // 48000 + 100)
for _n in range(2, int(len(_SIEVE) ** 0.5) + 1):
    _SIEVE[_n * _n :: _n] = 0
PRIMES = _SIEVE[_SIEVE > 1]

# A line enters and leaves in a direction off every axis, so that left, right, mid and side all reach
# all lines. sum(cos 2a) = sum(sin 2a) = 0 makes left and right equally loud, and orthogonal. The lines
# near an axis are dealt out in Thue-Morse order (0, 3, 5, 6 to left), so that the balance holds when the
# long lines have decayed more. Lines near mid on the way in are not all near it on the way out. That
# leaves signs, searched for energies nearest to 1 in left, right and mid.
_IN = np.radians([22.5, 67.5, -67.5, 157.5, -67.5, 157.5, 22.5, 67.5])
_OUT = np.radians([22.5, 112.5, -67.5, 22.5, 67.5, -22.5, 157.5, 67.5])
IN_LEFT, IN_RIGHT, OUT_LEFT, OUT_RIGHT = np.cos(_IN), np.sin(_IN), np.cos(_OUT), np.sin(_OUT)

# Early reflections: five for each ear, before the first line answers. Two come from the other side.
LEFT_S = np.array([2.3, 6.1, 10.9, 15.1, 19.3]) * 1e-3
RIGHT_S = np.array([3.7, 7.3, 12.1, 16.7, 20.3]) * 1e-3
CROSS = np.array([0, 1, 0, 1, 0])
TAPS = len(CROSS)
TAP = np.array([1.0, -0.9, -0.8, 0.7, 0.6])
TAP /= np.sqrt(np.sum(TAP**2))

# coefficients
RATE, PREDELAY, LOW_CUT, DRY, MID, SIDE, EARLY, LATE = 0, 1, 2, 5, 6, 7, 8, 9
LENGTH, GAIN, POLE = 10, 10 + LINES, 10 + 2 * LINES
# state: ring positions, low cut, dampers, then the rings of pre-delay, taps, and each line
PREDELAY_AT, TAPS_AT, LINE_AT, CUT, DAMPER, RINGS = 0, 1, 2, 10, 14, 14 + LINES
# scratch, in rows of a slice: after the low cut, sent on, its slope, what is heard early and late, the lines
IN, SENT, SLOPE, EARLY_OUT, LATE_OUT, TOTAL, LINE_OUT, LINE_IN, ROWS = 0, 2, 4, 6, 8, 10, 11, 11 + LINES, 11 + 2 * LINES
SLICE = 64  # frames worked on at a time: no line is shorter. It changes no sample.
# tape: early and late outputs, line outputs, dampers before the frame, then for each channel three
T_EARLY, T_LATE, T_LINE, T_DAMPER, T_CHANNEL = 0, 2, 4, 4 + LINES, 4 + 2 * LINES


@jit
def _ring_sizes(sample_rate):
    """Frames in the rings of the pre-delay and of the taps: the longest way back, and a slice written ahead."""
    return int(PREDELAY_S * sample_rate) + 2 + SLICE, int(RIGHT_S[-1] * sample_rate) + SLICE


@jit
def _lines(sample_rate, rt60_s, hf_ratio):
    """Length, gain and pole of each line, and the energy they give out for white noise of 1.

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
        r = np.exp(2.0 * rate * length * (1.0 / hf_ratio - 1.0))
        q = 1.0 - r * cos
        pole = (1.0 - r) / (q + np.sqrt(q * q - (1.0 - r) * (1.0 - r)))
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


def design(sample_rate, rt60_s, hf_ratio, predelay_ms, low_cut_hz, width, mix):
    lengths, gains, poles, energy = _lines(sample_rate, rt60_s, hf_ratio)
    cut = biquad.high_pass(sample_rate, low_cut_hz, np.sqrt(0.5))
    # The taps have the energy that the decay has before the first line answers, the lines the rest.
    rest = np.exp(-6.0 * np.log(10.0) * lengths[0] / (sample_rate * rt60_s))
    mid = 0.5 * mix * np.sqrt(2.0 / (1.0 + width * width))  # as loud at any width
    return (
        type(mix)(sample_rate),
        predelay_ms * (1e-3 * sample_rate),
        cut[0],
        cut[3],
        cut[4],
        1.0 - mix,
        mid,
        mid * width,
        np.sqrt(1.0 - rest),
        np.sqrt(rest / energy),
    ) + (lengths + gains + poles)


@jit
def _read(ring, at, row, count):
    """Copy `count` frames from place `at` on out of a ring."""
    whole = min(count, ring.shape[0] - at)
    near, far = ring[at : at + whole], row[whole:count]
    for n in range(whole):
        row[n] = near[n]
    for n in range(count - whole):
        far[n] = ring[n]


@jit
def _write(ring, at, row, count):
    """Copy `count` frames into a ring, from place `at` on."""
    whole = min(count, ring.shape[0] - at)
    near, far = ring[at : at + whole], row[whole:count]
    for n in range(whole):
        near[n] = row[n]
    for n in range(count - whole):
        ring[n] = far[n]


@jit
def _add_tap(ring, at, gain, row, count):
    """Add `count` frames from place `at` on of a ring to a row."""
    whole = min(count, ring.shape[0] - at)
    near, far = ring[at : at + whole], row[whole:count]
    for n in range(whole):
        row[n] += gain * near[n]
    for n in range(count - whole):
        far[n] += gain * ring[n]


@jit
def _back(at, frames, size):
    """Give the place that many frames before `at`."""
    return at - frames if at >= frames else at - frames + size


@jit
def _low_cut(x, state, t, coef, step, rows):
    """Filter both channels; they go together because each waits for its own last frame."""
    right = x.shape[1] - 1
    left_row, right_row = rows[IN], rows[IN + right]
    b, a1, a2 = coef[LOW_CUT], coef[LOW_CUT + 1], coef[LOW_CUT + 2]
    d, d1, d2 = step[LOW_CUT], step[LOW_CUT + 1], step[LOW_CUT + 2]
    s1, s2, r1, r2 = state[CUT], state[CUT + 1], state[CUT + 2 * right], state[CUT + 2 * right + 1]
    for n in range(x.shape[0]):
        at = t + n
        p, q = (b + at * d) * x[n, 0], (b + at * d) * x[n, right]
        k1, k2 = a1 + at * d1, a2 + at * d2
        v, w = p + s1, q + r1
        s1, r1 = (s2 - 2.0 * p) - k1 * v, (r2 - 2.0 * q) - k1 * w
        s2, r2 = p - k2 * v, q - k2 * w
        left_row[n], right_row[n] = v, w
    state[CUT + 2 * right], state[CUT + 2 * right + 1] = r1, r2
    state[CUT], state[CUT + 1] = s1, s2


@jit
def _delay(ring, now, count, t, coef, step, row, slope):
    """Read the pre-delay's ring between two frames: row[n] is what enters the taps and the lines."""
    size = ring.shape[0]
    if step[PREDELAY] == 0.0:
        whole = min(max(int(coef[PREDELAY]), 0), size - SLICE - 1)  # memory is safe from any number, nan too
        _read(ring, _back(now, whole, size), row, count)
        _read(ring, _back(now, whole + 1, size), slope, count)
        for n in range(count):
            slope[n] -= row[n]
            row[n] += (coef[PREDELAY] - whole) * slope[n]
        return
    for n in range(count):
        delay = coef[PREDELAY] + (t + n) * step[PREDELAY]
        whole = min(max(int(delay), 0), size - SLICE - 1)
        at = now + n if now + n < size else now + n - size
        u = ring[_back(at, whole, size)]
        slope[n] = ring[_back(at, whole + 1, size)] - u
        row[n] = u + (delay - whole) * slope[n]


@jit
def _send(x, state, t, coef, step, rows):
    """Take a slice through low cut and pre-delay into the rings of the taps, and hear those."""
    count, channels = x.shape
    right = channels - 1
    rate = coef[RATE]
    predelay_size, taps_size = _ring_sizes(rate)
    taps_at = RINGS + channels * predelay_size
    now, tap = int(state[PREDELAY_AT]), int(state[TAPS_AT])
    _low_cut(x, state, t, coef, step, rows)
    for c in range(channels):
        ring = state[RINGS + predelay_size * c : RINGS + predelay_size * (c + 1)]
        _write(ring, now, rows[IN + c], count)
        _delay(ring, now, count, t, coef, step, rows[SENT + c], rows[SLOPE + c])
        _write(state[taps_at + taps_size * c : taps_at + taps_size * (c + 1)], tap, rows[SENT + c], count)
    rows[EARLY_OUT : EARLY_OUT + 2] = 0.0
    for k in range(TAPS):
        same = state[taps_at + taps_size * right * CROSS[k] : taps_at + taps_size * (right * CROSS[k] + 1)]
        _add_tap(same, _back(tap, int(LEFT_S[k] * rate), taps_size), TAP[k], rows[EARLY_OUT], count)
        same = state[taps_at + taps_size * right * (1 - CROSS[k]) : taps_at + taps_size * (right * (1 - CROSS[k]) + 1)]
        _add_tap(same, _back(tap, int(RIGHT_S[k] * rate), taps_size), TAP[k], rows[EARLY_OUT + 1], count)
    state[PREDELAY_AT] = now + count if now + count < predelay_size else now + count - predelay_size
    state[TAPS_AT] = tap + count if tap + count < taps_size else tap + count - taps_size


@jit
def _damp(state, i, count, t, coef, step, v, u):
    """Low-pass four lines at once, from line i on: each waits for its own last frame."""
    h0, h1, h2, h3 = state[DAMPER + i], state[DAMPER + i + 1], state[DAMPER + i + 2], state[DAMPER + i + 3]
    p0, p1, p2, p3 = coef[POLE + i], coef[POLE + i + 1], coef[POLE + i + 2], coef[POLE + i + 3]
    d0, d1, d2, d3 = step[POLE + i], step[POLE + i + 1], step[POLE + i + 2], step[POLE + i + 3]
    v0, v1, v2, v3, u0, u1, u2, u3 = v[i], v[i + 1], v[i + 2], v[i + 3], u[i], u[i + 1], u[i + 2], u[i + 3]
    for n in range(count):
        at = t + n
        k0, k1, k2, k3 = p0 + at * d0, p1 + at * d1, p2 + at * d2, p3 + at * d3
        h0, h1 = k0 * h0 + (v0[n] - k0 * v0[n]), k1 * h1 + (v1[n] - k1 * v1[n])
        h2, h3 = k2 * h2 + (v2[n] - k2 * v2[n]), k3 * h3 + (v3[n] - k3 * v3[n])
        u0[n], u1[n], u2[n], u3[n] = h0, h1, h2, h3
    state[DAMPER + i], state[DAMPER + i + 1], state[DAMPER + i + 2], state[DAMPER + i + 3] = h0, h1, h2, h3


@jit
def _circulate(channels, count, state, t, coef, step, rows, tape):
    """Take a slice out of the lines, through dampers and matrix, and back in with what enters: no line is shorter."""
    predelay_size, taps_size = _ring_sizes(coef[RATE])
    lines_at = RINGS + channels * (predelay_size + taps_size)
    v, u = rows[LINE_OUT : LINE_OUT + LINES], rows[LINE_IN : LINE_IN + LINES]
    ring = lines_at
    for i in range(LINES):
        length = int(coef[LENGTH + i])
        _read(state[ring : ring + length], int(state[LINE_AT + i]), v[i], count)
        ring += length
        if tape.shape[0] > 0:
            for n in range(count):
                tape[n, T_LINE + i] = v[i, n]
        for n in range(count):
            v[i, n] *= coef[GAIN + i] + (t + n) * step[GAIN + i]
    for i in range(LINES):
        if tape.shape[0] > 0:
            tape[0, T_DAMPER + i] = state[DAMPER + i]
    for i in range(0, LINES, 4):
        _damp(state, i, count, t, coef, step, v, u)
    left, other = rows[SENT], rows[SENT + channels - 1]
    for n in range(count):
        late_left = late_right = total = 0.0
        for i in range(LINES):
            late_left += OUT_LEFT[i] * rows[LINE_OUT + i, n]
            late_right += OUT_RIGHT[i] * rows[LINE_OUT + i, n]
            total += (2.0 / LINES) * rows[LINE_IN + i, n]
        rows[LATE_OUT, n], rows[LATE_OUT + 1, n], rows[TOTAL, n] = late_left, late_right, total
    if tape.shape[0] > 0:
        for n in range(1, count):
            for i in range(LINES):
                tape[n, T_DAMPER + i] = u[i, n - 1]
    ring = lines_at
    for i in range(LINES):
        at, length = int(state[LINE_AT + i]), int(coef[LENGTH + i])
        for n in range(count):
            u[i, n] += IN_LEFT[i] * left[n] + IN_RIGHT[i] * other[n] - rows[TOTAL, n]
        _write(state[ring : ring + length], at, u[i], count)
        state[LINE_AT + i] = at + count if at + count < length else at + count - length
        ring += length


@jit
def _record(x, rows, tape):
    """Note for the adjoint what enters, and what is heard, before the mix."""
    count, channels = x.shape
    for n in range(count):
        for c in range(2):
            tape[n, T_EARLY + c], tape[n, T_LATE + c] = rows[EARLY_OUT + c, n], rows[LATE_OUT + c, n]
        for c in range(channels):
            tape[n, T_CHANNEL + 3 * c], tape[n, T_CHANNEL + 3 * c + 1] = x[n, c], rows[IN + c, n]
            tape[n, T_CHANNEL + 3 * c + 2] = rows[SLOPE + c, n]


@jit
def _mix(x, t, coef, step, rows):
    count, channels = x.shape
    right = channels - 1
    early_left, early_right, late_left, late_right = (
        rows[EARLY_OUT],
        rows[EARLY_OUT + 1],
        rows[LATE_OUT],
        rows[LATE_OUT + 1],
    )
    for n in range(count):
        at = t + n
        early, late = coef[EARLY] + at * step[EARLY], coef[LATE] + at * step[LATE]
        left, other = early * early_left[n] + late * late_left[n], early * early_right[n] + late * late_right[n]
        dry = coef[DRY] + at * step[DRY]
        mid, side = (coef[MID] + at * step[MID]) * (left + other), (coef[SIDE] + at * step[SIDE]) * (left - other)
        x[n, 0] = dry * x[n, 0] + (mid + side)
        if right:
            x[n, 1] = dry * x[n, 1] + (mid - side)


def kernel(x, state, start, coef, step, tape):
    frames, channels = x.shape
    piece = min(SLICE, int(coef[LENGTH]))
    rows = state[state.shape[0] - ROWS * SLICE :].reshape((ROWS, SLICE))
    for first in range(0, frames, piece):
        last = min(first + piece, frames)
        block, notes = x[first:last], tape[first:last]
        _send(block, state, start + first, coef, step, rows)
        _circulate(channels, last - first, state, start + first, coef, step, rows, notes)
        if tape.shape[0] > 0:
            _record(block, rows, notes)
        _mix(block, start + first, coef, step, rows)


@jit
def _add(gcoef, gstep, i, t, value):
    gcoef[i] += value
    gstep[i] += t * value


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    # The transpose of reading a ring at a distance is adding to it at that distance.
    frames, channels = g.shape
    right = channels - 1
    rate = coef[RATE]
    predelay_size, taps_size = _ring_sizes(rate)
    predelay, taps = RINGS, RINGS + channels * predelay_size
    now, tap = int(state[PREDELAY_AT]), int(state[TAPS_AT])
    for n in range(frames - 1, -1, -1):
        t = start + n
        early, late = coef[EARLY] + t * step[EARLY], coef[LATE] + t * step[LATE]
        early_left, early_right = tape[n, T_EARLY], tape[n, T_EARLY + 1]
        late_left, late_right = tape[n, T_LATE], tape[n, T_LATE + 1]
        left, other = early * early_left + late * late_left, early * early_right + late * late_right
        mid = g[n, 0] + g[n, 1] if right else g[n, 0]
        side = g[n, 0] - g[n, 1] if right else g[n, 0]
        _add(gcoef, gstep, MID, t, mid * (left + other))
        _add(gcoef, gstep, SIDE, t, side * (left - other))
        mid *= coef[MID] + t * step[MID]
        side *= coef[SIDE] + t * step[SIDE]
        left, other = mid + side, mid - side
        _add(gcoef, gstep, EARLY, t, left * early_left + other * early_right)
        _add(gcoef, gstep, LATE, t, left * late_left + other * late_right)
        early_left, early_right, late_left, late_right = early * left, early * other, late * left, late * other

        total = left = other = 0.0
        ring = taps + channels * taps_size
        for i in range(LINES):
            s = state[ring + int(state[LINE_AT + i])]
            ring += int(coef[LENGTH + i])
            left += IN_LEFT[i] * s
            other += IN_RIGHT[i] * s
            total += s
        ring = taps + channels * taps_size
        for i in range(LINES):
            at, length = int(state[LINE_AT + i]), int(coef[LENGTH + i])
            gain, pole = coef[GAIN + i] + t * step[GAIN + i], coef[POLE + i] + t * step[POLE + i]
            h = state[DAMPER + i] + state[ring + at] - (2.0 / LINES) * total
            _add(gcoef, gstep, POLE + i, t, h * (tape[n, T_DAMPER + i] - gain * tape[n, T_LINE + i]))
            state[DAMPER + i] = pole * h
            v = (1.0 - pole) * h + OUT_LEFT[i] * late_left + OUT_RIGHT[i] * late_right
            _add(gcoef, gstep, GAIN + i, t, v * tape[n, T_LINE + i])
            state[ring + at] = gain * v
            state[LINE_AT + i] = at + 1 if at + 1 < length else 0
            ring += length

        state[taps + channels * tap] += left
        state[taps + channels * tap + right] += other
        for k in range(TAPS):
            i = tap + int(LEFT_S[k] * rate)
            i = taps + channels * (i if i < taps_size else i - taps_size)
            state[i + right * CROSS[k]] += TAP[k] * early_left
            i = tap + int(RIGHT_S[k] * rate)
            i = taps + channels * (i if i < taps_size else i - taps_size)
            state[i + right * (1 - CROSS[k])] += TAP[k] * early_right

        b, a1 = coef[LOW_CUT] + t * step[LOW_CUT], coef[LOW_CUT + 1] + t * step[LOW_CUT + 1]
        a2 = coef[LOW_CUT + 2] + t * step[LOW_CUT + 2]
        dry, delay = coef[DRY] + t * step[DRY], coef[PREDELAY] + t * step[PREDELAY]
        whole = min(max(int(delay), 0), predelay_size - SLICE - 1)
        near = now + whole if now + whole < predelay_size else now + whole - predelay_size
        far = near + 1 if near + 1 < predelay_size else 0
        for c in range(channels):
            x, v, slope = tape[n, T_CHANNEL + 3 * c], tape[n, T_CHANNEL + 3 * c + 1], tape[n, T_CHANNEL + 3 * c + 2]
            u = state[taps + channels * tap + c]
            state[taps + channels * tap + c] = 0.0
            _add(gcoef, gstep, PREDELAY, t, u * slope)
            state[predelay + channels * near + c] += (1.0 - (delay - whole)) * u
            state[predelay + channels * far + c] += (delay - whole) * u
            s = CUT + 2 * c
            g1, g2 = state[s], state[s + 1]
            w = state[predelay + channels * now + c] - a1 * g1 - a2 * g2
            state[predelay + channels * now + c] = 0.0
            d_x = w - 2.0 * g1 + g2
            _add(gcoef, gstep, LOW_CUT, t, d_x * x)
            _add(gcoef, gstep, LOW_CUT + 1, t, -g1 * v)
            _add(gcoef, gstep, LOW_CUT + 2, t, -g2 * v)
            _add(gcoef, gstep, DRY, t, g[n, c] * x)
            state[s], state[s + 1] = w, g1
            g[n, c] = dry * g[n, c] + b * d_x
        now = now + 1 if now + 1 < predelay_size else 0
        tap = tap + 1 if tap + 1 < taps_size else 0
    state[PREDELAY_AT], state[TAPS_AT] = now, tap


def state_size(sample_rate, channels):
    predelay, taps = _ring_sizes(sample_rate)
    lines = 0.0
    for length in _lines(sample_rate, 1.0, 1.0)[0]:
        lines += length
    return RINGS + (predelay + taps) * channels + int(lines) + ROWS * SLICE


def tail(rt60_s, hf_ratio, predelay_ms, low_cut_hz, width, mix):
    return predelay_ms * 1e-3 + RIGHT_S[-1] + 2.0 * rt60_s if mix > 0.0 else 0.0


effect = Effect(
    params=(
        Param("rt60_s", 0.15, 6.0, 1.2, "time in which lows decay by 60 dB", "log"),
        Param("hf_ratio", 0.2, 1.0, 0.5, "decay time at 16 kHz, as a part of that of lows"),
        Param("predelay_ms", 0.0, 100.0, 10.0, "silence before the first reflections"),
        Param("low_cut_hz", 20.0, 500.0, 80.0, "corner of the wet path's high-pass", "log"),
        Param("width", 0.0, 1.0, 1.0, "0 is a mono wet signal, 1 full stereo"),
        Param("mix", 0.0, 1.0, 0.25, "part of the wet signal", neutral=0.0),
    ),
    design=design,
    kernel=kernel,
    adjoint=adjoint,
    state_size=state_size,
    tape_size=lambda channels: T_CHANNEL + 3 * channels,
    max_rate=MAX_RATE,
    tail=tail,
)
