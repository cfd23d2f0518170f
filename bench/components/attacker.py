"""Attackers: attribute classifiers that the methods never saw."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Component, Context
from bench.errors import ContractError, InputError
from bench.faces import Attribute, Faces
from bench.foreign import Pretrained

Scores = dict[str, NDArray[np.float32]]
"""attribute -> float32 (N, K): a score a class, larger is likelier, log-probability-like; (N, 1) for
numbers."""


class Attacker(Component):
    """Fill in `_scores`, and `_fit`, `state`, `restore` if it is trained on the ATTACK pool.

    reads: `embedding` (unit vectors of a matcher, float32 (N, D)) or `image` (Faces).
    predicts: attributes a pretrained attacker answers for; empty: those it was fitted on.
    """

    reads: ClassVar[Literal["embedding", "image"]] = "embedding"
    predicts: ClassVar[tuple[str, ...]] = ()
    trained: ClassVar[bool] = True
    pretrained: ClassVar[Pretrained | None] = None

    def _fit(
        self,
        inputs: Any,
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        """Learn all `attributes` at once. `labels` hold the class index, -1 where unknown."""
        raise ContractError(f"{self.id} says it is trained but has no `_fit`")

    def prepare(self, ctx: Context) -> None:
        """Load pretrained weights from `ctx.weights`. Raises Unavailable with the remedy."""

    @abstractmethod
    def _scores(self, inputs: Any, ctx: Context) -> Scores:
        """Scores of every attribute it knows, for `inputs` as in `fit`."""

    @final
    def fit(
        self,
        inputs: NDArray[np.float32] | Faces,
        labels: Mapping[str, NDArray[np.float32]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> dict[str, Any]:
        """Train on the ATTACK pool. `labels`: float32 (N,), NaN where unknown. Inputs must be finite.

        Raises InputError for an attribute with fewer than two classes among the labelled samples.
        """
        self._check_inputs(inputs)
        coded = {}
        for attribute in attributes:
            values = labels[attribute.name]
            coded[attribute.name] = np.where(np.isnan(values), -1, values).astype(np.int64)
            if len(np.unique(coded[attribute.name][coded[attribute.name] >= 0])) < 2:
                raise InputError(
                    f"{self.id} cannot learn {attribute.name}: the ATTACK pool has one class of it; "
                    "use more identities or leave the attribute out"
                )
        return dict(self._fit(inputs, coded, attributes, ctx))

    @final
    def scores(self, inputs: NDArray[np.float32] | Faces, ctx: Context) -> Scores:
        """Scores by attribute for finite inputs. Raises ContractError when the hook returns anything else."""
        self._check_inputs(inputs)
        found = self._scores(inputs, ctx)
        for name, values in found.items():
            if values.ndim != 2 or len(values) != len(inputs) or values.dtype != np.float32:
                raise ContractError(
                    f"_scores of {self.id} must return float32 ({len(inputs)}, K) for {name}, "
                    f"got {values.dtype} {values.shape}"
                )
            if not np.isfinite(values).all():
                raise ContractError(f"_scores of {self.id} returned a non-finite score for {name}")
        return found

    def _check_inputs(self, inputs: NDArray[np.float32] | Faces) -> None:
        if self.reads == "image":
            if not isinstance(inputs, Faces):
                raise ContractError(f"{self.id} reads images, not {type(inputs).__name__}")
        elif isinstance(inputs, Faces) or inputs.ndim != 2 or not np.isfinite(inputs).all():
            raise ContractError(f"{self.id} reads finite embeddings (N, D)")
