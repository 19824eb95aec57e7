"""Gain is a factor."""

import numpy as np

from support.effect_cases import alone, noise, stream


def test_gain_is_its_decibels():
    x = noise(100)
    for db in (-48.0, -6.0, 0.0, 20.0):
        np.testing.assert_allclose(stream(alone("gain", {"gain_db": db}), x), x * 10 ** (db / 20), rtol=1e-14)
