"""Verification: error rates, ROC, EER and operating points of face comparison (ISO/IEC 19795-1).

A comparison is mated when both faces are of one person. At threshold t, FMR is the share of non-mated
scores >= t, TMR = 1 - FNMR the share of mated scores >= t. `compare` turns pairs (`bench.metrics.pairs`)
into a `Comparison`, which holds how many scores of either kind took each value: every figure below is
derived from these counts without approximation. Failures to acquire are left out of the rates and counted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from bench.errors import InputError, MetricError
from bench.metrics.pairs import (
    CELLS,
    SCALE,
    AllPairs,
    ListedPairs,
    count_cells,
    pairs_between,
    pairs_listed,
    pairs_within,
    threshold_cells,
    to_cells,
    to_scores,
)
from bench.metrics.roc import auc_from_counts, eer_from_counts

__all__ = [
    "CURVE_FMR",
    "Comparison",
    "Curve",
    "OperatingPoint",
    "compare",
    "compare_scores",
    "det_points",
    "pairs_between",
    "pairs_listed",
    "pairs_within",
]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MIN_FALSE_MATCHES = 10
"""An operating point FMR = f is refused with fewer than 10 / f non-mated comparisons."""
CURVE_FMR: Float = np.logspace(-6, 0, 181)
"""The grid of every stored curve, 30 points a decade: curves of different methods share their x."""


@dataclass(frozen=True)
class OperatingPoint:
    """threshold: the score from which a comparison counts as a match. fmr, tmr: rates there, in [0, 1].

    tmr_all: TMR with comparisons lost to failures to acquire counted as non-matches.
    """

    threshold: float
    fmr: float
    tmr: float
    tmr_all: float


@dataclass(frozen=True, eq=False)
class Curve:
    """A ROC, or DET with fnmr = 1 - tmr, on `CURVE_FMR` by the "at most" rule; float64 (181,) each.

    NaN where fewer than one non-mated comparison would decide (target < 1 / non-mated). For plots: no metric
    is computed from it.
    """

    target: Float
    fmr: Float
    tmr: Float
    threshold: Float


@dataclass(frozen=True, eq=False)
class Comparison:
    """Counts at each distinct score, and what was left out.

    scores: float32 (m,), ascending, in [-1, 1]. mated, non_mated: int64 (m,), comparisons at each score.
    n_failed_*: faces without an embedding; n_mated_failed, n_non_mated_failed: comparisons lost with them.
    n_same_photo: comparisons of a photo with itself or its own protected version, never taken.
    """

    scores: NDArray[np.float32]
    mated: Int
    non_mated: Int
    n_failed_reference: int = 0
    n_failed_probe: int = 0
    n_mated_failed: int = 0
    n_non_mated_failed: int = 0
    n_same_photo: int = 0

    def __post_init__(self) -> None:
        if not len(self.scores) == len(self.mated) == len(self.non_mated):
            raise InputError("scores and counts differ in length")
        if (np.diff(self.scores) <= 0).any():
            raise InputError("scores must be distinct and ascending")

    @cached_property
    def n_mated(self) -> int:
        return int(self.mated.sum())

    @cached_property
    def n_non_mated(self) -> int:
        return int(self.non_mated.sum())

    def fmr(self, threshold: float) -> float:
        """Share of non-mated scores >= threshold, rounded as scores are; e.g. one fixed on originals."""
        return self._at_or_above(self._non_mated_above, threshold, self.n_non_mated, "non-mated")

    def tmr(self, threshold: float) -> float:
        """Share of mated scores >= threshold."""
        return self._at_or_above(self._mated_above, threshold, self.n_mated, "mated")

    def at_threshold(self, threshold: float) -> OperatingPoint:
        """Rates at a given threshold (policy `fixed`)."""
        tmr = self.tmr(threshold)
        acquired = self.n_mated / (self.n_mated + self.n_mated_failed)
        return OperatingPoint(float(threshold), self.fmr(threshold), tmr, tmr * acquired)

    def at_fmr(self, target: float) -> OperatingPoint:
        """Rates at the smallest threshold whose FMR is at most `target`, in (0, 1) (policy `reset`).

        No interpolation: the threshold is one that a deployment could set. Raises MetricError below
        10 / target non-mated comparisons, where chance alone decides.
        """
        if not 0 < target < 1:
            raise InputError(f"the target FMR must lie in (0, 1), got {target}")
        needed = MIN_FALSE_MATCHES / target
        if self.n_non_mated < needed * (1 - 1e-12):
            raise MetricError(
                f"TMR at FMR {target:g} needs {needed:,.0f} non-mated comparisons, there are "
                f"{self.n_non_mated:,}; use more faces or a larger FMR"
            )
        return self.at_threshold(float(self.thresholds_at([target])[0]))

    def thresholds_at(self, targets: ArrayLike) -> Float:
        """The smallest threshold with FMR <= target, for targets in (0, 1], however few pairs decide it."""
        n = self._some(self.n_non_mated, "non-mated")
        # k / n is correctly rounded, so a target such as 0.001 admits exactly 0.001 n false matches.
        places = np.searchsorted(-(self._non_mated_above / n), -np.asarray(targets), side="left")
        # Scores live on a grid: one step above the highest score that has to be refused is the smallest.
        cells = np.where(places == 0, self._cells[0], self._cells[np.maximum(places - 1, 0)] + 1)
        return (cells - SCALE) / SCALE

    def auc(self) -> float:
        """P(mated > non-mated) + P(tie) / 2, in [0, 1]."""
        return auc_from_counts(self.mated, self.non_mated)

    def eer(self) -> float:
        """Equal error rate in [0, 1], plateau rule of `bench.metrics.roc.eer_from_counts`."""
        return eer_from_counts(self.mated, self.non_mated)

    def roc(self) -> tuple[Float, Float, NDArray[np.float32]]:
        """All vertices: FMR, TMR, threshold, by descending threshold; (0, 0) at +inf comes first."""
        fmr = self._non_mated_above[::-1] / self._some(self.n_non_mated, "non-mated")
        tmr = self._mated_above[::-1] / self._some(self.n_mated, "mated")
        return fmr, tmr, np.append(self.scores, np.float32(np.inf))[::-1]

    def curve(self) -> Curve:
        """The ROC on the fixed grid `CURVE_FMR`, small enough to store for every cell."""
        decided = CURVE_FMR * self._some(self.n_non_mated, "non-mated") >= 1 - 1e-9
        thresholds = np.where(decided, self.thresholds_at(CURVE_FMR), np.nan)
        places = np.searchsorted(self._cells, threshold_cells(np.where(decided, thresholds, 0.0)))
        fmr = np.where(decided, self._non_mated_above[places] / self.n_non_mated, np.nan)
        tmr = np.where(decided, self._mated_above[places] / self._some(self.n_mated, "mated"), np.nan)
        return Curve(CURVE_FMR, fmr, tmr, thresholds)

    def compact(self, keep: ArrayLike = ()) -> Comparison:
        """The same figures from fewer numbers, for storage: about two scores for each mated one.

        Non-mated scores between two neighbouring mated ones are merged at the highest of them. AUC, EER and
        TMR at any FMR keep their values; rates at a threshold keep theirs at the thresholds `keep` (pass
        those of the operating points).
        """
        if not len(self.scores):
            return self
        is_mated = self.mated > 0
        starts = is_mated | np.append(True, is_mated[:-1])
        bounds = np.searchsorted(self._cells, threshold_cells(keep), side="left")
        starts[bounds[bounds < len(starts)]] = True
        first = np.flatnonzero(starts)
        last = np.append(first[1:], len(starts)) - 1
        return replace(
            self,
            scores=self.scores[last],
            mated=np.add.reduceat(self.mated, first),
            non_mated=np.add.reduceat(self.non_mated, first),
        )

    @cached_property
    def _cells(self) -> Int:
        return threshold_cells(self.scores)

    @cached_property
    def _mated_above(self) -> Int:
        return _suffix_sums(self.mated)

    @cached_property
    def _non_mated_above(self) -> Int:
        return _suffix_sums(self.non_mated)

    def _at_or_above(self, above: Int, threshold: float, n: int, kind: str) -> float:
        if np.isnan(threshold):
            raise InputError("the threshold is not a number")
        place = np.searchsorted(self._cells, threshold_cells(threshold), side="left")
        return float(above[place] / self._some(n, kind))

    def _some(self, n: int, kind: str) -> int:
        if n == 0:
            raise MetricError(
                f"there is no {kind} comparison; the faces need two photos of each of two people"
            )
        return n


def det_points(curve: Curve) -> tuple[Float, Float]:
    """FMR and FNMR of a curve in normal deviates, the axes of a DET plot (Martin et al. 1997); float64 (m,).

    Rates of exactly 0 or 1 have no finite deviate and are left out, as are undecided points.
    """
    rates = np.stack([curve.fmr, 1 - curve.tmr])
    inside = ((rates > 0) & (rates < 1)).all(axis=0)
    fmr, fnmr = ndtri(rates[:, inside])
    return fmr, fnmr


def compare(pairs: AllPairs | ListedPairs, device: str = "cpu") -> Comparison:
    """Count all scores of `pairs`, exactly and in memory independent of how many there are.

    device: torch device that multiplies and counts all pairs; `cpu` is the compiled kernel without torch.
    """
    if isinstance(pairs, AllPairs):
        mated, non_mated = count_cells(pairs) if device == "cpu" else _count_on(pairs, device)
    else:
        is_mated = pairs.reference_ids == pairs.probe_ids
        mated = np.bincount(pairs.cells[is_mated], minlength=CELLS)
        non_mated = np.bincount(pairs.cells[~is_mated], minlength=CELLS)
    return replace(
        _from_histograms(mated, non_mated),
        n_failed_reference=pairs.n_failed_reference,
        n_failed_probe=pairs.n_failed_probe,
        n_mated_failed=pairs.n_mated_failed,
        n_non_mated_failed=pairs.n_non_mated_failed,
        n_same_photo=pairs.n_same_photo if isinstance(pairs, AllPairs) else 0,
    )


def compare_scores(mated: ArrayLike, non_mated: ArrayLike) -> Comparison:
    """A Comparison from cosine scores in [-1, 1] that are at hand already. Raises InputError beyond."""
    kinds = [np.asarray(kind, dtype=np.float64).ravel() for kind in (mated, non_mated)]
    for kind in kinds:
        if not np.isfinite(kind).all() or (np.abs(kind) > 1 + 1e-5).any():
            raise InputError("comparison scores must be finite cosines in [-1, 1]")
    return _from_histograms(*(np.bincount(to_cells(kind), minlength=CELLS) for kind in kinds))


def _count_on(pairs: AllPairs, device: str) -> tuple[Int, Int]:
    from bench.metrics.pairs_torch import count_cells_on

    return count_cells_on(pairs, device)


def _from_histograms(mated: Int, non_mated: Int) -> Comparison:
    taken = np.flatnonzero((mated > 0) | (non_mated > 0))
    return Comparison(to_scores(taken), mated[taken], non_mated[taken])


def _suffix_sums(counts: Int) -> Int:
    """Comparisons at or above each score, and a closing 0 for above all."""
    return np.append(np.cumsum(counts[::-1])[::-1], 0)
