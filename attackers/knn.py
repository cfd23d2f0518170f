"""k nearest neighbours on embeddings, weighted by inverse distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.kernels import squared_distances
from attackers._blocks.per_attribute import Float, PerAttribute, Task
from bench.api import State


class NearestNeighbours(PerAttribute):
    """The vote of the `neighbours` nearest training embeddings (Euclidean), each with weight 1 / distance.

    Training embeddings at distance 0 outvote all others. Equal to scikit-learn's KNeighborsClassifier with
    weights="distance". The neighbour count is fixed: choosing it on the ATTACK pool would find other images
    of the same person and always prefer one.
    """

    title = "k nearest neighbours"
    reads = "embedding"
    options = {"neighbours": 15}
    presets = {"check": {"neighbours": 3}}

    def _learn(self, vectors: NDArray[np.float32], task: Task) -> State:
        return {"vectors": vectors, "codes": task.codes}

    def _probabilities(self, name: str, model: State, vectors: NDArray[np.float32]) -> Float:
        known, codes = model["vectors"], model["codes"]
        count = min(self.settings["neighbours"], len(known))
        votes = np.zeros((len(vectors), len(model["present"])))
        for rows, distances in squared_distances(vectors, known):
            nearest = np.argpartition(distances, count - 1, axis=1)[:, :count]
            # The matrix product loses the digits of small distances, so those that vote are taken anew.
            gaps = (vectors[rows, None] - known[nearest]).astype(np.float64)
            weights = _inverse(np.sqrt(np.einsum("nkd,nkd->nk", gaps, gaps)))
            for code in range(votes.shape[1]):
                votes[rows, code] = (weights * (codes[nearest] == code)).sum(axis=1)
        return votes / votes.sum(axis=1, keepdims=True)


def _inverse(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    same = distances == 0
    weights = 1 / np.where(same, 1, distances)
    return np.where(same.any(axis=1, keepdims=True), same, weights)
