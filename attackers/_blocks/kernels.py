"""Distances between embeddings by one matrix product, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_BLOCK_ELEMENTS = 4_000_000


def squared_distances(
    vectors: NDArray[np.float32], references: NDArray[np.float32]
) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yields (rows, squared Euclidean distances float32 (len(rows), M)) for blocks of `vectors` (N, D)."""
    lengths = np.einsum("md,md->m", references, references)
    step = max(1, _BLOCK_ELEMENTS // max(1, len(references)))
    for start in range(0, len(vectors), step):
        rows = slice(start, min(start + step, len(vectors)))
        block = vectors[rows]
        distances = block @ (-2 * references.T)
        distances += np.einsum("nd,nd->n", block, block)[:, None]
        distances += lengths
        yield rows, np.maximum(distances, 0, out=distances)
