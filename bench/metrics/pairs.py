"""Which pairs of faces are compared, and one pass over their scores, a tile at a time.

A score is the cosine of two embeddings, rounded to a multiple of 2^-19 (about 2e-6). A float32 product of
matrices is reproducible to a few 1e-7 only: the same two vectors score differently at another place of the
matrix. Rounding makes equal faces tie wherever they stand, and a pass can count each of the 2^20 + 1
possible scores: exact, in memory that does not grow with the number of pairs, with nothing sorted.

Rows are put in order of identity, so the mated pairs of a row are one run of columns and the counting loop
needs no comparison of labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError

SCALE = 2**19
"""Cells per unit of score. Cell c holds the scores that round to (c - SCALE) / SCALE."""
CELLS = 2 * SCALE + 1
TILE_ROWS, TILE_COLUMNS = 512, 2048
_STRETCH = np.float32(SCALE)
_SHIFT = np.float32(SCALE + 0.5)
_WRAP = 256

Float32 = NDArray[np.float32]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class AllPairs:
    """Every pair within one set of embeddings, or between a reference and a probe set.

    reference: float32 (R, D) unit rows in order of `reference_ids`, int64 (R,). probe, probe_ids: likewise
        (P, D), (P,); the very same arrays for pairs within one set, each then taken once (i < j).
    same: int64 (R,), the probe row that shows the same photo as a reference row, -1 for none. Those pairs
        are never compared.
    The rest counts what is left out: rows without an embedding, the pairs lost with them, and the pairs of
    a photo with itself.
    """

    reference: Float32
    probe: Float32
    reference_ids: Int
    probe_ids: Int
    same: Int
    within: bool
    n_failed_reference: int
    n_failed_probe: int
    n_mated_failed: int
    n_non_mated_failed: int
    n_same_photo: int


@dataclass(frozen=True, eq=False)
class ListedPairs:
    """An explicit list of comparisons, as LFW's: cell of each score and identities of both sides, (P,).

    places: int64 (P,), where each comparison stood in the list; those that were lost are missing.
    """

    cells: Int
    places: Int
    reference_ids: Int
    probe_ids: Int
    n_failed_reference: int
    n_failed_probe: int
    n_mated_failed: int
    n_non_mated_failed: int


def to_cells(scores: ArrayLike) -> Int:
    """Cell of each cosine in [-1, 1], int64. Float rounding beyond the ends is clipped."""
    values = np.clip(np.asarray(scores, dtype=np.float32), -1, 1)
    return (values * _STRETCH + _SHIFT).astype(np.int64)


def to_scores(cells: ArrayLike) -> Float32:
    """The score that a cell stands for; exact in float32."""
    return ((np.asarray(cells, dtype=np.int64) - SCALE) / SCALE).astype(np.float32)


def threshold_cells(thresholds: ArrayLike) -> Int:
    """First cell at or above each threshold, rounded as scores are; CELLS for one above every score."""
    steps = np.floor(np.asarray(thresholds, dtype=np.float64) * SCALE + 0.5) + SCALE
    return np.clip(steps, 0, CELLS).astype(np.int64)


def pairs_within(embeddings: ArrayLike, identities: ArrayLike) -> AllPairs:
    """All pairs i < j of one set: original with original, or protected with protected.

    embeddings: (N, D), any length of row; a non-finite or zero row is a failure to acquire.
    identities: (N,), integers. Raises InputError for shapes that do not fit.
    """
    vectors, ids = _checked(embeddings, identities)
    units, kept = _unit_rows(vectors, ids)
    n_lost = len(ids) - len(kept)
    mated_all, mated_kept = _mated_within(ids), _mated_within(ids[kept])
    return AllPairs(
        reference=units,
        probe=units,
        reference_ids=ids[kept],
        probe_ids=ids[kept],
        same=np.full(len(kept), -1),
        within=True,
        n_failed_reference=n_lost,
        n_failed_probe=n_lost,
        n_mated_failed=mated_all - mated_kept,
        n_non_mated_failed=_choose_2(len(ids)) - mated_all - (_choose_2(len(kept)) - mated_kept),
        n_same_photo=0,
    )


def pairs_between(
    reference: ArrayLike,
    probe: ArrayLike,
    reference_ids: ArrayLike,
    probe_ids: ArrayLike | None = None,
    *,
    same_photos: bool = True,
) -> AllPairs:
    """All pairs of a reference and a probe: original with protected.

    reference (R, D), probe (P, D): embeddings as in `pairs_within`. With `same_photos` row i of both shows
    the same photo (R = P); the pair (i, i) is left out and counted, (i, j) and (j, i) both count since they
    differ. probe_ids: `reference_ids` if None. Raises InputError for shapes that do not fit.
    """
    left, left_ids = _checked(reference, reference_ids)
    right, right_ids = _checked(probe, left_ids if probe_ids is None else probe_ids)
    if left.shape[1] != right.shape[1]:
        raise InputError(f"reference has {left.shape[1]} dimensions, probe {right.shape[1]}")
    if same_photos and not np.array_equal(left_ids, right_ids):
        raise InputError("with same_photos row i of reference and probe is one photo: identities must agree")
    left_units, left_kept = _unit_rows(left, left_ids)
    right_units, right_kept = _unit_rows(right, right_ids)
    same = _same_rows(left_kept, right_kept, len(right_ids)) if same_photos else np.full(len(left_kept), -1)
    n_same, n_same_kept = (len(left_ids) if same_photos else 0), int((same >= 0).sum())
    mated_all = _mated_between(left_ids, right_ids) - n_same
    mated_kept = _mated_between(left_ids[left_kept], right_ids[right_kept]) - n_same_kept
    total = len(left_ids) * len(right_ids) - n_same
    total_kept = len(left_kept) * len(right_kept) - n_same_kept
    return AllPairs(
        reference=left_units,
        probe=right_units,
        reference_ids=left_ids[left_kept],
        probe_ids=right_ids[right_kept],
        same=same,
        within=False,
        n_failed_reference=len(left_ids) - len(left_kept),
        n_failed_probe=len(right_ids) - len(right_kept),
        n_mated_failed=mated_all - mated_kept,
        n_non_mated_failed=(total - mated_all) - (total_kept - mated_kept),
        n_same_photo=n_same,
    )


def pairs_listed(
    reference: ArrayLike,
    probe: ArrayLike,
    pairs: ArrayLike,
    reference_ids: ArrayLike,
    probe_ids: ArrayLike | None = None,
) -> ListedPairs:
    """The pairs (row of reference, row of probe) of an int array (P, 2); equal identities make it mated.

    Pass the same array twice for a list within one set. A pair with a row that has no embedding is left out
    and counted. Raises InputError for a pair that points outside.
    """
    left, left_ids = _checked(reference, reference_ids)
    right, right_ids = _checked(probe, left_ids if probe_ids is None else probe_ids)
    rows = np.asarray(pairs)
    if rows.ndim != 2 or rows.shape[1] != 2 or not np.issubdtype(rows.dtype, np.integer):
        raise InputError(f"pairs must be integers (P, 2), got {rows.dtype} {rows.shape}")
    if len(rows) and (rows.min() < 0 or (rows.max(axis=0) >= [len(left), len(right)]).any()):
        raise InputError(f"pairs point outside the {len(left)} references and {len(right)} probes")
    left_norms, right_norms = _norms(left), _norms(right)
    usable = (left_norms[rows[:, 0]] > 0) & (right_norms[rows[:, 1]] > 0)
    mated = left_ids[rows[:, 0]] == right_ids[rows[:, 1]]
    i, j = rows[usable].T
    dots = np.concatenate([np.empty(0), *_row_dots(left, right, i, j)])
    return ListedPairs(
        cells=to_cells(dots / (left_norms[i] * right_norms[j])),
        places=np.flatnonzero(usable),
        reference_ids=left_ids[i],
        probe_ids=right_ids[j],
        n_failed_reference=int((left_norms == 0).sum()),
        n_failed_probe=int((right_norms == 0).sum()),
        n_mated_failed=int((mated & ~usable).sum()),
        n_non_mated_failed=int((~mated & ~usable).sum()),
    )


def count_cells(pairs: AllPairs) -> tuple[Int, Int]:
    """How many mated and how many non-mated comparisons fell in each cell: two int64 (CELLS,).

    One blockwise float32 product, each tile counted while it is in cache.
    """
    mated, non_mated = np.zeros(CELLS, np.int64), np.zeros(CELLS, np.int64)
    small = np.zeros(CELLS, np.uint8)
    for tile, rows, columns in score_tiles(pairs):
        _count_tile(tile, *row_runs(pairs, rows, columns), mated, non_mated, small)
    return mated, non_mated + small


def score_tiles(pairs: AllPairs) -> Iterator[tuple[Float32, slice, slice]]:
    """Tiles of the score matrix with their rows and columns; from the diagonal on within one set.

    The tile's memory is used again for the next one.
    """
    buffer = np.empty(TILE_ROWS * TILE_COLUMNS, np.float32)
    n_rows, n_columns = len(pairs.reference), len(pairs.probe)
    for top in range(0, n_rows, TILE_ROWS):
        rows = slice(top, min(top + TILE_ROWS, n_rows))
        for left in range(top if pairs.within else 0, n_columns, TILE_COLUMNS):
            columns = slice(left, min(left + TILE_COLUMNS, n_columns))
            shape = rows.stop - top, columns.stop - left
            tile = buffer[: shape[0] * shape[1]].reshape(shape)
            np.dot(pairs.reference[rows], pairs.probe[columns].T, out=tile)
            yield tile, rows, columns


def row_runs(pairs: AllPairs, rows: slice, columns: slice) -> tuple[Int, Int, Int, Int]:
    """For each row of a tile, relative to its columns: first compared, start and end of mates, same photo."""
    ids = pairs.reference_ids[rows]
    stop = np.searchsorted(pairs.probe_ids, ids, side="right")
    if pairs.within:
        start = np.arange(rows.start + 1, rows.stop + 1)
        first = start
    else:
        start = np.searchsorted(pairs.probe_ids, ids, side="left")
        first = np.zeros(len(ids), np.int64)
    width = columns.stop - columns.start
    runs = (np.clip(edge - columns.start, 0, width) for edge in (first, start, stop))
    return (*runs, pairs.same[rows] - columns.start)  # type: ignore[return-value]


@njit(nogil=True, cache=True)
def cell_of(score):  # type: ignore[no-untyped-def]
    """`to_cells` for one float32, clipped after the conversion so that the loop stays in integers."""
    cell = np.int32(score * _STRETCH + _SHIFT)
    return np.uint32(min(max(cell, 0), CELLS - 1))  # type: ignore[arg-type]


@njit(nogil=True, cache=True)
def row_cells(scores, cells):  # type: ignore[no-untyped-def]
    """Fill `cells` with those of a row of scores. From 0 on, or the compiler does not vectorise it."""
    for j in range(len(cells)):
        cells[j] = cell_of(scores[j])


@njit(nogil=True, cache=True)
def _count_one(cell, total, small):  # type: ignore[no-untyped-def]
    """Count in one byte, and carry to `total` when it is full: bytes keep the table within the cache."""
    count = np.uint8(small[cell] + np.uint8(1))
    small[cell] = count
    if count == 0:
        total[cell] += _WRAP


@njit(nogil=True, cache=True)
def _count_tile(tile, first, start, stop, same, mated, non_mated, small):  # type: ignore[no-untyped-def]
    """Add one tile to the two histograms. Columns [start, stop) of a row are its mates."""
    cells = np.empty(tile.shape[1], np.uint32)
    for i in range(tile.shape[0]):
        row_cells(tile[i], cells)
        for cell in cells[first[i] : start[i]]:
            _count_one(cell, non_mated, small)
        for j in range(start[i], stop[i]):
            if j != same[i]:
                mated[cells[j]] += 1
        for cell in cells[stop[i] :]:
            _count_one(cell, non_mated, small)


def _checked(embeddings: ArrayLike, identities: ArrayLike) -> tuple[NDArray[np.floating], Int]:
    vectors, ids = np.asarray(embeddings), np.asarray(identities)
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise InputError(f"embeddings must be floats (N, D), got {vectors.dtype} {vectors.shape}")
    if ids.shape != (len(vectors),) or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"identities must be {len(vectors)} integers, got {ids.dtype} {ids.shape}")
    return vectors, ids.astype(np.int64)


def _norms(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Length of each row, 0 where a row is not finite."""
    with np.errstate(invalid="ignore", over="ignore"):
        squares = np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64, casting="same_kind")
    return np.sqrt(np.where(np.isfinite(squares), squares, 0.0))


def _unit_rows(vectors: NDArray[np.floating], ids: Int) -> tuple[Float32, Int]:
    """Unit rows in order of identity, float32, and where they stood; those without a direction go."""
    norms = _norms(vectors)
    kept = np.flatnonzero(norms > 0)
    kept = kept[np.argsort(ids[kept], kind="stable")]
    units = vectors[kept].astype(np.promote_types(vectors.dtype, np.float32), copy=False)
    units /= norms[kept, None].astype(units.dtype)
    return np.ascontiguousarray(units, dtype=np.float32), kept


def _same_rows(left_kept: Int, right_kept: Int, n: int) -> Int:
    place = np.full(n, -1)
    place[right_kept] = np.arange(len(right_kept))
    return place[left_kept]


def _row_dots(
    left: NDArray[np.floating], right: NDArray[np.floating], i: Int, j: Int
) -> Iterator[NDArray[np.float64]]:
    for start in range(0, len(i), TILE_COLUMNS):
        part = slice(start, start + TILE_COLUMNS)
        yield np.einsum("pd,pd->p", left[i[part]], right[j[part]], dtype=np.float64, casting="same_kind")


def _mated_within(ids: Int) -> int:
    return sum(_choose_2(int(n)) for n in np.unique(ids, return_counts=True)[1])


def _mated_between(left: Int, right: Int) -> int:
    names, counts = np.unique(left, return_counts=True)
    others, other_counts = np.unique(right, return_counts=True)
    _, here, there = np.intersect1d(names, others, return_indices=True)
    return int(np.dot(counts[here], other_counts[there]))


def _choose_2(n: int) -> int:
    return n * (n - 1) // 2
