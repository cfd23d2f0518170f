"""Rung A1, `folded`, for numbers: fixed estimates that the attacker may turn round, stretch and move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from bench.errors import InputError
from bench.threats.folding import Float

_STILL = 1e-6
"""Spread of estimates, as a share of the largest, below which they count as one and the same answer."""


@dataclass(frozen=True)
class Line:
    """offset + slope * estimate, learned on protected faces of other people whose numbers are known.

    The attacker leaves its estimator as it was trained on clean faces. A method that adds twenty years to
    everybody, or turns young into old, gains nothing against it.
    """

    slope: float
    offset: float

    @staticmethod
    def fit(estimates: ArrayLike, numbers: ArrayLike) -> Line:
        """Learn from estimates (N,), finite, and numbers (N,), NaN where unknown.

        The slope is that of least squares, of either sign, 0 where all estimates are alike; the offset is the
        median of what it leaves, which has the least mean absolute error. Raises InputError for non-finite
        estimates or fewer than two known numbers.
        """
        found, known = np.asarray(estimates, np.float64), np.asarray(numbers, np.float64)
        if found.ndim != 1 or found.shape != known.shape or not np.isfinite(found).all():
            raise InputError(f"estimates must be finite, one a number: {found.shape} and {known.shape}")
        rows = np.isfinite(known)
        if rows.sum() < 2:
            raise InputError(f"{int(rows.sum())} of the faces have a known number; use more people")
        x, y = found[rows], known[rows]
        spread = x.std()
        still = spread <= _STILL * max(1.0, float(np.abs(x).max()))
        slope = 0.0 if still else float(np.mean((x - x.mean()) * (y - y.mean())) / spread**2)
        return Line(slope, float(np.median(y - slope * x)))

    def apply(self, estimates: ArrayLike) -> Float:
        """Corrected estimates, of the same shape."""
        corrected: Float = self.offset + self.slope * np.asarray(estimates, np.float64)
        return corrected
