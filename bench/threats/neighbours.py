"""Rung A5, `score`: classes told from comparison scores alone.

Osorio-Roig, Rathgeb, Drozdowski, Terhörst, Štruc, Busch, "An Attack on Facial Soft-biometric Privacy
Enhancement", IEEE TBIOM 2022. Templates of one class resemble each other also after protection, so the
highest similarities of a face to labelled protected faces tell its class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError
from bench.metrics.privacy import auc

Vectors = NDArray[np.float32]
Float = NDArray[np.float64]
Int = NDArray[np.int64]

COUNTS = (1, 5, 10, 50, 100, 200, 400, 600)
"""Numbers of highest similarities that are tried."""
_WEIGHTS: dict[str, Callable[[Float], Float]] = {
    "mean": np.ones_like,
    "reciprocal": lambda rank: 1 - rank / (rank + 1),
    "logarithm": lambda rank: -np.log10(rank / (rank + 1)),
}
WEIGHTINGS = tuple(_WEIGHTS)
"""How the n highest are fused: equal weights, 1 - r / (r + 1), or -log10(r / (r + 1)) for rank r = 1 .. n."""

_BLOCK_ELEMENTS = 4_000_000
_DIGITS = 6
_UNKNOWN = -1


@dataclass(frozen=True, eq=False)
class NeighbourAttack:
    """The protected templates of an attacker, their labels, and how similarities to them are fused.

    The attacker needs a matcher that compares a protected face with its own protected faces and returns the
    score: no template, no network, no original, and no knowledge of the method.

    vectors: float32 (M, D), unit. codes: (M,) class indices, -1 where unknown. total: number of classes K.
    count and weighting: a member of `COUNTS` and of `WEIGHTINGS`.
    """

    vectors: Vectors
    codes: Int
    total: int
    count: int
    weighting: str

    @staticmethod
    def fit(
        vectors: NDArray[np.floating], identities: NDArray[np.int64], labels: ArrayLike, classes: int
    ) -> NeighbourAttack:
        """Choose count and weighting on the attacker's own faces.

        vectors: finite (N, D). identities: (N,). labels: (N,) class indices, NaN or negative where unknown.
        classes: K. The choice maximises the AUC of each face against the faces of all OTHER people (leave one
        identity out), over the counts for which every class has that many such faces. Where a class has one
        person only, the nearest face decides. Raises InputError for fewer than two known classes.
        """
        return fit_neighbours(vectors, identities, {"": labels}, {"": classes})[""]

    def scores(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Weighted mean of the `count` highest similarities to each class, float32 (N, K) within [-1, 1].

        vectors: finite (N, D). A class without a labelled face stays 1 below all others.
        """
        return neighbour_scores({"": self}, vectors)[""]

    def fused(self, similarities: NDArray[np.floating]) -> NDArray[np.float32]:
        """`scores` from the comparison scores themselves: similarities (N, M) to the attacker's own faces."""
        present = np.unique(self.codes[self.codes >= 0])
        values = [
            _fused(similarities[:, self.codes == c], (self.count,), self.weighting)[:, 0] for c in present
        ]
        found = np.repeat(np.min(values, axis=0)[:, None] - 1, self.total, axis=1)
        found[:, present] = np.stack(values, axis=1)
        return found.astype(np.float32)


def fit_neighbours(
    vectors: NDArray[np.floating],
    identities: NDArray[np.int64],
    labels: Mapping[str, ArrayLike],
    classes: Mapping[str, int],
) -> dict[str, NeighbourAttack]:
    """`NeighbourAttack.fit` of several attributes at once: their similarities are computed once."""
    unit = _unit(vectors)
    _, people = np.unique(identities, return_inverse=True)
    if people.shape != (len(unit),):
        raise InputError(f"{len(people)} identities for {len(unit)} vectors")
    choices = {name: _Choice.of(name, values, people, classes[name]) for name, values in labels.items()}
    for rows, similarities in _similarities(unit, unit):
        similarities[people[rows, None] == people] = -np.inf
        for choice in choices.values():
            choice.add(rows, similarities)
    return {name: NeighbourAttack(unit, c.codes, c.total, *c.best()) for name, c in choices.items()}


def neighbour_scores(
    attacks: Mapping[str, NeighbourAttack], vectors: NDArray[np.floating]
) -> dict[str, NDArray[np.float32]]:
    """`NeighbourAttack.scores` of attacks from one `fit_neighbours`: their similarities are computed once."""
    own = next(iter(attacks.values())).vectors
    if any(attack.vectors is not own for attack in attacks.values()):
        raise InputError("attacks on several attributes must come from one fit_neighbours")
    found = {name: np.empty((len(vectors), a.total), np.float32) for name, a in attacks.items()}
    for rows, similarities in _similarities(_unit(vectors), own):
        for name, attack in attacks.items():
            found[name][rows] = attack.fused(similarities)
    return found


@dataclass(eq=False)
class _Choice:
    """Fused scores of the attacker's own labelled faces, one identity left out, for every candidate.

    codes: (N,) class of each face, -1 unknown. present: classes that occur. counts: those the classes allow.
    tried: weighting -> (N, counts, classes present), filled block by block.
    """

    codes: Int
    total: int
    present: Int
    counts: tuple[int, ...]
    tried: dict[str, Float] = field(default_factory=dict)

    @staticmethod
    def of(name: str, labels: ArrayLike, people: NDArray[np.intp], total: int) -> _Choice:
        values = np.asarray(labels, dtype=np.float64)
        if values.shape != people.shape:
            raise InputError(f"{len(people)} faces but labels of {name} have shape {values.shape}")
        codes = np.where(values >= 0, values, _UNKNOWN).astype(np.int64)
        present = np.unique(codes[codes >= 0])
        if len(present) < 2 or present[-1] >= total:
            raise InputError(
                f"labels of {name} must hold two or more of the classes 0..{total - 1}, "
                f"got {present.tolist()}; use more people"
            )
        others = [np.sum(codes == c) - np.bincount(people[codes == c]).max() for c in present]
        counts = tuple(n for n in COUNTS if n <= min(others))
        shape = (len(codes), len(counts), len(present))
        return _Choice(codes, total, present, counts, {w: np.empty(shape) for w in WEIGHTINGS})

    def add(self, rows: slice, similarities: NDArray[np.float32]) -> None:
        if not self.counts:
            return
        for place, code in enumerate(self.present):
            ranked = _ranked(similarities[:, self.codes == code], self.counts[-1])
            for weighting, found in self.tried.items():
                found[rows, :, place] = _fuse(ranked, self.counts, weighting)

    def best(self) -> tuple[int, str]:
        """The candidate with the highest AUC; among equals fewer neighbours, then the plainer weighting."""
        if not self.counts:
            return COUNTS[0], WEIGHTINGS[0]
        known = self.codes >= 0
        truth = np.searchsorted(self.present, self.codes[known])
        candidates = [(n, w) for n in range(len(self.counts)) for w in WEIGHTINGS]
        areas = [auc(truth, self.tried[w][known, n]) for n, w in candidates]
        place, weighting = candidates[int(np.argmax(areas))]
        return self.counts[place], weighting


def _unit(vectors: NDArray[np.floating]) -> Vectors:
    found = np.asarray(vectors, dtype=np.float32)
    if found.ndim != 2 or not np.isfinite(found).all():
        raise InputError("vectors must be finite (N, D); remove and count the failed samples first")
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def _similarities(vectors: Vectors, own: Vectors) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yields (rows, cosine similarities (rows, M)) for blocks of `vectors`."""
    step = max(1, _BLOCK_ELEMENTS // max(1, len(own)))
    for start in range(0, len(vectors), step):
        rows = slice(start, min(start + step, len(vectors)))
        # Digits below are rounding of the product, which tells equal templates apart.
        yield rows, np.round(vectors[rows] @ own.T, _DIGITS)


def _ranked(similarities: NDArray[np.floating], count: int) -> Float:
    """The `count` highest of each row, highest first; all of them where there are fewer."""
    count = min(count, similarities.shape[1])
    highest = similarities
    if 2 * count < similarities.shape[1]:
        highest = np.partition(similarities, -count, axis=1)[:, -count:]
    return np.sort(highest, axis=1)[:, : -count - 1 : -1].astype(np.float64)


def _fuse(ranked: Float, counts: tuple[int, ...], weighting: str) -> Float:
    """Weighted means of the first n of each row (N, R), for each n of `counts`: (N, counts)."""
    weights = _WEIGHTS[weighting](np.arange(1.0, ranked.shape[1] + 1))
    last = np.minimum(counts, ranked.shape[1]) - 1
    return np.cumsum(ranked * weights, axis=1)[:, last] / np.cumsum(weights)[last]


def _fused(similarities: NDArray[np.floating], counts: tuple[int, ...], weighting: str) -> Float:
    return _fuse(_ranked(similarities, counts[-1]), counts, weighting)
