"""ROC and CMC curves of a method's outputs, each brought to one grid as the band between worst and best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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

SEARCH_COLUMNS = ("method", "variant", "matcher", "condition", "rank", "rate")

SMALLEST_FMR = 1e-4
"""Curves are drawn from the smallest operating point of the tables; below it few comparisons decide."""

_GRID = 256


class Band(NamedTuple):
    """One method under one matcher: smallest and largest value over its variants at each x.

    outputs: number of variants. x: (G,) increasing: FMR, `SMALLEST_FMR` or more, or rank. low, high: (G,) TMR
    or identification rate, NaN below the smallest x that a curve resolves.
    """

    matcher: str
    method: str
    outputs: int
    x: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def check_curves(curves: pd.DataFrame) -> None:
    """Raises InputError for a missing column or a rate outside [0, 1]."""
    _check(curves, CURVE_COLUMNS, ("fmr", "tmr"))


def check_searches(searches: pd.DataFrame) -> None:
    """The same for a table of CMC curves, `SEARCH_COLUMNS`."""
    _check(searches, SEARCH_COLUMNS, ("rate",))


def _check(curves: pd.DataFrame, columns: Sequence[str], rates: Sequence[str]) -> None:
    missing = [c for c in columns if c not in curves.columns]
    if missing:
        raise InputError(f"the table of curves lacks {', '.join(missing)}; it needs {', '.join(columns)}")
    for name in rates:
        values = curves[name].to_numpy(np.float64)
        if not ((values >= 0) & (values <= 1)).all():
            raise InputError(f"the table of curves has a {name} that is not in [0, 1]")


def all_bands(curves: pd.DataFrame) -> dict[str, list[Band]]:
    """`roc_bands` of every condition under which something protected was compared."""
    return _protected({c: roc_bands(curves, c) for c in (ORIGINAL_PROTECTED, PROTECTED_PROTECTED)})


def all_search_bands(searches: pd.DataFrame) -> dict[str, list[Band]]:
    """`cmc_bands` of every condition under which something protected was searched for."""
    return _protected({c: cmc_bands(searches, c) for c in (ORIGINAL_PROTECTED, PROTECTED_PROTECTED)})


def _protected(found: Mapping[str, list[Band]]) -> dict[str, list[Band]]:
    return {c: bands for c, bands in found.items() if any(b.method != ORIGINAL for b in bands)}


def roc_bands(curves: pd.DataFrame, condition: str) -> list[Band]:
    """The bands of every matcher and method under `condition`, by name, as PrivacyNet's figure 8 shows them.

    Between two points of a curve the lower FMR's TMR holds ("at most" rule), so nothing is interpolated
    upwards. The control `original` protects nothing and stands with its own curve under every condition.
    """
    given = _given(curves, condition)
    if not (given["fmr"] >= SMALLEST_FMR).any():
        return []
    grid = np.unique(np.maximum(given["fmr"].to_numpy(np.float64), SMALLEST_FMR))
    if len(grid) > _GRID:
        grid = np.geomspace(grid[0], grid[-1], _GRID)
    return list(_bands(given, grid, "fmr", "tmr"))


def cmc_bands(searches: pd.DataFrame, condition: str) -> list[Band]:
    """The same of identification rate against rank."""
    given = _given(searches, condition)
    ranks = np.unique(given["rank"].to_numpy(np.float64))
    return list(_bands(given, ranks, "rank", "rate")) if len(ranks) else []


def lowest_miss(bands: Sequence[Band]) -> int:
    """The power of ten at which an axis of FNMR = 1 - TMR ends: below the smallest above 0, from -4 to -1.

    A log axis has no place for an FNMR of 0; it is drawn at this end.
    """
    misses = np.concatenate([1 - b.high[np.isfinite(b.high)] for b in bands])
    least = float(misses[misses > 0].min(initial=1.0))
    return min(-1, max(-4, int(np.floor(np.log10(least) + 1e-9))))


def _given(curves: pd.DataFrame, condition: str) -> pd.DataFrame:
    given = curves[curves["condition"] == condition]
    if (given["method"] == ORIGINAL).any():
        return given
    import pandas as pd

    own = (curves["method"] == ORIGINAL) & (curves["condition"] == ORIGINAL_ORIGINAL)
    return pd.concat([given, curves[own]])


def _bands(curves: pd.DataFrame, grid: NDArray[np.float64], x: str, y: str) -> Iterator[Band]:
    for (matcher, method), group in curves.groupby(["matcher", "method"], sort=True):
        each = [c[[x, y]].to_numpy(np.float64).T for _, c in group.groupby("variant", sort=True)]
        stack = np.stack([_at_most(curve[0], curve[1], grid) for curve in each])
        seen = np.isfinite(stack).any(axis=0)
        low, high = np.full(len(grid), np.nan), np.full(len(grid), np.nan)
        low[seen], high[seen] = np.nanmin(stack[:, seen], axis=0), np.nanmax(stack[:, seen], axis=0)
        yield Band(str(matcher), str(method), len(stack), grid, low, high)


def _at_most(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The value of one curve at the largest of its x that does not exceed each grid point; NaN where none."""
    order = np.lexsort((y, x))
    at = np.searchsorted(x[order], grid * (1 + 1e-12), side="right") - 1
    return np.where(at >= 0, y[order][np.maximum(at, 0)], np.nan)
