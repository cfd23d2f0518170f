"""Kernel ridge regression on embeddings: numbers such as age in years."""

from __future__ import annotations

import numpy as np

from attackers._blocks.regression import Float, NumberAttacker, Quantity
from bench.api import Products, State


class KernelRidgeRegression(NumberAttacker):
    """Least squares with a Gaussian kernel exp(-gamma |x - y|^2) on standardised labels (as scikit-learn).

    penalty: weight of the ridge, per label. width: gamma times the number of features times the variance of
    the embeddings, so 1 is scikit-learn's "scale", about gamma = 1 on unit vectors. Both are fixed:
    cross-validation inside the ATTACK pool would find the same persons on both sides and prefer kernels that
    know persons, not attributes.
    """

    title = "Kernel ridge regression"
    reads = "embedding"
    learns = "numbers"
    options = {"penalty": 0.3, "width": 1.0}

    def _shared(self, products: Products) -> State:
        vectors = products.vectors
        gamma = self.settings["width"] / (vectors.shape[1] * float(vectors.var(dtype=np.float64)))
        return {"gamma": np.array([gamma])}

    def _learn(self, products: Products, shared: State, quantity: Quantity) -> State:
        from sklearn.kernel_ridge import KernelRidge

        rows = quantity.rows
        gram = np.exp(-shared["gamma"][0] * products.distances[np.ix_(rows, rows)].astype(np.float64))
        model = KernelRidge(kernel="precomputed", alpha=self.settings["penalty"]).fit(gram, quantity.values)
        dual = np.zeros(len(products.vectors))
        dual[rows] = model.dual_coef_
        return {"dual": dual}

    def _estimates(self, block: Products, model: State) -> Float:
        gamma = np.float32(self.state()["gamma"][0])
        found: Float = np.exp(-gamma * block.distances).astype(np.float64) @ model["dual"]
        return found
