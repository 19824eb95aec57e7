"""Parametric equaliser: a low shelf, four peaks, a high shelf."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from ..dsp import biquad
from ..dsp.units import in_hz
from ._effect import Effect, Param, log_uniform

SECTIONS = 6


@dataclass(frozen=True)
class Band:
    """One band, as the Audio EQ Cookbook defines it."""

    name: str
    hz: float
    gain_db: float
    q: float

    @property
    def kind(self) -> str:
        """Tell whether it is a low_shelf, a peak or a high_shelf."""
        return "peak" if self.name.startswith("peak") else self.name


def bands(values: Mapping[str, float]) -> list[Band]:
    """Give every band of values by name, in the order of `sections`."""
    found = [name.removesuffix("_db") for name in values if name.endswith("_db")]
    return [Band(name, values[f"{name}_hz"], values[f"{name}_db"], values[f"{name}_q"]) for name in found]


def sections(values: Any, sample_rate: float) -> Any:
    """Give the coefficients b0, b1, b2, a1, a2 of every section: values (..., 18) to (..., 6, 5).

    An array or, differentiable, a tensor; so is the result, float64.
    """
    coef = effect.coefficients(values, sample_rate)[..., : SECTIONS * biquad.PER_SECTION]
    return coef.reshape(*coef.shape[:-1], SECTIONS, biquad.PER_SECTION)


def curve_db(values: Any, hz: ArrayLike, sample_rate: float) -> Any:
    """Give the magnitude in dB at frequencies in Hz (bands,): values (..., 18) to (..., bands)."""
    return biquad.magnitude_db(sections(values, sample_rate), hz, sample_rate)


def design(
    sample_rate,
    low_shelf_hz,
    low_shelf_db,
    low_shelf_q,
    peak_1_hz,
    peak_1_db,
    peak_1_q,
    peak_2_hz,
    peak_2_db,
    peak_2_q,
    peak_3_hz,
    peak_3_db,
    peak_3_q,
    peak_4_hz,
    peak_4_db,
    peak_4_q,
    high_shelf_hz,
    high_shelf_db,
    high_shelf_q,
):
    return (
        biquad.low_shelf(sample_rate, low_shelf_hz, low_shelf_db, low_shelf_q)
        + biquad.peak(sample_rate, peak_1_hz, peak_1_db, peak_1_q)
        + biquad.peak(sample_rate, peak_2_hz, peak_2_db, peak_2_q)
        + biquad.peak(sample_rate, peak_3_hz, peak_3_db, peak_3_q)
        + biquad.peak(sample_rate, peak_4_hz, peak_4_db, peak_4_q)
        + biquad.high_shelf(sample_rate, high_shelf_hz, high_shelf_db, high_shelf_q)
    )


def kernel(x, state, start, coef, step, tape):
    biquad.run(x, state, start, coef, step, tape, SECTIONS)


def adjoint(g, state, start, coef, step, tape, gcoef, gstep):
    biquad.run_adjoint(g, state, start, coef, step, tape, gcoef, gstep, SECTIONS)


def _band(name: str, low_hz: float, high_hz: float, hz: float, gain_db: float, q: tuple[float, float, float]):
    return (
        Param(f"{name}_hz", low_hz, high_hz, hz, "corner or centre frequency", curve="log"),
        Param(f"{name}_db", -gain_db, gain_db, 0.0, "boost or cut", neutral=0.0),
        Param(f"{name}_q", *q, "quality factor: bandwidth or shelf steepness", curve="log"),
    )


def summary(values):
    heard = [band for band in bands(values) if abs(band.gain_db) >= 0.5]
    return ", ".join(f"{band.gain_db:+.1f} dB @ {in_hz(band.hz)}" for band in heard) or "flat"


def prior(rng):
    values = {}
    for p in effect.params:
        shelf = "shelf" in p.name
        if p.name.endswith("_db"):
            values[p.name] = p.clip(rng.normal(0.0, 7.0 if shelf else 6.0)) if rng.random() < 0.7 else 0.0
        else:
            values[p.name] = log_uniform(rng, *((p.low, p.high) if shelf or p.name.endswith("_hz") else (0.4, 4.0)))
    return values


# Shelves go to 24 dB because telephone and lo-fi sounds need it; their Q stops at 1, above which
# a shelf overshoots its gain.
effect = Effect(
    params=(
        *_band("low_shelf", 30.0, 450.0, 100.0, 24.0, (0.4, 1.0, 0.707)),
        *_band("peak_1", 60.0, 800.0, 220.0, 18.0, (0.3, 8.0, 1.0)),
        *_band("peak_2", 200.0, 2500.0, 700.0, 18.0, (0.3, 8.0, 1.0)),
        *_band("peak_3", 800.0, 7000.0, 2400.0, 18.0, (0.3, 8.0, 1.0)),
        *_band("peak_4", 2500.0, 14000.0, 6000.0, 18.0, (0.3, 8.0, 1.0)),
        *_band("high_shelf", 1500.0, 16000.0, 8000.0, 24.0, (0.4, 1.0, 0.707)),
    ),
    design=design,
    kernel=kernel,
    adjoint=adjoint,
    state_size=lambda sample_rate, channels: biquad.state_size(channels),
    tape_size=biquad.tape_size,
    linear=True,
    summary=summary,
    prior=prior,
)
