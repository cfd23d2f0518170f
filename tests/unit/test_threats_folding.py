"""A fixed classifier whose answers are inverted and re-tuned: against brute force, and on known ends."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from bench.errors import InputError
from bench.metrics.privacy import attribute_leak, auc, balanced_accuracy, decide
from bench.threats.folding import Recalibration

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)


def two(difference):
    """Scores (N, 2) with the given difference of class 1 and class 0."""
    half = np.asarray(difference, dtype=np.float64) / 2
    return np.stack([-half, half], axis=1)


def brute_force(difference, labels):
    """Highest balanced accuracy of any sign and any threshold between two scores, by trying all."""
    values = sorted(set(difference))
    cuts = [values[0] - 1, *[(a + b) / 2 for a, b in pairwise(values)], values[-1] + 1]
    found = 0.0
    for cut in cuts:
        for sign in (1, -1):
            guess = [int(sign * (v - cut) > 0) for v in difference]
            hits = [sum(g == y == c for g, y in zip(guess, labels, strict=True)) for c in (0, 1)]
            found = max(found, sum(h / list(labels).count(c) for c, h in enumerate(hits)) / 2)
    return found


binary = st.lists(st.tuples(st.integers(-6, 6), st.integers(0, 1)), min_size=4, max_size=30).filter(
    lambda pairs: len({y for _, y in pairs}) == 2
)


@PROPERTY
@given(binary)
def test_no_sign_and_threshold_is_better(pairs):
    difference, labels = (np.array(column) for column in zip(*pairs, strict=True))
    corrected = Recalibration.fit(two(difference), labels).apply(two(difference))
    assert balanced_accuracy(labels, decide(corrected)) == pytest.approx(
        brute_force(difference, labels.tolist()), abs=1e-12
    )


@PROPERTY
@given(binary, st.integers(-5, 5), st.sampled_from([0.5, 1.0, 4.0]))
def test_decisions_ignore_inversion_shift_and_scale(pairs, shift, scale):
    difference, labels = (np.array(column, dtype=float) for column in zip(*pairs, strict=True))
    plain = Recalibration.fit(two(difference), labels).apply(two(difference))
    other = two(shift - scale * difference)
    moved = Recalibration.fit(other, labels).apply(other)
    truth = labels.astype(int)
    assert balanced_accuracy(truth, decide(moved)) == pytest.approx(balanced_accuracy(truth, decide(plain)))


@PROPERTY
@given(binary)
def test_two_classes_keep_the_leak(pairs):
    difference, labels = (np.array(column) for column in zip(*pairs, strict=True))
    corrected = Recalibration.fit(two(difference), labels).apply(two(difference))
    assert attribute_leak(labels, corrected) == pytest.approx(attribute_leak(labels, two(difference)))


def test_hand_computed_threshold_and_inversion():
    labels = [1, 1, 1, 0, 0]
    found = Recalibration.fit(two([1.0, 2.0, 3.0, 5.0, 9.0]), labels)
    corrected = found.apply(two([4.0, 3.0, 6.0]))
    # Halfway between 3 and 5, inverted: what lies below 4 is class 1.
    np.testing.assert_allclose(corrected[:, 1] - corrected[:, 0], [0.0, 1.0, -2.0], atol=1e-12)


def test_among_equal_thresholds_the_nearest_to_the_classifiers_own():
    # Both cuts, at -2.5 and at 1.5, give 3/4.
    found = Recalibration.fit(two([-3.0, -2.0, 1.0, 2.0]), [0, 1, 0, 1]).apply(two([1.5, -2.5]))
    assert found[0, 1] - found[0, 0] == 0
    assert found[1, 1] - found[1, 0] < 0


def test_a_shifted_classifier_at_chance_is_re_tuned():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    shifted = two(labels * 4.0 + rng.normal(size=400) * 0.5 + 7)
    assert balanced_accuracy(labels, decide(shifted)) == 0.5
    corrected = Recalibration.fit(shifted[:200], labels[:200]).apply(shifted[200:])
    assert balanced_accuracy(labels[200:], decide(corrected)) > 0.98


def permuted(count, classes, seed):
    """Scores of a classifier that answers the next class instead of the true one, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(classes, count, p=[0.6, 0.3, 0.1])
    scores = rng.normal(size=(count, classes))
    scores[np.arange(count), (labels + 1) % classes] += 6
    return scores, labels


def test_a_permutation_of_three_classes_is_undone():
    scores, labels = permuted(600, 3, 1)
    assert balanced_accuracy(labels, decide(scores)) < 0.05
    corrected = Recalibration.fit(scores[:300], labels[:300]).apply(scores[300:])
    assert balanced_accuracy(labels[300:], decide(corrected)) > 0.95
    assert auc(labels[300:], corrected) > 0.98


def test_three_classes_are_scikit_learns_balanced_logistic_regression():
    scores, labels = permuted(200, 3, 2)
    scaler = StandardScaler().fit(scores)
    model = LogisticRegression(class_weight="balanced", max_iter=1000).fit(scaler.transform(scores), labels)
    corrected = Recalibration.fit(scores, labels).apply(scores)
    expected = model.decision_function(scaler.transform(scores))
    np.testing.assert_allclose(corrected, expected, atol=1e-9)


def test_a_class_that_was_never_seen_is_never_named():
    scores, labels = permuted(300, 3, 3)
    seen = labels != 1
    corrected = Recalibration.fit(scores[seen], labels[seen]).apply(scores)
    assert corrected.shape == (300, 3)
    assert set(decide(corrected)) == {0, 2}
    assert balanced_accuracy(labels[seen], decide(corrected)[seen]) > 0.95


@pytest.mark.parametrize("classes", [2, 3])
def test_unknown_labels_are_left_out(classes):
    scores, labels = permuted(120, 3, 4)
    scores, labels = scores[:, :classes], labels % classes
    known = np.arange(120) % 3 > 0
    partly = np.where(known, labels, np.nan)
    expected = Recalibration.fit(scores[known], labels[known]).apply(scores)
    np.testing.assert_array_equal(Recalibration.fit(scores, partly).apply(scores), expected)
    negative = np.where(known, labels, -1)
    np.testing.assert_array_equal(Recalibration.fit(scores, negative).apply(scores), expected)


@pytest.mark.parametrize("value", [0.1, 1 / 3, -7.3])
@pytest.mark.parametrize("classes", [2, 3])
def test_constant_scores_stay_constant(classes, value):
    rng = np.random.default_rng(5)
    labels = rng.integers(0, classes, 101)
    constant = np.tile(value * np.arange(classes), (101, 1))
    corrected = Recalibration.fit(constant, labels).apply(constant)
    assert np.ptp(corrected, axis=0).max() == 0
    assert attribute_leak(labels, corrected) == 0
    assert balanced_accuracy(labels, decide(corrected)) == 1 / classes
    informed = Recalibration.fit(rng.normal(size=(101, classes)), labels)
    assert np.ptp(informed.apply(constant), axis=0).max() == 0


@pytest.mark.parametrize(
    ("scores", "labels", "message"),
    [
        (two([1.0, np.nan]), [0, 1], "finite"),
        (np.zeros((2, 1)), [0, 1], "K >= 2"),
        (np.zeros(2), [0, 1], "K >= 2"),
        (two([1.0, 2.0]), [1, 1], "two or more"),
        (two([1.0, 2.0]), [np.nan, 1], "two or more"),
        (two([1.0, 2.0]), [0, 2], "two or more"),
        (two([1.0, 2.0]), [0, 1, 1], "2 score rows"),
    ],
)
def test_unusable_input_is_refused(scores, labels, message):
    with pytest.raises(InputError, match=message):
        Recalibration.fit(scores, labels)


def test_scores_of_another_number_of_classes_are_refused():
    found = Recalibration.fit(two([1.0, 2.0]), [0, 1])
    with pytest.raises(InputError, match="2 classes, got 3"):
        found.apply(np.zeros((1, 3)))
