"""k nearest neighbours on embeddings, weighted by inverse distance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.kernel import StoredKernelAttacker
from attackers._blocks.neighbours import gaps, nearest
from attackers._blocks.per_attribute import (
    balanced_log,
    indistinct,
    reported,
    spread,
    tasks,
)
from bench.api import Attribute, Context, Products, Scores, State

_UNKNOWN = -1


class NearestNeighbours(StoredKernelAttacker):
    """The vote of the `neighbours` nearest training embeddings (Euclidean), each with weight 1 / distance.

    Training embeddings at distance 0 outvote all others. Equal to scikit-learn's KNeighborsClassifier with
    weights="distance", apart from the correction for unequal classes. The neighbour count is fixed: choosing
    it on the ATTACK pool would find other images of the same person and always prefer one.
    """

    title = "k nearest neighbours"
    reads = "embedding"
    options = {"neighbours": 15}
    presets = {"check": {"neighbours": 3}}

    def _fit_products(
        self,
        products: Products,
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        found = tasks(labels, attributes, ctx.seed)
        # Among equal embeddings none is nearer than another: no neighbours, so priors are all there is.
        nothing = indistinct(products.vectors)
        state: State = {"vectors": products.vectors[:1] if nothing else products.vectors}
        for task in reported(found, self.id, ctx):
            codes = np.full(len(state["vectors"]), _UNKNOWN, np.int64)
            if not nothing:
                codes[task.rows] = task.codes
            model = {"codes": codes, "priors": task.priors, **task.facts}
            state |= {f"{task.name}/{key}": values for key, values in model.items()}
        self.restore(state)
        return {"samples": {task.name: len(task.rows) for task in found}}

    def _block_scores(self, block: Products, ctx: Context) -> Scores:
        models = self._models()
        # Attributes known for the same samples share their neighbours: with complete labels that is all.
        groups: dict[bytes, list[str]] = {}
        for name, model in models.items():
            groups.setdefault((model["codes"] != _UNKNOWN).tobytes(), []).append(name)
        scores = {}
        for mask, names in groups.items():
            known = np.flatnonzero(np.frombuffer(mask, bool))
            count = min(self.settings["neighbours"], len(known))
            neighbours = nearest(block.distances, known, count)
            weights = _weights(gaps(block.vectors, block.references, neighbours))
            for name in names:
                shares = _shares(models[name]["codes"][neighbours], weights, models[name]["priors"])
                scores[name] = spread(balanced_log(shares, models[name]["priors"]), models[name])
        return {name: scores[name] for name in models}


def _weights(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse distances (n, k); 1 and 0 where any distance of the row is 0."""
    same = distances == 0
    return np.where(same.any(axis=1, keepdims=True), same, 1 / np.where(same, 1, distances))


def _shares(
    codes: NDArray[np.int64], weights: NDArray[np.float64], priors: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Share of each class (n, K) in the weights of the neighbours (n, k); the priors where there are none."""
    if not codes.shape[1]:
        return np.tile(priors, (len(codes), 1))
    votes = np.stack([(weights * (codes == code)).sum(axis=1) for code in range(len(priors))], axis=1)
    shares: NDArray[np.float64] = votes / votes.sum(axis=1, keepdims=True)
    return shares
