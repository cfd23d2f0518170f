"""Area and equal error rate from counts at distinct scores: the one place where ties are decided.

A score distribution enters as two count vectors over the distinct scores in ascending order: how many
positives and how many negatives took each score. Only the order of scores matters, so both figures are
unchanged by any increasing map of the scores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import MetricError

Counts = NDArray[np.int64]


def counts_at_scores(positive: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.floating], Counts, Counts]:
    """Distinct scores ascending (m,), and the positives and negatives that took each of them.

    positive: bool (N,). scores: (N,), finite.
    """
    mask = np.asarray(positive, dtype=bool)
    distinct, place = np.unique(np.asarray(scores), return_inverse=True)
    positives = np.bincount(place[mask], minlength=len(distinct))
    negatives = np.bincount(place[~mask], minlength=len(distinct))
    return distinct, positives, negatives


def auc_from_counts(positives: Counts, negatives: Counts) -> float:
    """P(positive > negative) + P(tie) / 2, in [0, 1] (Mann-Whitney). Raises MetricError for an empty side."""
    total = _pairs(positives, negatives)
    below = np.cumsum(negatives) - negatives
    return float(np.dot(positives.astype(float), below + 0.5 * negatives) / total)


def eer_from_counts(positives: Counts, negatives: Counts) -> float:
    """Equal error rate in [0, 1]: where the ROC polyline meets false positive rate = false negative rate.

    The polyline joins the operating points `score >= t` of all distinct scores t, so it is level between
    two positives, upright between two negatives and slanted at a tie. Hence the plateau rule: when the
    false negative rate stands still while the false positive rate passes it, that level is the EER.
    0 for a perfect classifier, 1 for an inverted one, 0.5 for a constant score.
    """
    total = _pairs(positives, negatives)
    n_positive, n_negative = float(positives.sum()), float(negatives.sum())
    missed = np.concatenate([[0.0], np.cumsum(positives, dtype=float)])
    accepted = n_negative - np.concatenate([[0.0], np.cumsum(negatives, dtype=float)])
    # Both rates over the common denominator: integers, so the crossing is found without rounding.
    gap = accepted * n_positive - missed * n_negative
    after = int(np.argmax(gap <= 0))
    before = after - 1
    share = gap[before] / (gap[before] - gap[after])
    return float((missed[before] + share * positives[before]) * n_negative / total)


def _pairs(positives: Counts, negatives: Counts) -> float:
    total = float(positives.sum()) * float(negatives.sum())
    if total == 0:
        raise MetricError(
            f"AUC and EER need both classes, got {int(positives.sum())} positive and "
            f"{int(negatives.sum())} negative scores"
        )
    return total
