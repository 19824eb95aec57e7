"""Compressor and limiter against the textbook."""

import math

import numpy as np
import pytest
import torch

from afx_live.effects import load
from afx_live.effects.compressor import static_gain_db
from support.effect_cases import RATE, alone, bursts, stream


def settled(name, levels_db, **values):
    """Gain in dB that a steady level ends at."""
    effect, frames = load(name), 4000
    values = {**effect.defaults, "attack_ms": effect.param("attack_ms").low, **values}
    x = 10 ** (torch.tensor(levels_db)[:, None, None].expand(-1, 1, frames) / 20)
    y = effect.process(x, RATE, *(torch.full((len(x),), v, dtype=torch.float64) for v in values.values()))
    return (20 * torch.log10(y / x)[:, 0, -1]).numpy()


def textbook(x, threshold, slope, knee):
    """Giannoulis, Massberg and Reiss, equation 4, as a gain in dB; slope is 1 / ratio - 1."""
    over = x - threshold
    inside = slope * (over + knee / 2) ** 2 / (2 * knee)
    return np.where(2 * over < -knee, 0.0, np.where(2 * np.abs(over) <= knee, inside, slope * over))


@pytest.mark.parametrize("knee_db", [0.1, 6.0, 18.0])
@pytest.mark.parametrize(("threshold_db", "ratio"), [(-40.0, 20.0), (-18.0, 3.0), (-6.0, 1.5), (-18.0, 1.0)])
def test_compressor_curve_is_the_textbooks(threshold_db, ratio, knee_db):
    levels = np.linspace(-80.0, 0.0, 161)
    gain = settled("compressor", levels, threshold_db=threshold_db, ratio=ratio, knee_db=knee_db, makeup_db=3.0)
    wanted = textbook(levels, threshold_db, 1 / ratio - 1, knee_db)
    np.testing.assert_allclose(gain, wanted + 3.0, rtol=0, atol=1e-6)


@pytest.mark.parametrize("knee_db", [0.1, 6.0, 18.0])
def test_static_gain_is_the_kernels_for_arrays_and_tensors(knee_db):
    levels = np.linspace(-80.0, 0.0, 161)
    gain = settled("compressor", levels, threshold_db=-30.0, ratio=4.0, knee_db=knee_db)
    for kind in (np.asarray, torch.from_numpy):
        given = static_gain_db(kind(levels), -30.0, 4.0, knee_db)
        np.testing.assert_allclose(np.asarray(given), gain, rtol=0, atol=1e-6)
    threshold = torch.tensor([[-30.0], [-20.0]], dtype=torch.float64, requires_grad=True)
    knee = torch.tensor([[knee_db], [6.0]], dtype=torch.float64, requires_grad=True)
    ratio = torch.tensor([[4.0], [2.0]], dtype=torch.float64, requires_grad=True)
    far = torch.tensor(levels[::7] + 0.0123)
    assert torch.autograd.gradcheck(lambda *p: static_gain_db(far, *p), (threshold, ratio, knee))
    np.testing.assert_allclose(static_gain_db(levels, -12.0, np.inf, knee_db), textbook(levels, -12.0, -1.0, knee_db))


@pytest.mark.parametrize("knee_db", [0.1, 1.0, 12.0])
def test_limiter_curve_is_the_textbooks(knee_db):
    levels = np.linspace(-40.0, 0.0, 81)
    gain = settled("limiter", levels, ceiling_db=-12.0, knee_db=knee_db)
    np.testing.assert_allclose(gain, textbook(levels, -12.0, -1.0, knee_db), rtol=0, atol=1e-6)


@pytest.mark.parametrize("knee_db", [0.1, 1.0, 6.0, 18.0])
def test_knee_is_continuous_and_so_is_its_slope(knee_db):
    levels = np.linspace(-30.0, -6.0, 2401)
    step, slope = levels[1] - levels[0], 1 - 1 / 4.0
    gain = settled("compressor", levels, threshold_db=-18.0, ratio=4.0, knee_db=knee_db)
    fall = -np.diff(gain) / step
    assert fall.min() > -1e-6
    assert fall.max() < slope + 1e-6
    assert np.abs(np.diff(fall)).max() < slope * step / knee_db + 1e-6


@pytest.mark.parametrize("rate", [44100.0, 96000.0])
@pytest.mark.parametrize(
    ("name", "attack_ms", "release_ms"),
    [("compressor", 1.0, 20.0), ("compressor", 10.0, 100.0), ("compressor", 100.0, 500.0), ("limiter", 1.0, 80.0)],
)
def test_attack_and_release_are_63_percent_times(name, attack_ms, release_ms, rate):
    values = {"attack_ms": attack_ms, "release_ms": release_ms, "knee_db": 0.1}
    values |= {"threshold_db": -30.0, "ratio": 4.0} if name == "compressor" else {"ceiling_db": -20.0}
    attack, release = round(12e-3 * attack_ms * rate), round(12e-3 * release_ms * rate)
    x = np.concatenate([np.full(1000, 0.001), np.full(attack, 0.5), np.full(release, 0.001)])[:, None]
    gain = 20 * np.log10(stream(alone(name, values), x, rate) / x)[1000:, 0]
    down, back = gain[:attack], gain[attack:]
    for part, goal, ms in (
        (down, down[-1] * (1 - math.exp(-1)), attack_ms),
        (back, down[-1] * math.exp(-1), release_ms),
    ):
        n = np.flatnonzero(np.diff(np.sign(part - goal)))[0]
        passed = n + (part[n] - goal) / (part[n] - part[n + 1])
        assert 1e3 * (passed + 1) / rate == pytest.approx(ms, rel=0.02)


def test_compressor_turns_both_channels_alike():
    x = bursts(5000)
    x[:, 1] *= 0.1
    y = stream(alone("compressor", {"threshold_db": -40.0, "ratio": 8.0}), x)
    np.testing.assert_allclose(y[:, 1] / x[:, 1], y[:, 0] / x[:, 0], rtol=1e-9)
