"""k nearest neighbours on embeddings, weighted by inverse distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.kernels import squared_distances
from attackers._blocks.per_attribute import EmbeddingAttacker, Float, balanced_log, reported, spread, tasks
from bench.api import Attribute, Context, Scores, State

_UNKNOWN = -1


class NearestNeighbours(EmbeddingAttacker):
    """The vote of the `neighbours` nearest training embeddings (Euclidean), each with weight 1 / distance.

    Training embeddings at distance 0 outvote all others. Equal to scikit-learn's KNeighborsClassifier with
    weights="distance", apart from the correction for unequal classes. The neighbour count is fixed: choosing
    it on the ATTACK pool would find other images of the same person and always prefer one.
    """

    title = "k nearest neighbours"
    reads = "embedding"
    options = {"neighbours": 15}
    presets = {"check": {"neighbours": 3}}

    def _fit(
        self,
        inputs: NDArray[np.float32],
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        found = tasks(labels, attributes, ctx.seed)
        state: State = {"vectors": inputs}
        for task in reported(found, self.id, ctx):
            codes = np.full(len(inputs), _UNKNOWN, np.int64)
            codes[task.rows] = task.codes
            model = {"codes": codes, "priors": task.priors, **task.facts}
            state |= {f"{task.name}/{key}": values for key, values in model.items()}
        self.restore(state)
        return {"samples": {task.name: len(task.rows) for task in found}}

    def _scores(self, inputs: NDArray[np.float32], ctx: Context) -> Scores:
        vectors, models = self.state()["vectors"], self._models()
        votes = {name: np.zeros((len(inputs), len(model["present"]))) for name, model in models.items()}
        # Attributes known for the same samples share their neighbours: with complete labels that is all.
        groups: dict[bytes, list[str]] = {}
        for name, model in models.items():
            groups.setdefault((model["codes"] != _UNKNOWN).tobytes(), []).append(name)
        for rows, distances in squared_distances(inputs, vectors):
            for mask, names in groups.items():
                known = np.flatnonzero(np.frombuffer(mask, bool))
                nearest = self._nearest(distances if len(known) == len(vectors) else distances[:, known])
                nearest = known[nearest]
                weights = _weights(inputs[rows], vectors[nearest])
                for name in names:
                    votes[name][rows] = _shares(models[name]["codes"][nearest], weights, votes[name].shape[1])
        return {
            name: spread(balanced_log(v, models[name]["priors"]), models[name]) for name, v in votes.items()
        }

    def _nearest(self, distances: NDArray[np.float32]) -> NDArray[np.intp]:
        count = min(self.settings["neighbours"], distances.shape[1])
        return np.argpartition(distances, count - 1, axis=1)[:, :count]


def _weights(vectors: NDArray[np.float32], neighbours: NDArray[np.float32]) -> NDArray[np.float64]:
    """Inverse distances (n, k) of vectors (n, D) to neighbours (n, k, D); 1 and 0 where any distance is 0."""
    # Taken anew: the matrix product that found the neighbours loses the digits of small distances.
    gaps = (vectors[:, None] - neighbours).astype(np.float64)
    distances = np.sqrt(np.einsum("nkd,nkd->nk", gaps, gaps))
    same = distances == 0
    return np.where(same.any(axis=1, keepdims=True), same, 1 / np.where(same, 1, distances))


def _shares(codes: NDArray[np.int64], weights: NDArray[np.float64], classes: int) -> Float:
    votes = np.stack([(weights * (codes == code)).sum(axis=1) for code in range(classes)], axis=1)
    shares: Float = votes / votes.sum(axis=1, keepdims=True)
    return shares
