"""Filters of other kinds, for training data: other shapes, conventions and phases than our equaliser's bands.

A filter is its frequency response, a product of analogue or bilinear pieces and of curves drawn by
hand, played as an impulse response. So its curve at the model's bands is known exactly; our own
bands are fitted to such a curve where it is used, not here.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.signal import oaconvolve

from ...dsp.spectrum import minimum_phase
from ...effects import log_uniform
from ..features import band_centres
from .outcome import OtherEffect, RenderedLabel, chosen

TAPS = 16384
DEEPEST_DB, HIGHEST_DB = -36.0, 24.0
"""Our equaliser reaches no further; a target beyond would only outweigh the rest of a curve."""
MIN_AUDIBLE_DB = 0.3
"""A curve that is flatter than this, on average over the bands, is not heard as an equaliser."""

Piece = Callable[[np.ndarray], np.ndarray]
"""A response over s = jw in rad/s."""


def butterworth(order: int, hz: float, high: bool) -> Piece:
    """Make a low- or high-pass of 6 dB an octave for each order."""
    poles = np.exp(0.5j * np.pi * (2.0 * np.arange(order) + order + 1.0) / order)

    def at(s: np.ndarray) -> np.ndarray:
        p = s / (2.0 * np.pi * hz)
        p = 1.0 / np.where(np.abs(p) < 1e-9, 1e-9, p) if high else p
        return 1.0 / np.prod([p - pole for pole in poles], axis=0)

    return at


def resonant(hz: float, q: float, high: bool) -> Piece:
    """Make a second-order low- or high-pass that may peak at its corner."""

    def at(s: np.ndarray) -> np.ndarray:
        p = s / (2.0 * np.pi * hz)
        return (p * p if high else 1.0) / (p * p + p / q + 1.0)

    return at


def peak(hz: float, gain_db: float, q: float, convention: str) -> Piece:
    """Make a peak whose bandwidth is that of the pole (constant), of both alike, or grows narrower with gain."""
    gain = 10 ** (gain_db / 20)

    def at(s: np.ndarray) -> np.ndarray:
        p = s / (2.0 * np.pi * hz)
        if convention == "notching":  # the pole's Q is given: cuts are narrow
            return (p * p + p * gain / q + 1.0) / (p * p + p / q + 1.0)
        narrow = q * (1.0 + abs(gain_db) / 8.0) / 1.5 if convention == "proportional" else q
        up = max(gain, 1.0 / gain)
        boost = (p * p + p * up / narrow + 1.0) / (p * p + p / narrow + 1.0)
        return boost if gain >= 1.0 else 1.0 / boost

    return at


def shelf(hz: float, gain_db: float, order: int, high: bool) -> Piece:
    """Make a shelf with its corner at half its gain: one or two real poles and zeros."""
    root = 10 ** (gain_db / (40 * order))

    def at(s: np.ndarray) -> np.ndarray:
        p = s / (2.0 * np.pi * hz)
        one = (p * root * root + root) / (p + root) if high else (p + root) / (p + 1.0 / root)
        return one**order

    return at


def tilt(hz: float, slope_db: float) -> Piece:
    """Make highs louder by `slope_db` and lows softer by as much, around a pivot."""
    root = 10 ** (slope_db / 20)

    def at(s: np.ndarray) -> np.ndarray:
        p = s / (2.0 * np.pi * hz)
        return (p * root + 1.0) / (p + root)

    return at


def graphic(centres_hz: np.ndarray, gains_db: np.ndarray, q: float) -> Piece:
    """Make band-passes side by side, added to the signal: neighbours meet as they like."""

    def at(s: np.ndarray) -> np.ndarray:
        total = np.ones_like(s)
        for hz, gain_db in zip(centres_hz, gains_db, strict=True):
            p = s / (2.0 * np.pi * hz)
            total += (10 ** (gain_db / 20) - 1.0) * (p / q) / (p * p + p / q + 1.0)
        return total

    return at


def drawn(knots_hz: np.ndarray, levels_db: np.ndarray) -> Piece:
    """Make a magnitude that goes smoothly through given points, without a phase."""
    x = np.log(knots_hz)

    def at(s: np.ndarray) -> np.ndarray:
        where = np.clip(np.log(np.maximum(np.abs(s) / (2.0 * np.pi), 1.0)), x[0], x[-1])
        i = np.clip(np.searchsorted(x, where) - 1, 0, len(x) - 2)
        t = (where - x[i]) / (x[i + 1] - x[i])
        t = t * t * (3.0 - 2.0 * t)
        return 10 ** ((levels_db[i] + t * (levels_db[i + 1] - levels_db[i])) / 20) + 0j

    return at


def measured(ir: np.ndarray, rate: float = 48000.0) -> Piece:
    """Make a piece of an impulse response (frames,) at a sample rate, brought to unit gain around 1 kHz."""
    h = np.fft.rfft(ir, TAPS)
    hz = np.linspace(0.0, rate / 2, TAPS // 2 + 1)
    level = np.sqrt(np.mean(np.square(np.abs(h[(hz > 500.0) & (hz < 2000.0)]))))

    def at(s: np.ndarray) -> np.ndarray:
        where = np.abs(s) / (2.0 * np.pi)
        return (np.interp(where, hz, h.real) + 1j * np.interp(where, hz, h.imag)) / level

    return at


def response(pieces: list[Piece], hz: np.ndarray, rate: float, bilinear: bool) -> np.ndarray:
    """Multiply the pieces' responses; bilinear ones are squeezed below half the sample rate."""
    s = 1j * (2.0 * rate * np.tan(np.pi * np.minimum(hz / rate, 0.4995)) if bilinear else 2.0 * np.pi * hz)
    return np.prod([piece(s) for piece in pieces], axis=0)


def filtered(x: np.ndarray, h: np.ndarray) -> np.ndarray:
    """Play a clip (frames,) through a response (TAPS / 2 + 1,), the linear-phase part of it kept in place."""
    taps = np.fft.irfft(h)
    before = TAPS // 4  # what comes before its time, for a response without delay
    taps = np.roll(taps, before)
    return oaconvolve(x, taps)[before : before + len(x)]


def whole_response(pieces: list[Piece], rate: float, phase: str = "own", bilinear: bool = False) -> np.ndarray:
    """Give a filter's response (TAPS / 2 + 1,) from 0 to half the rate; phase is its own, minimum, or none."""
    h = response(pieces, np.linspace(0.0, rate / 2, TAPS // 2 + 1), rate, bilinear)
    if phase == "own":
        h[-1] = np.abs(h[-1])
        return h
    return minimum_phase(np.abs(h)) if phase == "minimum" else np.abs(h)


def curve_at_bands(pieces: list[Piece], rate: float, bilinear: bool = False) -> np.ndarray:
    """Give a filter's curve in dB at the model's bands, no steeper than is worth learning."""
    curve = 20.0 * np.log10(np.abs(response(pieces, band_centres().double().numpy(), rate, bilinear)) + 1e-6)
    return np.clip(curve, max(DEEPEST_DB, curve.max() + DEEPEST_DB), HIGHEST_DB)


def is_heard(curve_db: np.ndarray) -> bool:
    """Tell whether a curve is heard as an equaliser."""
    return float(np.abs(curve_db - np.median(curve_db)).mean()) > MIN_AUDIBLE_DB


def scaled(h: np.ndarray, strength: float) -> np.ndarray:
    """Scale a response's curve in dB, and its phase with it."""
    return h if strength == 1.0 else np.abs(h) ** strength * np.exp(1j * strength * np.unwrap(np.angle(h)))


def equaliser(
    kind: str, pieces: list[Piece], phase: str = "own", bilinear: bool = False, strength: float = 1.0
) -> OtherEffect:
    """Make an equaliser of pieces; see `whole_response`. Its curve in dB is scaled by `strength`."""

    def play(x: np.ndarray, rate: float) -> RenderedLabel:
        curve = strength * curve_at_bands(pieces, rate, bilinear)
        h = scaled(whole_response(pieces, rate, phase, bilinear), strength)
        return RenderedLabel(filtered(x, h), lambda other: filtered(other, h), on=is_heard(curve), curve_db=curve)

    return OtherEffect(f"equaliser: {kind}", play)


def draw(rng: np.random.Generator, strength: float = 1.0) -> OtherEffect:
    """Draw a filter of one to three pieces."""
    return equaliser(*numbers(rng), strength)


def draw_bold(rng: np.random.Generator) -> OtherEffect:
    """Draw a filter as boldly as DeepAFx-ST does: four peaks of up to 24 dB together, Q to 10, and two shelves."""
    return equaliser("bold", bold(rng))


def bold(rng: np.random.Generator) -> list[Piece]:
    """Draw the pieces of `draw_bold`; the ranges are those of the paper's own training data."""
    pieces, total_db = [], 0.0
    for low, high in ((200.0, 2000.0), (800.0, 4000.0), (2000.0, 8000.0), (4000.0, 10800.0)):
        gain_db = rng.uniform(-48.0, 48.0)
        if rng.random() < 0.8 and abs(total_db + gain_db) < 24.0:
            pieces.append(peak(rng.uniform(low, high), gain_db, rng.uniform(0.1, 10.1), "symmetric"))
            total_db += gain_db
    for low, high, treble in ((20.0, 200.0, False), (4000.0, 10800.0, True)):
        if rng.random() < 0.8:
            pieces.append(shelf(rng.uniform(low, high), rng.uniform(-24.0, 24.0), 2, treble))
    return pieces or [shelf(100.0, rng.uniform(-24.0, 24.0), 2, False)]


def numbers(rng: np.random.Generator) -> tuple[str, list[Piece], str, bool]:
    """Draw what `equaliser` takes."""
    weights = {"cut": 1.0, "tilt": 0.6, "graphic": 1.2, "drawn": 1.6, "peaks": 1.6, "shelves": 1.2, "band": 0.8}
    kind = chosen(rng, weights)
    pieces = _KINDS[kind](rng)
    if kind in ("tilt", "shelves", "peaks") and rng.random() < 0.3:
        pieces += _KINDS[("cut", "peaks", "shelves")[rng.integers(3)]](rng)
    if kind == "drawn":
        return kind, pieces, "minimum" if rng.random() < 0.75 else "none", False
    phase = "own" if rng.random() < 0.85 else "none"
    return kind, pieces, phase, bool(rng.random() < 0.5)


def _cut(rng: np.random.Generator) -> list[Piece]:
    sides = [bool(rng.random() < 0.5)] if rng.random() < 0.6 else [False, True]
    pieces = []
    for high in sides:
        hz = log_uniform(rng, 30.0, 900.0) if high else log_uniform(rng, 1200.0, 15000.0)
        if rng.random() < 0.3:
            pieces.append(resonant(hz, log_uniform(rng, 0.5, 4.0), high))
        else:
            pieces.append(butterworth(int(rng.integers(1, 5)), hz, high))
    return pieces


def _tilt(rng: np.random.Generator) -> list[Piece]:
    return [tilt(log_uniform(rng, 250.0, 4000.0), rng.normal(0.0, 5.0))]


def _graphic(rng: np.random.Generator) -> list[Piece]:
    count = int(rng.integers(5, 21))
    centres = np.geomspace(rng.uniform(25.0, 90.0), rng.uniform(9000.0, 17000.0), count)
    steps = rng.normal(0.0, rng.uniform(2.0, 7.0), count)
    if rng.random() < 0.6:  # faders that follow a hand
        steps = np.convolve(np.pad(steps, 2, "edge"), np.ones(5) / 5.0**0.5, "valid")
    width = math.log2(centres[1] / centres[0])  # octaves
    return [graphic(centres, np.clip(steps, -15.0, 15.0), rng.uniform(0.8, 1.6) / width)]


def _drawn(rng: np.random.Generator) -> list[Piece]:
    count = int(rng.integers(4, 14))
    knots = np.geomspace(25.0, 20000.0, count) * np.exp(rng.uniform(-0.3, 0.3, count) * 6.0 / count)
    levels = rng.normal(0.0, rng.uniform(1.5, 7.0), count)
    return [drawn(knots, levels)]


def _peaks(rng: np.random.Generator) -> list[Piece]:
    kinds = ("symmetric", "notching", "proportional")
    return [
        peak(
            log_uniform(rng, 50.0, 14000.0),
            float(np.clip(rng.normal(0.0, 7.0), -18.0, 18.0)),
            log_uniform(rng, 0.3, 8.0),
            kinds[rng.integers(3)],
        )
        for _ in range(rng.integers(1, 7))
    ]


def _shelves(rng: np.random.Generator) -> list[Piece]:
    pieces = []
    for high in ((False,), (True,), (False, True))[rng.integers(3)]:
        hz = log_uniform(rng, 1500.0, 14000.0) if high else log_uniform(rng, 40.0, 600.0)
        pieces.append(shelf(hz, float(np.clip(rng.normal(0.0, 8.0), -22.0, 22.0)), int(rng.integers(1, 3)), high))
        if rng.random() < 0.2:  # boost and cut of the same region, which do not cancel
            pieces.append(shelf(hz * log_uniform(rng, 1.5, 4.0), rng.normal(0.0, 6.0), 1, high))
    return pieces


def _band(rng: np.random.Generator) -> list[Piece]:
    """Draw a telephone, a small radio, a toy."""
    low = butterworth(int(rng.integers(1, 7)), log_uniform(rng, 120.0, 700.0), True)
    high = butterworth(int(rng.integers(1, 7)), log_uniform(rng, 1800.0, 9000.0), False)
    box = peak(log_uniform(rng, 600.0, 3500.0), rng.normal(0.0, 5.0), log_uniform(rng, 0.5, 4.0), "symmetric")
    return [low, high, box] if rng.random() < 0.6 else [low, high]


_KINDS = {
    "cut": _cut,
    "tilt": _tilt,
    "graphic": _graphic,
    "drawn": _drawn,
    "peaks": _peaks,
    "shelves": _shelves,
    "band": _band,
}
