"""The equaliser's curve, and the settings that come nearest to a wanted one."""

import numpy as np

from ..chain import ChainSettings
from ..dsp.compiler import MAX_COEFS, call_design, call_jacobian, jit
from ..effects import load

SECTIONS, PER_SECTION = 6, 5
PRIOR_DB = 0.15
"""A parameter that moves across its whole range costs as much as this RMS error of the curve, in dB."""


def curve_db(values: np.ndarray, hz: np.ndarray, sample_rate: float) -> np.ndarray:
    """Give the equaliser's magnitude in dB (bands,): values (18,) in its parameters' order and units, hz (bands,)."""
    coef = np.zeros(MAX_COEFS)
    _coefficients(load("equaliser").design_c.address, np.ascontiguousarray(values, np.float64), sample_rate, coef)
    above, below = _sides(coef, np.exp(-2j * np.pi * hz / sample_rate))
    return 20.0 * np.log10(np.abs(above / below) + 1e-9).sum(0)


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
    z = np.exp(-2j * np.pi * hz / sample_rate)
    unit, damping = np.clip(start, 0.001, 0.999), 1e-2

    def error(at: np.ndarray) -> np.ndarray:
        here = curve_db(np.array([p.value(u) for p, u in zip(effect.params, at, strict=True)]), hz, sample_rate)
        return np.concatenate([_shape(here - wanted_db, weights), PRIOR_DB * np.sqrt(len(hz)) * (at - start)])

    residual = error(unit)
    for _ in range(iterations):
        slope = _slope(effect, unit, z, sample_rate)
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


def _shape(curves: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Subtract the weighted mean and apply the weights: (bands,) for one curve, (bands, …) for many."""
    weights = weights.reshape(-1, *[1] * (curves.ndim - 1))
    return np.sqrt(weights) * (curves - (weights * curves).mean(0))


def _slope(effect, unit: np.ndarray, z: np.ndarray, sample_rate: float) -> np.ndarray:
    """Give d curve / d unit (bands, params): the design's Jacobian, through magnitude and range."""
    values = np.array([p.value(u) for p, u in zip(effect.params, unit, strict=True)])
    coef, jac = np.zeros(MAX_COEFS), np.zeros((len(values), MAX_COEFS))
    _coefficients(effect.design_c.address, values, sample_rate, coef)
    _derivatives(effect.jacobian_c.address, values, sample_rate, jac)
    above, below = _sides(coef, z)
    powers = np.stack([np.ones_like(z), z, z * z])
    numerator = np.real(powers[None] / above[:, None])  # d ln|B| / d b
    denominator = -np.real(powers[None, 1:] / below[:, None])  # d ln|1/A| / d a
    per_coef = (20.0 / np.log(10.0)) * np.concatenate([numerator, denominator], axis=1)
    per_value = jac[:, : SECTIONS * PER_SECTION] @ per_coef.reshape(SECTIONS * PER_SECTION, -1)
    small, places = 1e-6, zip(effect.params, unit, strict=True)
    range_slope = [(p.value(u + small) - p.value(u - small)) / (2 * small) for p, u in places]
    return (per_value * np.array(range_slope)[:, None]).T


def _sides(coef: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    b0, b1, b2, a1, a2 = coef[: SECTIONS * PER_SECTION].reshape(SECTIONS, PER_SECTION).T[..., None]
    return b0 + b1 * z + b2 * z * z, 1.0 + a1 * z + a2 * z * z


@jit
def _coefficients(design, values, sample_rate, coef):
    call_design(design, (values, sample_rate, coef))


@jit
def _derivatives(jacobian, values, sample_rate, jac):
    call_jacobian(jacobian, (values, sample_rate, jac))
