"""My idea: one sentence on how it reads an attribute off an embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.api import Attacker, Attribute, Context, Scores, State


class MyIdea(Attacker):
    """Nearest class mean, as a start."""

    title = "My idea"
    reads = "embedding"

    def _fit(
        self,
        inputs: NDArray[np.float32],
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        """inputs: unit vectors (N, D). labels: class indices (N,), -1 where unknown."""
        self._means = {
            a.name: np.stack([inputs[labels[a.name] == k].mean(axis=0) for k in range(len(a.classes))])
            for a in attributes
        }
        return {}

    def state(self) -> State:
        return dict(self._means)

    def restore(self, state: State) -> None:
        self._means = dict(state)

    def _scores(self, inputs: NDArray[np.float32], ctx: Context) -> Scores:
        """A float32 (N, K) for each attribute, columns in the order of its classes, larger is likelier."""
        return {name: inputs @ means.T for name, means in self._means.items()}
