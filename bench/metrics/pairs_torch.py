"""The counts of `bench.metrics.pairs` through torch, for a GPU: the same rules, tile by tile.

Scores are float32 products without TF32 and fall in the cells of `pairs.to_cells`; counts are integers, so
given the same scores they equal the CPU kernel's. Another library's product may differ by a few 1e-7, a
fraction of a cell: figures agree to about 1e-6.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.metrics.pairs import CELLS, SCALE, AllPairs

if TYPE_CHECKING:
    import torch

Int = NDArray[np.int64]

TILE_ROWS, TILE_COLUMNS = 2048, 8192
"""About 300 MB of device memory for a tile with its cells and masks."""


class DeviceTile(NamedTuple):
    """cells: int64 (r, c), of the scores. mated: bool (r, c). left_out: bool (r, c), pairs never compared."""

    cells: torch.Tensor
    mated: torch.Tensor
    left_out: torch.Tensor
    rows: slice
    columns: slice


def count_cells_on(pairs: AllPairs, device: str) -> tuple[Int, Int]:
    """`pairs.count_cells` on a torch device: mated and non-mated comparisons in each cell, int64 (CELLS,)."""
    import torch

    # Non-mated cells first, then mated ones, and one last place for pairs that are not compared.
    counts = torch.zeros(2 * CELLS + 1, dtype=torch.int64, device=device)
    for tile in _tiles(pairs, device):
        places = torch.where(tile.left_out, 2 * CELLS, tile.cells + CELLS * tile.mated)
        counts += torch.bincount(places.ravel(), minlength=2 * CELLS + 1)
    found = counts.cpu().numpy()
    return found[CELLS : 2 * CELLS], found[:CELLS]


def count_by_identity_on(
    pairs: AllPairs, reference: Int, probe: Int, bins: NDArray[np.uint16], shape: tuple[int, int], device: str
) -> tuple[Int, Int]:
    """Comparisons of each identity in each bin: mated, and non-mated (each under both identities).

    reference, probe: int64 (R,), (P,), place of every row's identity among `shape[0]` identities. bins:
    (CELLS,), the bin below `shape[1]` of every cell. Returns two int64 arrays of `shape`.
    """
    import torch

    n_names, n_bins = shape
    unused = n_names * n_bins
    bin_of = torch.from_numpy(bins.astype(np.int64)).to(device)
    left, right = (torch.from_numpy(names * n_bins).to(device) for names in (reference, probe))
    mated = torch.zeros(unused + 1, dtype=torch.int64, device=device)
    non_mated = torch.zeros_like(mated)
    for tile in _tiles(pairs, device):
        taken = bin_of[tile.cells]
        own, other = taken + left[tile.rows, None], taken + right[tile.columns]
        strangers = ~(tile.mated | tile.left_out)
        for total, places, kept in (
            (mated, own, tile.mated & ~tile.left_out),
            (non_mated, own, strangers),
            (non_mated, other, strangers),
        ):
            total += torch.bincount(torch.where(kept, places, unused).ravel(), minlength=unused + 1)
    return tuple(t[:-1].view(shape).cpu().numpy() for t in (mated, non_mated))  # type: ignore[return-value]


def _tiles(pairs: AllPairs, device: str) -> Iterator[DeviceTile]:
    """All tiles of the score matrix; from the diagonal on within one set."""
    import torch

    reference, probe, left_ids, right_ids, same = (
        torch.from_numpy(array).to(device)
        for array in (pairs.reference, pairs.probe, pairs.reference_ids, pairs.probe_ids, pairs.same)
    )
    columns_all = torch.arange(len(probe), device=device)
    with _full_precision():
        for top in range(0, len(reference), TILE_ROWS):
            rows = slice(top, min(top + TILE_ROWS, len(reference)))
            first = columns_all[rows, None] if pairs.within else same[rows, None]
            for start in range(top if pairs.within else 0, len(probe), TILE_COLUMNS):
                columns = slice(start, min(start + TILE_COLUMNS, len(probe)))
                here = columns_all[columns]
                left_out = here <= first if pairs.within else here == first
                cells = _cells(reference[rows] @ probe[columns].T)
                yield DeviceTile(cells, left_ids[rows, None] == right_ids[columns], left_out, rows, columns)


def _cells(scores: torch.Tensor) -> torch.Tensor:
    return (scores.clamp_(-1, 1) * SCALE + (SCALE + 0.5)).long()


@contextmanager
def _full_precision() -> Iterator[None]:
    """TF32 keeps ten bits of a factor, a thousand cells: it is switched off, and back afterwards."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
