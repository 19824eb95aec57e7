"""The equaliser against the cookbook, scipy and torchaudio."""

import math

import numpy as np
import pytest
import torch
from scipy.signal import sosfilt
from torchaudio.functional import lfilter

from afx_live.dsp import biquad
from afx_live.effects import equaliser, load
from support.effect_cases import RATE, alone, anywhere, bursts, columns, noise, stream, telling, tensor

RATES = (44100.0, 48000.0, 88200.0, 96000.0)


def cookbook(rate, kind, hz, db, q):
    """R. Bristow-Johnson's page, line by line: b and a, not yet divided by a0."""
    w, big_a = 2 * math.pi * min(hz, 0.45 * rate) / rate, 10 ** (db / 40)
    c, alpha, s = math.cos(w), math.sin(w) / (2 * q), 2 * math.sqrt(big_a)
    if kind == "peak":
        return [1 + alpha * big_a, -2 * c, 1 - alpha * big_a, 1 + alpha / big_a, -2 * c, 1 - alpha / big_a]
    up, down = big_a + 1, big_a - 1
    if kind == "low_shelf":
        b = [up - down * c + s * alpha, 2 * (down - up * c), up - down * c - s * alpha]
        return [big_a * v for v in b] + [up + down * c + s * alpha, -2 * (down + up * c), up + down * c - s * alpha]
    b = [up + down * c + s * alpha, -2 * (down + up * c), up + down * c - s * alpha]
    return [big_a * v for v in b] + [up - down * c + s * alpha, 2 * (down - up * c), up - down * c - s * alpha]


def sections(values, rate):
    bands = ("low_shelf", "peak_1", "peak_2", "peak_3", "peak_4", "high_shelf")
    rows = [
        cookbook(rate, b if "shelf" in b else "peak", values[f"{b}_hz"], values[f"{b}_db"], values[f"{b}_q"])
        for b in bands
    ]
    return np.array([np.array(r) / r[3] for r in rows])


@pytest.mark.parametrize("rate", [22050.0, *RATES])
def test_equaliser_is_the_cookbooks(rate):
    effect, rng, x = load("equaliser"), np.random.default_rng(8), bursts(20000)
    for values in (telling(effect), *(anywhere(effect, rng, 0.0, 1.0) for _ in range(5))):
        sos = sections(values, rate)
        mine = effect.coefficients(torch.stack(columns([values]), 1), rate)[0, :30].reshape(6, 5).numpy()
        np.testing.assert_allclose(mine, np.delete(sos, 3, axis=1), rtol=0, atol=1e-12 * np.abs(sos).max())
        wanted = sosfilt(np.insert(mine, 3, 1.0, axis=1), x, axis=0)
        y = stream(alone("equaliser", values), x, rate)
        np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-12 * np.abs(wanted).max())


def test_equaliser_and_its_gradient_are_torchaudios():
    effect = load("equaliser")
    x = tensor(bursts(3000)).requires_grad_()
    values = torch.stack(columns([telling(effect)]), 1).requires_grad_()
    weight = tensor(noise(3000, seed=9))
    y = effect.process(x, RATE, *values.unbind(1))
    mine = torch.autograd.grad((y * weight).sum(), (x, values))
    theirs = x
    for c in effect.coefficients(values, RATE)[0, :30].reshape(6, 5):
        theirs = lfilter(theirs, torch.cat([c.new_ones(1), c[3:]]), c[:3], clamp=False)
    torch.testing.assert_close(y, theirs, rtol=0, atol=1e-11)
    for a, b in zip(mine, torch.autograd.grad((theirs * weight).sum(), (x, values)), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rate", RATES)
def test_equaliser_peaks_reach_their_gain_at_their_frequency(rate):
    for i, hz in enumerate((100.0, 500.0, 2000.0, 5000.0), 1):
        for db in (-18.0, 12.0):
            h = np.fft.rfft(
                stream(alone("equaliser", {f"peak_{i}_hz": hz, f"peak_{i}_db": db}), np.eye(1, int(rate)).T, rate),
                axis=0,
            )
            assert 20 * np.log10(abs(h[int(hz), 0])) == pytest.approx(db, abs=0.01)


def test_magnitude_is_the_impulse_responses_for_arrays_and_tensors():
    effect, hz = load("equaliser"), np.geomspace(25.0, 20000.0, 60)
    values = np.array(list(telling(effect).values()))
    impulse = np.zeros((1 << 17, 1))
    impulse[0] = 1.0
    h = np.abs(np.fft.rfft(stream(alone("equaliser", telling(effect)), impulse)[:, 0]))
    wanted = np.interp(hz, np.fft.rfftfreq(len(impulse), 1 / RATE), 20 * np.log10(h))
    np.testing.assert_allclose(equaliser.curve_db(values, hz, RATE), wanted, atol=1e-3)
    rows = torch.tensor(np.stack([values, values]), requires_grad=True)
    curve = equaliser.curve_db(rows, hz, RATE)
    np.testing.assert_allclose(curve.detach().numpy()[1], equaliser.curve_db(values, hz, RATE), rtol=0, atol=1e-9)
    assert torch.autograd.gradcheck(lambda v: equaliser.curve_db(v, hz[::10], RATE), rows, atol=1e-4)
    response = biquad.frequency_response(equaliser.sections(values, RATE), hz, RATE)
    np.testing.assert_allclose(20 * np.log10(np.abs(response)), wanted, atol=1e-3)
