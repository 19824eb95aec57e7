"""Four times oversampling through polyphase all-pass half-bands: no droop, 4.3 frames of delay.

Valenzuela and Constantinides, "Digital signal processing schemes for efficient interpolation and
decimation", IEE Proceedings G 130(6), 1983: a half-band filter is the mean of two all-pass branches
that run at the lower rate, and its elliptic coefficients have a closed form.
"""

from math import cos, pi, sin, sqrt, tan

from ._native import loop

SLICE = 64
"""Frames worked on at a time, so that rows stay in the first-level cache. It changes no sample."""
STATE = 16
"""Numbers of state per channel of `up4`, and of `down4`."""


def half_band(count: int, transition: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute the coefficients of both all-pass branches.

    `transition` is the width between pass band and stop band, in units of the higher sample rate.
    """
    k = tan((1 - 2 * transition) * pi / 4) ** 2  # selectivity of the elliptic prototype
    root = (1 - k * k) ** 0.25
    e = 0.5 * (1 - root) / (1 + root)
    q = e + 2 * e**5 + 15 * e**9 + 150 * e**13  # Jacobi's nome
    found = []
    for c in range(1, count + 1):
        angle = c * pi / (2 * count + 1)
        theta_1 = sum((-1) ** i * q ** (i * (i + 1)) * sin((2 * i + 1) * angle) for i in range(8))
        theta_0 = sum((-1) ** i * q ** (i * i) * cos(2 * i * angle) for i in range(1, 8))
        w = sqrt(q) * (theta_1 / (0.5 + theta_0)) ** 2
        x = sqrt((1 - w * k) * (1 - w / k)) / (1 + w)
        found.append((1 - x) / (1 + x))
    return tuple(found[0::2]), tuple(found[1::2])


A0, A1 = half_band(8, 0.0465)  # passes 20 kHz at 44.1 kHz, stops by 104 dB
B0, B1 = half_band(4, 0.25)  # passes half the sample rate, stops by 117 dB


# An all-pass branch is a chain of sections y = a (x - y') + x'. The state is a tuple, which lives in
# registers: the last input, then the last output of each section. The newest output is its last item.


@loop
def _two(x, s, a):
    p = a[0] * (x - s[1]) + s[0]
    return x, p, a[1] * (p - s[2]) + s[1]


@loop
def _four(x, s, a):
    p = a[0] * (x - s[1]) + s[0]
    q = a[1] * (p - s[2]) + s[1]
    r = a[2] * (q - s[3]) + s[2]
    return x, p, q, r, a[3] * (r - s[4]) + s[3]


@loop
def up4(x, first, way, frames, state, rows):
    """Raise frames first, first + way, ... to 4 times the rate: row 4 c + j gets sub-frame j."""
    for c in range(x.shape[1]):
        s = state[STATE * c : STATE * (c + 1)]
        a0, a1 = (s[0], s[1], s[2], s[3], s[4]), (s[5], s[6], s[7], s[8], s[9])
        b0, b1 = (s[10], s[11], s[12]), (s[13], s[14], s[15])
        r0, r1, r2, r3 = rows[4 * c], rows[4 * c + 1], rows[4 * c + 2], rows[4 * c + 3]
        for n in range(frames):
            v = x[first + way * n, c]
            a0, a1 = _four(v, a0, A0), _four(v, a1, A1)
            b0, b1 = _two(a0[4], b0, B0), _two(a0[4], b1, B1)
            r0[n], r1[n] = b0[2], b1[2]
            b0, b1 = _two(a1[4], b0, B0), _two(a1[4], b1, B1)
            r2[n], r3[n] = b0[2], b1[2]
        s[0], s[1], s[2], s[3], s[4] = a0
        s[5], s[6], s[7], s[8], s[9] = a1
        s[10], s[11], s[12] = b0
        s[13], s[14], s[15] = b1


@loop
def down4(rows, state, frames, x, first, way):
    """Lower rows to a quarter of the rate, times 4: exactly `up4` transposed and reversed in time."""
    for c in range(x.shape[1]):
        s = state[STATE * c : STATE * (c + 1)]
        a0, a1 = (s[0], s[1], s[2], s[3], s[4]), (s[5], s[6], s[7], s[8], s[9])
        b0, b1 = (s[10], s[11], s[12]), (s[13], s[14], s[15])
        r0, r1, r2, r3 = rows[4 * c], rows[4 * c + 1], rows[4 * c + 2], rows[4 * c + 3]
        for n in range(frames):
            b0, b1 = _two(r1[n], b0, B0), _two(r0[n], b1, B1)
            a1 = _four(b0[2] + b1[2], a1, A1)
            b0, b1 = _two(r3[n], b0, B0), _two(r2[n], b1, B1)
            a0 = _four(b0[2] + b1[2], a0, A0)
            x[first + way * n, c] = a0[4] + a1[4]
        s[0], s[1], s[2], s[3], s[4] = a0
        s[5], s[6], s[7], s[8], s[9] = a1
        s[10], s[11], s[12] = b0
        s[13], s[14], s[15] = b1
