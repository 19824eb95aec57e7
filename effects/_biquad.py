"""Second-order sections: cookbook coefficients, and one kernel for a cascade of them.

R. Bristow-Johnson, Audio EQ Cookbook (W3C note, 2021). Coefficients are float64: rounded to
float32 they alone put -78 dB of error on a six-band equaliser.
"""

import numpy as np

from ._native import loop

PER_SECTION = 5
"""b0, b1, b2, a1, a2, divided by a0."""


@loop
def _angle(sample_rate, hz):
    """Radians per frame, held at 0.45 of the sample rate, where the bilinear transform cramps."""
    if hz.real > 0.45 * sample_rate:
        return 0.0 * hz + 2.0 * np.pi * 0.45
    return 2.0 * np.pi * hz / sample_rate


@loop
def peak(sample_rate, hz, gain_db, q):
    """A peaking band."""
    w = _angle(sample_rate, hz)
    a = np.exp(gain_db * (np.log(10.0) / 40.0))
    alpha = np.sin(w) / (2.0 * q)
    cos = -2.0 * np.cos(w)
    a0 = 1.0 + alpha / a
    return (1.0 + alpha * a) / a0, cos / a0, (1.0 - alpha * a) / a0, cos / a0, (1.0 - alpha / a) / a0


@loop
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


@loop
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


@loop
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


@loop
def run(x, state, start, coef, step, tape, sections):
    """Filter a block through a cascade, transposed direct form II, state (section, channel, 2).

    All sections advance together, sample by sample: the recursions of different sections overlap
    in the processor, which is faster than one pass for each.
    """
    frames, channels = x.shape
    record = tape.shape[0] > 0
    moving = _moves(step, PER_SECTION * sections)
    for n in range(frames):
        t = start + n if moving else 0
        for c in range(channels):
            v = x[n, c]
            for k in range(sections):
                i, s = PER_SECTION * k, 2 * (k * channels + c)
                if record:
                    tape[n, c * (sections + 1) + k] = v
                if moving:
                    b0, b1, b2 = coef[i] + t * step[i], coef[i + 1] + t * step[i + 1], coef[i + 2] + t * step[i + 2]
                    a1, a2 = coef[i + 3] + t * step[i + 3], coef[i + 4] + t * step[i + 4]
                else:
                    b0, b1, b2, a1, a2 = coef[i], coef[i + 1], coef[i + 2], coef[i + 3], coef[i + 4]
                y = b0 * v + state[s]
                state[s] = b1 * v - a1 * y + state[s + 1]
                state[s + 1] = b2 * v - a2 * y
                v = y
            if record:
                tape[n, c * (sections + 1) + sections] = v
            x[n, c] = v


@loop
def run_adjoint(g, state, start, coef, step, tape, gcoef, gstep, sections):
    """Run the transpose of `run`, backwards in time and through the sections in reverse."""
    frames, channels = g.shape
    for n in range(frames - 1, -1, -1):
        t = start + n
        for c in range(channels):
            v = g[n, c]
            for k in range(sections - 1, -1, -1):
                i, s = PER_SECTION * k, 2 * (k * channels + c)
                x, y = tape[n, c * (sections + 1) + k], tape[n, c * (sections + 1) + k + 1]
                g1, g2 = state[s], state[s + 1]
                w = v - (coef[i + 3] + t * step[i + 3]) * g1 - (coef[i + 4] + t * step[i + 4]) * g2
                b0, b1, b2 = coef[i] + t * step[i], coef[i + 1] + t * step[i + 1], coef[i + 2] + t * step[i + 2]
                v = b0 * w + b1 * g1 + b2 * g2
                gcoef[i] += w * x
                gcoef[i + 1] += g1 * x
                gcoef[i + 2] += g2 * x
                gcoef[i + 3] -= g1 * y
                gcoef[i + 4] -= g2 * y
                gstep[i] += t * w * x
                gstep[i + 1] += t * g1 * x
                gstep[i + 2] += t * g2 * x
                gstep[i + 3] -= t * g1 * y
                gstep[i + 4] -= t * g2 * y
                state[s + 1] = g1
                state[s] = w
            g[n, c] = v
