"""Intervals of verification figures by resampling identities, as two matrix products.

A mated comparison belongs to one identity and counts w_i times when identity i is drawn w_i times. A
non-mated one belongs to two; drawn together they would count w_i w_j times. Its part linear in the draws,
w_i + w_j - 1, is used (Hajek projection of a two-sample mean), so that sums by identity suffice. It gives
the FMR the right spread where identities differ in how easily they are confused, and up to 1.4 times too
wide an interval where they do not; the full product is wider still, and (w_i + w_j) / 2, with half the
spread, far too narrow (tests/unit/test_metrics_verification_bootstrap.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError, MetricError
from bench.metrics.pairs import (
    CELLS,
    AllPairs,
    ListedPairs,
    row_cells,
    row_runs,
    score_tiles,
    threshold_cells,
)
from bench.metrics.uncertainty import IdentityDraw
from bench.metrics.verification import Comparison

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IdentityCounts:
    """Comparisons at or above a grid of thresholds, by identity.

    identities: int64 (I,). cells: int64 (T,), ascending, the thresholds as cells of `bench.metrics.pairs`;
        the first is at or below every score, the last above.
    mated: int64 (I, T), mated comparisons of each identity with score >= threshold.
    non_mated: int64 (I, T), non-mated comparisons that an identity takes part in; each counts for two.
    """

    identities: Int
    cells: Int
    mated: Int
    non_mated: Int


@dataclass(frozen=True, eq=False)
class ResampledRates:
    """FMR and TMR at the grid's thresholds in each resample, (B, T), beside the whole set's, (T,).

    Figures are read off the grid by interpolation and then moved by the exact figure minus the whole set's
    on the same grid, which removes what the grid adds.
    """

    comparison: Comparison
    cells: Int
    fmr: Float
    tmr: Float
    fmr_whole: Float
    tmr_whole: Float

    def auc(self) -> Float:
        """AUC in each resample, (B,), in [0, 1]."""
        return self._anchored(_areas, self.comparison.auc())

    def eer(self) -> Float:
        """EER in each resample, (B,), in [0, 1]."""
        return self._anchored(_equal_error_rates, self.comparison.eer())

    def tmr_at_fmr(self, target: float) -> Float:
        """TMR at the smallest threshold with FMR <= target, in each resample, (B,) (policy `reset`).

        Raises MetricError like `Comparison.at_fmr`.
        """
        exact = self.comparison.at_fmr(target).tmr
        return self._anchored(lambda fmr, tmr: _tmr_at(fmr, tmr, target), exact)

    def at_threshold(self, threshold: float) -> tuple[Float, Float]:
        """FMR and TMR at a threshold taken as given, in each resample, (B,) each (policy `fixed`)."""
        point = self.comparison.at_threshold(threshold)
        place = int(np.searchsorted(self.cells, threshold_cells(threshold)))
        if self.cells[place] != threshold_cells(threshold):
            raise InputError(
                f"threshold {threshold:g} is not on the grid; give it to identity_counts in `thresholds`"
            )
        fmr = self.fmr[:, place] - self.fmr_whole[place] + point.fmr
        tmr = self.tmr[:, place] - self.tmr_whole[place] + point.tmr
        return np.clip(fmr, 0, 1), np.clip(tmr, 0, 1)

    def _anchored(self, figure: Callable[[Float, Float], Float], exact: float) -> Float:
        whole = figure(self.fmr_whole[None], self.tmr_whole[None])
        return np.clip(figure(self.fmr, self.tmr) - whole + exact, 0, 1)


def identity_counts(
    pairs: AllPairs | ListedPairs,
    comparison: Comparison,
    *,
    points: int = 768,
    thresholds: ArrayLike = (),
    device: str = "cpu",
) -> IdentityCounts:
    """Count comparisons by identity on a grid of about `points` thresholds chosen from `comparison`.

    pairs: what `comparison` was counted from; their scores are computed once more. thresholds: float (X,),
    added to the grid for `ResampledRates.at_threshold`. device: as in `compare`. Takes I x points x 16 bytes.
    Raises MetricError when mated or non-mated comparisons are missing.
    """
    if not (comparison.n_mated and comparison.n_non_mated):
        raise MetricError("an interval needs mated and non-mated comparisons")
    grid = _grid(comparison, points, np.asarray(thresholds, dtype=np.float64))
    bins = (np.searchsorted(grid, np.arange(CELLS), side="right") - 1).astype(np.uint16)
    names = np.union1d(pairs.reference_ids, pairs.probe_ids)
    reference, probe = (np.searchsorted(names, ids) for ids in (pairs.reference_ids, pairs.probe_ids))
    mated, non_mated = _count(pairs, reference, probe, bins, (len(names), len(grid)), device)
    return IdentityCounts(names, grid, _at_or_above(mated), _at_or_above(non_mated))


def resampled_rates(counts: IdentityCounts, comparison: Comparison, draw: IdentityDraw) -> ResampledRates:
    """FMR and TMR at every threshold of the grid in each resample. Raises InputError for unknown identities.

    Rates are made to fall with the threshold and clipped to [0, 1]: the linear form does neither of itself
    where a handful of comparisons decides.
    """
    weights = draw.weights[:, draw.codes(counts.identities)].astype(np.float64)
    mated, incident = counts.mated.astype(np.float64), counts.non_mated.astype(np.float64)
    mated_sum, once = mated.sum(axis=0), incident.sum(axis=0) / 2
    fmr = _rates(weights @ incident - once)
    tmr = _rates(weights @ mated)
    return ResampledRates(comparison, counts.cells, fmr, tmr, once / once[0], mated_sum / mated_sum[0])


def resampled_share(pairs: ListedPairs, hits: ArrayLike, draw: IdentityDraw) -> Float:
    """Share of comparisons that hit in each resample, (B,): accuracy from right decisions.

    hits: bool (P,), of the list's comparisons. They are weighted as everywhere here: a mated one w_i times, a
    non-mated one w_i + w_j - 1 times. NaN where nothing is left.
    """
    values = np.asarray(hits, dtype=np.float64)
    left, right = (draw.codes(ids) for ids in (pairs.reference_ids, pairs.probe_ids))
    mated = left == right
    # Sums by identity, so that one product serves all resamples.
    right_ones, everything = np.zeros((2, len(draw.identities)))
    for sums, counted in ((right_ones, values), (everything, np.ones(len(values)))):
        np.add.at(sums, left, counted)
        np.add.at(sums, right[~mated], counted[~mated])
    share = draw.weights @ np.stack([right_ones, everything], axis=1)
    share -= [values[~mated].sum(), float((~mated).sum())]
    return np.asarray(share[:, 0] / np.where(share[:, 1] > 0, share[:, 1], np.nan))


def _grid(comparison: Comparison, points: int, extra: Float) -> Int:
    """Thresholds dense in the tail of the FMR, and where mated scores lie, so that the ROC is smooth."""
    lowest = max(1e-5, 1 / comparison.n_non_mated)
    targets = np.concatenate([np.geomspace(lowest, 1, points // 2), np.linspace(0.01, 1, points // 4)])
    mated = np.repeat(comparison.scores, comparison.mated)
    levels = np.quantile(mated, np.linspace(0, 1, points // 4), method="inverted_cdf")
    chosen = np.concatenate([comparison.thresholds_at(targets), levels, extra])
    return np.union1d(threshold_cells(chosen), [0, CELLS])


def _count(
    pairs: AllPairs | ListedPairs,
    reference: Int,
    probe: Int,
    bins: NDArray[np.uint16],
    shape: tuple[int, int],
    device: str,
) -> tuple[Int, Int]:
    """Mated and non-mated comparisons of each identity in each bin, two int64 arrays of `shape`."""
    if isinstance(pairs, AllPairs) and device != "cpu":
        from bench.metrics.pairs_torch import count_by_identity_on

        return count_by_identity_on(pairs, reference, probe, bins, shape, device)
    mated, non_mated = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    if isinstance(pairs, AllPairs):
        for tile, rows, columns in score_tiles(pairs):
            runs = row_runs(pairs, rows, columns)
            _count_by_identity(tile, *runs, reference[rows], probe[columns], bins, mated, non_mated)
    else:
        taken, same = bins[pairs.cells], reference == probe
        np.add.at(mated, (reference[same], taken[same]), 1)
        np.add.at(non_mated, (reference[~same], taken[~same]), 1)
        np.add.at(non_mated, (probe[~same], taken[~same]), 1)
    return mated, non_mated


@njit(nogil=True, cache=True)
def _count_by_identity(  # type: ignore[no-untyped-def]
    tile, first, start, stop, same, row_names, column_names, bins, mated, non_mated
):
    """Add one tile: mated comparisons to their identity, non-mated ones to both of theirs."""
    cells = np.empty(tile.shape[1], np.uint32)
    for i in range(tile.shape[0]):
        row_cells(tile[i], cells)
        own = row_names[i]
        for begin, end in ((first[i], start[i]), (stop[i], len(cells))):
            for j in range(begin, end):
                place = bins[cells[j]]
                non_mated[own, place] += 1
                non_mated[column_names[j], place] += 1
        for j in range(start[i], stop[i]):
            if j != same[i]:
                mated[own, bins[cells[j]]] += 1


def _at_or_above(histogram: Int) -> Int:
    return np.cumsum(histogram[:, ::-1], axis=1)[:, ::-1]


def _rates(counts: Float) -> Float:
    """Shares of the first column, falling along the row; NaN where it is not positive."""
    total = np.where(counts[:, :1] > 0, counts[:, :1], np.nan)
    return np.clip(np.minimum.accumulate(counts / total, axis=1), 0, 1)


def _areas(fmr: Float, tmr: Float) -> Float:
    heights = (tmr[:, 1:] + tmr[:, :-1]) / 2
    return np.asarray(-np.sum(heights * np.diff(fmr, axis=1), axis=1))


def _equal_error_rates(fmr: Float, tmr: Float) -> Float:
    gap = fmr - (1 - tmr)
    after = np.argmax(gap <= 0, axis=1)[:, None]
    high, low = (np.take_along_axis(gap, k, axis=1) for k in (after - 1, after))
    left, right = (np.take_along_axis(fmr, k, axis=1) for k in (after - 1, after))
    return (left + high / (high - low) * (right - left))[:, 0]


def _tmr_at(fmr: Float, tmr: Float, target: float) -> Float:
    """TMR where the falling FMR reaches the target, linear between two thresholds of the grid."""
    after = np.argmax(fmr <= target, axis=1)[:, None]
    high, low = (np.take_along_axis(fmr, k, axis=1) for k in (after - 1, after))
    left, right = (np.take_along_axis(tmr, k, axis=1) for k in (after - 1, after))
    return (left + (high - target) / (high - low) * (right - left))[:, 0]
