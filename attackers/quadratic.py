"""Least-squares classifier on all products of two embedding components."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.per_attribute import EmbeddingAttacker, Task, reported, spread, tasks
from bench.api import Attribute, Context, Scores, State


class Quadratic(EmbeddingAttacker):
    """Regularised least squares in the space of degree-2 polynomials, solved with the kernel (1 + x.y)^2.

    Targets are +1 and -1 for each class against the rest, samples weighted so that classes have equal say.
    penalty: ridge, relative to the mean of the kernel's diagonal. A vector x of a fitted model scores
    x'Qx + b'x + c, so neither the training vectors nor the kernel are needed any more.

    Gender sits in products of components rather than in the components themselves on many matchers, where
    linear attackers fail and this one does not.
    """

    title = "Quadratic least squares"
    reads = "embedding"
    options = {"penalty": 0.1}

    def _fit(
        self,
        inputs: NDArray[np.float32],
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        found = tasks(labels, attributes, ctx.seed)
        vectors = inputs.astype(np.float64)
        scale = 1 / np.sqrt(np.mean(np.einsum("nd,nd->n", vectors, vectors)))
        vectors *= scale
        state: State = {"scale": np.array([scale])}
        for task in reported(found, self.id, ctx):
            model = self._learn(vectors[task.rows], task) | task.facts
            state |= {f"{task.name}/{key}": values for key, values in model.items()}
        self.restore(state)
        return {"samples": {task.name: len(task.rows) for task in found}}

    def _learn(self, vectors: NDArray[np.float64], task: Task) -> State:
        """Weighted ridge in the dual, (K + penalty W^-1) a = y, then the polynomial sum_i a_i (1 +
        x_i.x)^2.
        """
        from scipy.linalg import solve

        kernel = (1 + vectors @ vectors.T) ** 2
        weights = 1 / (task.priors[task.codes] * len(task.present))
        ridge = self.settings["penalty"] * np.trace(kernel) / len(kernel)
        kernel[np.diag_indices_from(kernel)] += ridge / weights
        targets = np.where(task.codes[:, None] == np.arange(len(task.present)), 1.0, -1.0)
        dual = solve(kernel, targets, assume_a="pos", overwrite_a=True, overwrite_b=True)
        return {
            "quadratic": np.einsum("nk,ni,nj->kij", dual, vectors, vectors, optimize=True).astype(np.float32),
            "linear": (2 * vectors.T @ dual).astype(np.float32),
            "constant": dual.sum(axis=0).astype(np.float32),
        }

    def _scores(self, inputs: NDArray[np.float32], ctx: Context) -> Scores:
        vectors = inputs * self.state()["scale"].astype(np.float32)
        scores = {}
        for name, model in self._models().items():
            values = vectors @ model["linear"] + model["constant"]
            for column, form in enumerate(model["quadratic"]):
                values[:, column] += np.einsum("nd,nd->n", vectors @ form, vectors)
            scores[name] = spread(values, model)
        return scores
