"""Random forest on embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.per_attribute import Float, PerAttribute, Task
from bench.api import State


class RandomForest(PerAttribute):
    """`trees` trees (Breiman, 2001) of at most `depth` levels and at least `leaf` samples a leaf.

    Each tree sees `share` of the samples, drawn with replacement; sqrt(D) features are tried at each split.
    """

    title = "Random forest"
    reads = "embedding"
    options = {"trees": 120, "depth": 10, "leaf": 3, "share": 0.5}
    presets = {"check": {"trees": 5, "depth": 3}}

    def _learn(self, vectors: NDArray[np.float32], task: Task) -> State:
        from sklearn.ensemble import RandomForestClassifier

        s = self.settings
        forest = RandomForestClassifier(
            s["trees"],
            max_depth=s["depth"],
            min_samples_leaf=s["leaf"],
            max_samples=s["share"],
            n_jobs=1,
            random_state=task.seed,
        )
        return _arrays(forest.fit(vectors, task.codes))

    def _probabilities(self, name: str, model: State, vectors: NDArray[np.float32]) -> Float:
        from attackers._blocks.trees import forest_means

        return forest_means(
            np.ascontiguousarray(vectors, np.float32),
            model["roots"],
            model["children"],
            model["feature"],
            model["threshold"],
            model["leaf"],
        )


def _arrays(forest: Any) -> State:
    """All trees of a fitted scikit-learn forest in a row; children count from the first node of all."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    starts = np.cumsum([0, *(tree.node_count for tree in trees)])
    children = []
    for start, tree in zip(starts, trees, strict=False):
        pair = np.stack([tree.children_left, tree.children_right], axis=1)
        children.append(np.where(pair < 0, -1, pair + start))
    leaf = np.concatenate([tree.value[:, 0] for tree in trees])
    return {
        "roots": starts[:-1].astype(np.int32),
        "children": np.concatenate(children).astype(np.int32),
        "feature": np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        "threshold": np.concatenate([tree.threshold for tree in trees]),
        "leaf": leaf / leaf.sum(axis=1, keepdims=True),
    }
