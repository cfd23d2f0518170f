"""Privacy: how well an attribute is still read. Accuracies, Reduction, AUC, EER, leak, age errors.

Labels are class indices 0..K-1. Scores are one column a class, larger is likelier, log-probability-like;
a one-dimensional array is the score of class 1. Nothing is guessed: a non-finite score or an unknown label
is an InputError (the caller removes and counts failed samples first), a metric without a defined value is
a MetricError.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp

from bench.errors import InputError, MetricError
from bench.metrics.roc import auc_from_counts, counts_at_scores, eer_from_counts

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def check_labels(labels: ArrayLike) -> Int:
    """Labels as int64 (N,), all >= 0. Raises InputError otherwise."""
    found = np.asarray(labels)
    if found.ndim != 1 or len(found) == 0:
        raise InputError(f"labels must be a non-empty vector, got shape {found.shape}")
    if not np.issubdtype(found.dtype, np.number) and found.dtype != bool:
        raise InputError(f"labels must be class indices, got {found.dtype}")
    if not np.isfinite(found).all() or (found < 0).any() or (found != np.trunc(found)).any():
        raise InputError("labels must be class indices >= 0; remove the unlabelled samples first")
    return found.astype(np.int64)


def check_predictions(labels: ArrayLike, predictions: ArrayLike) -> tuple[Int, Int]:
    """Labels and predicted classes, both int64 (N,). Raises InputError for different lengths."""
    known, guessed = check_labels(labels), check_labels(predictions)
    if len(known) != len(guessed):
        raise InputError(f"{len(known)} labels but {len(guessed)} predictions")
    return known, guessed


def check_scores(scores: ArrayLike, n: int) -> Float:
    """Scores as float64 (N,) or (N, K >= 2), finite. Raises InputError otherwise."""
    found = np.asarray(scores, dtype=np.float64)
    if found.ndim not in (1, 2) or len(found) != n or (found.ndim == 2 and found.shape[1] < 2):
        raise InputError(f"scores must be ({n},) or ({n}, K) with K >= 2, got {found.shape}")
    if not np.isfinite(found).all():
        raise InputError("scores must be finite; remove and count the failed samples first")
    return found


def class_scores(scores: Float) -> Float:
    """Log-odds of each class against the rest, (N, K): score minus log-sum-exp of the other classes.

    Unchanged when a constant is added to a row, which means nothing for log-probability-like scores. With
    two classes it is the difference of the two scores.
    """
    columns = range(scores.shape[1])
    return np.stack([scores[:, c] - logsumexp(np.delete(scores, c, axis=1), axis=1) for c in columns], axis=1)


def one_vs_rest(labels: ArrayLike, scores: ArrayLike) -> list[tuple[int, NDArray[np.bool_], Float]]:
    """The binary problems behind an AUC or EER: (class, membership (N,), score (N,)).

    Two classes make one problem, class 1 against class 0. More make one for each class that the labels
    hold, scored by `class_scores`. Raises MetricError when the labels hold one class only, InputError for a
    label without a score column.
    """
    known = check_labels(labels)
    found = check_scores(scores, len(known))
    n_classes = 2 if found.ndim == 1 else found.shape[1]
    if known.max() >= n_classes:
        raise InputError(f"label {known.max()} has no score; scores cover classes 0..{n_classes - 1}")
    present = np.unique(known)
    if len(present) < 2:
        raise MetricError(f"all {len(known)} samples are of class {present[0]}; AUC and EER need two")
    if found.ndim == 1:
        return [(1, known == 1, found)]
    if n_classes == 2:
        return [(1, known == 1, found[:, 1] - found[:, 0])]
    odds = class_scores(found)
    return [(int(c), known == c, odds[:, c]) for c in present]


def decide(scores: ArrayLike) -> Int:
    """Predicted class (N,): the highest score, the lower index at a tie; for a vector, whether it is > 0."""
    values = np.asarray(scores)
    found = check_scores(values, len(values))
    return (found > 0).astype(np.int64) if found.ndim == 1 else np.argmax(found, axis=1).astype(np.int64)


def accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Share of samples whose predicted class is the label, in [0, 1]."""
    known, guessed = check_predictions(labels, predictions)
    return float(np.mean(known == guessed))


def balanced_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Mean over the classes that the labels hold of the share recognised, in [0, 1].

    A constant guess scores 1/k whatever the prevalence, so R_random = 1/k is right for it.
    """
    known, guessed = check_predictions(labels, predictions)
    hits = np.bincount(known, weights=known == guessed)
    sizes = np.bincount(known)
    return float(np.mean(hits[sizes > 0] / sizes[sizes > 0]))


def worst_case_accuracy(labels: ArrayLike, predictions: ArrayLike) -> float:
    """Accuracy of an attacker free to invert a two-class answer: max(a, 1 - a), in [0.5, 1]."""
    known, guessed = check_predictions(labels, predictions)
    if max(known.max(), guessed.max()) > 1:
        raise InputError("only a two-class answer can be inverted")
    share = float(np.mean(known == guessed))
    return max(share, 1 - share)


def chance(labels: ArrayLike) -> float:
    """Accuracy of always naming the commonest class: R_random for plain accuracy, in (0, 1]."""
    known = check_labels(labels)
    return float(np.bincount(known).max() / len(known))


def reduction(r_or: float, r_adv: float, r_random: float) -> float:
    """(R_or - R_adv) / (R_or - R_random) (Gender-AN, eq. 9): 0 nothing hidden, 1 chance, > 1 over-flipped.

    Arguments are accuracies of the same attacker in [0, 1], on originals and on protected images, and
    chance. Raises MetricError when R_or <= R_random: such an attacker cannot read originals.
    """
    return (r_or - r_adv) / _margin(r_or, r_adv, r_random)


def folded_reduction(r_or: float, r_adv: float, r_random: float) -> float:
    """1 - |R_adv - R_random| / (R_or - R_random): 1 at chance, 0 as leaky as before, < 0 worse than before.

    Symmetric about chance, so an inverted attacker earns nothing. Raises as `reduction`.
    """
    return 1 - abs(r_adv - r_random) / _margin(r_or, r_adv, r_random)


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve, ties counted half, in [0, 1]; over one-vs-rest problems the plain mean."""
    return float(np.mean([auc_from_counts(*_counts(p, s)) for _, p, s in one_vs_rest(labels, scores)]))


def eer(labels: ArrayLike, scores: ArrayLike) -> float:
    """Equal error rate in [0, 1] (rule: `bench.metrics.roc.eer_from_counts`); one-vs-rest: plain mean.

    0.5 hides best; 1 is a perfectly inverted, hence perfectly leaking, classifier.
    """
    return float(np.mean([eer_from_counts(*_counts(p, s)) for _, p, s in one_vs_rest(labels, scores)]))


def leak(area: ArrayLike) -> Float:
    """2 |AUC - 0.5| in [0, 1]: the Gini coefficient of an attacker that may invert. Elementwise."""
    return 2 * np.abs(np.asarray(area, dtype=np.float64) - 0.5)


def attribute_leak(labels: ArrayLike, scores: ArrayLike) -> float:
    """Leak of an attribute in [0, 1]; over one-vs-rest problems the mean of the classes' leaks.

    The mean is taken after folding: two classes read in opposite directions leak twice, they do not cancel.
    """
    areas = [auc_from_counts(*_counts(p, s)) for _, p, s in one_vs_rest(labels, scores)]
    return float(np.mean(leak(areas)))


@dataclass(frozen=True)
class AgeErrors:
    """Errors of predicted ages in years: mean absolute, signed mean, and standard deviation.

    `bias` stands beside `mae` because a constant offset hides nothing: whoever knows it subtracts it.
    """

    mae: float
    bias: float
    spread: float


def age_errors(reference: ArrayLike, predicted: ArrayLike) -> AgeErrors:
    """Errors of `predicted` (N,) against `reference` (N,), both in years, finite.

    `reference` is the true age, or the age predicted on the original where no truth exists (PrivacyNet
    uses both): the caller says which.
    """
    truth, found = np.asarray(reference, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != found.shape or len(truth) == 0:
        raise InputError(f"ages must be two vectors of one length, got {truth.shape} and {found.shape}")
    errors = found - truth
    if not np.isfinite(errors).all():
        raise InputError("ages must be finite; remove and count the failed samples first")
    return AgeErrors(float(np.mean(np.abs(errors))), float(np.mean(errors)), float(np.std(errors)))


def constant_guess(reference: ArrayLike) -> tuple[float, float]:
    """What names the numbers `reference` (N,), finite, best without looking: their median, and its MAE.

    No constant has a smaller mean absolute error, so this is chance for `AgeErrors.mae`.
    """
    found = np.asarray(reference, dtype=np.float64)
    if found.ndim != 1 or len(found) == 0 or not np.isfinite(found).all():
        raise InputError(f"numbers must be a non-empty vector of finite values, got shape {found.shape}")
    middle = float(np.median(found))
    return middle, float(np.mean(np.abs(found - middle)))


def _counts(positive: NDArray[np.bool_], scores: Float) -> tuple[Int, Int]:
    return counts_at_scores(positive, scores)[1:]


def _margin(r_or: float, r_adv: float, r_random: float) -> float:
    if not all(0 <= rate <= 1 for rate in (r_or, r_adv, r_random)):
        raise InputError(f"accuracies must lie in [0, 1], got {r_or}, {r_adv}, {r_random}")
    if r_or <= r_random:
        raise MetricError(
            f"Reduction is undefined: the attacker reads originals at {r_or:.3f}, chance is {r_random:.3f}"
        )
    return r_or - r_random
