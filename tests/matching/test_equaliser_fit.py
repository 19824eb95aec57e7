"""The equaliser is fitted to a wanted curve."""

import numpy as np
import pytest

from afx_live.effects import load
from afx_live.effects.equaliser import curve_db
from afx_live.matching.equaliser_fit import fit_curve
from support.clips import RATE


@pytest.mark.slow
def test_the_fit_reaches_random_curves_within_1_db(model):
    equaliser, rng = load("equaliser"), np.random.default_rng(3)
    hz, weights = model.bands_hz, model.band_weights
    misses = []
    for _ in range(40):
        unit = rng.uniform(0.05, 0.95, len(equaliser.params))
        wanted = curve_db(np.array([p.value(u) for p, u in zip(equaliser.params, unit, strict=True)]), hz, RATE)
        start = np.clip(unit + rng.normal(0, 0.15, len(unit)), 0, 1)
        found = fit_curve(wanted + rng.normal(0, 6), hz, weights, start, RATE)
        assert found.min() >= 0.0
        assert found.max() <= 1.0
        here = curve_db(np.array([p.value(u) for p, u in zip(equaliser.params, found, strict=True)]), hz, RATE)
        off = here - wanted
        misses.append(np.average(np.abs(off - np.average(off, weights=weights)), weights=weights))
    assert np.mean(misses) < 1.0, misses
    assert np.max(misses) < 3.0, misses


@pytest.mark.parametrize("wanted", [1e3, -1e3, 0.0])
def test_the_fit_never_leaves_the_range(model, wanted):
    hz, weights = model.bands_hz, model.band_weights
    steps = np.where(np.arange(len(hz)) % 5 < 2, wanted, -wanted)
    for start in (0.0, 0.5, 1.0):
        found = fit_curve(steps, hz, weights, np.full(18, start), RATE)
        assert np.isfinite(found).all()
        assert found.min() >= 0.0
        assert found.max() <= 1.0
