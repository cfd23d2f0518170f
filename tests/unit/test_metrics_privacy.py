"""Privacy metrics against sklearn, hand-computed cases and the invariances that define them."""

import csv
from importlib import resources

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score, roc_curve

from bench.errors import InputError, MetricError
from bench.metrics import privacy, roc

PROPERTY = settings(derandomize=True, deadline=None, max_examples=80)

GENDER_AN_TABLE_3 = ("Gender-AN IoT-J 2022", "Table III")
PUBLISHED = resources.files("bench.papers") / "published.csv"


def gender_an_table_3():
    """(method, attacker) -> R_or, R_adv and Reduction as printed, from the project's copy of the figures."""
    with PUBLISHED.open(encoding="utf-8") as file:
        table = [r for r in csv.DictReader(file) if (r["paper"], r["source"]) == GENDER_AN_TABLE_3]
    found: dict[tuple[str, str], dict[str, float]] = {}
    for row in table:
        method = row["method"].split(" ")[0]
        found.setdefault((method, row["component"]), {})[row["metric"]] = float(row["value"])
    return {
        key: (row["accuracy_original"], row["accuracy_perturbed"], row["Reduction"])
        for key, row in found.items()
    }


def marked_misprints():
    """Lines of that table which the copy marks as misprinted."""
    with PUBLISHED.open(encoding="utf-8") as file:
        return {
            (r["method"].split(" ")[0], r["component"]): r["misprint"]
            for r in csv.DictReader(file)
            if (r["paper"], r["source"]) == GENDER_AN_TABLE_3 and r["misprint"]
        }


def slow_auc(labels, scores):
    """The definition: every positive against every negative."""
    wins = [(p > n) + (p == n) / 2 for p in scores[labels == 1] for n in scores[labels == 0]]
    return sum(wins) / len(wins)


def curve_crossing(labels, scores):
    """EER read off sklearn's ROC polyline, by bisection of the segment that crosses FPR = 1 - TPR."""
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    k = int(np.argmax(fpr - (1 - tpr) >= 0))
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        x, y = (a[k - 1] + share * (a[k] - a[k - 1]) for a in (fpr, tpr))
        low, high = (share, high) if x < 1 - y else (low, share)
    return fpr[k - 1] + low * (fpr[k] - fpr[k - 1])


@st.composite
def scored(draw, low=-6, high=6):
    """Two-class labels, both present, with integer scores so that ties are common."""
    n = draw(st.integers(2, 40))
    labels = [0, 1, *draw(st.lists(st.integers(0, 1), min_size=n - 2, max_size=n - 2))]
    scores = draw(st.lists(st.integers(low, high), min_size=n, max_size=n))
    return np.array(labels), np.array(scores, float)


def test_table_3_of_gender_an_recomputes_but_for_two_misprints():
    table = gender_an_table_3()
    assert len(table) == 8
    found = {
        key: round(privacy.reduction(r_or, r_adv, 0.5), 3)
        for key, (r_or, r_adv, printed) in table.items()
        if abs(privacy.reduction(r_or, r_adv, 0.5) - printed) > 0.0006
    }
    assert found == {("PrivacyNet", "KNN"): 1.316, ("Gender-AN", "RF"): 0.907}
    marked = marked_misprints()
    assert set(marked) == set(found)
    assert all(str(value) in marked[key] for key, value in found.items())


def test_folded_reduction_of_table_3_ranks_gender_an_above_privacynet():
    assert privacy.folded_reduction(0.986, 0.239, 0.5) == pytest.approx(0.463, abs=5e-4)
    assert privacy.folded_reduction(0.986, 0.508, 0.5) == pytest.approx(0.984, abs=5e-4)


@PROPERTY
@given(st.floats(0.51, 1), st.floats(0, 1), st.floats(0, 0.5))
def test_reduction_is_0_unchanged_1_at_chance_and_folds_about_chance(r_or, r_adv, r_random):
    assert privacy.reduction(r_or, r_or, r_random) == 0
    assert privacy.reduction(r_or, r_random, r_random) == 1
    mirrored = 2 * r_random - r_adv
    if 0 <= mirrored <= 1:
        here, there = (privacy.folded_reduction(r_or, r, r_random) for r in (r_adv, mirrored))
        assert here == pytest.approx(there, abs=1e-12)
    assert privacy.folded_reduction(r_or, r_adv, r_random) <= 1


@pytest.mark.parametrize("metric", [privacy.reduction, privacy.folded_reduction])
def test_reduction_has_no_value_for_an_attacker_at_chance(metric):
    with pytest.raises(MetricError, match=r"reads originals at 0\.500, chance is 0\.500"):
        metric(0.5, 0.5, 0.5)
    with pytest.raises(InputError, match="accuracies"):
        metric(0.9, float("nan"), 0.5)
    with pytest.raises(InputError, match="accuracies"):
        metric(98.6, 50.8, 50.0)


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=50))
def test_accuracies_equal_sklearn(pairs):
    labels, predictions = np.array(pairs).T
    assert privacy.accuracy(labels, predictions) == pytest.approx(accuracy_score(labels, predictions))
    hits = [np.mean(predictions[labels == c] == c) for c in np.unique(labels)]
    assert privacy.balanced_accuracy(labels, predictions) == pytest.approx(np.mean(hits))


def test_balanced_accuracy_equals_sklearn_and_gives_1_over_k_to_a_constant_guess():
    labels = np.repeat([0, 1, 2], [80, 15, 5])
    guesses = np.random.default_rng(0).integers(0, 3, 100)
    expected = balanced_accuracy_score(labels, guesses)
    assert privacy.balanced_accuracy(labels, guesses) == pytest.approx(expected)
    assert privacy.balanced_accuracy(labels, np.zeros(100, int)) == pytest.approx(1 / 3)
    assert privacy.accuracy(labels, np.zeros(100, int)) == privacy.chance(labels) == 0.8


def test_worst_case_accuracy_inverts_a_flipped_answer():
    labels = np.array([0, 0, 1, 1])
    assert privacy.worst_case_accuracy(labels, 1 - labels) == 1
    assert privacy.worst_case_accuracy(labels, [0, 1, 0, 1]) == 0.5
    with pytest.raises(InputError, match="two-class"):
        privacy.worst_case_accuracy([0, 1, 2], [0, 1, 2])


def test_auc_and_eer_by_hand():
    labels, scores = [1, 1, 1, 0, 0, 0, 0], [0.9, 0.8, 0.4, 0.7, 0.4, 0.2, 0.1]
    # 12 pairs: 4 + 4 won by the first two, the third wins 2 and ties 1.
    assert privacy.auc(labels, scores) == pytest.approx(10.5 / 12)
    # Thresholds in (.4, .7]: FNR 1/3, FPR 1/4. At .4: FNR 0, FPR 2/4. The tie's segment crosses at 2/7.
    assert privacy.eer(labels, scores) == pytest.approx(2 / 7)


def test_plateau_rule_of_the_eer():
    labels, scores = [1, 1, 0, 0, 0, 0], [0.9, 0.3, 0.8, 0.7, 0.6, 0.1]
    # One of two positives is below three of the four negatives: FNR stands at 1/2 while FPR passes it.
    assert privacy.eer(labels, scores) == 0.5


@PROPERTY
@given(scored())
def test_auc_and_eer_equal_sklearn(data):
    labels, scores = data
    assert privacy.auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert privacy.auc(labels, scores) == pytest.approx(slow_auc(labels, scores), abs=1e-12)
    assert privacy.eer(labels, scores) == pytest.approx(curve_crossing(labels, scores), abs=1e-9)


@PROPERTY
@given(scored(), st.randoms(use_true_random=False))
def test_auc_and_eer_depend_on_the_order_of_scores_only(data, random):
    labels, scores = data
    found = privacy.auc(labels, scores), privacy.eer(labels, scores)
    assert (privacy.auc(labels, scores**3 * 1e-9 + 5), privacy.eer(labels, np.exp(scores))) == found
    rows = list(range(len(labels)))
    random.shuffle(rows)
    assert (privacy.auc(labels[rows], scores[rows]), privacy.eer(labels[rows], scores[rows])) == found


@PROPERTY
@given(scored())
def test_an_inverted_attacker_mirrors_auc_and_eer_and_leaks_the_same(data):
    labels, scores = data
    assert privacy.auc(labels, -scores) == pytest.approx(1 - privacy.auc(labels, scores))
    assert privacy.eer(labels, -scores) == pytest.approx(1 - privacy.eer(labels, scores))
    leaks = privacy.attribute_leak(labels, scores), privacy.attribute_leak(labels, -scores)
    assert leaks[0] == pytest.approx(leaks[1])


def test_the_ends_of_the_scale():
    labels = np.array([0, 0, 1, 1, 1])
    assert (privacy.auc(labels, labels), privacy.eer(labels, labels)) == (1, 0)
    assert (privacy.auc(labels, -labels), privacy.eer(labels, -labels)) == (0, 1)
    assert (privacy.auc(labels, np.ones(5)), privacy.eer(labels, np.ones(5))) == (0.5, 0.5)
    assert privacy.attribute_leak(labels, -labels) == 1
    assert privacy.attribute_leak(labels, np.ones(5)) == 0
    assert privacy.leak([0.1, 0.9, 0.5]) == pytest.approx([0.8, 0.8, 0])


@PROPERTY
@given(scored())
def test_swapping_the_two_classes_mirrors_nothing(data):
    """Who is called positive is a convention: labels and scores turned together give the same figures."""
    labels, scores = data
    assert privacy.auc(1 - labels, -scores) == pytest.approx(privacy.auc(labels, scores), abs=1e-12)
    assert privacy.eer(1 - labels, -scores) == pytest.approx(privacy.eer(labels, scores), abs=1e-12)
    for metric in (privacy.accuracy, privacy.balanced_accuracy, privacy.worst_case_accuracy):
        guesses = privacy.decide(scores)
        assert metric(1 - labels, 1 - guesses) == pytest.approx(metric(labels, guesses))


@PROPERTY
@given(scored(), st.integers(1, 5))
def test_samples_repeated_as_often_as_one_another_change_nothing(data, times):
    labels, scores = data
    many = np.repeat(labels, times), np.repeat(scores, times)
    assert privacy.auc(*many) == pytest.approx(privacy.auc(labels, scores), abs=1e-12)
    assert privacy.eer(*many) == pytest.approx(privacy.eer(labels, scores), abs=1e-12)
    assert privacy.chance(many[0]) == privacy.chance(labels)


def test_the_order_of_classes_changes_no_figure():
    rng = np.random.default_rng(4)
    labels = np.append(np.arange(4), rng.integers(0, 4, 150))
    scores = rng.standard_normal((154, 4)) + np.eye(4)[labels]
    order = np.array([2, 0, 3, 1])
    renamed = np.argsort(order)[labels]
    for metric in (privacy.auc, privacy.eer, privacy.attribute_leak):
        assert metric(renamed, scores[:, order]) == pytest.approx(metric(labels, scores), abs=1e-12)
    constant = np.zeros((154, 4))
    assert (privacy.auc(labels, constant), privacy.eer(labels, constant)) == (0.5, 0.5)
    assert privacy.attribute_leak(labels, constant) == 0


def test_counts_at_distinct_scores_by_hand():
    distinct, positives, negatives = roc.counts_at_scores([1, 0, 1, 1, 0], [0.5, 0.5, 0.1, 0.5, 0.9])
    assert distinct.tolist() == [0.1, 0.5, 0.9]
    assert positives.tolist() == [1, 2, 0]
    assert negatives.tolist() == [0, 1, 1]
    # Positives at .1, .5, .5 and negatives at .5, .9: of six pairs, two ties are all that is won.
    assert roc.auc_from_counts(positives, negatives) == pytest.approx(1 / 6)


@pytest.mark.parametrize("figure", [roc.auc_from_counts, roc.eer_from_counts])
def test_counts_of_one_kind_have_no_figure(figure):
    none, some = np.zeros(3, int), np.array([1, 0, 4])
    with pytest.raises(MetricError, match="got 5 positive and 0 negative"):
        figure(some, none)
    with pytest.raises(MetricError, match="got 0 positive and 5 negative"):
        figure(none, some)


def test_billions_of_comparisons_do_not_overflow():
    many = np.array([3_000_000_000, 3_000_000_000])
    assert roc.auc_from_counts(many, many) == 0.5
    assert roc.eer_from_counts(many, many) == 0.5


def test_two_columns_are_the_difference_of_their_scores():
    rng = np.random.default_rng(1)
    labels, scores = rng.integers(0, 2, 60), rng.standard_normal((60, 2)).astype(np.float32)
    difference = scores[:, 1].astype(float) - scores[:, 0]
    assert privacy.auc(labels, scores) == privacy.auc(labels, difference)
    assert privacy.eer(labels, scores) == privacy.eer(labels, difference)


def test_several_classes_are_means_of_one_vs_rest_problems():
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 200)
    log_p = np.log(rng.dirichlet(np.ones(3), 200) + 1e-9) + 1.5 * np.eye(3)[labels]
    log_p -= np.log(np.exp(log_p).sum(axis=1, keepdims=True))
    areas = [roc_auc_score(labels == c, log_p[:, c]) for c in range(3)]
    assert privacy.auc(labels, log_p) == pytest.approx(np.mean(areas))
    assert privacy.eer(labels, log_p) == pytest.approx(
        np.mean([curve_crossing(labels == c, log_p[:, c]) for c in range(3)])
    )
    assert privacy.attribute_leak(labels, log_p) == pytest.approx(np.mean(2 * np.abs(np.array(areas) - 0.5)))


def test_a_constant_added_to_a_row_of_scores_changes_nothing():
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(0, 3, 90), rng.integers(-8, 8, (90, 3)).astype(float)
    shifted = scores + rng.integers(-1000, 1000, (90, 1))
    assert privacy.auc(labels, shifted) == pytest.approx(privacy.auc(labels, scores), abs=1e-3)
    assert (privacy.decide(shifted) == privacy.decide(scores)).all()


def test_opposite_readings_of_two_classes_do_not_cancel():
    labels = np.repeat([0, 1, 2], 20)
    scores = np.zeros((60, 3))
    scores[labels == 0, 0], scores[labels == 1, 1] = 5, -5
    assert privacy.attribute_leak(labels, scores) > 0.6


def test_decide_takes_the_highest_score():
    assert privacy.decide([[0.1, 0.9, 0.0], [0.4, 0.4, 0.2]]).tolist() == [1, 0]
    assert privacy.decide([-0.1, 0.0, 0.1]).tolist() == [0, 0, 1]


@pytest.mark.parametrize("metric", [privacy.auc, privacy.eer, privacy.attribute_leak])
def test_undefined_and_unusable_input_is_named(metric):
    with pytest.raises(MetricError, match="all 3 samples are of class 1"):
        metric([1, 1, 1], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="finite"):
        metric([0, 1], [0.1, np.nan])
    with pytest.raises(InputError, match="finite"):
        metric([0, 1], [[0.1, np.inf], [0, 0]])
    with pytest.raises(InputError, match=r"scores must be \(2,\)"):
        metric([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(InputError, match="label 2 has no score"):
        metric([0, 2], [[0.1, 0.2], [0.3, 0.4]])
    with pytest.raises(InputError, match="unlabelled"):
        metric([0, np.nan], [0.1, 0.2])
    with pytest.raises(InputError, match="unlabelled"):
        metric([0, -1], [0.1, 0.2])
    with pytest.raises(InputError, match="non-empty"):
        metric([], [])


def test_predictions_must_match_labels_in_number():
    with pytest.raises(InputError, match="3 labels but 2 predictions"):
        privacy.accuracy([0, 1, 1], [0, 1])


def test_age_errors_in_years():
    found = privacy.age_errors([20, 30, 40, 50], [25, 35, 45, 55])
    assert (found.mae, found.bias, found.spread) == (5, 5, 0)
    found = privacy.age_errors([20, 30], [30, 20])
    assert (found.mae, found.bias, found.spread) == (10, 0, 10)
    with pytest.raises(InputError, match="finite"):
        privacy.age_errors([20, np.nan], [30, 20])
    with pytest.raises(InputError, match="one length"):
        privacy.age_errors([20], [30, 20])


@PROPERTY
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=1, max_size=30))
def test_age_errors_follow_the_unit_and_a_constant_offset_moves_the_bias_only(ages):
    truth, guess = np.array(ages, float).T
    years, months = privacy.age_errors(truth, guess), privacy.age_errors(12 * truth, 12 * guess)
    assert (months.mae, months.bias) == pytest.approx((12 * years.mae, 12 * years.bias))
    assert months.spread == pytest.approx(12 * years.spread, abs=1e-9)
    older = privacy.age_errors(truth, guess + 7)
    assert (older.bias, older.spread) == pytest.approx((years.bias + 7, years.spread), abs=1e-9)
    back = privacy.age_errors(guess, truth)
    assert (back.mae, back.bias) == pytest.approx((years.mae, -years.bias))


def test_the_constant_guess_is_the_median():
    assert privacy.constant_guess([20, 30, 70]) == (30, pytest.approx(50 / 3))
    assert privacy.constant_guess([20, 40]) == (30, 10)
    for wrong in ([], [20, np.nan], [[20, 30]]):
        with pytest.raises(InputError, match="finite"):
            privacy.constant_guess(wrong)


@PROPERTY
@given(st.lists(st.integers(0, 100), min_size=1, max_size=30), st.floats(-10, 110))
def test_no_constant_is_nearer_than_the_constant_guess(ages, other):
    middle, error = privacy.constant_guess(ages)
    assert error == pytest.approx(np.mean([abs(a - middle) for a in ages]))
    assert error <= np.mean([abs(a - other) for a in ages]) + 1e-9
