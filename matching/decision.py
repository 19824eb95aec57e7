"""How much of each effect to use: what the model says, and the user's hand on it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

REACH = 0.1
"""An amount reaches so far beyond 0 and 1 and is held there, as in training: so "off" and "whole" are exact."""


@dataclass(frozen=True)
class Decision:
    """Log-odds → amounts.

    offset (effects, 2): added to the model's log-odds, for other and for same sources, and slope (effects,), by
    which the sum is multiplied; chosen by `afx-study calibrate`. boldness: the default, 0 to 1, at which nothing
    else is added. span: what is added at 1, and taken off at 0. least: smaller amounts are none.
    """

    offset: np.ndarray
    slope: np.ndarray
    boldness: float
    span: float
    least: float

    def amounts(
        self,
        logits: np.ndarray,
        same_source: float | np.ndarray,
        boldness: float | None = None,
        margin: Sequence[float] | float = 0.0,
    ) -> np.ndarray:
        """Give amounts (effects,) in [0, 1]: 0 or at least `least`. Raises ValueError for a boldness outside [0, 1]."""
        other, same = self.offset.T
        shifted = self.slope * (
            logits + other + same_source * (same - other) + self.shift(boldness) + np.asarray(margin)
        )
        amounts = np.clip((1.0 + 2.0 * REACH) / (1.0 + np.exp(-np.clip(shifted, -60.0, 60.0))) - REACH, 0.0, 1.0)
        return np.where(amounts < self.least, 0.0, amounts)

    def shift(self, boldness: float | None) -> float:
        """Give what a boldness adds to log-odds: nothing at the default, `span` at 1, as much less at 0."""
        b = self.boldness if boldness is None else float(boldness)
        if not 0.0 <= b <= 1.0:
            raise ValueError(f"boldness: {b:g} is not in [0, 1]")
        away = b - self.boldness
        side = 1.0 - self.boldness if away > 0.0 else self.boldness
        return self.span * away / side if side > 0.0 else 0.0

    def tone(self, boldness: float | None) -> float:
        """Give how much of the reference's tonal balance is taken over whole: nothing up to the default, all at 1."""
        return max(0.0, self.shift(boldness) / self.span) if self.span > 0.0 else 0.0
