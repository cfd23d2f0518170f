"""Support vector machine with a Gaussian kernel on embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.kernel import StoredKernelAttacker
from attackers._blocks.per_attribute import (
    Float,
    Task,
    indistinct,
    reported,
    spread,
    tasks,
)
from bench.api import Attribute, Context, Products, Scores, State

# Up to here the kernel matrix (float64, twice) is held in memory and shared by all attributes.
_SHARED_SAMPLES = 6000


class SupportVectorMachine(StoredKernelAttacker):
    """C-SVC, classes weighted to equal say, kernel exp(-gamma |x - y|^2), one against one (as scikit-learn).

    penalty: C. width: gamma times the number of features times the variance of the embeddings, so 1 is
    scikit-learn's "scale", about gamma = 1 on unit vectors. Both are fixed: cross-validation inside the
    ATTACK pool would find the same persons on both sides and prefer kernels that know persons, not
    attributes.

    Scores are decision values: [-d/2, d/2] for two classes, else votes plus bounded confidences, whose
    argmax is the prediction of SVC(break_ties=True).
    """

    title = "SVM, Gaussian kernel"
    reads = "embedding"
    options = {"penalty": 1.0, "width": 1.0}

    def _fit_products(
        self,
        products: Products,
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        found, inputs = tasks(labels, attributes, ctx.seed), products.vectors
        if indistinct(inputs):
            return self._learn_nothing(inputs, found)
        gamma = self.settings["width"] / (inputs.shape[1] * float(inputs.var(dtype=np.float64)))
        gram = _gram(products, gamma) if len(inputs) <= _SHARED_SAMPLES else None
        state: State = {"vectors": inputs, "gamma": np.array([gamma])}
        figures = {}
        for task in reported(found, self.id, ctx):
            model = self._learn(inputs, gram, gamma, task)
            figures[task.name] = int(model.n_support_.sum())
            learned = {
                "coefficients": _coefficients(model, task, len(inputs)),
                "intercepts": np.array(model.intercept_),
            }
            state |= {f"{task.name}/{key}": values for key, values in {**learned, **task.facts}.items()}
        self.restore(state)
        return {"support_vectors": figures}

    def _learn_nothing(self, inputs: NDArray[np.float32], found: Sequence[Task]) -> Mapping[str, Any]:
        """Equal embeddings: there is no margin to put a support vector at, and every decision is 0."""
        state: State = {"vectors": inputs[:1], "gamma": np.ones(1)}
        for task in found:
            pairs = len(task.present) * (len(task.present) - 1) // 2
            learned = {"coefficients": np.zeros((1, pairs)), "intercepts": np.zeros(pairs)}
            state |= {f"{task.name}/{key}": values for key, values in {**learned, **task.facts}.items()}
        self.restore(state)
        return {"support_vectors": {task.name: 0 for task in found}}

    def _learn(
        self, inputs: NDArray[np.float32], gram: NDArray[np.float64] | None, gamma: float, task: Task
    ) -> Any:
        from sklearn.svm import SVC

        shared = {"C": self.settings["penalty"], "class_weight": "balanced", "cache_size": 500}
        if gram is None:
            return SVC(kernel="rbf", gamma=gamma, **shared).fit(inputs[task.rows], task.codes)
        everything = len(task.rows) == len(inputs)
        part = gram if everything else gram[np.ix_(task.rows, task.rows)]
        return SVC(kernel="precomputed", **shared).fit(part, task.codes)

    def _block_scores(self, block: Products, ctx: Context) -> Scores:
        models = self._models()
        coefficients = np.hstack([model["coefficients"] for model in models.values()])
        decisions = np.exp(block.distances * np.float32(-self.state()["gamma"][0])) @ coefficients
        scores, first = {}, 0
        for name, model in models.items():
            pairs = model["coefficients"].shape[1]
            own = decisions[:, first : first + pairs] + model["intercepts"]
            scores[name] = spread(class_scores(own, len(model["present"])), model)
            first += pairs
        return scores


def class_scores(decisions: Float, classes: int) -> Float:
    """Pairwise decisions (N, K(K-1)/2), positive for the first of a pair, to scores (N, K).

    For two classes the one decision is positive for the second, as in scikit-learn.
    """
    if classes == 2:
        return np.hstack([-decisions / 2, decisions / 2])
    votes, confidence = np.zeros((len(decisions), classes)), np.zeros((len(decisions), classes))
    for column, (first, second) in enumerate(combinations(range(classes), 2)):
        value = decisions[:, column]
        votes[:, first] += value >= 0
        votes[:, second] += value < 0
        confidence[:, first] += value
        confidence[:, second] -= value
    # Less than half a vote, so that confidences only decide between equal votes.
    return votes + confidence / (3 * (np.abs(confidence) + 1))


def _gram(products: Products, gamma: float) -> NDArray[np.float64]:
    gram = products.distances.astype(np.float64)
    gram *= -gamma
    return np.exp(gram, out=gram)


def _coefficients(model: Any, task: Task, samples: int) -> NDArray[np.float64]:
    """Weight of every training sample in every pairwise decision (samples, pairs), 0 off the support.

    Row j - 1 of libsvm's dual coefficients holds, for support vectors of class i < j, those against class
    j; row i holds, for those of class j > i, those against class i.
    """
    classes = len(task.present)
    support, dual = task.rows[model.support_], model.dual_coef_
    if classes == 2:
        table = np.zeros((samples, 1))
        table[support, 0] = dual[0]
        return table
    of_class = np.repeat(np.arange(classes), model.n_support_)
    table = np.zeros((samples, classes * (classes - 1) // 2))
    for column, (first, second) in enumerate(combinations(range(classes), 2)):
        table[support[of_class == first], column] = dual[second - 1, of_class == first]
        table[support[of_class == second], column] = dual[first, of_class == second]
    return table
