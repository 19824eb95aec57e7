"""Second-order sections: cookbook coefficients, and one kernel for a cascade of them.

R. Bristow-Johnson, Audio EQ Cookbook (W3C note, 2021). Coefficients are float64: rounded to
float32 they alone put -78 dB of error on a six-band equaliser.
"""

import numpy as np

from ._lanes import apart, pair, pair_at, put, quad
from ._native import loop

SLICE = 64
PER_SECTION = 5
"""b0, b1, b2, a1, a2, divided by a0."""


@loop(fastmath=False)
def _angle(sample_rate, hz):
    """Radians per frame, held at 0.45 of the sample rate, where the bilinear transform cramps."""
    if hz.real > 0.45 * sample_rate:
        return 0.0 * hz + 2.0 * np.pi * 0.45
    return 2.0 * np.pi * hz / sample_rate


@loop(fastmath=False)
def peak(sample_rate, hz, gain_db, q):
    """A peaking band."""
    w = _angle(sample_rate, hz)
    a = np.exp(gain_db * (np.log(10.0) / 40.0))
    alpha = np.sin(w) / (2.0 * q)
    cos = -2.0 * np.cos(w)
    a0 = 1.0 + alpha / a
    return (1.0 + alpha * a) / a0, cos / a0, (1.0 - alpha * a) / a0, cos / a0, (1.0 - alpha / a) / a0


@loop(fastmath=False)
def low_shelf(sample_rate, hz, gain_db, q):
    """A low shelf."""
    w = _angle(sample_rate, hz)
    a = np.exp(gain_db * (np.log(10.0) / 40.0))
    cos, root = np.cos(w), np.exp(gain_db * (np.log(10.0) / 80.0)) * np.sin(w) / q
    up, down = a + 1.0, a - 1.0
    a0 = up + down * cos + root
    return (
        a * (up - down * cos + root) / a0,
        2.0 * a * (down - up * cos) / a0,
        a * (up - down * cos - root) / a0,
        -2.0 * (down + up * cos) / a0,
        (up + down * cos - root) / a0,
    )


@loop(fastmath=False)
def high_shelf(sample_rate, hz, gain_db, q):
    """A high shelf."""
    w = _angle(sample_rate, hz)
    a = np.exp(gain_db * (np.log(10.0) / 40.0))
    cos, root = np.cos(w), np.exp(gain_db * (np.log(10.0) / 80.0)) * np.sin(w) / q
    up, down = a + 1.0, a - 1.0
    a0 = up - down * cos + root
    return (
        a * (up + down * cos + root) / a0,
        -2.0 * a * (down + up * cos) / a0,
        a * (up + down * cos - root) / a0,
        2.0 * (down - up * cos) / a0,
        (up - down * cos - root) / a0,
    )


@loop(fastmath=False)
def high_pass(sample_rate, hz, q):
    """A second-order high-pass."""
    w = _angle(sample_rate, hz)
    alpha, cos = np.sin(w) / (2.0 * q), np.cos(w)
    a0 = 1.0 + alpha
    b = (1.0 + cos) / 2.0 / a0
    return b, -2.0 * b, b, -2.0 * cos / a0, (1.0 - alpha) / a0


@loop
def _moves(step, count):
    for i in range(count):
        if step[i] != 0.0:
            return True
    return False


def state_size(sections: int, channels: int) -> int:
    """Count the numbers of state that `run` and `run_adjoint` need; lanes hold channels by the pair."""
    return 4 * sections * ((channels + 1) // 2)


@loop(fastmath=False)
def run(x, state, start, coef, step, tape, sections):
    """Filter a block through a cascade, transposed direct form II; state (channel pair, section, 4).

    All sections advance together, sample by sample: the recursions of different sections overlap
    in the processor, which is faster than one pass for each. So do those of two channels, in lanes.
    """
    frames, channels = x.shape
    moving = _moves(step, PER_SECTION * sections)
    for c in range(0, channels, 2):
        d, first = min(c + 1, channels - 1), 2 * c * sections  # twice the same channel for an odd one
        for n in range(frames):
            v = pair(x[n, c], x[n, d])
            t = start + n
            for k in range(sections):
                i, s = PER_SECTION * k, first + 4 * k
                if tape.shape[0] > 0:
                    tape[n, c * (sections + 1) + k], tape[n, d * (sections + 1) + k] = apart(v)
                b0, b1, b2, a1, a2 = coef[i], coef[i + 1], coef[i + 2], coef[i + 3], coef[i + 4]
                if moving:
                    b0, b1, b2 = b0 + t * step[i], b1 + t * step[i + 1], b2 + t * step[i + 2]
                    a1, a2 = a1 + t * step[i + 3], a2 + t * step[i + 4]
                y = b0 * v + pair_at(state, s)
                put(state, s, b1 * v - a1 * y + pair_at(state, s + 2))  # at 0 dB the products cancel: v passes as it is
                put(state, s + 2, b2 * v - a2 * y)
                v = y
            if tape.shape[0] > 0:
                tape[n, c * (sections + 1) + sections], tape[n, d * (sections + 1) + sections] = apart(v)
            x[n, d] = apart(v)[1]
            x[n, c] = apart(v)[0]


@loop
def run_adjoint(g, state, start, coef, step, tape, gcoef, gstep, sections):
    """Run the transpose of `run`, backwards in time and through the sections in reverse.

    Section by section, in slices that stay in the first-level cache: what a section needs is in registers.
    """
    frames, channels = g.shape
    for done in range(0, frames, SLICE):
        count = min(SLICE, frames - done)
        first = frames - done - count
        for c in range(channels):
            for k in range(sections - 1, -1, -1):
                i, s, column = PER_SECTION * k, 2 * (k * channels + c), c * (sections + 1) + k
                _section_adjoint(
                    g[first : first + count, c], state[s:], start + first, coef[i:], step[i:],
                    tape[first:, column], tape[first:, column + 1], gcoef[i:], gstep[i:],
                )  # fmt: skip


@loop
def _section_adjoint(g, state, start, coef, step, x, y, gcoef, gstep):
    b0, b1, b2, a1, a2 = coef[0], coef[1], coef[2], coef[3], coef[4]
    d0, d1, d2, e1, e2 = step[0], step[1], step[2], step[3], step[4]
    g1, g2 = state[0], state[1]
    zero = quad(0.0, 0.0, 0.0, 0.0)
    by_x = by_y = by_x_t = by_y_t = zero  # sums over the slice: of both gradients, and those times the time
    for n in range(g.shape[0] - 1, -1, -1):
        t = float(start + n)
        w = (g[n] - (a2 + t * e2) * g2) - (a1 + t * e1) * g1
        g[n] = (b0 + t * d0) * w + ((b1 + t * d1) * g1 + (b2 + t * d2) * g2)
        late = quad(w, g1, g2, 0.0)
        by_x, by_y = by_x + x[n] * late, by_y + y[n] * late
        by_x_t, by_y_t = by_x_t + (t * x[n]) * late, by_y_t + (t * y[n]) * late
        g1, g2 = w, g1
    state[0], state[1] = g1, g2
    for into, along, against in ((gcoef, by_x, by_y), (gstep, by_x_t, by_y_t)):
        p, q, r, _ = apart(along)
        _, u, v, _ = apart(against)
        into[0] += p
        into[1] += q
        into[2] += r
        into[3] -= u
        into[4] -= v
