"""Sounds and settings that make an effect tell: what the tests of effects and of chains share."""

import math

import numpy as np
import torch

from afx_live.chain import ChainPlayer, ChainSettings, EffectSettings
from afx_live.effects import ticks

RATE = 48000.0


def noise(frames, channels=2, seed=0, peak=1.0):
    return np.random.default_rng(seed).uniform(-peak, peak, (frames, channels))


def bursts(frames, channels=2, seed=0):
    """Loud, quiet, swelling, so that times and levels of all kinds matter."""
    n = np.arange(frames) % 9600
    level = np.where(n < 3000, 0.7, np.where(n < 5000, 0.01, 10 ** ((n - 9600) / 2300 - 0.2)))
    return noise(frames, channels, seed) * level[:, None]


def away_from_zero(frames, channels, seed=0):
    """The logarithm in a detector has a kink at silence, where no finite difference is right."""
    rng = np.random.default_rng(seed)
    return rng.choice([-1.0, 1.0], (frames, channels)) * rng.uniform(0.05, 0.55, (frames, channels))


def telling(effect):
    """Values at which every parameter matters, and none is at a round number or an end."""
    values = {}
    for i, p in enumerate(effect.params):
        unit = p.unit(p.default)
        if p.neutral is not None:
            far = p.high if abs(p.high - p.neutral) > abs(p.low - p.neutral) or i % 2 else p.low
            unit = p.unit(p.neutral) + 0.6 * (p.unit(far) - p.unit(p.neutral))
        values[p.name] = p.value(min(max(unit, 0.02), 0.96) + 0.0137)
    return values


def anywhere(effect, rng, low=0.02, high=0.98):
    return {p.name: p.clip(p.value(rng.uniform(low, high))) for p in effect.params}


def corners(effect, count=5):
    ends = [[p.low for p in effect.params], [p.high for p in effect.params]]
    rng = np.random.default_rng(len(effect.params))
    ends += [[rng.choice([p.low, p.high]) for p in effect.params] for _ in range(count)]
    return [dict(zip(effect.defaults, map(float, e), strict=True)) for e in ends]


def alone(name, values):
    return ChainSettings((EffectSettings(name, values),))


def stream(settings, x, rate=RATE, cuts=(), ramps=()):
    """Play x in the blocks that `cuts` gives; at every time of `ramps`, in frames, move to its settings."""
    player, moves, out, last = ChainPlayer(settings, rate, x.shape[1]), dict(ramps), [], 0
    for cut in sorted({*cuts, *moves, len(x)}):
        out.append(player.play(x[last:cut]))
        last = cut
        if cut in moves:
            player.ramp(moves[cut])
    return np.concatenate(out)


def partition(frames, seed):
    """Cut a stream at random: some blocks of one frame, some of a few, some of many."""
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.choice([1, 2, 3, 17, 63, 64, 65, 128, 441], frames)).clip(max=frames)


def trajectory(effect, first, ramps, frames, rate=RATE):
    """What a ramp promises, (params, ticks): 20 ms, even to the ear, one value at every 64th frame of the stream."""
    log = np.array([p.curve != "linear" for p in effect.params])

    def ear(values):
        v = np.array([values[p.name] for p in effect.params])
        return np.where(log, np.log(np.where(log, v, 1.0)), v)

    def value(heard):
        return np.where(log, np.exp(np.where(log, heard, 0.0)), heard)

    count, left, now, aim, rows = math.ceil(0.020 * rate / 64), 0, ear(first), ear(first), []
    for e in range(ticks(frames)):
        rows.append(value(now))
        for at, target in ramps:
            if 64 * (e - 1) < at <= 64 * e and np.any(ear(target) != aim):
                aim, left = ear(target), count
                stride = (aim - now) / count
        if left:
            left -= 1
            now = now + stride if left else aim
    return np.array(rows).T


def tensor(x, dtype=torch.float64):
    """(frames, channels), or a list of them, to (batch, channels, frames)."""
    x = np.asarray(x)
    return torch.tensor(np.swapaxes(x if x.ndim == 3 else x[None], 1, 2).copy(), dtype=dtype)


def columns(rows, dtype=torch.float64):
    """Dictionaries or (params, ticks) arrays, one for each item, to one tensor for each parameter."""
    rows = [list(r.values()) if isinstance(r, dict) else r for r in rows]
    return torch.tensor(np.array(rows), dtype=dtype).unbind(1)
