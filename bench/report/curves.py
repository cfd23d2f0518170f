"""ROC curves of a method's outputs, brought to one FMR grid and drawn as the band between worst and best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.report.tables import (
    ORIGINAL_ORIGINAL,
    ORIGINAL_PROTECTED,
    PROTECTED_PROTECTED,
)
from bench.results import ORIGINAL

if TYPE_CHECKING:
    import pandas as pd

CURVE_COLUMNS = ("method", "variant", "matcher", "condition", "fmr", "tmr")

SMALLEST_FMR = 1e-4
"""Curves are drawn from the smallest operating point of the tables; below it few comparisons decide."""

_GRID = 256


class Band(NamedTuple):
    """One method under one matcher: TMR at each FMR, smallest and largest over its variants.

    outputs: number of variants. fmr: (G,) increasing, `SMALLEST_FMR` or more. low, high: (G,), NaN below the
    smallest FMR that a curve resolves.
    """

    matcher: str
    method: str
    outputs: int
    fmr: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def check_curves(curves: pd.DataFrame) -> None:
    """Raises InputError for a missing column or a rate outside [0, 1]."""
    missing = [c for c in CURVE_COLUMNS if c not in curves.columns]
    if missing:
        raise InputError(
            f"the table of curves lacks {', '.join(missing)}; it needs {', '.join(CURVE_COLUMNS)}"
        )
    for name in ("fmr", "tmr"):
        values = curves[name].to_numpy(np.float64)
        if not ((values >= 0) & (values <= 1)).all():
            raise InputError(f"the table of curves has a {name} that is not in [0, 1]")


def all_bands(curves: pd.DataFrame) -> dict[str, list[Band]]:
    """`roc_bands` of every condition under which something protected was compared."""
    found = {c: roc_bands(curves, c) for c in (ORIGINAL_PROTECTED, PROTECTED_PROTECTED)}
    return {c: bands for c, bands in found.items() if any(b.method != ORIGINAL for b in bands)}


def roc_bands(curves: pd.DataFrame, condition: str) -> list[Band]:
    """The bands of every matcher and method under `condition`, by name, as PrivacyNet's figure 8 shows them.

    Between two points of a curve the lower FMR's TMR holds ("at most" rule), so nothing is interpolated
    upwards. The control `original` protects nothing and stands with its own curve under every condition.
    """
    given = curves[curves["condition"] == condition]
    if not (given["method"] == ORIGINAL).any():
        import pandas as pd

        own = (curves["method"] == ORIGINAL) & (curves["condition"] == ORIGINAL_ORIGINAL)
        given = pd.concat([given, curves[own]])
    return list(_bands(given)) if (given["fmr"] >= SMALLEST_FMR).any() else []


def _bands(curves: pd.DataFrame) -> Iterator[Band]:
    grid = np.unique(np.maximum(curves["fmr"].to_numpy(np.float64), SMALLEST_FMR))
    if len(grid) > _GRID:
        grid = np.geomspace(grid[0], grid[-1], _GRID)
    for (matcher, method), group in curves.groupby(["matcher", "method"], sort=True):
        stack = np.stack([_at_most(c, grid) for _, c in group.groupby("variant", sort=True)])
        seen = np.isfinite(stack).any(axis=0)
        low, high = np.full(len(grid), np.nan), np.full(len(grid), np.nan)
        low[seen], high[seen] = np.nanmin(stack[:, seen], axis=0), np.nanmax(stack[:, seen], axis=0)
        yield Band(str(matcher), str(method), len(stack), grid, low, high)


def _at_most(curve: pd.DataFrame, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """TMR of one curve at the largest of its FMRs that does not exceed each grid point; NaN where none."""
    fmr, tmr = curve["fmr"].to_numpy(np.float64), curve["tmr"].to_numpy(np.float64)
    order = np.lexsort((tmr, fmr))
    at = np.searchsorted(fmr[order], grid * (1 + 1e-12), side="right") - 1
    return np.where(at >= 0, tmr[order][np.maximum(at, 0)], np.nan)
