"""The verification engine against plain loops and sklearn; ties, failures, refusals, memory."""

import tracemalloc
from dataclasses import fields
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score, roc_curve

from bench.errors import InputError, MetricError
from bench.metrics import pairs as engine
from bench.metrics import pairs_torch
from bench.metrics.verification import (
    CURVE_FMR,
    compare,
    compare_scores,
    det_points,
    pairs_between,
    pairs_listed,
    pairs_within,
)

PROPERTY = settings(derandomize=True, deadline=None, max_examples=60)


def faces(n_identities=12, photos=5, dimensions=24, noise=1.0, seed=0):
    """Shuffled embeddings of several photos of each identity."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(np.repeat(np.arange(n_identities) * 7 + 3, photos))
    centres = rng.standard_normal((n_identities * 7 + 4, dimensions))
    return (centres[ids] + noise * rng.standard_normal((len(ids), dimensions))).astype(np.float32), ids


def few_faces(n=40, n_faces=6, n_identities=8, seed=0):
    """Embeddings out of a handful of distinct ones: almost every score is a tie, a multiple of 1/8."""
    rng = np.random.default_rng(seed)
    book = rng.choice(np.array([-1, 1], np.float32), (n_faces, 16))
    return book[rng.integers(0, n_faces, n)], rng.integers(0, n_identities, n)


def plain_loop(left, right, left_ids, right_ids, *, within, same_photos):
    """Mated and non-mated scores, one pair at a time."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    for i in range(len(left)):
        for j in range(i + 1 if within else 0, len(right)):
            if same_photos and i == j:
                continue
            a, b = left[i].astype(float), right[j].astype(float)
            cosine = a @ b / np.sqrt((a @ a) * (b @ b))
            scores[bool(left_ids[i] == right_ids[j])].append(cosine)
    return scores[True], scores[False]


def expanded(comparison):
    """All scores that a comparison counted."""
    return (np.repeat(comparison.scores, counts) for counts in (comparison.mated, comparison.non_mated))


def figures(comparison):
    return comparison.auc(), comparison.eer(), comparison.n_mated, comparison.n_non_mated


# One step is 2^-19; float32 products may fall on the other side of a boundary than float64 ones.
ONE_STEP = 1.01 / engine.SCALE + 1e-6


def test_all_pairs_of_one_set_are_those_of_a_plain_loop():
    vectors, ids = faces()
    mated, non_mated = plain_loop(vectors, vectors, ids, ids, within=True, same_photos=False)
    found = list(expanded(compare(pairs_within(vectors, ids))))
    np.testing.assert_allclose(found[0], np.sort(mated), atol=ONE_STEP)
    np.testing.assert_allclose(found[1], np.sort(non_mated), atol=ONE_STEP)


def test_pairs_between_sets_leave_out_the_same_photo():
    vectors, ids = faces()
    protected = faces(seed=1, noise=0.5)[0] + vectors
    mated, non_mated = plain_loop(vectors, protected, ids, ids, within=False, same_photos=True)
    comparison = compare(pairs_between(vectors, protected, ids))
    found = list(expanded(comparison))
    np.testing.assert_allclose(found[0], np.sort(mated), atol=ONE_STEP)
    np.testing.assert_allclose(found[1], np.sort(non_mated), atol=ONE_STEP)
    assert comparison.n_same_photo == len(ids)


def test_sets_of_different_photos_compare_every_pair():
    (left, left_ids), (right, right_ids) = faces(seed=2), faces(n_identities=9, photos=4, seed=3)
    mated, non_mated = plain_loop(left, right, left_ids, right_ids, within=False, same_photos=False)
    comparison = compare(pairs_between(left, right, left_ids, right_ids, same_photos=False))
    found = list(expanded(comparison))
    np.testing.assert_allclose(found[0], np.sort(mated), atol=ONE_STEP)
    np.testing.assert_allclose(found[1], np.sort(non_mated), atol=ONE_STEP)
    assert comparison.n_same_photo == 0


@pytest.mark.parametrize(("rows", "columns"), [(7, 5), (16, 48), (1, 1), (64, 3)])
def test_counts_do_not_depend_on_the_tiles(monkeypatch, rows, columns):
    vectors, ids = few_faces()
    whole = (
        compare(pairs_within(vectors, ids)),
        compare(pairs_between(vectors, vectors[::-1], ids, ids[::-1], same_photos=False)),
    )
    monkeypatch.setattr(engine, "TILE_ROWS", rows)
    monkeypatch.setattr(engine, "TILE_COLUMNS", columns)
    tiled = (
        compare(pairs_within(vectors, ids)),
        compare(pairs_between(vectors, vectors[::-1], ids, ids[::-1], same_photos=False)),
    )
    for one, other in zip(whole, tiled, strict=True):
        assert np.array_equal(one.scores, other.scores)
        assert np.array_equal(one.mated, other.mated)
        assert np.array_equal(one.non_mated, other.non_mated)


def test_figures_equal_sklearn_on_the_same_scores():
    vectors, ids = faces(n_identities=60, photos=6, noise=1.4)
    comparison = compare(pairs_within(vectors, ids))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    i, j = np.triu_indices(len(ids), 1)
    raw, labels = (units @ units.T)[i, j], ids[i] == ids[j]
    mated, non_mated = expanded(comparison)
    scores = np.concatenate([mated, non_mated])
    truth = np.repeat([1, 0], [len(mated), len(non_mated)])
    fpr, tpr, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    assert comparison.auc() == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert comparison.eer() == pytest.approx(np.interp(0, fpr - (1 - tpr), fpr), abs=1e-12)
    for target in (0.1, 0.01, 0.001):
        point = comparison.at_fmr(target)
        assert point.tmr == tpr[fpr <= target].max()
        assert point.fmr == fpr[fpr <= target].max()
    found = comparison.roc()
    np.testing.assert_allclose(found[0], fpr)
    np.testing.assert_allclose(found[1], tpr)
    np.testing.assert_allclose(found[2][1:], thresholds[1:])
    # Rounding scores to 2^-19 moves next to nothing: the same figures from unrounded scores.
    assert comparison.auc() == pytest.approx(roc_auc_score(labels, raw), abs=1e-7)
    raw_fpr, raw_tpr, _ = roc_curve(labels, raw, drop_intermediate=False)
    assert comparison.eer() == pytest.approx(np.interp(0, raw_fpr - (1 - raw_tpr), raw_fpr), abs=5e-5)


def test_operating_point_by_hand():
    non_mated = np.linspace(-0.5, 0.49, 100)
    comparison = compare_scores([0.1, 0.42, 0.455, 0.6], non_mated)
    point = comparison.at_fmr(0.1)
    # Ten of a hundred may pass: .40 to .49. The threshold stands one step above .39, which must not pass.
    assert point.fmr == 0.1
    assert point.tmr == 0.75
    assert 0.39 < point.threshold < 0.39 + 2 / engine.SCALE
    assert comparison.fmr(0.455) == 0.04
    assert comparison.tmr(0.455) == 0.5
    assert comparison.at_threshold(0.455).fmr == 0.04
    assert (comparison.fmr(1.5), comparison.tmr(-2), comparison.tmr(float("inf"))) == (0, 1, 0)


def test_tied_non_mated_scores_pass_together_or_not_at_all():
    comparison = compare_scores([0.5, 0.2], [0.5] * 11 + [0.0] * 89)
    point = comparison.at_fmr(0.1)
    assert (point.fmr, point.tmr) == (0, 0)
    assert point.threshold > 0.5


@pytest.mark.parametrize("target", [0.1, 0.01, 0.001, 0.0001])
def test_an_operating_point_needs_ten_false_matches(target):
    n = round(10 / target)
    assert compare_scores([0.9], np.zeros(n)).at_fmr(target).tmr == 1
    with pytest.raises(MetricError, match=f"needs {n:,} non-mated comparisons, there are {n - 1:,}"):
        compare_scores([0.9], np.zeros(n - 1)).at_fmr(target)


def test_the_target_admits_exactly_its_share():
    # .3 * 30 is 9.000000000000002 in binary and .29 * 100 is 28.999999999999996.
    for target, n, allowed in ((0.29, 100, 29), (0.3, 100, 30), (0.001, 10_000, 10)):
        scores = np.linspace(-0.9, 0.9, n)
        assert compare_scores([0.95], scores).at_fmr(target).fmr == allowed / n


@PROPERTY
@given(st.integers(0, 10_000))
def test_at_most_rule_equals_a_search_over_all_thresholds(seed):
    rng = np.random.default_rng(seed)
    mated, non_mated = rng.integers(-20, 30, 15) / 32, rng.integers(-30, 20, 120) / 32
    comparison = compare_scores(mated, non_mated)
    candidates = np.unique(np.concatenate([mated, non_mated, [2.0]]))
    best = min(t for t in candidates if np.mean(non_mated >= t) <= 0.1)
    point = comparison.at_fmr(0.1)
    assert point.tmr == np.mean(mated >= best)
    assert point.fmr == np.mean(non_mated >= best)
    assert point.threshold <= best


def slow_figures(mated, non_mated):
    """AUC pair by pair; EER by walking the ROC polyline with exact fractions."""
    wins = [Fraction(int(np.sign(m - n)) + 1, 2) for m in mated for n in non_mated]
    points = [
        (Fraction(int((non_mated >= t).sum()), len(non_mated)), Fraction(int((mated < t).sum()), len(mated)))
        for t in [*np.unique(np.concatenate([mated, non_mated])), 2]
    ]
    for (fmr, fnmr), (next_fmr, next_fnmr) in pairwise(points):
        if next_fmr <= next_fnmr:
            share = (fmr - fnmr) / ((fmr - fnmr) - (next_fmr - next_fnmr))
            return float(sum(wins) / len(wins)), float(fnmr + share * (next_fnmr - fnmr))
    raise AssertionError("the rates never meet")


@st.composite
def scored_pairs(draw):
    """Mated and non-mated scores on a coarse grid: ties are common."""
    lists = [draw(st.lists(st.integers(-8, 8), min_size=1, max_size=20)) for _ in range(2)]
    return tuple(np.array(scores) / 16 for scores in lists)


@PROPERTY
@given(scored_pairs())
def test_auc_and_eer_are_those_of_slow_exact_code_and_of_sklearn(scores):
    mated, non_mated = scores
    comparison = compare_scores(mated, non_mated)
    found = comparison.auc(), comparison.eer()
    assert found == pytest.approx(slow_figures(mated, non_mated), abs=1e-12)
    truth = np.repeat([1, 0], [len(mated), len(non_mated)])
    assert found[0] == pytest.approx(roc_auc_score(truth, np.concatenate(scores)), abs=1e-12)


@PROPERTY
@given(scored_pairs())
def test_inverted_scores_and_swapped_kinds_mirror_the_figures(scores):
    mated, non_mated = scores
    found = compare_scores(mated, non_mated)
    inverted, swapped = compare_scores(-mated, -non_mated), compare_scores(non_mated, mated)
    assert (1 - inverted.auc(), 1 - inverted.eer()) == pytest.approx((found.auc(), found.eer()))
    assert (1 - swapped.auc(), 1 - swapped.eer()) == pytest.approx((found.auc(), found.eer()))


@PROPERTY
@given(scored_pairs())
def test_an_increasing_map_of_the_scores_changes_thresholds_only(scores):
    mated, non_mated = scores
    one, other = (compare_scores(m(mated), m(non_mated)) for m in (lambda s: s, lambda s: s / 2 + 0.25))
    assert (other.auc(), other.eer()) == (one.auc(), one.eer())
    for found, expected in zip(other.roc()[:2], one.roc()[:2], strict=True):
        assert found.tolist() == expected.tolist()
    assert np.array_equal(other.roc()[2][1:], one.roc()[2][1:] / 2 + np.float32(0.25))


def test_det_points_of_normal_scores_lie_on_a_straight_line():
    rng = np.random.default_rng(0)
    mated, non_mated = np.clip(rng.standard_normal((2, 200_000)) / 10, -1, 1)
    fmr, fnmr = det_points(compare_scores(np.clip(mated + 0.2, -1, 1), non_mated).curve())
    # At threshold t the deviates are -t and t - 2: with two deviations between the means they add up to -2.
    inner = (np.abs(fmr) < 2.5) & (np.abs(fnmr) < 2.5)
    assert inner.sum() > 30
    np.testing.assert_allclose((fmr + fnmr)[inner], -2, atol=0.05)
    assert (np.diff(fmr) >= 0).all()
    assert (np.diff(fnmr) <= 0).all()


def test_det_points_leave_out_rates_without_a_deviate():
    curve = compare_scores([0.9, 0.1], np.linspace(-0.5, 0.5, 100)).curve()
    fmr, fnmr = det_points(curve)
    assert np.isfinite(fmr).all()
    assert np.isfinite(fnmr).all()
    assert set(np.round(fnmr, 12)) == {0}  # a miss rate of one half wherever the FMR is neither 0 nor 1
    perfect = compare_scores([0.9], np.zeros(100)).curve()
    assert det_points(perfect)[0].size == 0


@pytest.mark.parametrize("within", [True, False])
def test_torch_counts_what_the_kernel_counts(within, monkeypatch):
    monkeypatch.setattr(pairs_torch, "TILE_ROWS", 13)
    monkeypatch.setattr(pairs_torch, "TILE_COLUMNS", 37)
    rng = np.random.default_rng(3)
    # Entries of +-1 in 16 dimensions: cosines are exact in any order of summation.
    vectors, others = rng.choice(np.array([-1, 1], np.float32), (2, 90, 16))
    vectors[[4, 60]], others[[4, 7]] = np.nan, 0
    ids = rng.integers(0, 12, 90)
    pairs = pairs_within(vectors, ids) if within else pairs_between(vectors, others, ids)
    kernel, torch = compare(pairs), compare(pairs, device="cpu:0")
    for field in fields(kernel):
        np.testing.assert_array_equal(getattr(kernel, field.name), getattr(torch, field.name))


def test_torch_figures_agree_on_any_embeddings_and_without_tf32():
    import torch

    vectors, ids = faces(n_identities=60, photos=6, dimensions=128, noise=1.4)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        for pairs in (pairs_within(vectors, ids), pairs_between(vectors, vectors[:, ::-1].copy(), ids)):
            kernel, found = compare(pairs), compare(pairs, device="cpu:0")
            assert (found.n_mated, found.n_non_mated) == (kernel.n_mated, kernel.n_non_mated)
            assert found.auc() == pytest.approx(kernel.auc(), abs=1e-7)
            assert found.eer() == pytest.approx(kernel.eer(), abs=1e-4)
            assert found.at_fmr(0.01).tmr == pytest.approx(kernel.at_fmr(0.01).tmr, abs=2e-3)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision(before)


def test_one_face_for_all_gives_chance_wherever_it_stands():
    ids = np.random.default_rng(0).permutation(np.repeat(np.arange(150), 8))
    face = np.random.default_rng(1).standard_normal(512).astype(np.float32)
    constant = np.tile(face, (len(ids), 1))
    others = np.random.default_rng(2).standard_normal(constant.shape).astype(np.float32)
    for comparison in (compare(pairs_within(constant, ids)), compare(pairs_between(constant, constant, ids))):
        assert len(comparison.scores) == 1
        assert (comparison.auc(), comparison.eer()) == (0.5, 0.5)
        assert comparison.at_fmr(0.01).tmr == 0
    one_side = compare(pairs_between(others, constant, ids))
    assert one_side.auc() == pytest.approx(0.5, abs=0.01)


def test_the_same_face_per_identity_separates_perfectly():
    ids = np.repeat(np.arange(20), 6)
    vectors = np.random.default_rng(0).standard_normal((20, 64))[ids]
    comparison = compare(pairs_within(vectors, ids))
    assert (comparison.auc(), comparison.eer(), comparison.at_fmr(0.01).tmr) == (1, 0, 1)


@PROPERTY
@given(st.integers(0, 10_000), st.sampled_from([1e-12, 1e-3, 7.0, 1e12]))
def test_order_of_photos_and_length_of_vectors_change_nothing(seed, factor):
    vectors, ids = few_faces(seed=seed)
    rows = np.random.default_rng(seed).permutation(len(ids))
    found = figures(compare(pairs_within(vectors, ids)))
    assert figures(compare(pairs_within(vectors[rows], ids[rows]))) == found
    assert figures(compare(pairs_within(vectors * np.float32(factor), ids * 3 - 50))) == found


def test_protected_equal_to_original_gives_the_originals_figures():
    vectors, ids = faces(n_identities=30)
    within, between = compare(pairs_within(vectors, ids)), compare(pairs_between(vectors, vectors, ids))
    assert between.n_mated == 2 * within.n_mated
    assert between.auc() == pytest.approx(within.auc(), abs=1e-7)
    assert between.eer() == pytest.approx(within.eer(), abs=1e-4)
    assert between.at_fmr(0.01).tmr == pytest.approx(within.at_fmr(0.01).tmr, abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
def test_faces_without_an_embedding_are_left_out_and_counted(value):
    vectors, ids = faces()
    lost = np.array([0, 7, 8, 31])
    kept = np.setdiff1d(np.arange(len(ids)), lost)
    broken = vectors.copy()
    broken[lost] = value
    whole, clean = compare(pairs_within(vectors, ids)), compare(pairs_within(vectors[kept], ids[kept]))
    found = compare(pairs_within(broken, ids))
    assert figures(found) == figures(clean)
    assert found.n_failed_probe == found.n_failed_reference == 4
    assert found.n_mated + found.n_mated_failed == whole.n_mated
    assert found.n_non_mated + found.n_non_mated_failed == whole.n_non_mated
    share = found.n_mated / whole.n_mated
    assert found.at_threshold(0.2).tmr_all == pytest.approx(found.tmr(0.2) * share)


def test_failures_on_one_side_keep_the_other_sides_photo():
    vectors, ids = faces()
    broken = vectors.copy()
    broken[[2, 11], 3] = np.nan
    found = compare(pairs_between(vectors, broken, ids))
    kept = np.setdiff1d(np.arange(len(ids)), [2, 11])
    assert (found.n_failed_reference, found.n_failed_probe) == (0, 2)
    assert found.n_mated + found.n_non_mated == len(ids) * len(kept) - len(kept)
    assert found.n_mated + found.n_mated_failed == compare(pairs_between(vectors, vectors, ids)).n_mated
    total = len(ids) ** 2 - len(ids)
    assert found.n_mated + found.n_non_mated + found.n_mated_failed + found.n_non_mated_failed == total
    mated = [
        vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
        for i in range(len(ids))
        for j in kept
        if i != j and ids[i] == ids[j]
    ]
    np.testing.assert_allclose(next(iter(expanded(found))), np.sort(mated), atol=ONE_STEP)


def test_a_list_of_pairs_counts_what_it_names():
    vectors, ids = faces()
    i, j = np.triu_indices(len(ids), 1)
    listed = compare(pairs_listed(vectors, vectors, np.stack([i, j], axis=1), ids))
    whole = compare(pairs_within(vectors, ids))
    for one, other in zip(expanded(listed), expanded(whole), strict=True):
        np.testing.assert_allclose(one, other, atol=ONE_STEP)
    broken = vectors.copy()
    broken[5] = np.nan
    found = compare(pairs_listed(vectors, broken, [[0, 5], [1, 2], [5, 0]], ids))
    assert found.n_mated + found.n_non_mated == 2
    assert found.n_mated_failed + found.n_non_mated_failed == 1
    assert found.n_failed_probe == 1


def test_a_list_remembers_where_its_comparisons_stood():
    vectors, ids = faces()
    vectors[5] = np.nan
    found = pairs_listed(vectors, vectors, [[0, 1], [5, 2], [3, 4], [2, 5], [6, 7]], ids)
    assert found.places.tolist() == [0, 2, 4]
    assert len(found.cells) == 3


@PROPERTY
@given(st.integers(0, 10_000), st.lists(st.integers(-30, 30), max_size=4))
def test_a_compact_comparison_gives_the_same_figures(seed, keep):
    rng = np.random.default_rng(seed)
    comparison = compare_scores(rng.integers(-30, 30, 12) / 32, rng.integers(-30, 30, 300) / 32)
    kept = [*np.array(keep) / 32, comparison.at_fmr(0.1).threshold]
    small = comparison.compact(kept)
    assert len(small.scores) <= 2 * 12 + 1 + len(kept)
    assert figures(small) == figures(comparison)
    assert small.at_fmr(0.1) == comparison.at_fmr(0.1)
    for threshold in kept:
        assert small.at_threshold(threshold) == comparison.at_threshold(threshold)
    for target in (0.05, 0.2, 0.5):
        assert small.at_fmr(target).tmr == comparison.at_fmr(target).tmr


def test_the_curve_is_the_roc_on_a_fixed_grid():
    vectors, ids = faces(n_identities=40)
    comparison = compare(pairs_within(vectors, ids))
    curve = comparison.curve()
    decided = CURVE_FMR * comparison.n_non_mated >= 1
    assert np.isnan(curve.tmr[~decided]).all()
    assert (curve.fmr[decided] <= CURVE_FMR[decided]).all()
    assert (np.diff(curve.tmr[decided]) >= 0).all()
    for k in np.flatnonzero(decided)[[0, 30, 90]]:
        assert curve.tmr[k] == comparison.tmr(curve.threshold[k])
        assert curve.fmr[k] == comparison.fmr(curve.threshold[k])
    k = int(np.argmin(np.abs(CURVE_FMR - 0.01)))
    assert curve.tmr[k] == comparison.at_fmr(float(CURVE_FMR[k])).tmr


def test_one_identity_or_one_photo_each_has_no_figures():
    vectors, ids = faces()
    for pairs in (pairs_within(vectors, np.zeros_like(ids)), pairs_within(vectors, np.arange(len(ids)))):
        comparison = compare(pairs)
        for figure in (comparison.auc, comparison.eer, lambda c=comparison: c.at_threshold(0.1)):
            with pytest.raises(MetricError):
                figure()


def test_input_that_does_not_fit_is_named():
    vectors, ids = faces()
    with pytest.raises(InputError, match="identities must be 60 integers"):
        pairs_within(vectors, ids[:-1])
    with pytest.raises(InputError, match="embeddings must be floats"):
        pairs_within(vectors.astype(int), ids)
    with pytest.raises(InputError, match="24 dimensions, probe 23"):
        pairs_between(vectors, vectors[:, :-1], ids)
    with pytest.raises(InputError, match="one photo"):
        pairs_between(vectors, vectors, ids, ids[::-1])
    with pytest.raises(InputError, match="outside"):
        pairs_listed(vectors, vectors, [[0, 60]], ids)
    with pytest.raises(InputError, match="finite cosines"):
        compare_scores([0.3, np.nan], [0.1])
    with pytest.raises(InputError, match="finite cosines"):
        compare_scores([30.0], [0.1])
    with pytest.raises(InputError, match="target FMR"):
        compare_scores([0.3], [0.1]).at_fmr(1.0)
    with pytest.raises(InputError, match="not a number"):
        compare_scores([0.3], [0.1]).fmr(float("nan"))


def test_memory_does_not_grow_with_the_number_of_pairs():
    def peak(n):
        rng = np.random.default_rng(0)
        vectors, ids = rng.standard_normal((n, 4)).astype(np.float32), np.repeat(np.arange(n // 4), 4)
        tracemalloc.start()
        compare(pairs_within(vectors, ids))
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(16)
    assert peak(4800) - peak(2400) < 4e6  # 8.6 million more pairs: 35 MB of float32 scores


def test_counters_of_one_byte_carry():
    # 500 identities x 2 photos of one face: 499,000 scores in a single cell.
    comparison = compare(pairs_within(np.ones((1000, 3)), np.repeat(np.arange(500), 2)))
    assert (comparison.n_mated, comparison.n_non_mated) == (500, 499_000)
