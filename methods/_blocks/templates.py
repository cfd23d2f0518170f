"""What template-level methods share: the attributes they hide one by one, class labels, standardisation."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from bench.api import Attribute, InputError, Templates, Variant

HIDEABLE = ("gender", "race", "age_group", "young")
"""Attributes with classes that the template-level papers speak of (ethnicity is `race` here)."""


def attribute_variants(attributes: Mapping[str, Attribute]) -> list[Variant]:
    """One variant, and one trained part, for each hideable attribute; a run takes the first by default."""
    names = [a for a in HIDEABLE if a in attributes]
    return [Variant(a, (a,), selected=a == names[0], part=a) for a in names]


def class_labels(templates: Templates, attribute: str) -> NDArray[np.int64]:
    """Class indices (N,) of `attribute`, counted from 0 without gaps; -1 where unknown.

    Raises InputError where fewer than two classes are there to be told apart.
    """
    values = templates.labels[attribute]
    known = np.isfinite(values)
    classes, codes = np.unique(values[known], return_inverse=True)
    if len(classes) < 2:
        raise InputError(
            f"hiding {attribute} is learned from templates of at least two classes, got {len(classes)}; "
            "use a dataset that labels more, or another variant"
        )
    labels = np.full(len(values), -1, np.int64)
    labels[known] = codes
    return labels


def some_people(templates: Templates, limit: int, seed: int) -> Templates:
    """All templates of randomly chosen people, at most `limit` templates; 0: everybody's.

    Raises InputError where not even one person's templates fit.
    """
    if not 0 < limit < len(templates):
        return templates
    people, codes, counts = np.unique(templates.identities, return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(people))
    chosen = order[np.cumsum(counts[order]) <= limit]
    rows = np.isin(codes, chosen)
    if not rows.any():
        raise InputError(f"option samples ({limit}) is less than one person's templates; raise it")
    return templates.take(rows)


class Standardiser:
    """Centre and spread of each variable over the templates a method learned from.

    A variable that never changes keeps its spread of 0 out of the division.
    """

    def __init__(self, centre: NDArray[np.float32], spread: NDArray[np.float32]) -> None:
        self.centre, self.spread = centre, spread

    @classmethod
    def of(cls, vectors: NDArray[np.float32]) -> Standardiser:
        spread = vectors.std(0)
        return cls(vectors.mean(0), np.where(spread > 0, spread, 1).astype(np.float32))

    def __call__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (N, D) with mean 0 and deviation 1 of each variable, over the templates of `of`."""
        standard: NDArray[np.float32] = (vectors - self.centre) / self.spread
        return standard
