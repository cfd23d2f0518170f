"""What attackers on embeddings share that estimate numbers: known labels only, arrays as state."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attackers._blocks.kernel import StoredKernelAttacker
from attackers._blocks.per_attribute import indistinct
from bench.api import Attribute, Context, Products, Scores, State

Float = NDArray[np.floating]


@dataclass(frozen=True)
class Quantity:
    """The labelled part of one number attribute.

    rows: indices of the samples whose number is known. values: float64, (number - mean) / spread.
    """

    name: str
    rows: NDArray[np.intp]
    values: NDArray[np.float64]
    mean: float
    spread: float

    @classmethod
    def of(cls, name: str, numbers: NDArray[np.float32]) -> Quantity:
        """numbers: (N,) in the attribute's unit, NaN where unknown; at least two differ."""
        rows = np.flatnonzero(np.isfinite(numbers))
        known = numbers[rows].astype(np.float64)
        mean, spread = float(known.mean()), float(known.std())
        return cls(name, rows, (known - mean) / spread, mean, spread)

    @property
    def facts(self) -> State:
        """What turns standardised estimates back into the unit."""
        return {"mean": np.array([self.mean]), "spread": np.array([self.spread])}


def quantities(
    labels: Mapping[str, NDArray[np.float32]], attributes: Sequence[Attribute], attacker: str, ctx: Context
) -> Iterator[Quantity]:
    """The attributes one after another, telling `ctx` how far `attacker` is."""
    for done, attribute in enumerate(attributes):
        ctx.report(done, len(attributes), f"{attacker} learns {attribute.name}")
        yield Quantity.of(attribute.name, labels[attribute.name])
    ctx.report(len(attributes), len(attributes), f"{attacker} has learned {len(attributes)} numbers")


class NumberAttacker(StoredKernelAttacker):
    """Fill in `_learn` and `_estimates`; numbers are learned one by one, independently.

    Trained on embeddings that are all the same, it answers the mean, whatever it is shown.
    """

    reads = "embedding"
    learns = "numbers"

    def _shared(self, products: Products) -> State:
        """Arrays that all attributes share, from the training embeddings, which differ."""
        return {}

    @abstractmethod
    def _learn(self, products: Products, shared: State, quantity: Quantity) -> State:
        """A model of the standardised values from the products of all N training embeddings."""

    @abstractmethod
    def _estimates(self, block: Products, model: State) -> Float:
        """Standardised estimates (n,) of `block.vectors`, from what `_learn` returned."""

    def _fit_products(
        self,
        products: Products,
        labels: Mapping[str, NDArray[np.float32]],
        attributes: Sequence[Attribute],
        ctx: Context,
    ) -> Mapping[str, Any]:
        nothing = indistinct(products.vectors)
        shared = {} if nothing else self._shared(products)
        state: State = {"vectors": products.vectors[:1] if nothing else products.vectors, **shared}
        samples = {}
        for quantity in quantities(labels, attributes, self.id, ctx):
            learned = {} if nothing else self._learn(products, shared, quantity)
            model = {**learned, **quantity.facts}
            state |= {f"{quantity.name}/{key}": values for key, values in model.items()}
            samples[quantity.name] = len(quantity.rows)
        self.restore(state)
        return {"samples": samples}

    def _block_scores(self, block: Products, ctx: Context) -> Scores:
        scores = {}
        nothing = len(block.references) == 1
        for name, model in self._models().items():
            found = np.zeros(len(block.vectors)) if nothing else self._estimates(block, model)
            years = model["mean"] + model["spread"] * found
            scores[name] = years[:, None].astype(np.float32)
        return scores
