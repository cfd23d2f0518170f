"""Resampling against repeated rows, coverage by simulation, and the odd cases of intervals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, norm
from scipy.stats import t as t_distribution

from bench.errors import InputError, MetricError
from bench.metrics import privacy
from bench.metrics.uncertainty import (
    ResampledRoc,
    identity_weights,
    interval,
    leak_interval,
    paired_difference,
    resampled_accuracy,
    resampled_balanced_accuracy,
    resampled_mean,
    resampled_reduction,
    resampled_roc,
    seed_spread,
    unit_interval,
    wilson,
    worst_case,
)

PROPERTY = settings(derandomize=True, deadline=None, max_examples=40)
PHOTOS = 8


def repeated(draw, identities, figure, *columns):
    """The figure of every resample from rows that are really repeated; None where it has no value."""
    found = []
    for weights in draw.weights:
        rows = np.repeat(np.arange(len(identities)), weights[np.searchsorted(draw.identities, identities)])
        try:
            found.append(figure(*(column[rows] for column in columns)))
        except MetricError:
            found.append(np.nan)
    return np.array(found)


def some_samples(seed, n_classes=2, n=120, n_identities=15):
    rng = np.random.default_rng(seed)
    identities = rng.integers(0, n_identities, n) * 11
    labels = rng.integers(0, n_classes, n)
    scores = np.round(rng.standard_normal((n, n_classes)) + 0.7 * np.eye(n_classes)[labels], 1)
    return identities, labels, scores


def test_a_draw_depends_on_the_identities_and_the_seed_only():
    ids = np.array([5, 5, 9, -2, 9, 40])
    draw = identity_weights(ids, resamples=50, seed=3)
    again = identity_weights(ids[::-1].repeat(3), resamples=50, seed=3)
    assert draw.identities.tolist() == [-2, 5, 9, 40]
    assert np.array_equal(draw.weights, again.weights)
    assert (draw.weights.sum(axis=1) == 4).all()
    assert not np.array_equal(draw.weights, identity_weights(ids, resamples=50, seed=4).weights)
    assert draw.codes([9, -2, 40]).tolist() == [2, 0, 3]
    for unknown in (6, 41, -3):
        with pytest.raises(InputError, match=f"identity {unknown} "):
            draw.codes([5, unknown])
    with pytest.raises(MetricError, match="at least two"):
        identity_weights([7, 7, 7])


@pytest.mark.parametrize("n_classes", [2, 3])
def test_resampled_figures_are_those_of_repeated_rows(n_classes):
    identities, labels, scores = some_samples(0, n_classes)
    draw = identity_weights(identities, resamples=40, seed=1)
    predictions = privacy.decide(scores)
    roc = resampled_roc(draw, identities, labels, scores)
    for found, figure, column in (
        (roc.auc, privacy.auc, scores),
        (roc.eer, privacy.eer, scores),
        (roc.leak, privacy.attribute_leak, scores),
        (resampled_accuracy(draw, identities, labels, predictions), privacy.accuracy, predictions),
        (
            resampled_balanced_accuracy(draw, identities, labels, predictions),
            privacy.balanced_accuracy,
            predictions,
        ),
    ):
        np.testing.assert_allclose(found, repeated(draw, identities, figure, labels, column), atol=1e-12)


@PROPERTY
@given(st.integers(0, 100_000), st.integers(1, 4))
def test_resampled_auc_and_eer_hold_with_ties_and_absent_classes(seed, levels):
    rng = np.random.default_rng(seed)
    identities, labels = np.arange(12) // 2, np.repeat(rng.permutation([0, 1, 1, 1, 1, 1]), 2)
    scores = rng.integers(0, levels, 12).astype(float)
    draw = identity_weights(identities, resamples=30, seed=seed)
    roc = resampled_roc(draw, identities, labels, scores)
    expected = repeated(draw, identities, privacy.auc, labels, scores)
    assert np.isnan(expected).any()
    np.testing.assert_allclose(roc.auc, expected, atol=1e-12)
    np.testing.assert_allclose(roc.eer, repeated(draw, identities, privacy.eer, labels, scores), atol=1e-12)


def test_figures_of_fewer_identities_use_the_same_draw():
    identities, labels, scores = some_samples(1)
    draw = identity_weights(identities, resamples=25)
    kept = identities != identities[0]
    found = resampled_roc(draw, identities[kept], labels[kept], scores[kept]).auc
    expected = repeated(draw, identities[kept], privacy.auc, labels[kept], scores[kept])
    np.testing.assert_allclose(found, expected)


def test_resampled_means_and_reductions():
    identities, labels, _ = some_samples(2)
    draw = identity_weights(identities, resamples=30)
    values = np.random.default_rng(0).standard_normal(len(labels))
    np.testing.assert_allclose(
        resampled_mean(draw, identities, values), repeated(draw, identities, np.mean, values), atol=1e-12
    )
    assert resampled_reduction([0.9, 0.9, 0.5], [0.9, 0.5, 0.5], 0.5)[:2] == pytest.approx([0, 1])
    assert np.isnan(resampled_reduction([0.5, 0.4], [0.5, 0.4], 0.5)).all()
    with pytest.raises(InputError, match="finite"):
        resampled_mean(draw, identities, np.full(len(labels), np.nan))
    with pytest.raises(InputError, match="120 identities for 119 samples"):
        resampled_mean(draw, identities, values[:-1])


def test_the_worst_attacker_is_chosen_inside_each_resample():
    attackers = np.array([[0.1, 0.9, 0.5], [0.8, 0.2, 0.5]])
    assert worst_case(attackers).tolist() == [0.8, 0.9, 0.5]
    assert np.isnan(worst_case([[0.1, np.nan], [0.8, 0.2]])[1])
    with pytest.raises(InputError, match="attackers, resamples"):
        worst_case([0.1, 0.2])


def drawn_roc(rng, area, spread, n_identities=np.inf):
    areas = np.atleast_1d(area)[:, None] + spread * rng.standard_normal((np.size(area), 2000))
    return ResampledRoc(areas, np.full_like(areas, 0.5), n_identities)


def test_the_worst_leak_reaches_zero_unless_an_attacker_reads_something():
    rng = np.random.default_rng(0)
    coins = [drawn_roc(rng, 0.5, 0.02) for _ in range(5)]
    reader = drawn_roc(rng, 0.2, 0.02)
    alone, pooled = leak_interval(coins[:1]), leak_interval(coins)
    assert alone.low == pooled.low == 0
    assert pooled.high > alone.high
    assert leak_interval([reader]).low > 0.5
    assert leak_interval([reader]).low > leak_interval([*coins, reader]).low > 0.47


def test_bounds_of_many_attackers_reach_as_far_as_all_need_together():
    """Independent attackers need the normal quantile of level ** (1 / A), copies of one that of `level`."""
    rng = np.random.default_rng(1)
    reader, others = drawn_roc(rng, 0.6, 0.01), [drawn_roc(rng, 0.5, 0.01) for _ in range(39)]
    for attackers, n_alone in (([reader], 1), ([reader] * 40, 1), ([reader, *others], 40)):
        reach = norm.ppf(0.5 * (1 + 0.95 ** (1 / n_alone)))
        low = 2 * (0.6 - reach * 0.01 - 0.5)
        assert leak_interval(attackers).low == pytest.approx(low, abs=0.004)
    few = ResampledRoc(reader.areas, reader.error_rates, n_identities=5)
    assert leak_interval([few]).low < leak_interval([reader]).low - 0.01


def test_the_lower_end_of_several_classes_is_the_mean_of_their_bounds():
    rng = np.random.default_rng(2)
    classes = drawn_roc(rng, [0.2, 0.5, 0.8], 0.001)
    found = leak_interval([classes])
    assert found.low == pytest.approx(0.4, abs=0.01)
    assert found.low < np.mean(classes.leak) < found.high
    # What another attacker reads of other classes is no part of it.
    assert leak_interval([drawn_roc(rng, 0.5, 0.001), classes]).low == pytest.approx(0.4, abs=0.01)


def test_a_constant_attacker_leaks_nothing_for_certain():
    identities, labels, _ = some_samples(3)
    roc = resampled_roc(identity_weights(identities), identities, labels, np.zeros(len(labels)))
    found = leak_interval([roc] * 3)
    assert (found.low, found.high) == (0, 0)
    sure = resampled_roc(identity_weights(identities), identities, labels, labels.astype(float))
    assert leak_interval([roc, sure]) == leak_interval([sure])
    assert leak_interval([sure]).low == 1


def test_intervals_are_refused_when_a_class_hangs_on_one_identity():
    samples = np.linspace(0, 1, 100)
    samples[:5] = np.nan
    found = interval(samples)
    assert found.n_undefined == 5
    assert found.low > samples[5]
    samples[5] = np.nan
    for refuse in (lambda: interval(samples), lambda: unit_interval(0.5, samples, 9)):
        with pytest.raises(MetricError, match="undefined in 6 of 100 resamples"):
            refuse()


def test_paired_differences_cancel_what_two_methods_share():
    identities, labels, scores = some_samples(4, n=400, n_identities=40)
    draw = identity_weights(identities)
    one = resampled_roc(draw, identities, labels, scores).auc
    other = resampled_roc(draw, identities, labels, np.round(scores + 0.05 * np.eye(2)[labels], 2)).auc
    paired = paired_difference(other, one)
    unpaired = interval(np.random.default_rng(0).permutation(other) - one)
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)
    assert paired_difference(one, one) == interval(np.zeros(1000))
    with pytest.raises(InputError, match="differ in shape"):
        paired_difference(one, other[:-1])


def test_the_spread_over_seeds_is_that_of_the_t_interval():
    values = [0.71, 0.69, 0.76]
    found = seed_spread(values)
    assert (found.mean, found.sd) == pytest.approx((0.72, 0.036055512))
    expected = t_distribution.interval(0.95, 2, loc=0.72, scale=found.sd / np.sqrt(3))
    assert (found.low, found.high) == pytest.approx(expected)
    assert seed_spread([0.5, 0.5]) == (0.5, 0, 0.5, 0.5)
    with pytest.raises(MetricError, match="at least two, there is 1; run with --seeds 3"):
        seed_spread([0.5])
    with pytest.raises(InputError, match="must be finite"):
        seed_spread([0.5, np.nan])


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (3, 10), (10, 10), (470, 1000)])
def test_wilson_equals_scipy(successes, trials):
    expected = binomtest(successes, trials).proportion_ci(method="wilson")
    found = wilson(successes, trials)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_wilson_refuses_what_is_no_rate():
    for successes, trials in ((5, 4), (-1, 4), (0, 0)):
        with pytest.raises(InputError, match="not a rate"):
            wilson(successes, trials)


def test_a_rate_at_the_edge_is_not_certain():
    assert unit_interval(1.0, np.ones(100), 50) == wilson(50, 50)
    assert unit_interval(0.0, np.zeros(100), 50) == wilson(0, 50)
    near = unit_interval(0.995, np.random.default_rng(0).normal(0.995, 0.004, 500), 50)
    assert 0.9 < near.low < 0.985
    assert 0.995 < near.high < 1
    constant = unit_interval(0.5, np.full(100, 0.5), 50)
    assert (constant.low, constant.high) == (0.5, 0.5)
    with pytest.raises(InputError, match="must lie in"):
        unit_interval(1.2, np.ones(100), 50)


FIGURES = ("auc", "eer", "balanced_accuracy", "accuracy", "leak", "difference")


def simulated_coverage(n_identities, separation, repetitions, by_photo=False, resamples=400):
    """Share of intervals that hold the truth, of each of `FIGURES`.

    An attacker's score of eight photos of each identity: class, a part shared by the photos (70 % of the
    variance), noise. `difference` is the AUC under a method with that separation minus the AUC under a
    second one with half of it, of the same people. The truth is that of the normal model. by_photo: draw
    photos instead of identities.
    """
    rng = np.random.default_rng(7)
    identities = np.repeat(np.arange(n_identities), PHOTOS)
    clusters = np.arange(len(identities)) if by_photo else identities
    n = len(np.unique(clusters))
    labels = identities % 2
    area, other_area = norm.cdf(np.array([separation, separation / 2]) / np.sqrt(2))
    share = norm.cdf(separation / 2)
    truth = area, 1 - share, share, share, 2 * area - 1, area - other_area
    held = np.zeros(len(FIGURES))
    for seed in range(repetitions):
        shared, other_shared = same_people(rng, n_identities, 0.5)[:, identities]
        scores, others = (
            part + np.sqrt(0.3) * rng.standard_normal(len(labels)) for part in (shared, other_shared)
        )
        scores, others = separation * labels + scores, separation / 2 * labels + others
        guesses = (scores > separation / 2).astype(int)
        draw = identity_weights(clusters, resamples, seed)
        roc = resampled_roc(draw, clusters, labels, scores)
        balanced = resampled_balanced_accuracy(draw, clusters, labels, guesses)
        hits = resampled_accuracy(draw, clusters, labels, guesses)
        ends = [
            unit_interval(privacy.auc(labels, scores), roc.auc, n),
            unit_interval(privacy.eer(labels, scores), roc.eer, n),
            unit_interval(privacy.balanced_accuracy(labels, guesses), balanced, n),
            unit_interval(privacy.accuracy(labels, guesses), hits, n),
            leak_interval([roc]),
            paired_difference(roc.auc, resampled_roc(draw, clusters, labels, others).auc),
        ]
        held += [e.low <= t <= e.high for e, t in zip(ends, truth, strict=True)]
    return held / repetitions


def same_people(rng, n_identities, correlation, copies=2):
    """What the photos of an identity share, under several attackers or methods: (copies, I), variance .7."""
    common, own = rng.standard_normal(n_identities), rng.standard_normal((copies, n_identities))
    return np.sqrt(0.7) * (np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own)


def test_intervals_cover_with_correlated_photos_and_those_by_photo_do_not():
    by_identity = simulated_coverage(80, separation=0.5, repetitions=250)
    assert (by_identity >= 0.92).all()  # two standard errors about .93 to .97
    assert (by_identity <= 0.99).all()
    assert (simulated_coverage(80, separation=0.5, repetitions=60, by_photo=True) < 0.86).all()


@pytest.mark.slow
@pytest.mark.parametrize("separation", [0.0, 0.5, 1.5])
def test_95_percent_intervals_cover_93_to_97_percent(separation):
    shares = simulated_coverage(100, separation, repetitions=1500)
    assert (shares >= 0.93).all()
    assert (shares <= 0.97).all()


def null_leaks(n_attackers, repetitions, n_identities=60, resamples=300):
    """Worst leak of attackers that read nothing, its interval's lower end, and that of percentiles alone.

    (repetitions, 3). The targets of a method that flips at random, or the noise of one that destroys the
    attribute, say nothing of the label; photos of one person still score alike (70 %), and so do attackers
    that read the same embeddings (50 %).
    """
    rng = np.random.default_rng(11)
    identities = np.repeat(np.arange(n_identities), PHOTOS)
    labels = identities % 2
    found = []
    for seed in range(repetitions):
        draw = identity_weights(identities, resamples, seed)
        parts = same_people(rng, n_identities, 0.5, n_attackers)[:, identities]
        scores = parts + np.sqrt(0.3) * rng.standard_normal(parts.shape)
        rocs = [resampled_roc(draw, identities, labels, one) for one in scores]
        value = max(privacy.attribute_leak(labels, one) for one in scores)
        worst = worst_case([roc.leak for roc in rocs])
        found.append((value, leak_interval(rocs).low, interval(worst).low))
    return np.array(found)


def test_the_worst_of_many_attackers_that_read_nothing_leaks_but_not_beyond_doubt():
    alone, many = null_leaks(1, repetitions=60), null_leaks(40, repetitions=60)
    # The value is biased upwards, more so the more attackers there are ...
    assert 0.08 < alone[:, 0].mean() < 0.13
    assert 0.24 < many[:, 0].mean() < 0.32
    # ... and percentiles of the maximum take the bias for a leak, the simultaneous bound does not.
    assert np.mean(many[:, 2] > 0.05) > 0.9
    assert np.mean(many[:, 1] > 0) <= 0.1
    assert np.mean(alone[:, 1] > 0) <= 0.1


@pytest.mark.slow
def test_seventy_attackers_that_read_nothing_are_called_leaky_in_one_run_of_twenty():
    assert np.mean(null_leaks(70, repetitions=300)[:, 1] > 0) < 0.08


def test_a_random_target_leaves_the_retrained_attacker_at_chance():
    """Faces shown as a class drawn without regard to the label: reading the class says nothing of it."""
    rng = np.random.default_rng(12)
    identities = np.repeat(np.arange(80), PHOTOS)
    labels = identities % 2
    draw = identity_weights(identities, 400)
    shown = rng.integers(0, 2, len(labels))
    flipped = 1 - labels
    readers = [shown + 0.1 * rng.standard_normal(len(labels)) for _ in range(30)]
    found = leak_interval([resampled_roc(draw, identities, labels, one) for one in readers])
    assert found.low == 0
    assert found.high < 0.2
    assert leak_interval([resampled_roc(draw, identities, labels, flipped + 0.1 * readers[0])]).low > 0.95
