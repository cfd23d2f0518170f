"""Privacy metrics against sklearn, hand-computed cases and the invariances that define them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score, roc_curve

from bench.errors import InputError, MetricError
from bench.metrics import privacy

PROPERTY = settings(derandomize=True, deadline=None, max_examples=80)

GENDER_AN_TABLE_3 = [  # method, attacker, R_or, R_adv, Reduction as printed
    ("PrivacyNet", "SVM", 0.986, 0.239, 1.537),
    ("PrivacyNet", "RF", 0.973, 0.287, 1.450),
    ("PrivacyNet", "MLP", 0.982, 0.258, 1.502),
    ("PrivacyNet", "KNN", 0.984, 0.347, 1.312),
    ("Gender-AN", "SVM", 0.986, 0.508, 0.984),
    ("Gender-AN", "RF", 0.973, 0.544, 0.865),
    ("Gender-AN", "MLP", 0.982, 0.469, 1.064),
    ("Gender-AN", "KNN", 0.984, 0.584, 0.826),
]


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
    misprints = {
        (method, attacker): round(privacy.reduction(r_or, r_adv, 0.5), 3)
        for method, attacker, r_or, r_adv, printed in GENDER_AN_TABLE_3
        if abs(privacy.reduction(r_or, r_adv, 0.5) - printed) > 0.0006
    }
    assert misprints == {("PrivacyNet", "KNN"): 1.316, ("Gender-AN", "RF"): 0.907}


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
