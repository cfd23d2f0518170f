"""Identification: every probe searches the whole gallery (ISO/IEC 19795-1; NIST FRVT 1:N, Grother et al.).

Closed set: the share of probes whose own identity is among the k best (CMC). Open set: each probe searches
twice, with its own identity enrolled (a mated search) and with it taken out (a non-mated one); FPIR is the
share of non-mated searches whose best candidate reaches the threshold, TPIR the share of mated ones whose
best candidate reaches it and is the right one. The two galleries differ by one identity.

An identity scores as its most similar photo, never the probe's own photo. A probe tied with others takes each
place among them with equal chance, so a constant score finds k of n identities in k / n of the searches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.errors import InputError, MetricError
from bench.metrics.pairs import SCALE, AllPairs, cell_of
from bench.metrics.uncertainty import IdentityDraw, resampled_mean
from bench.metrics.verification import MIN_FALSE_MATCHES

Float = NDArray[np.float64]
Int = NDArray[np.int64]

MAX_RANK = 50
_BLOCK = 128
_RESAMPLES_AT_ONCE = 64


@dataclass(frozen=True)
class OpenSetPoint:
    """threshold: the score from which a candidate is returned. fpir, tpir: rates there, in [0, 1]."""

    threshold: float
    fpir: float
    tpir: float


@dataclass(frozen=True, eq=False)
class Searches:
    """What every search found; all rates follow from it. Arrays are int64 (P,), one entry a probe.

    identities: of the probes. mate: cell of the best score of the probe's own identity, -1 without another
    photo of it in the gallery. stranger: cell of the best score of any other identity, -1 for none.
    better, tied: other identities that score higher than, and the same as, the probe's own.
    n_identities: in the gallery. n_failed_probe: probes without an embedding, left out.
    """

    identities: Int
    mate: Int
    stranger: Int
    better: Int
    tied: Int
    n_identities: int
    n_failed_probe: int

    @cached_property
    def mated(self) -> NDArray[np.bool_]:
        """Probes with a mate in the gallery; the others only make non-mated searches."""
        return self.mate >= 0

    @property
    def n_mated(self) -> int:
        return int(self.mated.sum())

    @property
    def n_without_mate(self) -> int:
        return len(self.mate) - self.n_mated

    @property
    def n_non_mated(self) -> int:
        """Searches with the probe's own identity taken out of the gallery."""
        return int((self.stranger >= 0).sum())

    def cmc(self, max_rank: int = MAX_RANK) -> Float:
        """Share of mated searches with the right identity among the k best, k = 1.., float64.

        Ends at `max_rank` or at the number of identities, where it is 1. Raises MetricError when no probe has
        a mate.
        """
        if max_rank < 1:
            raise InputError(f"the highest rank must be at least 1, got {max_rank}")
        self._check_mated()
        ranks = range(1, min(max_rank, self.n_identities) + 1)
        return np.array([self._found_at(rank).mean() for rank in ranks])

    def resampled_rate(self, draw: IdentityDraw, rank: int = 1) -> Float:
        """`cmc()` at one rank in each resample of the probes' identities, (B,); the gallery stays."""
        self._check_mated()
        return resampled_mean(draw, self.identities[self.mated], self._found_at(rank))

    def at_fpir(self, target: float) -> OpenSetPoint:
        """Rates at the smallest threshold whose FPIR is at most `target`, in (0, 1).

        Raises MetricError below 10 / target non-mated searches, where chance alone decides.
        """
        if not 0 < target < 1:
            raise InputError(f"the target FPIR must lie in (0, 1), got {target}")
        self._check_mated()
        needed = MIN_FALSE_MATCHES / target
        if self.n_non_mated < needed * (1 - 1e-12):
            raise MetricError(
                f"TPIR at FPIR {target:g} needs {needed:,.0f} non-mated searches, there are "
                f"{self.n_non_mated:,}; use more faces or a larger FPIR"
            )
        cell = int(self._thresholds(np.ones((1, len(self.mate))), target)[0])
        false = self.stranger[self.stranger >= 0] >= cell
        hits = np.where(self.mate[self.mated] >= cell, self._found_at(1), 0)
        return OpenSetPoint((cell - SCALE) / SCALE, float(false.mean()), float(hits.mean()))

    def resampled_tpir(self, draw: IdentityDraw, target: float) -> Float:
        """TPIR at the target FPIR in each resample of the probes' identities, (B,); the gallery stays.

        The threshold is set anew in each resample. Raises MetricError as `at_fpir`.
        """
        self.at_fpir(target)
        chances = np.zeros(len(self.mate))
        chances[self.mated] = self._found_at(1)
        order = np.argsort(-self.mate, kind="stable")
        falling = -self.mate[order]
        found = []
        for weights in self._weights(draw):
            cells = self._thresholds(weights, target)
            hits = np.cumsum(np.pad(weights[:, order] * chances[order], ((0, 0), (1, 0))), axis=1)
            reached = np.searchsorted(falling, -cells, side="right")
            total = weights[:, self.mated].sum(axis=1)
            rate = np.full(len(weights), np.nan)
            np.divide(np.take_along_axis(hits, reached[:, None], axis=1)[:, 0], total, rate, where=total > 0)
            found.append(rate)
        return np.concatenate(found)

    def _weights(self, draw: IdentityDraw) -> Iterator[Float]:
        """How often each probe was drawn, some resamples at a time so that memory stays small."""
        codes = draw.codes(self.identities)
        for start in range(0, len(draw.weights), _RESAMPLES_AT_ONCE):
            yield draw.weights[start : start + _RESAMPLES_AT_ONCE, codes].astype(np.float64)

    def _thresholds(self, weights: Float, target: float) -> Int:
        """The smallest cell with FPIR <= target for each row of probe weights (B, P): int64 (B,)."""
        order = np.argsort(-self.stranger, kind="stable")[: self.n_non_mated]
        falling = self.stranger[order]
        last = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
        false = np.cumsum(weights[:, order], axis=1)[:, last]
        total = false[:, -1:]
        # A resample without a single search refuses everybody.
        share = np.divide(false, total, out=np.ones_like(false), where=total > 0)
        refused = np.argmax(share > target, axis=1)
        return falling[last[refused]] + 1

    def _found_at(self, rank: int) -> Float:
        """Chance of each mated search to have the right identity among the `rank` best."""
        better, tied = self.better[self.mated], self.tied[self.mated]
        return np.clip(rank - better, 0, tied + 1) / (tied + 1)

    def _check_mated(self) -> None:
        if not self.n_mated:
            raise MetricError("no probe has another photo of its identity in the gallery")


def search_gallery(pairs: AllPairs) -> Searches:
    """Compare every probe with the whole gallery, `pairs.reference`.

    Pairs within one set search with each photo among all the others. Memory: one block of probes times the
    gallery.
    """
    names, starts = np.unique(pairs.reference_ids, return_index=True)
    edges = np.append(starts, len(pairs.reference_ids))
    own = np.full(len(pairs.probe), -1)
    if len(names):
        place = np.minimum(np.searchsorted(names, pairs.probe_ids), len(names) - 1)
        own = np.where(names[place] == pairs.probe_ids, place, -1)
    photo = _gallery_rows(pairs)
    found = np.empty((4, len(own)), np.int64)
    for top in range(0, len(own), _BLOCK):
        block = slice(top, min(top + _BLOCK, len(own)))
        _search_rows(pairs.probe[block] @ pairs.reference.T, edges, own[block], photo[block], found[:, block])
    mate, stranger, better, tied = found
    return Searches(pairs.probe_ids, mate, stranger, better, tied, len(names), pairs.n_failed_probe)


def _gallery_rows(pairs: AllPairs) -> Int:
    """The gallery row that shows each probe's own photo, -1 for none."""
    rows = np.full(len(pairs.probe), -1)
    if pairs.within:
        return np.arange(len(rows))
    shown = pairs.same >= 0
    rows[pairs.same[shown]] = np.flatnonzero(shown)
    return rows


@njit(nogil=True, cache=True)
def _search_rows(scores, edges, own, photo, found):  # type: ignore
    """Fill mate, stranger, better and tied for each row of scores; identity k owns columns edges[k:k + 2].

    The cell of the highest score is the highest cell, so only one score an identity is rounded.
    """
    for i in range(scores.shape[0]):
        mate = np.int64(-1)
        if own[i] >= 0:
            for j in range(edges[own[i]], edges[own[i] + 1]):
                cell = np.int64(cell_of(scores[i, j]))
                if j != photo[i] and cell > mate:
                    mate = cell
        stranger, better, tied = np.int64(-1), 0, 0
        for k in range(len(edges) - 1):
            if k == own[i]:
                continue
            highest = scores[i, edges[k]]
            for j in range(edges[k] + 1, edges[k + 1]):
                highest = max(highest, scores[i, j])
            cell = np.int64(cell_of(highest))
            if cell > stranger:
                stranger = cell
            if cell > mate:
                better += 1
            elif cell == mate:
                tied += 1
        found[0, i], found[1, i], found[2, i], found[3, i] = mate, stranger, better, tied
