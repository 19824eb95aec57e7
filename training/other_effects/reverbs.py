"""Rooms of other kinds, for training data: every one an impulse response, drawn at random and measured.

Combs and all-passes, random feedback networks, plates, decaying noise, sparse pulses, and boxes with
mirrored sources. All lengths are drawn anew; none is a known reverb's. Decay times, the onset and the
wet share are measured on the response and the clip, and said in our reverb's terms.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.signal import oaconvolve

from ...chain import ChainPlayer, ChainSettings, EffectSettings
from ...dsp.compiler import jit
from ...dsp.feedback_delay_network import DAMPED_HZ, damper_pole
from ...effects import load, log_uniform
from ...effects.reverb import LEFT_S
from .filters import butterworth, filtered, response
from .outcome import OtherEffect, RenderedLabel, chosen

LOW_HZ, HIGH_HZ = (200.0, 1000.0), (4000.0, 10000.0)
"""Bands in which decay is measured; our settings are those that decay alike in both."""
MAX_S = 4.5
FIRST_TAP_MS = int(LEFT_S[0] * 48000.0) / 48.0
"""Our own reverb's first reflection comes so much after its pre-delay, in whole frames: halves of one cost treble."""
LINE = 1920.0
"""About the mean length of our reverb's lines (1932), in frames at 48 kHz: its damping depends a little on it."""


# --- how a response decays -------------------------------------------------------------------------


def decay_s(ir: np.ndarray, rate: float, band_hz: tuple[float, float]) -> float:
    """Measure the time of 60 dB of decay in a band, from 3 to 25 dB down on Schroeder's curve; nan if there is none."""
    size = len(ir) + 16384  # the filter rings before its time: round the end, into what is cut off
    spectrum = np.fft.rfft(ir, size)
    hz = np.fft.rfftfreq(size, 1.0 / rate)
    octaves = np.log2(np.maximum(hz, 1.0))
    low, high = np.log2(band_hz)
    mask = 1.0 / (1.0 + np.exp(-12.0 * (octaves - low))) / (1.0 + np.exp(12.0 * (octaves - high)))
    power = np.square(np.fft.irfft(spectrum * mask, size)[: len(ir)])
    left = np.cumsum(power[::-1])[::-1]
    curve = 10.0 * np.log10(left / (left[0] + 1e-30) + 1e-12)
    first, last = np.searchsorted(-curve, 3.0), np.searchsorted(-curve, 25.0)
    if last - first < 32 or last >= len(curve):
        return math.nan
    slope = np.polyfit(np.arange(last - first) / rate, curve[first:last], 1)[0]
    return float(-60.0 / slope) if slope < 0 else math.nan


def onset_ms(ir: np.ndarray, rate: float) -> float:
    """Measure when the response begins: when a tenth of its highest sample is reached."""
    size = np.abs(ir)
    return 1e3 * float(np.argmax(size > 0.1 * size.max())) / rate


def own_decay_s(rt60_s: float, hf_ratio: float, hz: float) -> float:
    """Give our reverb's decay time at a frequency: a gain and a one-pole low-pass once in each round."""
    rate = -3.0 * math.log(10.0) / (48000.0 * rt60_s)
    r = math.exp(2.0 * rate * LINE * (1.0 / hf_ratio - 1.0))
    pole = damper_pole(r, math.cos(2.0 * math.pi * DAMPED_HZ / 48000.0))
    w = 2.0 * math.pi * hz / 48000.0
    damping = math.log((1.0 - pole) / math.sqrt(1.0 - 2.0 * pole * math.cos(w) + pole * pole))
    return rt60_s * rate * LINE / (rate * LINE + damping)


def own_settings(low_s: float, high_s: float) -> tuple[float, float]:
    """Give our rt60_s and hf_ratio that decay so in the two bands; held in their ranges."""
    rt60, hf = (load("reverb").param(name) for name in ("rt60_s", "hf_ratio"))
    decay, ratio = rt60.clip(low_s), 1.0
    for _ in range(4):
        low, high = hf.low, hf.high
        for _ in range(20):  # the more treble lasts, the longer it is
            ratio = 0.5 * (low + high)
            below, above = (own_decay_s(decay, ratio, _centre(band)) for band in (LOW_HZ, HIGH_HZ))
            low, high = (ratio, high) if above / below < high_s / low_s else (low, ratio)
        decay = rt60.clip(decay * low_s / own_decay_s(decay, ratio, _centre(LOW_HZ)))
    return decay, ratio


def _centre(band_hz: tuple[float, float]) -> float:
    return math.sqrt(band_hz[0] * band_hz[1])


# --- responses -------------------------------------------------------------------------------------


@jit
def _comb(x, length, gain, damp, out):
    """Add a comb with a one-pole low-pass in its loop to `out`."""
    ring = np.zeros(length)
    low, at = 0.0, 0
    for n in range(len(x)):
        y = ring[at]
        low = y + damp * (low - y)
        ring[at] = x[n] + gain * low
        out[n] += y
        at = at + 1 if at + 1 < length else 0


@jit
def _all_pass(x, length, gain):
    """Pass a signal through a Schroeder all-pass in place."""
    ring = np.zeros(length)
    at = 0
    for n in range(len(x)):
        v = x[n] + gain * ring[at]
        x[n] = ring[at] - gain * v
        ring[at] = v
        at = at + 1 if at + 1 < length else 0


@jit
def _network(size, lengths, gains, damps, matrix):
    """Give the response of a feedback network: lines of these lengths, mixed by an orthogonal matrix."""
    lines = len(lengths)
    out = np.zeros(size)
    rings = np.zeros((lines, lengths.max()))
    places = np.zeros(lines, np.int64)
    low, v = np.zeros(lines), np.zeros(lines)
    for n in range(size):
        total = 0.0
        for i in range(lines):
            y = gains[i] * rings[i, places[i]]
            low[i] = y + damps[i] * (low[i] - y)
            v[i] = low[i]
            total += y if i % 2 == 0 else -y
        out[n] = total
        for i in range(lines):
            back = 1.0 if n == 0 else 0.0
            for j in range(lines):
                back += matrix[i, j] * v[j]
            rings[i, places[i]] = back
            places[i] = places[i] + 1 if places[i] + 1 < lengths[i] else 0
    return out


@jit
def _plate(x, lengths, diffuse, gain, damp):
    """Send a signal round a ring of two halves, each an all-pass, a delay and a low-pass; tap it in four places."""
    out = np.zeros(len(x))
    rings = np.zeros((4, lengths.max()))
    at = np.zeros(4, np.int64)
    taps = (lengths * 0.37).astype(np.int64)
    back = 0.0
    low = np.zeros(2)
    for n in range(len(x)):
        total = 0.0
        for half in range(2):
            a, d = 2 * half, 2 * half + 1
            v = x[n] + back if half == 0 else x[n] * 0.5 + back
            old = rings[a, at[a]]
            into = v + diffuse * old
            rings[a, at[a]] = into
            v = old - diffuse * into
            y = rings[d, at[d]]
            rings[d, at[d]] = v
            low[half] = y + damp * (low[half] - y)
            back = gain * low[half]
            sign = 1.0 if half == 0 else -1.0
            total += y + sign * 0.7 * rings[d, (at[d] + taps[d]) % lengths[d]]
            total += sign * 0.6 * rings[a, (at[a] + taps[a]) % lengths[a]]
            at[a] = at[a] + 1 if at[a] + 1 < lengths[a] else 0
            at[d] = at[d] + 1 if at[d] + 1 < lengths[d] else 0
        out[n] = total
    return out


@jit
def _mirrors(size, rate, box, source, ear, wall, order):
    """Give the response of a box's mirrored sources up to an order; positions in m, wall the part sent back."""
    out = np.zeros(size)
    for i in range(-order, order + 1):
        for j in range(-order, order + 1):
            for k in range(-order, order + 1):
                bounces = abs(i) + abs(j) + abs(k)
                if bounces == 0 or bounces > order:
                    continue
                square = 0.0
                for axis, m in enumerate((i, j, k)):
                    mirrored = m * box[axis] + (source[axis] if m % 2 == 0 else box[axis] - source[axis])
                    square += (mirrored - ear[axis]) ** 2
                distance = math.sqrt(square)
                n = distance / 343.0 * rate
                whole = int(n)
                if whole + 1 < size:
                    gain = wall**bounces / max(distance, 0.5)
                    out[whole] += gain * (whole + 1 - n)
                    out[whole + 1] += gain * (n - whole)
    return out


def noise(rng: np.random.Generator, rate: float, low_s: float, high_s: float, density: float = 0.0) -> np.ndarray:
    """Make noise that decays in `low_s` at lows and `high_s` at highs, smoothly between; density: pulses a second."""
    size = int(rate * min(MAX_S, 1.3 * max(low_s, high_s) + 0.05))
    if density:
        x = np.zeros(size)
        gap = rate / density
        places = (np.arange(int(size / gap)) + rng.random(int(size / gap))) * gap
        x[np.minimum(places.astype(int), size - 1)] = rng.choice([-1.0, 1.0], len(places))
    else:
        x = rng.standard_normal(size)
    spectrum, hz = np.fft.rfft(x), np.fft.rfftfreq(size, 1.0 / rate)
    where = np.log2(np.maximum(hz, 20.0))
    edges = np.log2([350.0, 1000.0, 2500.0, 6000.0, 14000.0])
    weights = np.array([np.clip(1.0 - np.abs(where - e) / 1.3, 0.0, 1.0) for e in edges])
    weights[0][where < edges[0]] = 1.0
    weights[-1][where > edges[-1]] = 1.0
    weights /= weights.sum(0)
    t = np.arange(size) / rate
    out = np.zeros(size)
    for share, part in zip(np.linspace(0.0, 1.2, len(edges)), weights, strict=True):
        time = low_s * (high_s / low_s) ** share
        out += np.fft.irfft(spectrum * part, size) * np.exp(-3.0 * math.log(10.0) / time * t)
    return out


def _schroeder(rng: np.random.Generator, rate: float, low_s: float, high_s: float) -> np.ndarray:
    size = int(rate * min(MAX_S, 1.3 * low_s + 0.1))
    lengths = _lengths(rng, rate, int(rng.integers(4, 13)), rng.uniform(18.0, 32.0), rng.uniform(40.0, 70.0))
    x, out = np.zeros(size), np.zeros(size)
    x[0] = 1.0
    damp = rng.uniform(0.0, 0.6) if high_s < low_s else 0.0
    for length in lengths:
        _comb(x, length, 10 ** (-3.0 * length / rate / low_s), damp, out)
    for length in _lengths(rng, rate, int(rng.integers(2, 6)), 1.5, 14.0):
        _all_pass(out, length, rng.uniform(0.45, 0.75))
    return out


def _feedback(rng: np.random.Generator, rate: float, low_s: float, high_s: float) -> np.ndarray:
    lines = int(rng.integers(4, 13))
    lengths = _lengths(rng, rate, lines, rng.uniform(8.0, 30.0), rng.uniform(40.0, 110.0))
    matrix = np.linalg.qr(rng.standard_normal((lines, lines)))[0]
    gains = 10 ** (-3.0 * lengths / rate / low_s)
    # At half the rate a one-pole low-pass leaves (1 - p) / (1 + p).
    left = 10 ** (-3.0 * lengths / rate * (1.0 / high_s - 1.0 / low_s))
    damps = np.clip((1.0 - left) / (1.0 + left), 0.0, 0.95)
    return _network(int(rate * min(MAX_S, 1.3 * low_s + 0.15)), lengths, gains, damps, matrix)


def _plates(rng: np.random.Generator, rate: float, low_s: float, high_s: float) -> np.ndarray:
    x = np.zeros(int(rate * min(MAX_S, 1.3 * low_s + 0.2)))
    x[0] = 1.0
    for length in _lengths(rng, rate, 4, 2.0, 11.0):
        _all_pass(x, length, rng.uniform(0.5, 0.75))
    lengths = _lengths(rng, rate, 4, 15.0, 90.0)
    gain = 10 ** (-3.0 * lengths.sum() / 2 / rate / low_s)
    damp = rng.uniform(0.0, 0.6) if high_s < low_s else 0.0
    return _plate(x, lengths, rng.uniform(0.4, 0.7), gain, damp)


def _noise(rng: np.random.Generator, rate: float, low_s: float, high_s: float) -> np.ndarray:
    return noise(rng, rate, low_s, high_s)


def _velvet(rng: np.random.Generator, rate: float, low_s: float, high_s: float) -> np.ndarray:
    return noise(rng, rate, low_s, high_s, log_uniform(rng, 400.0, 4000.0))


def _box(rng: np.random.Generator, rate: float, low_s: float, high_s: float) -> np.ndarray:
    """Draw a room of mirrored sources, whose tail is noise from where they grow dense."""
    box = np.array([log_uniform(rng, 2.5, 18.0), log_uniform(rng, 2.5, 12.0), log_uniform(rng, 2.2, 6.0)])
    source, ear = (box * rng.uniform(0.1, 0.9, 3) for _ in range(2))
    late = noise(rng, rate, low_s, high_s)
    volume, surface = box.prod(), 2.0 * (box[0] * box[1] + box[1] * box[2] + box[0] * box[2])
    wall = math.exp(-0.5 * 0.161 * volume / (surface * low_s))  # Eyring: what the walls keep sets the decay
    early = _mirrors(len(late), rate, box, source, ear, wall, 4)
    dense = int(rate * min(0.001 * math.sqrt(volume) * 2.0 + 0.01, 0.09))
    span = slice(max(dense // 2, 1), dense)
    match = math.sqrt((np.square(early[span]).mean() + 1e-9) / (np.square(late[span]).mean() + 1e-12))
    late[:dense] *= np.square(np.arange(dense) / dense)
    out = early + match * late
    first = np.argmax(np.abs(out) > 0.02 * np.abs(out).max())
    return out[first:]


def _lengths(rng: np.random.Generator, rate: float, count: int, low_ms: float, high_ms: float) -> np.ndarray:
    """Draw delays in frames: spread evenly in ratio, each moved a little, odd."""
    spread = np.geomspace(low_ms, high_ms, count) * np.exp(rng.normal(0.0, 0.04, count))
    return np.maximum(np.round(spread * 1e-3 * rate).astype(np.int64) | 1, 9)


def stretched(ir: np.ndarray, speed: float) -> np.ndarray:
    """Play a response faster or slower, as in a smaller or larger room; at most MAX_S."""
    out = np.interp(np.arange(0.0, len(ir) - 1.0, speed), np.arange(len(ir)), ir)
    return out[: int(48000 * MAX_S)]


KINDS: dict[str, Callable[[np.random.Generator, float, float, float], np.ndarray]] = {
    "schroeder": _schroeder,
    "feedback": _feedback,
    "plate": _plates,
    "noise": _noise,
    "velvet": _velvet,
    "box": _box,
}


# --- reverbs ---------------------------------------------------------------------------------------


def _own_gain(x: np.ndarray, rate: float, values: dict[str, float]) -> float:
    """Measure how loud our reverb's wet path is on a clip, as a part of the clip."""
    held = {name: load("reverb").param(name).clip(value) for name, value in values.items()}
    wet = ChainPlayer(ChainSettings((EffectSettings("reverb", {**held, "mix": 1.0}),)), rate, 1).play(x[:, None])[:, 0]
    return math.sqrt((np.mean(wet * wet) + 1e-15) / (np.mean(x * x) + 1e-15))


def reverb(
    ir: np.ndarray, kind: str, mix: float, predelay_ms: float = 0.0, low_cut_hz: float = 20.0, gated: bool = False
) -> OtherEffect:
    """Make a reverb of a wet response (frames,) at 48 kHz, from which `low_cut_hz` has been cut.

    At a mix of 0.5 the wet sound is as loud as the dry one.
    """

    def play(x: np.ndarray, rate: float) -> RenderedLabel:
        delay = round(1e-3 * predelay_ms * rate)
        wet = np.zeros(len(x))
        wet[delay:] = oaconvolve(x, ir)[: len(x) - delay]
        part = math.sqrt(np.mean(x * x) / (np.mean(wet * wet) + 1e-15)) * mix
        low, high = decay_s(ir, rate, LOW_HZ), decay_s(ir, rate, HIGH_HZ)
        known = math.isfinite(low) and math.isfinite(high) and not gated
        rt60, hf_ratio = own_settings(low, high) if known else (low if math.isfinite(low) else 0.2, 0.7)
        onset = 1e3 * delay / rate + onset_ms(ir, rate) - FIRST_TAP_MS
        values = {"rt60_s": rt60, "hf_ratio": hf_ratio, "predelay_ms": max(onset, 0.0), "low_cut_hz": low_cut_hz}
        values["mix"] = mix / (mix + (1.0 - mix) * _own_gain(x, rate, values))
        confidence = {"rt60_s": float(known), "hf_ratio": float(known)}

        def again(other: np.ndarray) -> np.ndarray:
            late = np.zeros(len(other))
            late[delay:] = oaconvolve(other, ir)[: max(0, len(other) - delay)]
            return (1.0 - mix) * other + part * late

        return RenderedLabel((1.0 - mix) * x + part * wet, again, values, confidence)

    return OtherEffect(f"reverb: {kind}", play)


def draw(
    rng: np.random.Generator, strength: float = 1.0, rooms: Sequence[np.ndarray] = (), rate: float = 48000.0
) -> OtherEffect:
    """Draw a room, its decay, what is cut off its wet path, and how much of it there is.

    `strength` scales the wet share. rooms: impulse responses that were recorded, some are drawn from them.
    """
    told = numbers(rng, rate, rooms)
    return reverb(**{**told, "mix": min(0.9, strength * told["mix"])})


def numbers(rng: np.random.Generator, rate: float = 48000.0, rooms: Sequence[np.ndarray] = ()) -> dict[str, Any]:
    """Draw what `reverb` takes."""
    kind = chosen(rng, {"schroeder": 1.2, "feedback": 1.2, "plate": 1.0, "noise": 0.8, "velvet": 0.6, "box": 1.2})
    low_s = log_uniform(rng, 0.15, 4.0)
    high_s = low_s * rng.uniform(0.15, 1.0)
    if rooms and rng.random() < 0.15:
        kind, ir = "recorded", stretched(rooms[int(rng.integers(len(rooms)))], rng.uniform(0.8, 1.25))
    else:
        ir = KINDS[kind](rng, rate, low_s, high_s)
    gated = bool(rng.random() < 0.05)
    if gated:
        ir = ir[: int(rng.uniform(0.08, 0.35) * rate)].copy()
        ir[-240:] *= np.linspace(1.0, 0.0, 240)
    low_cut = log_uniform(rng, 30.0, 450.0) if rng.random() < 0.4 else 0.0
    pieces = [butterworth(int(rng.integers(1, 3)), low_cut, True)] if low_cut else []
    if rng.random() < 0.3:
        pieces.append(butterworth(1, log_uniform(rng, 2000.0, 14000.0), False))
    if pieces:
        bins = np.linspace(0.0, rate / 2, 8193)
        h = response(pieces, bins, rate, False)
        h[-1] = np.abs(h[-1])
        ir = filtered(ir, h)
    predelay_ms = rng.uniform(0.0, 80.0) if rng.random() < 0.6 else 0.0
    name = kind + (", gated" if gated else "")
    return {
        "ir": ir,
        "kind": name,
        "mix": rng.uniform(0.03, 0.65),
        "predelay_ms": predelay_ms,
        "low_cut_hz": max(20.0, low_cut),
        "gated": gated,
    }
