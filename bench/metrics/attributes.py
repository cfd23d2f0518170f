"""Kept attributes: how much an attribute that should stay was moved.

Probabilities are (N, K), rows adding up to 1. Attackers give scores; `fit_temperature` turns them into
probabilities with one number learnt on labelled samples that are not scored.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from bench.errors import InputError, MetricError
from bench.metrics.privacy import check_labels, check_scores

Float = NDArray[np.float64]

CLIP = 1e-7
"""Probabilities are kept within [CLIP, 1 - CLIP] before a logarithm: neighbour votes are exactly 0 or 1."""


def cac(r_or: float, r_adv: float) -> float:
    """Change of attribute classification accuracy, R_or - R_adv in [-1, 1] (Gender-AN); > 0 is degraded."""
    if not (0 <= r_or <= 1 and 0 <= r_adv <= 1):
        raise InputError(f"accuracies must lie in [0, 1], got {r_or} and {r_adv}")
    return r_or - r_adv


def fit_temperature(scores: ArrayLike, labels: ArrayLike) -> float:
    """Temperature T > 0 that makes softmax(scores / T) likeliest for `labels` (Guo et al. 2017, sec. 4.2).

    scores: (N, K), K >= 2. labels: (N,), class indices. Multiplying the scores by a factor multiplies T by
    it. T is searched within 1e-3..1e3 times the scores' spread, so separable samples give a finite T.
    Raises MetricError when no score differs between classes, InputError for what does not fit.
    """
    known = check_labels(labels)
    found = check_scores(scores, len(known))
    if found.ndim != 2 or known.max() >= found.shape[1]:
        raise InputError(f"scores {found.shape} do not cover the {known.max() + 1} classes of the labels")
    spread = float(np.sqrt(np.mean(np.var(found, axis=1))))
    if spread == 0:
        raise MetricError("the scores are the same for every class: no temperature fits them")

    def loss(log_temperature: float) -> float:
        log_p = log_softmax(found / (spread * np.exp(log_temperature)), axis=1)
        return float(-np.mean(log_p[np.arange(len(known)), known]))

    bounds = np.log(1e-3), np.log(1e3)
    best = minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return float(spread * np.exp(best.x))


def probabilities(scores: ArrayLike, temperature: float) -> Float:
    """softmax(scores / temperature), float64 (N, K)."""
    values = np.asarray(scores)
    found = check_scores(values, len(values))
    if found.ndim != 2 or not temperature > 0:
        raise InputError(f"need scores (N, K) and a temperature > 0, got {found.shape} and {temperature}")
    return np.asarray(softmax(found / temperature, axis=1))


def drift_mse(before: ArrayLike, after: ArrayLike) -> float:
    """Mean squared change of the predicted probabilities, in [0, 1]; 0 for no change.

    Over samples and classes; with two classes this is mean (p - p')^2 of one of them.
    """
    old, new = _two(before, after)
    return float(np.mean((old - new) ** 2))


def drift_cross_entropy(before: ArrayLike, after: ArrayLike) -> float:
    """-mean sum_c p_c log p'_c in nats, p before and p' after, clipped; at least the entropy of `before`."""
    old, new = _two(before, after)
    return float(-np.mean(np.sum(old * np.log(_clipped(new)), axis=1)))


def brier(labels: ArrayLike, probs: ArrayLike) -> float:
    """Mean squared distance of probabilities to the labels, over samples and classes, in [0, 1]."""
    known, found = _labelled(labels, probs)
    truth = np.eye(found.shape[1])[known]
    return float(np.mean((found - truth) ** 2))


def log_loss(labels: ArrayLike, probs: ArrayLike) -> float:
    """-mean log p of the true class in nats, clipped."""
    known, found = _labelled(labels, probs)
    return float(-np.mean(np.log(_clipped(found[np.arange(len(known)), known]))))


def _checked(probs: ArrayLike) -> Float:
    found = np.asarray(probs, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] < 2 or len(found) == 0:
        raise InputError(f"probabilities must be (N, K) with K >= 2, got {found.shape}")
    if not np.isfinite(found).all() or found.min() < 0 or np.abs(found.sum(axis=1) - 1).max() > 1e-4:
        raise InputError("each row of probabilities must be finite, >= 0 and add up to 1")
    return found


def _two(before: ArrayLike, after: ArrayLike) -> tuple[Float, Float]:
    old, new = _checked(before), _checked(after)
    if old.shape != new.shape:
        raise InputError(f"probabilities before and after differ in shape: {old.shape} and {new.shape}")
    return old, new


def _labelled(labels: ArrayLike, probs: ArrayLike) -> tuple[NDArray[np.int64], Float]:
    known, found = check_labels(labels), _checked(probs)
    if len(known) != len(found) or known.max() >= found.shape[1]:
        raise InputError(f"{len(known)} labels up to {known.max()} for probabilities {found.shape}")
    return known, found


def _clipped(probs: Float) -> Float:
    return np.clip(probs, CLIP, 1 - CLIP)
