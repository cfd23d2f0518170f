"""Multi-layer perceptron on embeddings."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from attackers._blocks.per_attribute import Float, PerAttribute, Task
from bench.api import State


class MultiLayerPerceptron(PerAttribute):
    """One hidden layer of `hidden` rectified units on standardised embeddings, Adam, at most `epochs` epochs.

    penalty: L2, scikit-learn's `alpha`.
    """

    title = "MLP"
    reads = "embedding"
    options = {"hidden": 128, "epochs": 40, "penalty": 0.1}
    presets = {"check": {"hidden": 8, "epochs": 3}}

    def _learn(self, vectors: NDArray[np.float32], task: Task) -> State:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        s = self.settings
        centre, spread = vectors.mean(axis=0), np.maximum(vectors.std(axis=0), 1e-6)
        model = MLPClassifier(
            (s["hidden"],),
            alpha=s["penalty"],
            max_iter=s["epochs"],
            batch_size=min(64, len(vectors)),
            random_state=task.seed,
        )
        with warnings.catch_warnings():
            # The number of epochs is the regularisation; running into it is meant.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit((vectors - centre) / spread, task.codes)
        layers = {f"weight{i}": w for i, w in enumerate(model.coefs_)}
        biases = {f"bias{i}": b for i, b in enumerate(model.intercepts_)}
        return {"centre": centre, "spread": spread, **layers, **biases}

    def _probabilities(self, name: str, model: State, vectors: NDArray[np.float32]) -> Float:
        hidden = np.maximum(
            (vectors - model["centre"]) / model["spread"] @ model["weight0"] + model["bias0"], 0
        )
        logits = hidden @ model["weight1"] + model["bias1"]
        if logits.shape[1] == 1:
            return np.hstack([expit(-logits), expit(logits)])
        probabilities: Float = softmax(logits, axis=1)
        return probabilities
