"""Second-order sections: cookbook coefficients, and one kernel for a cascade of them.

R. Bristow-Johnson, Audio EQ Cookbook (W3C note, 2021). Coefficients are float64: rounded to
float32 they alone put -78 dB of error on a six-band equaliser.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import array_math
from .compiler import jit
from .simd import extract, f64x8, load_f64x8, select_range, shift_in_high, shift_in_low, store

LANES = 8
PER_SECTION = 5
"""b0, b1, b2, a1, a2, divided by a0."""


@jit(fastmath=False)
def _angle(sample_rate, hz):
    """Radians per frame, held at 0.45 of the sample rate, where the bilinear transform cramps."""
    if hz.real > 0.45 * sample_rate:
        return 0.0 * hz + 2.0 * np.pi * 0.45
    return 2.0 * np.pi * hz / sample_rate


@jit(fastmath=False)
def peak(sample_rate, hz, gain_db, q):
    """A peaking band."""
    w = _angle(sample_rate, hz)
    a = np.exp(gain_db * (np.log(10.0) / 40.0))
    alpha = np.sin(w) / (2.0 * q)
    cos = -2.0 * np.cos(w)
    a0 = 1.0 + alpha / a
    return (1.0 + alpha * a) / a0, cos / a0, (1.0 - alpha * a) / a0, cos / a0, (1.0 - alpha / a) / a0


@jit(fastmath=False)
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


@jit(fastmath=False)
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


@jit(fastmath=False)
def high_pass(sample_rate, hz, q):
    """A second-order high-pass."""
    w = _angle(sample_rate, hz)
    alpha, cos = np.sin(w) / (2.0 * q), np.cos(w)
    a0 = 1.0 + alpha
    b = (1.0 + cos) / 2.0 / a0
    return b, -2.0 * b, b, -2.0 * cos / a0, (1.0 - alpha) / a0


def frequency_response(coefs: ArrayLike, hz: ArrayLike, sample_rate: float) -> NDArray[np.complex128]:
    """Give the complex response of a cascade: coefs (..., sections, 5) and hz (bands,) to (..., bands)."""
    b0, b1, b2, a1, a2 = np.moveaxis(np.asarray(coefs, np.float64), -1, 0)[..., None]
    z = np.exp(-2j * np.pi * np.asarray(hz) / sample_rate)
    return ((b0 + b1 * z + b2 * z * z) / (1.0 + a1 * z + a2 * z * z)).prod(-2)


def magnitude_db(coefs: Any, hz: ArrayLike, sample_rate: float) -> Any:
    """Give the magnitude in dB of a cascade: coefs (..., sections, 5) and hz (bands,) to (..., bands).

    coefs is an array or a torch tensor, and so is the result; a tensor's is differentiable. hz are numbers.
    """
    w = 2.0 * np.pi * np.asarray(hz, np.float64) / sample_rate
    cos, sin, cos2, sin2 = (array_math.constant(v, coefs) for v in (np.cos(w), np.sin(w), np.cos(2 * w), np.sin(2 * w)))

    def power(c0: Any, c1: Any, c2: Any) -> Any:
        return (c0 + c1 * cos + c2 * cos2) ** 2 + (c1 * sin + c2 * sin2) ** 2

    b0, b1, b2, a1, a2 = (coefs[..., i, None] for i in range(PER_SECTION))
    ratio = power(b0, b1, b2) / power(1.0, a1, a2)
    return 10.0 * array_math.log10(array_math.at_least(ratio, 1e-18)).sum(-2)


def magnitude_gradient(coefs: ArrayLike, hz: ArrayLike, sample_rate: float) -> NDArray[np.float64]:
    """Give d magnitude_db / d coefficient: coefs (sections, 5) and hz (bands,) to (sections, 5, bands)."""
    b0, b1, b2, a1, a2 = np.asarray(coefs, np.float64).T[..., None]
    z = np.exp(-2j * np.pi * np.asarray(hz) / sample_rate)
    powers = np.stack([np.ones_like(z), z, z * z])
    above, below = b0 + b1 * z + b2 * z * z, 1.0 + a1 * z + a2 * z * z
    numerator = np.real(powers / above[:, None])  # d ln|B| / d b
    denominator = -np.real(powers[1:] / below[:, None])  # d ln|1/A| / d a
    return (20.0 / np.log(10.0)) * np.concatenate([numerator, denominator], axis=1)


@jit
def _moves(step, count):
    for i in range(count):
        if step[i] != 0.0:
            return True
    return False


@jit
def state_size(channels):
    """Count the numbers of state that `run` and `run_adjoint` need."""
    return 2 * LANES * channels


def tape_size(channels: int) -> int:
    """Count the numbers that `run` notes for a frame, at most: for one frame it takes as many steps as for eight."""
    return LANES * (LANES + 1) * channels


@jit
def _rows(table, sections, rest):
    """Take a table of sections apart: b0, b1, b2, a1, a2, each with the sections in lanes; b0 of the other lanes."""
    zero = f64x8(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    b0, b1, b2, a1, a2 = zero + rest, zero, zero, zero, zero
    for k in range(sections - 1, -1, -1):
        i = PER_SECTION * k
        b0, b1, b2 = shift_in_low(b0, table[i]), shift_in_low(b1, table[i + 1]), shift_in_low(b2, table[i + 2])
        a1, a2 = shift_in_low(a1, table[i + 3]), shift_in_low(a2, table[i + 4])
    return b0, b1, b2, a1, a2


@jit(fastmath=False)
def run(x, state, start, coef, step, tape, sections):
    """Filter a block through a cascade of up to seven sections, transposed direct form II.

    All sections advance together, one in each lane, and each is a frame behind the one before it: at
    step m section k works on frame m - k. A lane without a section passes on what it gets. Two channels
    go together, as each waits for its own last step; twice the same for an odd one.
    """
    frames, channels = x.shape
    moving = _moves(step, PER_SECTION * sections)
    numbers = f64x8(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    c0, c1, c2, e1, e2 = _rows(coef, sections, 1.0)
    d0, d1, d2, f1, f2 = _rows(step, sections, 0.0)
    b0, b1, b2, a1, a2 = c0, c1, c2, e1, e2
    notes, record = tape.reshape(tape.size), tape.shape[0] > 0
    steps = frames + LANES - 1
    for c in range(0, channels, 2):
        d = min(c + 1, channels - 1)
        own, other = 2 * LANES * c, 2 * LANES * d
        s1, s2 = load_f64x8(state, own), load_f64x8(state, own + LANES)
        r1, r2 = load_f64x8(state, other), load_f64x8(state, other + LANES)
        y, z = 0.0 * numbers, 0.0 * numbers
        for m in range(steps):
            n = min(m, frames - 1)
            v, w = shift_in_low(y, x[n, c]), shift_in_low(z, x[n, d])
            if moving:
                t = float(start + m) - numbers
                b0, b1, b2, a1, a2 = c0 + t * d0, c1 + t * d1, c2 + t * d2, e1 + t * f1, e2 + t * f2
            y, z = b0 * v + s1, b0 * w + r1
            p, q = b1 * v - a1 * y + s2, b2 * v - a2 * y  # at 0 dB the products cancel: v passes as it is
            g, h = b1 * w - a1 * z + r2, b2 * w - a2 * z
            if m < LANES - 1 or m >= frames:  # some lanes have no frame of this block
                p, q = select_range(m - frames + 1, m, p, s1), select_range(m - frames + 1, m, q, s2)
                g, h = select_range(m - frames + 1, m, g, r1), select_range(m - frames + 1, m, h, r2)
            s1, s2, r1, r2 = p, q, g, h
            if record:
                store(notes, LANES * (c * (steps + 1) + m), v)
                store(notes, LANES * (d * (steps + 1) + m), w)
            if m >= LANES - 1:
                x[m - LANES + 1, c], x[m - LANES + 1, d] = extract(y, LANES - 1), extract(z, LANES - 1)
        if record:
            store(notes, LANES * (c * (steps + 1) + steps), shift_in_low(y, 0.0))
            store(notes, LANES * (d * (steps + 1) + steps), shift_in_low(z, 0.0))
        store(state, own, s1)
        store(state, own + LANES, s2)
        store(state, other, r1)
        store(state, other + LANES, r2)


@jit
def run_adjoint(g, state, start, coef, step, tape, gcoef, gstep, sections):
    """Run the transpose of `run`: the same steps backwards, the lanes handing on downwards."""
    frames, channels = g.shape
    moving = _moves(step, PER_SECTION * sections)
    numbers = f64x8(0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0)
    zero = 0.0 * numbers
    c0, c1, c2, e1, e2 = _rows(coef, sections, 1.0)
    d0, d1, d2, f1, f2 = _rows(step, sections, 0.0)
    b0, b1, b2, a1, a2 = c0, c1, c2, e1, e2
    notes = tape.reshape(tape.size)
    steps = frames + LANES - 1
    for c in range(channels):
        own, first = 2 * LANES * c, LANES * c * (steps + 1)
        g1, g2 = load_f64x8(state, own), load_f64x8(state, own + LANES)
        sums = zero, zero, zero, zero, zero  # of the gradients of b0, b1, b2, a1, a2
        late = zero, zero, zero, zero, zero  # those times the steps from the beginning, counted from 1
        out, after = zero, load_f64x8(notes, first + LANES * steps)
        for m in range(steps - 1, -1, -1):
            if moving:
                t = float(start + m) - numbers
                b0, b1, b2, a1, a2 = c0 + t * d0, c1 + t * d1, c2 + t * d2, e1 + t * f1, e2 + t * f2
            v = load_f64x8(notes, first + LANES * m)
            y, after = shift_in_high(after, 0.0), v
            w = shift_in_high(out, g[max(m - LANES + 1, 0), c]) - (a1 * g1 + a2 * g2)
            out = b0 * w + (b1 * g1 + b2 * g2)
            h1, h2 = w, g1
            if m < LANES - 1 or m >= frames:  # some lanes have no frame of this block
                low = m - frames + 1
                v, y = select_range(low, m, v, zero), select_range(low, m, y, zero)
                w = select_range(low, m, w, zero)
                h1, h2 = select_range(low, m, h1, g1), select_range(low, m, h2, g2)
            sums = sums[0] + v * w, sums[1] + v * g1, sums[2] + v * g2, sums[3] - y * g1, sums[4] - y * g2
            late = late[0] + sums[0], late[1] + sums[1], late[2] + sums[2], late[3] + sums[3], late[4] + sums[4]
            g1, g2 = h1, h2
            if m < frames:
                g[m, c] = extract(out, 0)
        store(state, own, g1)
        store(state, own + LANES, g2)
        for i in range(PER_SECTION):
            times = late[i] + (float(start - 1) - numbers) * sums[i]
            for k in range(sections):
                gcoef[PER_SECTION * k + i] += extract(sums[i], k)
                gstep[PER_SECTION * k + i] += extract(times, k)
