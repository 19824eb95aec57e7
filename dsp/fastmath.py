"""Exponential, logarithm and hyperbolic tangent that a compiler can take for several numbers at once.

The C library's are called one number at a time. These are as exact, to the last bits of float64, in
steps without a branch: a loop over them becomes vector code.
"""

import math

import numpy as np

from .compiler import jit

# exp(r) - 1 = r + r^2/2! + ...: for |r| < ln(2) / 2 the 14th term is below the last bit
_EXP = tuple(1.0 / math.factorial(n) for n in range(13, 0, -1))
# log(m) = 2 (z + z^3/3 + ...), z = (m - 1) / (m + 1): for m in sqrt(1/2)..sqrt(2) the 12th term is below the last bit
_LOG = tuple(2.0 / n for n in range(21, 0, -2))
_LN2_HIGH = float.fromhex("0x1.62e42fee00000p-1")  # its last 20 bits are zero: times a small integer it is exact
_LN2_LOW = float.fromhex("0x1.a39ef35793c76p-33")
_ROUND = 1.5 * 2.0**52  # adding it to a small number rounds that to an integer, in the lowest bits
_MANTISSA = np.uint64((1 << 52) - 1)
_ONE = np.uint64(1023 << 52)
_SHIFT = np.uint64(52)
_BIAS = np.uint64(0x433 << 52)  # 2^52: or-ing a small integer into its mantissa makes 2^52 + that integer


@jit
def _split(y):
    """Write exp(y) as 2^k (1 + q); y in -700..700."""
    shifted = y * (1.0 / math.log(2.0)) + _ROUND
    k = shifted - _ROUND
    r = (y - k * _LN2_HIGH) - k * _LN2_LOW
    p = 0.0
    for c in _EXP:
        p = p * r + c
    return np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64), p * r


@jit
def exp(y):
    """Raise e to a power, which is held in -700..700; exactly 1 at 0."""
    power, q = _split(min(max(y, -700.0), 700.0))
    return power * q + power


@jit
def log(x):
    """Take the natural logarithm of a positive normal number."""
    bits = np.float64(x).view(np.uint64)
    k = np.uint64((bits >> _SHIFT) | _BIAS).view(np.float64) - (2.0**52 + 1023.0)
    m = np.uint64((bits & _MANTISSA) | _ONE).view(np.float64)
    high = m > math.sqrt(2.0)
    m, k = (0.5 * m if high else m), (k + 1.0 if high else k)
    z = (m - 1.0) / (m + 1.0)
    p = 0.0
    for c in _LOG:
        p = p * (z * z) + c
    return k * _LN2_HIGH + (p * z + k * _LN2_LOW)


@jit
def tanh(x):
    """Take the hyperbolic tangent; exactly odd."""
    power, q = _split(2.0 * min(abs(x), 20.0))
    e = power * q + (power - 1.0)  # exp(2 |x|) - 1
    return math.copysign(e / (e + 2.0), x)
