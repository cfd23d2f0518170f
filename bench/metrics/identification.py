"""Identification: how often the right person is among the k most similar of a gallery (CMC)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, MetricError
from bench.metrics.pairs import AllPairs, to_cells

Float = NDArray[np.float64]
Int = NDArray[np.int64]

_BLOCK = 128


@dataclass(frozen=True, eq=False)
class Identification:
    """Closed-set identification rates and what they rest on.

    rates: float64 (K,), share of probes whose identity is among the k = 1..K best of the gallery.
    n_probes: probes with a mate in the gallery. n_without_mate: the others, left out (closed set).
    n_failed_probe: probes without an embedding, left out. n_identities: in the gallery.
    """

    rates: Float
    n_probes: int
    n_without_mate: int
    n_failed_probe: int
    n_identities: int


def identify(pairs: AllPairs, max_rank: int = 50) -> Identification:
    """Compare every probe with the whole gallery, `pairs.reference`, and rank the gallery's identities.

    An identity scores as its most similar photo, never the probe's own photo. A probe tied with others takes
    each place among them with equal chance, so a constant score gives k / identities. Pairs within one set
    compare each photo with all the others. Raises MetricError when no probe has a mate.
    """
    if max_rank < 1:
        raise InputError(f"the highest rank must be at least 1, got {max_rank}")
    names, starts = np.unique(pairs.reference_ids, return_index=True)
    photo = _gallery_rows(pairs)
    chances = np.zeros(max_rank)
    n_probes = 0
    for top in range(0, len(pairs.probe) if len(names) else 0, _BLOCK):
        block = slice(top, min(top + _BLOCK, len(pairs.probe)))
        better, tied = _places(pairs, block, names, starts, photo[block])
        chances += _chances(better, tied, max_rank)
        n_probes += len(better)
    if n_probes == 0:
        raise MetricError("no probe has another photo of its identity in the gallery")
    without = len(pairs.probe) - n_probes
    return Identification(chances / n_probes, n_probes, without, pairs.n_failed_probe, len(names))


def _gallery_rows(pairs: AllPairs) -> Int:
    """The gallery row that shows each probe's own photo, -1 for none."""
    rows = np.full(len(pairs.probe), -1)
    if pairs.within:
        return np.arange(len(rows))
    shown = pairs.same >= 0
    rows[pairs.same[shown]] = np.flatnonzero(shown)
    return rows


def _places(pairs: AllPairs, block: slice, names: Int, starts: Int, photo: Int) -> tuple[Int, Int]:
    """For each probe with a mate: identities that score higher than its own, and others that tie with it."""
    cells = to_cells(pairs.probe[block] @ pairs.reference.T)
    has_photo = np.flatnonzero(photo >= 0)
    cells[has_photo, photo[has_photo]] = -1
    best = np.maximum.reduceat(cells, starts, axis=1)
    ids = pairs.probe_ids[block]
    place = np.minimum(np.searchsorted(names, ids), len(names) - 1)
    own = np.where(names[place] == ids, best[np.arange(len(ids)), place], -1)
    best, own = best[own >= 0], own[own >= 0]
    return (best > own[:, None]).sum(axis=1), (best == own[:, None]).sum(axis=1) - 1


def _chances(better: Int, tied: Int, max_rank: int) -> Float:
    """Summed over probes, the chance to be among the first k, for k = 1..max_rank."""
    ranks = np.arange(1, max_rank + 1)
    free = np.clip(ranks - better[:, None], 0, tied[:, None] + 1)
    return np.sum(free / (tied[:, None] + 1), axis=0)
