"""Predictions of a forest kept as arrays."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def forest_means(
    vectors: NDArray[np.float32],
    roots: NDArray[np.int32],
    children: NDArray[np.int32],
    feature: NDArray[np.int32],
    threshold: NDArray[np.float64],
    leaf: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean over the trees of the class shares (N, K) in the leaf that each of `vectors` (N, D) falls into.

    roots (T,): first node of each tree. children (nodes, 2): next node where the feature is at most the
    threshold, and where it is above; -1 in leaves. leaf (nodes, K).
    """
    means = np.zeros((len(vectors), leaf.shape[1]))
    for tree in range(len(roots)):  # all samples through one tree at a time: its nodes stay in the cache
        for row in range(len(vectors)):
            node = roots[tree]
            while children[node, 0] >= 0:
                above = vectors[row, feature[node]] > threshold[node]
                node = children[node, 1 if above else 0]
            for k in range(leaf.shape[1]):
                means[row, k] += leaf[node, k]
    return means / len(roots)
