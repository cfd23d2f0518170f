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
"""attribute -> float32 (N, K): a score a class, larger is likelier, log-probability-like; of a number (N, 1),
the estimate in its unit."""


class Attacker(Component):
    """Fill in `_scores`, and `_fit`, `state`, `restore` if it is trained on the ATTACK pool.

    reads: `embedding` (unit vectors of a matcher, float32 (N, D)) or `image` (Faces).
    predicts: attributes a pretrained attacker answers for; empty: those it was fitted on.
    trained: whether it learns on the ATTACK pool.
    learns: what a trained one is handed: attributes with classes, or `numbers` (age in years).
    adaptive: whether a trained one is trained again on protected faces by the adaptive threats; False where
        that would cost minutes a method.
    """

    reads: ClassVar[Literal["embedding", "image"]] = "embedding"
    predicts: ClassVar[tuple[str, ...]] = ()
    trained: ClassVar[bool] = True
    learns: ClassVar[Literal["classes", "numbers"]] = "classes"
    adaptive: ClassVar[bool] = True
    pretrained: ClassVar[Pretrained | None] = None

    def _fit(
        self,
        inputs: Any,
        labels: Mapping[str, NDArray[Any]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        """Learn all `attributes` at once. `labels` hold the class index, int64, -1 where unknown; for who
        learns numbers the number, float32, NaN where unknown."""
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

        Raises InputError for an attribute with fewer than two classes or numbers among the labelled samples,
        and for one that is not of the kind it learns.
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
    ) -> dict[str, NDArray[Any]]:
        coded = {}
        for attribute in attributes:
            self._check_kind(attribute)
            values = np.asarray(labels[attribute.name], np.float32)
            if len(np.unique(values[np.isfinite(values)])) < 2:
                one = "value" if attribute.is_number else "class"
                raise InputError(
                    f"{self.id} cannot learn {attribute.name}: the ATTACK pool has one {one} of it; "
                    "use more identities or leave the attribute out"
                )
            codes = np.where(np.isnan(values), -1, values).astype(np.int64)
            coded[attribute.name] = values if attribute.is_number else codes
        return coded

    def _check_kind(self, attribute: Attribute) -> None:
        if attribute.is_number and self.learns == "classes":
            raise InputError(f"{attribute.name} is a number; {self.id} tells classes apart: give its groups")
        if not attribute.is_number and self.learns == "numbers":
            raise InputError(f"{attribute.name} has classes; {self.id} learns numbers")

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
        labels: Mapping[str, NDArray[Any]],
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
        labels: Mapping[str, NDArray[Any]],
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
