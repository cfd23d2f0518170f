"""Inner products of embeddings, computed once in blocks of bounded memory and read by several attackers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

_BLOCK_ELEMENTS = 4_000_000


@dataclass(frozen=True)
class Products:
    """Embeddings beside references; what is derived from them is computed when first asked for, then kept.

    vectors: float32 (N, D). references: float32 (M, D). Nothing here may be written to.
    """

    vectors: NDArray[np.float32]
    references: NDArray[np.float32]

    @cached_property
    def inner(self) -> NDArray[np.float32]:
        """Inner products (N, M)."""
        products: NDArray[np.float32] = self.vectors @ self.references.T
        return products

    @cached_property
    def distances(self) -> NDArray[np.float32]:
        """Squared Euclidean distances (N, M), never below 0."""
        distances = -2 * self.inner
        distances += np.einsum("nd,nd->n", self.vectors, self.vectors)[:, None]
        distances += np.einsum("md,md->m", self.references, self.references)
        return np.maximum(distances, 0, out=distances)


def product_blocks(vectors: NDArray[np.float32], references: NDArray[np.float32]) -> Iterator[Products]:
    """Products of successive rows of `vectors` (N, D) with `references` (M, D): 4 million pairs a block.

    At least one block, which is empty when N is 0. Rows are cut the same way for equal M, so that whoever
    reads a block gets the same bits whether or not others read it too.
    """
    step = max(1, _BLOCK_ELEMENTS // max(1, len(references)))
    for start in range(0, max(1, len(vectors)), step):
        yield Products(vectors[start : start + step], references)
