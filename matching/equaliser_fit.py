"""The equaliser's curve, and the settings that come nearest to a wanted one."""

from collections.abc import Mapping

import numpy as np

from ..chain import ChainSettings
from ..dsp.biquad import PER_SECTION, magnitude_gradient
from ..effects import load
from ..effects.equaliser import SECTIONS, curve_db, sections

PRIOR_DB = 0.15
"""A parameter that moves across its whole range costs as much as this RMS error of the curve, in dB."""


def settings_curve_db(settings: ChainSettings, hz: np.ndarray, sample_rate: float) -> np.ndarray:
    """Give the curve in dB (bands,) of a chain's equaliser at hz (bands,); zeros if it is off or left out."""
    for each in settings.effects:
        if each.effect == "equaliser" and each.enabled:
            return curve_db(np.array([each.values[p.name] for p in load("equaliser").params]), hz, sample_rate)
    return np.zeros_like(hz)


def fit_curve(
    wanted_db: np.ndarray,
    hz: np.ndarray,
    weights: np.ndarray,
    start: np.ndarray,
    sample_rate: float,
    iterations: int = 40,
) -> np.ndarray:
    """Move unit parameters (18,) from `start` until the curve has the shape of `wanted_db` at `hz`; about 8 ms.

    wanted_db, hz and weights are (bands,); the weights' mean is 1. The level of the curve is free: it is solved
    later. Levenberg-Marquardt (D. W. Marquardt, SIAM J. Appl. Math. 11(2), 1963) on the exact Jacobian, with a
    prior that keeps every parameter near its start unless moving it pays. Returns unit parameters (18,).
    """
    effect = load("equaliser")
    unit, damping = np.clip(start, 0.001, 0.999), 1e-2

    def error(at: np.ndarray) -> np.ndarray:
        here = curve_db(np.array([p.value(u) for p, u in zip(effect.params, at, strict=True)]), hz, sample_rate)
        return np.concatenate([_shape(here - wanted_db, weights), PRIOR_DB * np.sqrt(len(hz)) * (at - start)])

    residual = error(unit)
    for _ in range(iterations):
        slope = _slope(effect, unit, hz, sample_rate)
        slope = np.concatenate([_shape(slope, weights), PRIOR_DB * np.sqrt(len(hz)) * np.eye(len(unit))])
        hessian, gradient = slope.T @ slope, slope.T @ residual
        step = np.linalg.solve(hessian + damping * np.diag(np.diag(hessian) + 1e-6), gradient)
        trial = np.clip(unit - step, 0.001, 0.999)
        tried = error(trial)
        if tried @ tried < residual @ residual:
            unit, residual, damping = trial, tried, damping * 0.3
        else:
            damping *= 5.0
    return unit


def fit_values(
    wanted_db: np.ndarray, hz: np.ndarray, weights: np.ndarray, start: Mapping[str, float], sample_rate: float
) -> dict[str, float]:
    """Do as `fit_curve` does with parameters by name and in their own units."""
    params = load("equaliser").params
    unit = np.array([p.unit(start[p.name]) for p in params])
    unit = fit_curve(wanted_db, hz, weights, unit, sample_rate)
    return {p.name: p.clip(p.value(float(u))) for p, u in zip(params, unit, strict=True)}


def _shape(curves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Subtract the weighted mean and apply the weights: (bands,) for one curve, (bands, …) for many."""
    weights = weights.reshape(-1, *[1] * (curves.ndim - 1))
    return np.sqrt(weights) * (curves - (weights * curves).mean(0))


def _slope(effect, unit: np.ndarray, hz: np.ndarray, sample_rate: float) -> np.ndarray:
    """Give d curve / d unit (bands, params): the design's Jacobian, through magnitude and range."""
    values = np.array([p.value(u) for p, u in zip(effect.params, unit, strict=True)])
    jac = effect.jacobian(values, sample_rate)[:, : SECTIONS * PER_SECTION]
    per_coef = magnitude_gradient(sections(values, sample_rate), hz, sample_rate)
    per_value = jac @ per_coef.reshape(SECTIONS * PER_SECTION, -1)
    small, places = 1e-6, zip(effect.params, unit, strict=True)
    range_slope = [(p.value(u + small) - p.value(u - small)) / (2 * small) for p, u in places]
    return (per_value * np.array(range_slope)[:, None]).T
