"""Attackers: attribute classifiers that the methods never saw."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, final

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Component, Context
from bench.components.products import Products, product_blocks
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
    trained: whether it learns on the ATTACK pool.
    adaptive: whether a trained one is trained again on protected faces by the adaptive threats; False where
        that would cost minutes a method.
    """

    reads: ClassVar[Literal["embedding", "image"]] = "embedding"
    predicts: ClassVar[tuple[str, ...]] = ()
    trained: ClassVar[bool] = True
    adaptive: ClassVar[bool] = True
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
        return dict(self._fit(inputs, self._coded(labels, attributes), attributes, ctx))

    @final
    def scores(self, inputs: NDArray[np.float32] | Faces, ctx: Context) -> Scores:
        """Scores by attribute for finite inputs. Raises ContractError when the hook returns anything else."""
        self._check_inputs(inputs)
        return self._checked(self._scores(inputs, ctx), len(inputs))

    def _coded(
        self, labels: Mapping[str, NDArray[np.float32]], attributes: Sequence[Attribute]
    ) -> dict[str, NDArray[np.int64]]:
        coded = {}
        for attribute in attributes:
            values = labels[attribute.name]
            codes = np.where(np.isnan(values), -1, values).astype(np.int64)
            if len(np.unique(codes[codes >= 0])) < 2:
                raise InputError(
                    f"{self.id} cannot learn {attribute.name}: the ATTACK pool has one class of it; "
                    "use more identities or leave the attribute out"
                )
            coded[attribute.name] = codes
        return coded

    def _checked(self, found: Scores, count: int) -> Scores:
        for name, values in found.items():
            if values.ndim != 2 or len(values) != count or values.dtype != np.float32:
                raise ContractError(
                    f"_scores of {self.id} must return float32 ({count}, K) for {name}, "
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


class KernelAttacker(Attacker):
    """An attacker on embeddings that needs nothing but their products with training embeddings.

    Fill in `_fit_products`, `_references`, `_block_scores`. Attackers that learned from the same embeddings
    then share the products (`bench.together`), with the same answers as alone.
    """

    @abstractmethod
    def _fit_products(
        self,
        products: Products,
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        """As `_fit`; `products.vectors` (N, D) are the inputs, `products.inner` (N, N) their products."""

    @abstractmethod
    def _references(self) -> NDArray[np.float32]:
        """The embeddings (M, D) that inputs are multiplied with."""

    @abstractmethod
    def _block_scores(self, block: Products, ctx: Context) -> Scores:
        """Scores of `block.vectors` from their products; those of a row depend on that row alone."""

    @final
    def fit_products(
        self,
        products: Products,
        labels: Mapping[str, NDArray[np.float32]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> dict[str, Any]:
        """As `fit` on `products.vectors`, with products that others may have asked for already."""
        self._check_inputs(products.vectors)
        return dict(self._fit_products(products, self._coded(labels, attributes), attributes, ctx))

    @final
    def references(self) -> NDArray[np.float32]:
        """The embeddings (M, D) whose products with inputs serve this attacker. Raises BenchError when
        untrained."""
        return self._references()

    @final
    def block_scores(self, block: Products, ctx: Context) -> Scores:
        """As `scores` of `block.vectors`, where `block.references` equal `references()`."""
        self._check_inputs(block.vectors)
        return self._checked(self._block_scores(block, ctx), len(block.vectors))

    def _fit(
        self,
        inputs: NDArray[np.float32],
        labels: Mapping[str, NDArray[np.int64]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        return self._fit_products(Products(inputs, inputs), labels, attributes, ctx)

    def _scores(self, inputs: NDArray[np.float32], ctx: Context) -> Scores:
        blocks = [self._block_scores(block, ctx) for block in product_blocks(inputs, self._references())]
        return joined_scores(blocks)


def joined_scores(parts: Sequence[Scores]) -> Scores:
    """Scores of successive inputs, one under the other; at least one part."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
