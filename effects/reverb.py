"""Reverb: early taps, then a feedback delay network of eight lines.

Jot and Chaigne, "Digital delay networks for designing artificial reverberators", AES 90, 1991: an
orthogonal matrix between the lines, here Householder's I - (2/N) 11', and in each line of length L
a one-pole damper that is exact at DC and at 16 kHz (so a setting decays alike at every sample rate):

    H(z) = g0 (1 - p) / (1 - p / z),   g = 10^(-3 L / (fs T60)),   r = (gw / g0)^2
    p = (1 - r) / (q + sqrt(q^2 - (1 - r)^2)),   q = 1 - r cos w,   w = 2 pi 16000 / fs, at most pi

with T60 = rt60_s at DC (g0) and rt60_s * hf_ratio at 16 kHz (gw). As |H| <= g0 < 1 and the matrix
turns without stretching, it is stable wherever the parameters go, and while they move. Lines are tapped
after g0 and before the low-pass; otherwise level compensation would boost the lows of dark settings.

The wet path is low cut -> pre-delay -> taps + lines, and has about unit energy gain for white noise
at any setting, so that `mix` means what it says. A mono signal is a stereo one whose channels agree,
of which the left output is heard.
"""

import numpy as np

from ..dsp import biquad, delay_line
from ..dsp.compiler import jit, tuple_setitem
from ..dsp.layout import layout
from ._effect import Effect, Param, log_uniform

LINES = 8
LENGTHS = (1031, 1327, 1523, 1871, 2053, 2311, 2539, 2803)  # frames at 48 kHz: 21 to 58 ms
MAX_RATE = 192000
PREDELAY_S = 0.1
DAMPED_HZ = 16000.0
PRIMES = delay_line.primes(LENGTHS[-1] * MAX_RATE // 48000 + 100)

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

COEF = layout(
    rate=1, predelay=1, low_cut=3, dry=1, mid=1, side=1, early=1, late=1, length=LINES, gain=LINES, pole=LINES
)
STATE = layout(predelay_at=1, taps_at=1, line_at=LINES, low_cut=4, damper=LINES)
"""Places in the rings, and filters. The rings follow: each channel's pre-delay, each channel's taps, the lines."""
ROW = layout(cut=2, sent=2, slope=2, early=2, late=2, total=1, line_out=LINES, line_in=LINES)
"""Rows of a tile: after the low cut, after the pre-delay, its slope, early and late outputs, the lines."""
TILE = 64
"""Frames worked on at a time: no line is shorter. It changes no sample."""
NOTE = layout(early=2, late=2, line=LINES, damper=LINES)
"""A frame's tape: early and late outputs, line outputs, dampers before the frame; then each channel's part."""
CHANNEL_NOTE = layout(sound=1, cut=1, slope=1)


@jit
def _ring_sizes(sample_rate):
    """Frames in the rings of the pre-delay and of the taps: the longest way back, and a slice written ahead."""
    return int(PREDELAY_S * sample_rate) + 2 + TILE, int(RIGHT_S[-1] * sample_rate) + TILE


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
def _low_cut(x, state, t, coef, step, rows):
    """Filter both channels; they go together because each waits for its own last frame."""
    right = x.shape[1] - 1
    left_row, right_row = rows[ROW.cut], rows[ROW.cut + right]
    b, a1, a2 = coef[COEF.low_cut], coef[COEF.low_cut + 1], coef[COEF.low_cut + 2]
    d, d1, d2 = step[COEF.low_cut], step[COEF.low_cut + 1], step[COEF.low_cut + 2]
    s1, s2, r1, r2 = (
        state[STATE.low_cut],
        state[STATE.low_cut + 1],
        state[STATE.low_cut + 2 * right],
        state[STATE.low_cut + 2 * right + 1],
    )
    for n in range(x.shape[0]):
        at = t + n
        p, q = (b + at * d) * x[n, 0], (b + at * d) * x[n, right]
        k1, k2 = a1 + at * d1, a2 + at * d2
        v, w = p + s1, q + r1
        s1, r1 = (s2 - 2.0 * p) - k1 * v, (r2 - 2.0 * q) - k1 * w
        s2, r2 = p - k2 * v, q - k2 * w
        left_row[n], right_row[n] = v, w
    state[STATE.low_cut + 2 * right], state[STATE.low_cut + 2 * right + 1] = r1, r2
    state[STATE.low_cut], state[STATE.low_cut + 1] = s1, s2


@jit
def _delay(ring, now, count, t, coef, step, row, slope):
    """Read the pre-delay's ring between two frames: row[n] is what enters the taps and the lines."""
    size = ring.shape[0]
    if step[COEF.predelay] == 0.0:
        whole = min(max(int(coef[COEF.predelay]), 0), size - TILE - 1)  # memory is safe from any number, nan too
        delay_line.read(ring, delay_line.back(now, whole, size), row, count)
        delay_line.read(ring, delay_line.back(now, whole + 1, size), slope, count)
        for n in range(count):
            slope[n] -= row[n]
            row[n] += (coef[COEF.predelay] - whole) * slope[n]
        return
    for n in range(count):
        delay = coef[COEF.predelay] + (t + n) * step[COEF.predelay]
        whole = min(max(int(delay), 0), size - TILE - 1)
        at = now + n if now + n < size else now + n - size
        u = ring[delay_line.back(at, whole, size)]
        slope[n] = ring[delay_line.back(at, whole + 1, size)] - u
        row[n] = u + (delay - whole) * slope[n]


@jit
def _send(x, state, t, coef, step, rows):
    """Take a slice through low cut and pre-delay into the rings of the taps, and hear those."""
    count, channels = x.shape
    right = channels - 1
    rate = coef[COEF.rate]
    predelay_size, taps_size = _ring_sizes(rate)
    taps_at = STATE.size + channels * predelay_size
    now, tap = int(state[STATE.predelay_at]), int(state[STATE.taps_at])
    _low_cut(x, state, t, coef, step, rows)
    for c in range(channels):
        ring = state[STATE.size + predelay_size * c : STATE.size + predelay_size * (c + 1)]
        delay_line.write(ring, now, rows[ROW.cut + c], count)
        _delay(ring, now, count, t, coef, step, rows[ROW.sent + c], rows[ROW.slope + c])
        delay_line.write(state[taps_at + taps_size * c : taps_at + taps_size * (c + 1)], tap, rows[ROW.sent + c], count)
    rows[ROW.early : ROW.early + 2] = 0.0
    for k in range(TAPS):
        same = state[taps_at + taps_size * right * CROSS[k] : taps_at + taps_size * (right * CROSS[k] + 1)]
        delay_line.add_tap(same, delay_line.back(tap, int(LEFT_S[k] * rate), taps_size), TAP[k], rows[ROW.early], count)
        same = state[taps_at + taps_size * right * (1 - CROSS[k]) : taps_at + taps_size * (right * (1 - CROSS[k]) + 1)]
        delay_line.add_tap(
            same, delay_line.back(tap, int(RIGHT_S[k] * rate), taps_size), TAP[k], rows[ROW.early + 1], count
        )
    state[STATE.predelay_at] = delay_line.ahead(now, count, predelay_size)
    state[STATE.taps_at] = delay_line.ahead(tap, count, taps_size)


@jit
def _damp(state, i, count, t, coef, step, v, u):
    """Low-pass four lines at once, from line i on: each waits for its own last frame."""
    h0, h1, h2, h3 = (
        state[STATE.damper + i],
        state[STATE.damper + i + 1],
        state[STATE.damper + i + 2],
        state[STATE.damper + i + 3],
    )
    p0, p1, p2, p3 = coef[COEF.pole + i], coef[COEF.pole + i + 1], coef[COEF.pole + i + 2], coef[COEF.pole + i + 3]
    d0, d1, d2, d3 = step[COEF.pole + i], step[COEF.pole + i + 1], step[COEF.pole + i + 2], step[COEF.pole + i + 3]
    v0, v1, v2, v3, u0, u1, u2, u3 = v[i], v[i + 1], v[i + 2], v[i + 3], u[i], u[i + 1], u[i + 2], u[i + 3]
    for n in range(count):
        at = t + n
        k0, k1, k2, k3 = p0 + at * d0, p1 + at * d1, p2 + at * d2, p3 + at * d3
        h0, h1 = k0 * h0 + (v0[n] - k0 * v0[n]), k1 * h1 + (v1[n] - k1 * v1[n])
        h2, h3 = k2 * h2 + (v2[n] - k2 * v2[n]), k3 * h3 + (v3[n] - k3 * v3[n])
        u0[n], u1[n], u2[n], u3[n] = h0, h1, h2, h3
    state[STATE.damper + i], state[STATE.damper + i + 1], state[STATE.damper + i + 2], state[STATE.damper + i + 3] = (
        h0,
        h1,
        h2,
        h3,
    )


@jit
def _circulate(channels, count, state, t, coef, step, rows, tape):
    """Take a slice out of the lines, through dampers and matrix, and back in with what enters: no line is shorter."""
    predelay_size, taps_size = _ring_sizes(coef[COEF.rate])
    lines_at = STATE.size + channels * (predelay_size + taps_size)
    v, u = rows[ROW.line_out : ROW.line_out + LINES], rows[ROW.line_in : ROW.line_in + LINES]
    ring = lines_at
    for i in range(LINES):
        length = int(coef[COEF.length + i])
        delay_line.read(state[ring : ring + length], int(state[STATE.line_at + i]), v[i], count)
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
        _damp(state, i, count, t, coef, step, v, u)
    left, other = rows[ROW.sent], rows[ROW.sent + channels - 1]
    for n in range(count):
        late_left = late_right = total = 0.0
        for i in range(LINES):
            late_left += OUT_LEFT[i] * rows[ROW.line_out + i, n]
            late_right += OUT_RIGHT[i] * rows[ROW.line_out + i, n]
            total += (2.0 / LINES) * rows[ROW.line_in + i, n]
        rows[ROW.late, n], rows[ROW.late + 1, n], rows[ROW.total, n] = late_left, late_right, total
    if tape.shape[0] > 0:
        for n in range(1, count):
            for i in range(LINES):
                tape[n, NOTE.damper + i] = u[i, n - 1]
    ring = lines_at
    for i in range(LINES):
        at, length = int(state[STATE.line_at + i]), int(coef[COEF.length + i])
        for n in range(count):
            u[i, n] += IN_LEFT[i] * left[n] + IN_RIGHT[i] * other[n] - rows[ROW.total, n]
        delay_line.write(state[ring : ring + length], at, u[i], count)
        state[STATE.line_at + i] = delay_line.ahead(at, count, length)
        ring += length


@jit
def _record(x, rows, tape):
    """Note for the adjoint what enters, and what is heard, before the mix."""
    count, channels = x.shape
    for n in range(count):
        for c in range(2):
            tape[n, NOTE.early + c], tape[n, NOTE.late + c] = rows[ROW.early + c, n], rows[ROW.late + c, n]
        for c in range(channels):
            at = NOTE.size + CHANNEL_NOTE.size * c
            tape[n, at + CHANNEL_NOTE.sound], tape[n, at + CHANNEL_NOTE.cut] = x[n, c], rows[ROW.cut + c, n]
            tape[n, at + CHANNEL_NOTE.slope] = rows[ROW.slope + c, n]


@jit
def _at(coef, step, i, t):
    """Evaluate a coefficient at a frame."""
    return coef[i] + t * step[i]


@jit
def _mix(x, t, coef, step, rows):
    count, channels = x.shape
    right = channels - 1
    early_left, early_right = rows[ROW.early], rows[ROW.early + 1]
    late_left, late_right = rows[ROW.late], rows[ROW.late + 1]
    for n in range(count):
        at = t + n
        early, late = _at(coef, step, COEF.early, at), _at(coef, step, COEF.late, at)
        left, other = early * early_left[n] + late * late_left[n], early * early_right[n] + late * late_right[n]
        dry = _at(coef, step, COEF.dry, at)
        mid, side = _at(coef, step, COEF.mid, at) * (left + other), _at(coef, step, COEF.side, at) * (left - other)
        x[n, 0] = dry * x[n, 0] + (mid + side)
        if right:
            x[n, 1] = dry * x[n, 1] + (mid - side)


def kernel(x, state, start, coef, step, tape):
    frames, channels = x.shape
    piece = min(TILE, int(coef[COEF.length]))
    rows = state[state.shape[0] - ROW.size * TILE :].reshape((ROW.size, TILE))
    for first in range(0, frames, piece):
        last = min(first + piece, frames)
        block, notes = x[first:last], tape[first:last]
        _send(block, state, start + first, coef, step, rows)
        _circulate(channels, last - first, state, start + first, coef, step, rows, notes)
        if tape.shape[0] > 0:
            _record(block, rows, notes)
        _mix(block, start + first, coef, step, rows)


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    # The transpose of reading a ring at a distance is adding to it at that distance. Here a ring holds all its
    # channels side by side, frame by frame.
    frames, channels = g.shape
    predelay_size, taps_size = _ring_sizes(coef[COEF.rate])
    predelay = state[STATE.size : STATE.size + channels * predelay_size].reshape((predelay_size, channels))
    lines_at = STATE.size + channels * (predelay_size + taps_size)
    taps = state[STATE.size + channels * predelay_size : lines_at].reshape((taps_size, channels))
    now, tap = int(state[STATE.predelay_at]), int(state[STATE.taps_at])
    for n in range(frames - 1, -1, -1):
        t = start + n
        early_left, early_right, late_left, late_right = _mix_adjoint(g[n], t, coef, step, tape[n], gcoef, gstep)
        left, other = _lines_adjoint(
            late_left, late_right, state, state[lines_at:], t, coef, step, tape[n], gcoef, gstep
        )
        taps[tap, 0] += left
        taps[tap, channels - 1] += other
        _taps_adjoint(early_left, early_right, taps, tap, coef[COEF.rate])
        _send_adjoint(g[n], state, predelay, now, taps[tap], t, coef, step, tape[n], gcoef, gstep)
        now, tap = delay_line.ahead(now, 1, predelay_size), delay_line.ahead(tap, 1, taps_size)
    state[STATE.predelay_at], state[STATE.taps_at] = now, tap


@jit
def _add(gcoef, gstep, i, t, value):
    gcoef[i] += value
    gstep[i] += t * value


@jit
def _mix_adjoint(g, t, coef, step, notes, gcoef, gstep):
    """Give the gradients of early and late outputs, left and right, from those of a frame's channels."""
    right = g.shape[0] - 1
    early, late = _at(coef, step, COEF.early, t), _at(coef, step, COEF.late, t)
    early_left, early_right = notes[NOTE.early], notes[NOTE.early + 1]
    late_left, late_right = notes[NOTE.late], notes[NOTE.late + 1]
    left, other = early * early_left + late * late_left, early * early_right + late * late_right
    mid = g[0] + g[1] if right else g[0]
    side = g[0] - g[1] if right else g[0]
    _add(gcoef, gstep, COEF.mid, t, mid * (left + other))
    _add(gcoef, gstep, COEF.side, t, side * (left - other))
    mid *= _at(coef, step, COEF.mid, t)
    side *= _at(coef, step, COEF.side, t)
    left, other = mid + side, mid - side
    _add(gcoef, gstep, COEF.early, t, left * early_left + other * early_right)
    _add(gcoef, gstep, COEF.late, t, left * late_left + other * late_right)
    return early * left, early * other, late * left, late * other


@jit
def _lines_adjoint(late_left, late_right, state, lines, t, coef, step, notes, gcoef, gstep):
    """Run the transpose of lines, dampers and matrix for a frame; gives the gradients of what enters, left and right."""
    total = left = other = 0.0
    ring = 0
    for i in range(LINES):
        s = lines[ring + int(state[STATE.line_at + i])]
        ring += int(coef[COEF.length + i])
        left += IN_LEFT[i] * s
        other += IN_RIGHT[i] * s
        total += s
    ring = 0
    for i in range(LINES):
        at, length = int(state[STATE.line_at + i]), int(coef[COEF.length + i])
        gain, pole = _at(coef, step, COEF.gain + i, t), _at(coef, step, COEF.pole + i, t)
        h = state[STATE.damper + i] + lines[ring + at] - (2.0 / LINES) * total
        _add(gcoef, gstep, COEF.pole + i, t, h * (notes[NOTE.damper + i] - gain * notes[NOTE.line + i]))
        state[STATE.damper + i] = pole * h
        v = (1.0 - pole) * h + OUT_LEFT[i] * late_left + OUT_RIGHT[i] * late_right
        _add(gcoef, gstep, COEF.gain + i, t, v * notes[NOTE.line + i])
        lines[ring + at] = gain * v
        state[STATE.line_at + i] = delay_line.ahead(at, 1, length)
        ring += length
    return left, other


@jit
def _taps_adjoint(early_left, early_right, taps, tap, rate):
    """Add the gradients of the early outputs to the places that the taps read."""
    size, channels = taps.shape
    for k in range(TAPS):
        taps[delay_line.ahead(tap, int(LEFT_S[k] * rate), size), (channels - 1) * CROSS[k]] += TAP[k] * early_left
        taps[delay_line.ahead(tap, int(RIGHT_S[k] * rate), size), (channels - 1) * (1 - CROSS[k])] += (
            TAP[k] * early_right
        )


@jit
def _send_adjoint(g, state, predelay, now, sent, t, coef, step, notes, gcoef, gstep):
    """Run the transpose of pre-delay, low cut and dry path for a frame; `sent` holds the gradients of what was sent."""
    size = predelay.shape[0]
    b, a1 = _at(coef, step, COEF.low_cut, t), _at(coef, step, COEF.low_cut + 1, t)
    a2 = _at(coef, step, COEF.low_cut + 2, t)
    dry, delay = _at(coef, step, COEF.dry, t), _at(coef, step, COEF.predelay, t)
    whole = min(max(int(delay), 0), size - TILE - 1)
    near = delay_line.ahead(now, whole, size)
    far = delay_line.ahead(near, 1, size)
    for c in range(g.shape[0]):
        at, filters = NOTE.size + CHANNEL_NOTE.size * c, STATE.low_cut + 2 * c
        x, v, slope = notes[at + CHANNEL_NOTE.sound], notes[at + CHANNEL_NOTE.cut], notes[at + CHANNEL_NOTE.slope]
        u = sent[c]
        sent[c] = 0.0
        _add(gcoef, gstep, COEF.predelay, t, u * slope)
        predelay[near, c] += (1.0 - (delay - whole)) * u
        predelay[far, c] += (delay - whole) * u
        g1, g2 = state[filters], state[filters + 1]
        w = predelay[now, c] - a1 * g1 - a2 * g2
        predelay[now, c] = 0.0
        d_x = w - 2.0 * g1 + g2
        _add(gcoef, gstep, COEF.low_cut, t, d_x * x)
        _add(gcoef, gstep, COEF.low_cut + 1, t, -g1 * v)
        _add(gcoef, gstep, COEF.low_cut + 2, t, -g2 * v)
        _add(gcoef, gstep, COEF.dry, t, g[c] * x)
        state[filters], state[filters + 1] = w, g1
        g[c] = dry * g[c] + b * d_x


def state_size(sample_rate, channels):
    predelay, taps = _ring_sizes(sample_rate)
    lines = 0.0
    for length in _lines(sample_rate, 1.0, 1.0)[0]:
        lines += length
    return STATE.size + (predelay + taps) * channels + int(lines) + ROW.size * TILE


def tail(rt60_s, hf_ratio, predelay_ms, low_cut_hz, width, mix):
    return predelay_ms * 1e-3 + RIGHT_S[-1] + 2.0 * rt60_s if mix > 0.0 else 0.0


def summary(values):
    return f"RT60 {values['rt60_s']:.2f} s, mix {values['mix']:.0%}, pre-delay {values['predelay_ms']:.0f} ms"


def prior(rng):
    return {
        "rt60_s": log_uniform(rng, 0.2, 4.0),
        "hf_ratio": rng.uniform(0.2, 0.9),
        "predelay_ms": rng.uniform(0.0, 60.0),
        "low_cut_hz": log_uniform(rng, 20.0, 400.0),
        "mix": rng.uniform(0.05, 0.6),
    }


effect = Effect(
    params=(
        Param("rt60_s", 0.15, 6.0, 1.2, "decay time of the lows (60 dB)", "log"),
        Param("hf_ratio", 0.2, 1.0, 0.5, "decay time at 16 kHz, as a fraction of that of the lows"),
        Param("predelay_ms", 0.0, 100.0, 10.0, "silence before the first reflections"),
        Param("low_cut_hz", 20.0, 500.0, 80.0, "corner of the wet path's high-pass", "log"),
        Param("width", 0.0, 1.0, 1.0, "0 is a mono wet signal, 1 full stereo"),
        Param("mix", 0.0, 1.0, 0.25, "share of the wet signal", neutral=0.0),
    ),
    design=design,
    kernel=kernel,
    adjoint=adjoint,
    state_size=state_size,
    tape_size=lambda channels: NOTE.size + CHANNEL_NOTE.size * channels,
    linear=True,
    summary=summary,
    prior=prior,
    tail=tail,
    max_rate=MAX_RATE,
)
