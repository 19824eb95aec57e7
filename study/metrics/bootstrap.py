"""Confidence intervals over recordings."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def bootstrap_interval(
    values: ArrayLike,
    groups: Sequence[object] | None = None,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the bootstrap interval (low, high) of the mean of `values`, by percentiles.

    values: (n,). With `groups` (n labels, say the recording each pair was cut from), whole groups
    are drawn, since pairs of one recording are not independent: without it the interval is too
    narrow. One group says nothing about others: (nan, nan). Raises ValueError for no values, for
    other shapes, for NaN or Inf, and for a level outside (0, 1).
    B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"values are finite numbers of shape (n,), not {values!r}")
    if not 0 < level < 1 or draws < 1:
        raise ValueError(f"level = {level:g} is not in (0, 1), or draws = {draws} is under 1")
    if groups is None:
        sums, sizes = values, np.ones(len(values))
    elif len(groups) != len(values):
        raise ValueError(f"{len(groups)} groups for {len(values)} values")
    else:
        number = {group: i for i, group in enumerate(dict.fromkeys(groups))}
        index = [number[group] for group in groups]
        sums, sizes = np.bincount(index, values), np.bincount(index).astype(np.float64)
    if len(sums) < 2:
        return np.nan, np.nan
    drawn = np.random.default_rng(seed).multinomial(len(sums), np.full(len(sums), 1 / len(sums)), size=draws)
    low, high = np.quantile(drawn @ sums / (drawn @ sizes), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
