"""Least-squares classifier on all products of two embedding components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.kernel import StoredKernelAttacker
from attackers._blocks.per_attribute import indistinct, reported, spread, tasks
from attackers._blocks.ridge import class_ridge
from bench.api import Attribute, Context, Products, Scores, State


class Quadratic(StoredKernelAttacker):
    """Regularised least squares in the space of degree-2 polynomials, solved with the kernel (1 + x.y)^2.

    Targets are +1 and -1 for each class against the rest, samples weighted so that classes have equal say.
    penalty: ridge, relative to the mean of the kernel's diagonal. Embeddings are scaled to a mean square
    length of 1; x scores sum_i a_i (1 + x_i.x)^2.

    Gender sits in products of components rather than in the components themselves on many matchers, where
    linear attackers fail and this one does not.
    """

    title = "Quadratic least squares"
    reads = "embedding"
    options = {"penalty": 0.1}

    def _fit_products(
        self,
        products: Products,
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        found, vectors = tasks(labels, attributes, ctx.seed), products.vectors
        # No polynomial tells equal embeddings apart, so all of them are given the same, 0.
        nothing = indistinct(vectors)
        scale = 1.0 if nothing else 1 / np.mean(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))
        kernel = None if nothing else _kernel(products, scale)
        state: State = {"vectors": vectors[:1] if nothing else vectors, "scale": np.array([scale])}
        for task in reported(found, self.id, ctx):
            if kernel is None:
                dual = np.zeros((1, len(task.present)))
            else:
                dual = class_ridge(kernel, task, self.settings["penalty"])
            learned = {"dual": dual} | task.facts
            state |= {f"{task.name}/{key}": values for key, values in learned.items()}
        self.restore(state)
        return {"samples": {task.name: len(task.rows) for task in found}}

    def _block_scores(self, block: Products, ctx: Context) -> Scores:
        models = self._models()
        duals = np.hstack([model["dual"] for model in models.values()])
        values = _kernel(block, self.state()["scale"][0]) @ duals
        scores, first = {}, 0
        for name, model in models.items():
            classes = model["dual"].shape[1]
            scores[name] = spread(values[:, first : first + classes], model)
            first += classes
        return scores


def _kernel(products: Products, scale: float) -> NDArray[np.float64]:
    """(1 + scale x.y)^2 of embeddings and references (N, M)."""
    kernel = products.inner.astype(np.float64)
    kernel *= scale
    kernel += 1
    return np.square(kernel, out=kernel)
