"""Kept attributes against sklearn and by hand; temperature scaling recovers what was applied."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss
from sklearn.metrics import log_loss as sklearn_log_loss

from bench.errors import InputError, MetricError
from bench.metrics import attributes

PROPERTY = settings(derandomize=True, deadline=None, max_examples=40)


def labelled(seed=0, n=4000, n_classes=3):
    """Samples whose labels are drawn from softmax(scores): temperature 1 is the truth."""
    rng = np.random.default_rng(seed)
    scores = 2 * rng.standard_normal((n, n_classes))
    p = attributes.probabilities(scores, 1.0)
    labels = (rng.random((n, 1)) > np.cumsum(p, axis=1)).sum(axis=1).clip(0, n_classes - 1)
    return scores, labels


def test_cac_is_what_the_attacker_lost():
    assert attributes.cac(0.9, 0.7) == pytest.approx(0.2)
    assert attributes.cac(0.7, 0.9) == pytest.approx(-0.2)
    with pytest.raises(InputError, match="accuracies"):
        attributes.cac(90, 70)


def test_drift_by_hand():
    before, after = [[0.2, 0.8], [0.5, 0.5]], [[0.4, 0.6], [0.5, 0.5]]
    assert attributes.drift_mse(before, after) == pytest.approx((0.2**2 + 0) / 2)
    expected = -(0.2 * np.log(0.4) + 0.8 * np.log(0.6) + np.log(0.5)) / 2
    assert attributes.drift_cross_entropy(before, after) == pytest.approx(expected)


@PROPERTY
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_drift_is_least_where_nothing_changes(seed, n_classes):
    before, after = np.random.default_rng(seed).dirichlet(np.ones(n_classes), (2, 20))
    assert attributes.drift_mse(before, before) == 0
    assert 0 <= attributes.drift_mse(before, after) <= 1
    least = attributes.drift_cross_entropy(before, before)
    assert attributes.drift_cross_entropy(before, after) >= least - 1e-6


def test_certain_answers_are_clipped():
    votes = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert attributes.drift_cross_entropy(votes, votes[::-1]) == pytest.approx(-np.log(1e-7), rel=1e-6)
    assert attributes.log_loss([0, 1], votes) == pytest.approx(-np.log(1e-7), rel=1e-6)


def test_against_labels_equals_sklearn():
    rng = np.random.default_rng(1)
    labels, p = rng.integers(0, 2, 300), rng.random(300)
    both = np.stack([1 - p, p], axis=1)
    assert attributes.brier(labels, both) == pytest.approx(brier_score_loss(labels, p))
    assert attributes.log_loss(labels, both) == pytest.approx(sklearn_log_loss(labels, both))
    labels, three = rng.integers(0, 3, 300), rng.dirichlet(np.ones(3), 300)
    assert attributes.log_loss(labels, three) == pytest.approx(sklearn_log_loss(labels, three))


@pytest.mark.parametrize("factor", [0.01, 1.0, 300.0])
def test_the_temperature_undoes_a_factor_on_the_scores(factor):
    scores, labels = labelled()
    temperature = attributes.fit_temperature(factor * scores, labels)
    assert temperature / factor == pytest.approx(1, abs=0.08)
    found = attributes.probabilities(factor * scores, temperature)
    np.testing.assert_allclose(found.sum(axis=1), 1)
    expected = attributes.probabilities(scores, temperature / factor)
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_the_temperature_is_the_likeliest():
    scores, labels = labelled(seed=2, n=500, n_classes=2)
    best = attributes.fit_temperature(scores, labels)
    losses = [attributes.log_loss(labels, attributes.probabilities(scores, best * k)) for k in (1, 0.9, 1.1)]
    assert losses[0] == min(losses)


def test_separable_samples_give_a_finite_temperature():
    temperature = attributes.fit_temperature([[0.0, 1.0], [1.0, 0.0]], [1, 0])
    assert 0 < temperature < 0.1
    found = attributes.probabilities([[0.0, 1.0]], temperature)
    assert np.isfinite(found).all()


def test_input_that_does_not_fit_is_named():
    with pytest.raises(MetricError, match="same for every class"):
        attributes.fit_temperature(np.ones((4, 2)), [0, 1, 0, 1])
    with pytest.raises(InputError, match="3 classes"):
        attributes.fit_temperature(np.eye(2), [0, 2])
    with pytest.raises(InputError, match="temperature > 0"):
        attributes.probabilities(np.eye(2), 0)
    with pytest.raises(InputError, match="add up to 1"):
        attributes.drift_mse([[0.5, 0.6]], [[0.5, 0.5]])
    with pytest.raises(InputError, match="add up to 1"):
        attributes.drift_mse([[np.nan, 0.6]], [[0.5, 0.5]])
    with pytest.raises(InputError, match="differ in shape"):
        attributes.drift_mse([[0.5, 0.5]], [[0.5, 0.25, 0.25]])
    with pytest.raises(InputError, match="2 labels up to 2"):
        attributes.brier([0, 2], np.eye(2))


@PROPERTY
@given(st.integers(0, 10_000), st.integers(2, 5))
def test_order_of_samples_and_classes_changes_nothing(seed, n_classes):
    rng = np.random.default_rng(seed)
    before, after = rng.dirichlet(np.ones(n_classes), (2, 25))
    labels = rng.integers(0, n_classes, 25)
    rows, classes = rng.permutation(25), rng.permutation(n_classes)
    moved = [p[rows][:, classes] for p in (before, after)]
    renamed = np.argsort(classes)[labels[rows]]
    for metric in (attributes.drift_mse, attributes.drift_cross_entropy):
        assert metric(*moved) == pytest.approx(metric(before, after), abs=1e-12)
    for metric in (attributes.brier, attributes.log_loss):
        assert metric(renamed, moved[0]) == pytest.approx(metric(labels, before), abs=1e-12)
    assert attributes.drift_mse(after, before) == pytest.approx(attributes.drift_mse(before, after))


@PROPERTY
@given(st.integers(0, 10_000))
def test_slow_code_gives_the_same(seed):
    rng = np.random.default_rng(seed)
    before, after = rng.dirichlet(np.ones(3), (2, 12))
    labels = rng.integers(0, 3, 12)
    squares, crossed, losses, distances = [], [], [], []
    for i in range(12):
        crossed.append(-sum(before[i, c] * np.log(after[i, c]) for c in range(3)))
        losses.append(-np.log(before[i, labels[i]]))
        for c in range(3):
            squares.append((before[i, c] - after[i, c]) ** 2)
            distances.append((before[i, c] - (labels[i] == c)) ** 2)
    assert attributes.drift_mse(before, after) == pytest.approx(np.mean(squares), abs=1e-12)
    assert attributes.drift_cross_entropy(before, after) == pytest.approx(np.mean(crossed), abs=1e-5)
    assert attributes.log_loss(labels, before) == pytest.approx(np.mean(losses), abs=1e-5)
    assert attributes.brier(labels, before) == pytest.approx(np.mean(distances), abs=1e-12)


def test_one_class_and_constant_answers_have_their_plain_values():
    same = np.full((6, 2), 0.5)
    assert attributes.log_loss(np.ones(6, int), same) == pytest.approx(np.log(2))
    assert attributes.brier(np.ones(6, int), same) == 0.25
    assert attributes.drift_cross_entropy(same, same) == pytest.approx(np.log(2))


def test_an_inverted_answer_drifts_most():
    sure = np.array([[1.0, 0.0], [0.0, 1.0]])
    assert attributes.drift_mse(sure, sure[::-1]) == 1
    assert attributes.drift_mse(sure, np.full((2, 2), 0.5)) == 0.25


def test_a_temperature_needs_finite_scores():
    with pytest.raises(InputError, match="finite"):
        attributes.fit_temperature([[0.0, np.nan], [1.0, 0.0]], [0, 1])
    with pytest.raises(InputError, match="finite"):
        attributes.probabilities([[0.0, np.inf]], 1.0)
