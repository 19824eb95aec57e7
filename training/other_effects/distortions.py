"""Distortions of other kinds, for training data: other curves than our tanh, with filters around and memory.

One is filter, gain, bias that may follow the signal, curve, filter, mix. Our drive, bias and mix are
those whose curve is nearest to what it did to this clip's own samples: the mean of its output at
each level of its input, weighed by how often that level comes.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from scipy.signal import resample_poly

from ...dsp.compiler import jit
from ...effects import load, log_uniform
from ...effects.distortion import curve as own_curve
from .filters import TAPS, Piece, butterworth, filtered, measured, peak, response, shelf
from .outcome import OtherEffect, RenderedLabel, chosen

MIN_AUDIBLE_DB = -42.0
"""Less distortion than this, under the signal, is not heard as one."""
HEARD_HZ = np.geomspace(300.0, 14000.0, 40)
AMPLITUDES = np.geomspace(3e-4, 4.0, 72)
LEVELS = np.concatenate([-AMPLITUDES[::-1], AMPLITUDES])
EDGES = np.sqrt(AMPLITUDES[1:] * AMPLITUDES[:-1])
EDGES = np.concatenate([-EDGES[::-1], [0.0], EDGES])
DRIVES_DB = np.arange(0.0, 36.5, 1.0)
BIASES = np.linspace(-0.5, 0.5, 21)
NAMES: tuple[str, ...] = ("drive_db", "bias", "mix")
MIXES = np.array([0.15, 0.25, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0])
CURVES = {
    "hard": 0,
    "cubic": 1,
    "arctan": 2,
    "algebraic": 3,
    "diode": 4,
    "one-sided": 5,
    "fold": 6,
    "knee": 7,
    "steps": 8,
    "dead": 9,
    "tanh": 10,
}


@jit
def _curve(u, kind, shape):
    """Bend one number; full output is 1 for most, gain at rest 1; shape is between 0 and 1."""
    size = abs(u)
    if kind == 0:
        bent = min(size, 1.0)
    elif kind == 1:
        bent = size - size**3 * (4.0 / 27.0) if size < 1.5 else 1.0
    elif kind == 2:
        bent = math.atan(size * (0.5 * math.pi)) * (2.0 / math.pi)
    elif kind == 3:
        p = 1.0 + 5.0 * shape
        bent = size / (1.0 + size**p) ** (1.0 / p)
    elif kind == 4:  # two diodes that open at different voltages
        top = 1.0 if u > 0.0 else 0.25 + 0.75 * shape
        bent = top * (1.0 - math.exp(-size / top))
    elif kind == 5:
        bent = 1.0 - math.exp(-size) if u > 0.0 else size / (1.0 + 0.3 * shape * size)
    elif kind == 6:  # past the top it comes back a little
        most = 1.0 + 0.6 * shape
        bent = math.sin(0.5 * math.pi * min(size / 1.3, most)) * (2.6 / math.pi)
    elif kind == 7:  # straight up to the knee
        knee = 0.2 + 0.7 * shape
        bent = size if size < knee else knee + (1.0 - knee) * (1.0 - math.exp(-(size - knee) / (1.0 - knee)))
    elif kind == 8:
        step = 2.0 ** -(3.0 + 5.0 * shape)
        bent = math.floor(min(size, 1.0) / step + 0.5) * step
    elif kind == 10:
        bent = math.tanh(size)
    else:  # crossover: little passes near zero
        bent = max(size - 0.1 * shape, 0.0) / (1.0 + max(size - 0.1 * shape, 0.0))
    return bent if u >= 0.0 else -bent


@jit
def bend(u, kind, shape, drive, bias, follow, pole, hold):
    """Put samples through the curve: the bias sinks with the level (follow), a sample is held (hold >= 1 frames)."""
    out = np.empty(len(u))
    env, kept, clock = 0.0, 0.0, 1.0
    rest = _curve(bias, kind, shape)
    for n in range(len(u)):
        v = drive * u[n]
        if follow > 0.0:
            env = abs(v) + pole * (env - abs(v))
            v -= follow * min(env, 4.0)
        bent = _curve(v + bias, kind, shape) - rest
        if hold > 1.0:
            clock += 1.0
            if clock >= hold:
                clock -= hold
                kept = bent
            bent = kept
        out[n] = bent
    return out


@cache
def _ours() -> tuple[np.ndarray, np.ndarray]:
    """Give our distortion's curves: settings (curves, 3) of drive, bias, mix, and outputs (curves, levels)."""
    settings = np.array([(d, b, m) for d in DRIVES_DB for b in BIASES for m in MIXES])
    drive_db, bias, mix = np.split(settings, 3, 1)
    return settings, (1.0 - mix) * LEVELS + mix * own_curve(LEVELS, drive_db, bias)


def fit(u: np.ndarray, y: np.ndarray) -> tuple[dict[str, float], float, float]:
    """Set our distortion so that it bends samples u (frames,) nearly into y, at any output level.

    Returns drive, bias and mix; how strongly y is bent, in dB under u's share of it; and what our
    curve leaves of that, as a part of its power.
    """
    place = np.searchsorted(EDGES, u)
    size = len(LEVELS)
    count = np.bincount(place, minlength=size)
    met = count > 0
    into, out_of = (np.bincount(place, v, minlength=size)[met] / count[met] for v in (u, y))
    mean = np.interp(LEVELS, into, out_of)
    # A quiet part's harmonics count as a loud one's: to the ear, and in a spectrum in dB.
    weight = count / (np.square(LEVELS) + 0.1 * np.mean(u * u) + 1e-9)
    weight /= weight.sum() + 1e-12
    settings, curves = _ours()

    def left_of(shapes: np.ndarray) -> np.ndarray:
        shapes = shapes - (shapes @ weight)[:, None]
        wanted = mean - mean @ weight
        match = (shapes * weight) @ wanted
        total = wanted @ (weight * wanted) + 1e-20
        return 1.0 - np.maximum(match, 0.0) ** 2 / ((np.square(shapes) @ weight + 1e-20) * total)

    straight = float(left_of(LEVELS[None])[0])
    # Of settings that do as well, the plainest: no bias, all wet, little drive.
    plain = 0.02 * np.abs(settings[:, 1]) + 0.01 * (1.0 - settings[:, 2]) + 1e-4 * settings[:, 0]
    left = left_of(curves)
    best = int(np.argmin(left + max(straight, 1e-6) * plain))
    values = dict(zip(NAMES, settings[best].tolist(), strict=True))
    return values, 10.0 * math.log10(max(straight, 1e-9)), float(left[best]) / max(straight, 1e-9)


def tone_of(curve_db: np.ndarray) -> tuple[float, np.ndarray]:
    """Give our tone control's corner in Hz nearest to a curve at `HEARD_HZ`, and what it leaves of it in dB."""
    low, high = load("distortion").param("tone_hz").low, load("distortion").param("tone_hz").high
    corners = np.geomspace(low, high, 60)[:, None]
    ours = -10.0 * np.log10(1.0 + np.square(HEARD_HZ / corners))
    left = curve_db - ours
    left -= left.mean(1, keepdims=True)
    best = int(np.argmin(np.abs(left).mean(1)))
    return float(corners[best, 0]), left[best]


def distortion(
    kind: str,
    shape: float,
    drive_db: float,
    bias: float = 0.0,
    mix: float = 1.0,
    follow: float = 0.0,
    hold: float = 1.0,
    before: tuple[Piece, ...] = (),
    after: tuple[Piece, ...] = (),
    oversample: int = 1,
) -> OtherEffect:
    """Make a distortion; shape bends the curve, follow is how far the bias sinks, before and after are filters."""
    drive = 10 ** (drive_db / 20)

    how = CURVES[kind], shape, drive, bias, follow

    def bent_by(u: np.ndarray, rate: float) -> np.ndarray:
        pole = math.exp(-1.0 / (0.08 * rate * oversample))
        if oversample > 1:
            bent = bend(resample_poly(u, oversample, 1), *how, pole, hold * oversample)
            return resample_poly(bent, 1, oversample)
        return bend(np.ascontiguousarray(u, np.float64), *how, pole, hold)

    def play(x: np.ndarray, rate: float) -> RenderedLabel:
        bins = np.linspace(0.0, rate / 2, TAPS // 2 + 1)
        pre, post = (_response(pieces, bins, rate) for pieces in (before, after))
        u = x if pre is None else filtered(x, pre)
        wet = bent_by(u, rate)
        gain = math.sqrt(np.mean(u * u) / (np.mean(np.square(wet - wet.mean())) + 1e-12)) if mix < 1.0 else 0.3

        def again(other: np.ndarray) -> np.ndarray:
            wet = bent_by(other if pre is None else filtered(other, pre), rate)
            wet = gain * (wet - wet.mean())
            return (1.0 - mix) * other + mix * (wet if post is None else filtered(wet, post))

        wet = gain * (wet - wet.mean())
        values, bent_db, left = fit(u, (1.0 - mix) * u + mix * wet)
        if post is not None:
            wet = filtered(wet, post)
        curve = 20.0 * np.log10(np.abs(_at(after, rate)) + 1e-6)
        values["tone_hz"], rest = tone_of(curve)
        bent = bent_db > MIN_AUDIBLE_DB
        rest = (rest if bent else curve) + 20.0 * np.log10(np.abs(_at(before, rate)) + 1e-6)
        colours = bool(np.abs(rest - rest.mean()).mean() > 1.0)
        on_certain = kind != "steps" and hold == 1.0 and (left < 0.8 or not bent)
        close = on_certain and left < 0.5
        confidence = dict.fromkeys(NAMES, float(close))
        confidence["tone_hz"] = float(close and np.abs(rest - rest.mean()).mean() < 3.0)
        return RenderedLabel((1.0 - mix) * x + mix * wet, again, values, confidence, bent, on_certain, colours=colours)

    return OtherEffect(f"distortion: {kind}{', amplifier' if before or after else ''}", play)


def _response(pieces: tuple[Piece, ...], bins: np.ndarray, rate: float) -> np.ndarray | None:
    if not pieces:
        return None
    h = response(list(pieces), bins, rate, False)
    h[-1] = np.abs(h[-1])
    return h


def _at(pieces: tuple[Piece, ...], rate: float) -> np.ndarray:
    return response(list(pieces), HEARD_HZ, rate, False) if pieces else np.ones_like(HEARD_HZ)


def draw(rng: np.random.Generator, strength: float = 1.0, cabinets: Sequence[np.ndarray] = ()) -> OtherEffect:
    """Draw a distortion: its curve, how hard it is driven, what stands around it.

    `strength` scales its drive in dB. cabinets: impulse responses of loudspeakers, which some are played through.
    """
    told = numbers(rng, cabinets)
    return distortion(**{**told, "drive_db": strength * told["drive_db"]})


def numbers(rng: np.random.Generator, cabinets: Sequence[np.ndarray] = ()) -> dict[str, Any]:
    """Draw the numbers of a distortion."""
    weights = dict.fromkeys(CURVES, 1.0) | {"algebraic": 2.0, "hard": 1.5, "knee": 1.5, "steps": 0.4, "dead": 0.4}
    kind = chosen(rng, weights)
    tube = kind not in ("steps", "dead") and rng.random() < 0.2
    before, after = amplifier(rng)
    if cabinets and rng.random() < 0.15:
        after = (measured(cabinets[int(rng.integers(len(cabinets)))]),)
    return {
        "kind": kind,
        "shape": rng.random(),
        # as hard as ours may be driven, and some more: a hard clipper begins later than a tanh
        "drive_db": rng.uniform(2.0, 40.0) if kind != "steps" else rng.uniform(0.0, 18.0),
        "bias": rng.uniform(-0.5, 0.5) if rng.random() < 0.35 else 0.0,
        "mix": 1.0 if rng.random() < 0.6 else rng.uniform(0.2, 1.0),
        "follow": rng.uniform(0.05, 0.3) if tube else 0.0,
        "hold": log_uniform(rng, 1.3, 5.0) if kind == "steps" and rng.random() < 0.5 else 1.0,
        "before": before,
        "after": after,
        "oversample": (1, 2, 4)[rng.integers(3)] if kind != "steps" else 1,
    }


def amplifier(rng: np.random.Generator) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    """Draw what an amplifier has before its tubes, and a tone control or loudspeaker after them."""
    before: tuple[Piece, ...] = ()
    if rng.random() < 0.25:
        before += (butterworth(1, log_uniform(rng, 40.0, 500.0), True),)
        if rng.random() < 0.4:
            before += (peak(log_uniform(rng, 400.0, 2500.0), rng.uniform(0.0, 10.0), 0.7, "symmetric"),)
    chance = rng.random()
    if chance < 0.3:
        return before, (butterworth(1, log_uniform(rng, 1500.0, 16000.0), False),)
    if chance < 0.4:
        return before, (shelf(log_uniform(rng, 1500.0, 6000.0), rng.uniform(-15.0, 4.0), 1, True),)
    if chance < 0.5:
        cone = butterworth(int(rng.integers(2, 5)), log_uniform(rng, 2500.0, 9000.0), False)
        return before, (cone, butterworth(2, log_uniform(rng, 50.0, 140.0), True))
    return before, ()
