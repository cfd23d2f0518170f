"""k nearest neighbours on embeddings, for numbers such as age in years."""

from __future__ import annotations

import numpy as np

from attackers._blocks.neighbours import gaps, nearest
from attackers._blocks.regression import Float, NumberAttacker, Quantity
from bench.api import Products, State


class NearestNeighbourRegression(NumberAttacker):
    """The mean over the `neighbours` nearest training embeddings (Euclidean), each with weight 1 / distance.

    Training embeddings at distance 0 outweigh all others. Equal to scikit-learn's KNeighborsRegressor with
    weights="distance". The neighbour count is fixed: choosing it on the ATTACK pool would find other images
    of the same person and always prefer one.
    """

    title = "k nearest neighbours, numbers"
    reads = "embedding"
    learns = "numbers"
    options = {"neighbours": 15}
    presets = {"check": {"neighbours": 3}}

    def _learn(self, products: Products, shared: State, quantity: Quantity) -> State:
        values = np.full(len(products.vectors), np.nan)
        values[quantity.rows] = quantity.values
        return {"values": values}

    def _estimates(self, block: Products, model: State) -> Float:
        values = model["values"]
        known = np.flatnonzero(np.isfinite(values))
        neighbours = nearest(block.distances, known, min(self.settings["neighbours"], len(known)))
        distances = gaps(block.vectors, block.references, neighbours)
        same = distances == 0
        weights = np.where(same.any(axis=1, keepdims=True), same, 1 / np.where(same, 1, distances))
        found: Float = (weights * values[neighbours]).sum(axis=1) / weights.sum(axis=1)
        return found
