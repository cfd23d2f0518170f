"""Nearest references of embeddings, and how far they are."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def nearest(distances: NDArray[np.float32], candidates: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """For each row of `distances` (N, M) the `count` nearest of the columns `candidates`, nearest first.

    Of equal distances the earlier candidate wins. count: at most the number of candidates.
    """
    found = np.empty((len(distances), count), np.int64)
    best = np.empty(count, np.float32)
    for row in range(len(distances)):
        kept = 0
        for column in candidates:
            distance = distances[row, column]
            if kept == count and distance >= best[count - 1]:
                continue
            kept = min(kept + 1, count)
            place = kept - 1
            while place > 0 and best[place - 1] > distance:
                best[place] = best[place - 1]
                found[row, place] = found[row, place - 1]
                place -= 1
            best[place] = distance
            found[row, place] = column
    return found


@njit(cache=True, fastmath={"reassoc", "contract"})
def gaps(
    vectors: NDArray[np.float32], references: NDArray[np.float32], rows: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Euclidean distances (N, k) of `vectors` (N, D) to `references[rows]` (N, k, D); 0 between equals only.

    Differences are taken before squares, so the digits that a matrix product loses on near vectors are kept.
    """
    found = np.empty(rows.shape, np.float64)
    for i in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            reference = references[rows[i, j]]
            total = 0.0
            for d in range(vectors.shape[1]):
                gap = np.float64(vectors[i, d] - reference[d])
                total += gap * gap
            found[i, j] = np.sqrt(total)
    return found
