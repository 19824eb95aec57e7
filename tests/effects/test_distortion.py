"""The distortion's curve."""

import numpy as np
import torch

from afx_live.effects.distortion import UNITY, curve
from support.effect_cases import RATE, alone, stream


def test_curve_is_what_a_slow_sine_goes_through():
    n = np.arange(48000)
    x = 0.6 * np.sin(2 * np.pi * 20.0 * n / RATE)[:, None]
    y = stream(alone("distortion", {"drive_db": 20.0, "bias": 0.0, "tone_hz": 50000.0}), x)[24000:, 0]
    wanted = curve(x[24000:, 0], 20.0, 0.0)
    # The DC blocker, at 10 Hz, turns the phase: compare the harmonics.
    ours, theirs = (np.abs(np.fft.rfft(z))[[10, 30, 50]] for z in (y, wanted))
    lift = [abs(1 / (1 + (10.0 / f) / 1j)) for f in (20.0, 60.0, 100.0)]
    np.testing.assert_allclose(ours, theirs * lift, rtol=0.02)


def test_curve_keeps_its_amplitude_and_is_differentiable():
    np.testing.assert_allclose(curve(UNITY, np.array([0.0, 12.0, 36.0]), 0.0), UNITY)
    drive, bias = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in ([6.0, 30.0], [0.2, -0.4]))
    x = torch.linspace(-1.0, 1.0, 11, dtype=torch.float64)[:, None]
    assert torch.autograd.gradcheck(lambda d, b: curve(x, d, b), (drive, bias))
    np.testing.assert_allclose(curve(x, drive, bias).detach()[0, 0], curve(-1.0, 6.0, 0.2))
