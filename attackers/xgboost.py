"""Gradient boosted trees on embeddings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from attackers._blocks.per_attribute import Float, PerAttribute, Task
from bench.api import State


class XGBoost(PerAttribute):
    """`rounds` of boosting (Chen and Guestrin, KDD 2016), trees of `depth` levels on `bins` histogram bins.

    rate: shrinkage. Each round sees 80 % of the samples and half of the features.
    """

    title = "XGBoost"
    reads = "embedding"
    options = {"rounds": 150, "depth": 4, "bins": 64, "rate": 0.1}
    presets = {"check": {"rounds": 3, "depth": 2}}

    def _learn(self, vectors: NDArray[np.float32], task: Task) -> State:
        import xgboost

        s = self.settings
        kind = "binary:logistic" if len(task.present) == 2 else "multi:softprob"
        parameters = {
            "objective": kind,
            "max_depth": s["depth"],
            "max_bin": s["bins"],
            "eta": s["rate"],
            "subsample": 0.8,
            "colsample_bytree": 0.5,
            "tree_method": "hist",
            "nthread": 1,
            "seed": task.seed,
            **({"num_class": len(task.present)} if kind == "multi:softprob" else {}),
        }
        data = xgboost.QuantileDMatrix(vectors, task.codes, max_bin=s["bins"], nthread=1)
        booster = xgboost.train(parameters, data, s["rounds"])
        return {"booster": np.frombuffer(booster.save_raw("ubj"), np.uint8).copy()}

    def _probabilities(self, name: str, model: State, vectors: NDArray[np.float32]) -> Float:
        margins = self._booster(name, model).inplace_predict(vectors, predict_type="margin")
        if margins.ndim == 1:
            return np.stack([expit(-margins), expit(margins)], axis=1)
        probabilities: Float = softmax(margins, axis=1)
        return probabilities

    def restore(self, state: State) -> None:
        super().restore(state)
        self._boosters: dict[str, Any] = {}  # parsing one takes longer than a batch of predictions

    def _booster(self, name: str, model: State) -> Any:
        if name not in self._boosters:
            import xgboost

            booster = xgboost.Booster({"nthread": 1})
            booster.load_model(bytearray(model["booster"].tobytes()))
            self._boosters[name] = booster
        return self._boosters[name]
