"""Compressors of other kinds, for training data: detectors, topologies and ballistics that ours is not.

Each is a side chain of several stages, any of which may be left out or done in another domain. What our own
compressor must be set to is fitted to the gain that it made on the very clip, from its own threshold, ratio
and times as a start: so a feed-back or optical one gets a label that holds for it.
"""

import math
from typing import Any

import numpy as np

from ...dsp.compiler import jit
from ...effects import load, log_uniform
from ...effects.compressor import DB, smoothing_pole, soft_knee_db
from .outcome import OtherEffect, RenderedLabel, chosen, loudest_part

SMOOTH = {"level": 0, "power": 1, "level_db": 2, "gain_db": 3, "gain": 4, "decoupled_db": 5}
"""What attack and release are applied to."""
STATIC = {"down": 0, "up": 1, "expand": 2}
MIN_CHANGE_DB = 0.25
"""A gain that moves by less than this is not heard as compression."""
NAMES: tuple[str, ...] = ("threshold_db", "ratio", "attack_ms", "release_ms", "knee_db")


@jit
def _static(level, kind, threshold, slope, knee, reach):
    """Give the gain in dB at a level in dB: slope is 1/ratio - 1 (below 0), reach the most it may do."""
    over = level - threshold if kind == 0 else threshold - level
    bent = soft_knee_db(over, knee)
    if kind == 1:
        return min(-slope * bent, reach)
    return max(slope * bent, -reach)


@jit
def gains(x, back, rms, high_pass, smooth, kind, threshold, slope, knee, reach, attack, release, hold, slow, share):
    """Give the gain in dB at every frame.

    back: 1 detects the output; rms: pole of an average of the square before all else, or 0;
    high_pass: pole of the side chain's; hold: frames; slow and share: pole and part of a second,
    slower release.
    """
    gain = np.empty(len(x))
    before = mean = env = low = fast = late = tired = 0.0
    level = -100.0
    held = 0
    linear = 1.0
    for n in range(len(x)):
        v = before if back else x[n]
        low += (1.0 - high_pass) * (v - low) if high_pass > 0.0 else 0.0
        v = abs(v - low) if high_pass > 0.0 else abs(v)
        if rms > 0.0:
            mean += (1.0 - rms) * (v * v - mean)
            v = math.sqrt(mean)
        if smooth == 0:
            env = v + (attack if v > env else release) * (env - v)
            level = DB * math.log(max(env, 1e-5))
        elif smooth == 1:
            env = v * v + (attack if v * v > env else release) * (env - v * v)
            level = 0.5 * DB * math.log(max(env, 1e-10))
        elif smooth == 2:
            aim = DB * math.log(max(v, 1e-5))
            level = aim + (attack if aim > level else release) * (level - aim)
        else:
            level = DB * math.log(max(v, 1e-5))
        g = _static(level, kind, threshold, slope, knee, reach)
        if smooth == 3:
            if g < fast:
                held = hold
                fast = g + attack * (fast - g)
            elif held > 0:
                held -= 1
            else:
                fast = g + release * (fast - g)
            g = fast
        elif smooth == 4:
            aim = math.exp(g / DB)
            linear = aim + (attack if aim < linear else release) * (linear - aim)
            g = DB * math.log(linear)
        elif smooth == 5:
            fast = min(g, release * fast + (1.0 - release) * g)
            late = fast + attack * (late - fast)
            g = late
        if share > 0.0:  # an optical cell: part of what it did long ago it still does
            tired = g + slow * (tired - g)
            g = min(g, share * tired)
        gain[n] = g
        before = x[n] * math.exp(g / DB)
    return gain


@jit
def _normal(level, target, weight, every, threshold, slope, attack, release, knee):
    """Compare our compressor's gain with a wanted one: normal equations and the error's square.

    level and target are in dB at every frame; weight and the comparison at every `every`th. Columns:
    threshold, slope, log of attack and release time, knee, and an offset. Derivatives run along with
    the recursion.
    """
    a, b = np.zeros((6, 6)), np.zeros(6)
    d, now = np.zeros(6), np.zeros(5)
    d[5] = 1.0
    cost = s = 0.0
    for n in range(len(level)):
        over = level[n] - threshold
        u = slope * soft_knee_db(over, knee)
        part = min(max(over + 0.5 * knee, 0.0), knee) / knee  # the knee's slope
        now[0] = -slope * part
        now[1] = u / slope
        now[4] = slope * 0.5 * part * (1.0 - part) if part < 1.0 else 0.0
        falls = s > u
        pole = attack if falls else release
        for i in range(5):
            d[i] = now[i] + pole * (d[i] - now[i])
        d[2 if falls else 3] += (s - u) * pole * -math.log(pole)  # d pole / d log(time)
        s = u + pole * (s - u)
        if n % every == 0 and weight[n] > 0.0:
            r = s - target[n]
            cost += r * r
            for i in range(6):
                b[i] += d[i] * r
                for j in range(i + 1):
                    a[i, j] += d[i] * d[j]
    for i in range(6):
        for j in range(i):
            a[j, i] = a[i, j]
    return a, b, cost


def fit(x: np.ndarray, gain_db: np.ndarray, rate: float, start: dict[str, float], rounds: int = 14) -> tuple:
    """Set our compressor so that it gives nearly this gain on this clip.

    Returns its values by name, the confidence in each, the offset in dB between the two gains, and the
    standard deviations in dB, where the clip is heard, of the wanted gain and of what is left.
    Levenberg-Marquardt, with a weak pull to the start for what the clip says nothing of.
    """
    weight = loudest_part(x, rate)
    level = DB * np.log(np.maximum(np.abs(x), 1e-6))
    at = _coded(start)
    first, damping, count = at.copy(), 1e-2, max(1.0, weight[::8].sum())
    pull = np.array([0.02, 0.5, 0.1, 0.1, 0.01]) ** 2 * count * 0.02
    heard = weight > 0.0
    wanted = float(np.std(gain_db[heard])) if heard.any() else 0.0

    def weigh(at: np.ndarray) -> tuple:
        a, b, cost = _normal(level, gain_db, weight, 8, *_decoded(at, rate))
        ratio = a[:5, 5] / count  # the offset is free: project it out
        a2, b2 = a[:5, :5] - count * np.outer(ratio, ratio), b[:5] - ratio * b[5]
        gone = at - first
        return a2 + np.diag(pull), b2 + pull * gone, cost - b[5] ** 2 / count + gone @ (pull * gone), a2, b[5] / count

    low, high = _bounds()
    state = weigh(at)
    for _ in range(rounds):
        a, b, cost = state[:3]
        free = ((at > low) | (b < 0)) & ((at < high) | (b > 0))
        step = np.zeros(5)
        inner = a[np.ix_(free, free)]
        step[free] = np.linalg.solve(inner + damping * np.diag(np.diag(inner) + 1e-9), b[free])
        trial = np.clip(at - step, low, high)
        tried = weigh(trial)
        if tried[2] < cost:
            done = cost - tried[2] < 1e-4 * cost
            at, state, damping = trial, tried, damping * 0.3
            if done:
                break
        else:
            damping *= 6.0
    left = math.sqrt(max(0.0, state[2]) / count)
    felt = np.sqrt(np.maximum(np.diag(state[3]), 0.0) / count)  # dB for one unit of each: dB, slope, e-fold, e-fold, dB
    slope = at[1]
    values = dict(zip(NAMES, (at[0], 1.0 / (1.0 + slope), math.exp(at[2]), math.exp(at[3]), at[4]), strict=True))
    confidence = {
        "threshold_db": 1.0,
        "ratio": 1.0,
        "knee_db": 1.0,
        "attack_ms": float(felt[2] > 0.1),
        "release_ms": float(felt[3] > 0.1),
    }
    return values, confidence, -float(state[4]), wanted, left


def _coded(values: dict[str, float]) -> np.ndarray:
    """Write values as what the fit moves: threshold, slope, log attack, log release, knee."""
    v = [values[name] for name in NAMES]
    low, high = _bounds()
    return np.clip([v[0], 1.0 / v[1] - 1.0, math.log(v[2]), math.log(v[3]), v[4]], low, high)


def _decoded(at: np.ndarray, rate: float) -> tuple[float, ...]:
    return at[0], at[1], *(smoothing_pole(rate, math.exp(t)) for t in at[2:4]), at[4]


def _bounds() -> tuple[np.ndarray, np.ndarray]:
    low, high = np.array([[getattr(load("compressor").param(n), side) for n in NAMES] for side in ("low", "high")])
    low[1], high[1] = 1.0 / high[1] - 1.0, -0.01
    low[2:4], high[2:4] = np.log(low[2:4]), np.log(high[2:4])
    return low, high


def draw(rng: np.random.Generator, strength: float = 1.0) -> OtherEffect:
    """Draw a compressor: its detector, topology, what is smoothed, how fast, and how much it does.

    `strength` scales its slope, 1 - 1 / ratio.
    """
    told = numbers(rng)
    ratio = told["ratio"]
    if told["static"] == "expand" or told["back"]:
        told["ratio"] = 1.0 + strength * (ratio - 1.0)
    else:
        told["ratio"] = 1.0 / (1.0 - min(strength * (1.0 - 1.0 / ratio), 0.98))
    return compressor(**told)


def numbers(rng: np.random.Generator) -> dict[str, Any]:
    """Draw the numbers of a compressor."""
    static = chosen(rng, {"down": 0.86, "up": 0.08, "expand": 0.06})
    smooth = chosen(rng, dict.fromkeys(SMOOTH, 1.0))
    leveller = static == "down" and rng.random() < 0.1
    rms_ms = log_uniform(rng, 1.0, 60.0) if rng.random() < 0.4 else 0.0
    back = bool(static == "down" and rng.random() < 0.25)
    ratio = 1.0 / (1.0 - rng.uniform(0.25, 0.8 if back else 0.98))
    attack_ms, release_ms = log_uniform(rng, 0.03, 80.0), log_uniform(rng, 5.0, 900.0)
    if leveller:
        ratio, attack_ms, release_ms = min(ratio, 4.0), log_uniform(rng, 50.0, 400.0), log_uniform(rng, 300.0, 3000.0)
    times = max(attack_ms, 0.2 if back else 0.0), max(release_ms, 0.5 * attack_ms)  # fed back, a faster one rattles
    optical = static == "down" and rng.random() < 0.15
    return {
        "static": static,
        "smooth": smooth,
        "threshold_db": rng.uniform(-50.0, -16.0),
        "ratio": ratio,
        "times_ms": times,
        "knee_db": 0.1 if rng.random() < 0.4 else rng.uniform(0.1, 14.0),
        "rms_ms": rms_ms,
        "back": back,
        "hold_ms": log_uniform(rng, 1.0, 80.0) if rng.random() < 0.15 else 0.0,
        "opto": (log_uniform(rng, 0.2, 2.0), rng.uniform(0.3, 0.7)) if optical else (0.0, 0.0),
        "high_pass_hz": log_uniform(rng, 40.0, 250.0) if rng.random() < 0.15 else 0.0,
        "reach_db": rng.uniform(8.0, 20.0) if static != "down" or rng.random() < 0.1 else 60.0,
    }


def arguments(
    rate: float,
    static: str,
    smooth: str,
    threshold_db: float,
    ratio: float,
    times_ms: tuple[float, float],
    knee_db: float = 0.1,
    rms_ms: float = 0.0,
    back: bool = False,
    hold_ms: float = 0.0,
    opto: tuple[float, float] = (0.0, 0.0),
    high_pass_hz: float = 0.0,
    reach_db: float = 60.0,
) -> tuple[float, ...]:
    """Give what `gains` takes after the sound; see `compressor`."""

    def pole(seconds: float) -> float:
        return math.exp(-1.0 / (seconds * rate)) if seconds > 0.0 else 0.0

    return (
        int(back),
        pole(1e-3 * rms_ms),
        math.exp(-2.0 * math.pi * high_pass_hz / rate) if high_pass_hz else 0.0,
        SMOOTH[smooth],
        STATIC[static],
        threshold_db,
        (1.0 - ratio) if back or static == "expand" else 1.0 / ratio - 1.0,
        knee_db,
        reach_db,
        pole(1e-3 * times_ms[0]),
        pole(1e-3 * times_ms[1]),
        int(1e-3 * hold_ms * rate),
        pole(opto[0]),
        opto[1],
    )


def compressor(
    static: str,
    smooth: str,
    threshold_db: float,
    ratio: float,
    times_ms: tuple[float, float],
    knee_db: float = 0.1,
    rms_ms: float = 0.0,
    back: bool = False,
    **more: Any,
) -> OtherEffect:
    """Make a compressor; times are 63 % ones, opto is a slow release in s and its share, 0 leaves a stage out."""
    told = {
        "static": static,
        "smooth": smooth,
        "threshold_db": threshold_db,
        "ratio": ratio,
        "times_ms": times_ms,
        "knee_db": knee_db,
        "rms_ms": rms_ms,
        "back": back,
        **more,
    }

    def play(x: np.ndarray, rate: float) -> RenderedLabel:
        gain = gains(np.ascontiguousarray(x, np.float64), *arguments(rate, **told))
        start = dict(zip(NAMES, (threshold_db, max(1.05, ratio), *times_ms, knee_db), strict=True))
        values, confidence, offset, wanted, left = fit(x, gain, rate, start)
        on = wanted > MIN_CHANGE_DB and left < 0.9 * wanted and not (static == "expand" and left > 0.5 * wanted)
        on_certain = wanted <= MIN_CHANGE_DB or left < 0.6 * wanted or static == "expand"

        def again(other: np.ndarray) -> np.ndarray:
            moved = gains(np.ascontiguousarray(other, np.float64), *arguments(rate, **told))
            return other * np.exp((moved - offset) / DB)

        audio = x * np.exp((gain - offset) / DB)  # as loud as ours, which has no make-up here
        return RenderedLabel(
            audio, again, values, confidence if on_certain else dict.fromkeys(NAMES, 0.0), bool(on), bool(on_certain)
        )

    return OtherEffect(
        f"compressor: {static}, {smooth}{', feed-back' if back else ''}{', rms' if rms_ms else ''}", play
    )
