"""Rung A1, `folded`: a fixed classifier whose answers the attacker may invert and re-tune."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError

Float = NDArray[np.float64]
Int = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Recalibration:
    """Affine correction of class scores, learned on labelled protected faces of other people.

    The attacker knows that a method is in use and has protected faces of its own people with their labels,
    but leaves the classifier itself as it is, trained on clean faces. A label-conditioned flip gains nothing
    against it: accuracy .2 on two classes is an inverted attacker at .8.

    weights: (K, k) and offsets: (k,) of the corrected scores of the k classes seen in fitting. present: (k,)
    their indices. total: K, the number of classes.
    """

    weights: Float
    offsets: Float
    present: Int
    total: int

    @staticmethod
    def fit(scores: ArrayLike, labels: ArrayLike) -> Recalibration:
        """Learn from scores (N, K >= 2) and labels (N,), class indices, NaN or negative where unknown.

        Two classes: the sign and threshold of the score difference with the highest balanced accuracy
        (Youden's J on both sides; among equals the threshold nearest to the classifier's own). More classes:
        multinomial logistic regression on the scores, classes weighted to equal say, so that a permutation
        of classes is undone. Raises InputError for non-finite scores or fewer than two known classes.
        """
        found = _check(scores)
        known = np.asarray(labels, dtype=np.float64)
        if known.shape != (len(found),):
            raise InputError(f"{len(found)} score rows but labels of shape {known.shape}")
        rows = np.flatnonzero(known >= 0)
        present, codes = np.unique(known[rows].astype(np.int64), return_inverse=True)
        total = found.shape[1]
        if len(present) < 2 or present[-1] >= total:
            raise InputError(
                f"labels must hold two or more of the classes 0..{total - 1}, got {present.tolist()}; "
                "use more people"
            )
        learn = _youden if total == 2 else _logistic
        weights, offsets = learn(found[rows], codes)
        return Recalibration(weights, offsets, present, total)

    def apply(self, scores: ArrayLike) -> Float:
        """Corrected scores (M, K) of scores (M, K): log-odds-like, the highest is the answer.

        Equal rows give equal rows. A class that was not seen in fitting stays below all others.
        """
        found = _check(scores)
        if found.shape[1] != self.total:
            raise InputError(f"fitted on scores of {self.total} classes, got {found.shape[1]}")
        # Term by term: a matrix product rounds equal rows differently at the edges of its blocks.
        values = self.offsets + sum(
            found[:, [column]] * weights for column, weights in enumerate(self.weights)
        )
        if len(self.present) == self.total:
            return values
        corrected = np.repeat(values.min(axis=1, keepdims=True) - 1, self.total, axis=1)
        corrected[:, self.present] = values
        return corrected


def _check(scores: ArrayLike) -> Float:
    found = np.asarray(scores, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] < 2:
        raise InputError(f"scores must be (N, K) with K >= 2 classes, got {found.shape}")
    if not np.isfinite(found).all():
        raise InputError("scores must be finite; remove and count the failed samples first")
    return found


def _youden(scores: Float, codes: Int) -> tuple[Float, Float]:
    """Sign and threshold of `score 1 - score 0`, as weights (2, 2) and offsets (2,)."""
    sign, threshold = _best_cut(scores[:, 1] - scores[:, 0], codes == 1)
    towards = np.array([-0.5, 0.5]) * sign
    return np.stack([-towards, towards]), -towards * threshold


def _best_cut(values: Float, positive: NDArray[np.bool_]) -> tuple[int, float]:
    """(sign, threshold) so that `sign * (value - threshold) > 0` has the highest balanced accuracy."""
    distinct, place = np.unique(values, return_inverse=True)
    if len(distinct) == 1:
        return 1, float(distinct[0])
    above = 1 - np.cumsum(np.bincount(place[positive], minlength=len(distinct))) / positive.sum()
    wrong = 1 - np.cumsum(np.bincount(place[~positive], minlength=len(distinct))) / (~positive).sum()
    gain = (above - wrong)[:-1]
    cuts = distinct[:-1] + np.diff(distinct) / 2
    best = np.flatnonzero(np.isclose(np.abs(gain), np.abs(gain).max(), rtol=0, atol=1e-12))
    chosen = best[np.argmin(np.abs(cuts[best]))]
    return (1 if gain[chosen] >= 0 else -1), float(cuts[chosen])


def _logistic(scores: Float, codes: Int) -> tuple[Float, Float]:
    """Balanced logistic regression of standardised scores, as weights (K, k) and offsets (k,)."""
    from sklearn.linear_model import LogisticRegression

    centre = scores.mean(axis=0)
    varies = np.ptp(scores, axis=0) > 0
    scale = np.where(varies, scores.std(axis=0), 1.0)
    standard = np.where(varies, (scores - centre) / scale, 0.0)
    model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(standard, codes)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(coefficients) == 1:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weights = (coefficients / scale).T
    return weights, intercepts - centre @ weights
