"""Identification against plain loops; ties; the same photo never helps; the open set; resamples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError, MetricError
from bench.metrics.identification import search_gallery
from bench.metrics.pairs import SCALE
from bench.metrics.uncertainty import IdentityDraw, identity_weights, unit_interval
from bench.metrics.verification import pairs_between, pairs_within

PROPERTY = settings(derandomize=True, deadline=None, max_examples=30)


def plain_searches(gallery, probes, gallery_ids, probe_ids, same_photos):
    """(best score of the own identity or None, best scores of all others) of each probe."""
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    probes = probes / np.linalg.norm(probes, axis=1, keepdims=True)
    found = []
    for p in range(len(probes)):
        best: dict[int, float] = {}
        for g in range(len(gallery)):
            if same_photos and g == p:
                continue
            score = round(float(gallery[g] @ probes[p]), 5)
            best[gallery_ids[g]] = max(score, best.get(gallery_ids[g], -2))
        found.append((best.pop(probe_ids[p], None), list(best.values())))
    return found


def plain_rates(searches, max_rank):
    """CMC with random order among ties, one search at a time."""
    rates = np.zeros(max_rank)
    mated = [(own, others) for own, others in searches if own is not None]
    for own, others in mated:
        better = sum(s > own for s in others)
        tied = 1 + sum(s == own for s in others)
        for k in range(1, max_rank + 1):
            rates[k - 1] += min(max(k - better, 0), tied) / tied
    return rates / len(mated), len(mated)


def plain_open_set(searches, target):
    """FPIR and TPIR at the lowest threshold that is allowed, found by trying all of them."""
    strangers = np.array([max(others) for _, others in searches])
    candidates = np.unique(np.append(strangers, 2.0))
    threshold = min(t for t in candidates if np.mean(strangers >= t) <= target)
    # The rule is the smallest threshold of all: just above the highest score that has to be refused.
    highest = strangers[strangers < threshold].max()
    hits = [
        (own > highest and own >= max(others)) / (1 + sum(s == own for s in others))
        for own, others in searches
        if own is not None
    ]
    return float(np.mean(strangers > highest)), float(np.mean(hits))


def some_faces(seed, n=50, n_identities=12, n_faces=None):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_identities, n)
    if n_faces:
        return rng.choice([-1.0, 1.0], (n_faces, 16))[rng.integers(0, n_faces, n)], ids
    return rng.standard_normal((n_identities, 8))[ids] + rng.standard_normal((n, 8)), ids


@pytest.mark.parametrize("n_faces", [None, 5])
def test_rates_are_those_of_a_plain_loop(n_faces):
    gallery, ids = some_faces(0, n_faces=n_faces)
    probes = gallery + (0 if n_faces else some_faces(1)[0])
    expected, n = plain_rates(plain_searches(gallery, probes, ids, ids, same_photos=True), 6)
    found = search_gallery(pairs_between(gallery, probes, ids))
    np.testing.assert_allclose(found.cmc(6), expected)
    assert found.n_mated == n


def test_within_one_set_each_photo_searches_all_the_others():
    vectors, ids = some_faces(2)
    expected, n = plain_rates(plain_searches(vectors, vectors, ids, ids, same_photos=True), 4)
    found = search_gallery(pairs_within(vectors, ids))
    np.testing.assert_allclose(found.cmc(4), expected)
    assert found.n_mated == n


def test_a_gallery_of_other_photos_and_probes_without_a_mate():
    (gallery, gallery_ids), (probes, probe_ids) = some_faces(3, n_identities=6), some_faces(4, n_identities=9)
    searches = plain_searches(gallery, probes, gallery_ids, probe_ids, same_photos=False)
    expected, n = plain_rates(searches, 6)
    found = search_gallery(pairs_between(gallery, probes, gallery_ids, probe_ids, same_photos=False))
    rates = found.cmc()
    np.testing.assert_allclose(rates, expected)  # there are six identities, so it ends at rank 6
    assert (found.n_mated, found.n_without_mate) == (n, len(probes) - n)
    assert found.n_identities == 6
    assert rates[-1] == pytest.approx(1)
    assert found.at_fpir(0.3).tpir == pytest.approx(plain_open_set(searches, 0.3)[1])


@pytest.mark.parametrize("n_faces", [None, 6])
@pytest.mark.parametrize("target", [0.1, 0.25])
def test_open_set_rates_are_those_of_a_search_over_all_thresholds(n_faces, target):
    vectors, ids = some_faces(5, n=130, n_identities=30, n_faces=n_faces)
    searches = plain_searches(vectors, vectors, ids, ids, same_photos=True)
    point = search_gallery(pairs_within(vectors, ids)).at_fpir(target)
    assert (point.fpir, point.tpir) == pytest.approx(plain_open_set(searches, target), abs=1e-12)
    strangers = np.array([max(others) for _, others in searches])
    assert np.mean(strangers >= point.threshold) == point.fpir
    assert np.mean(strangers >= point.threshold - 2e-5) > target  # the plain scores have five digits


def test_open_set_by_hand():
    # Four people of 40 photos on the axes: every search finds its own at 1 and strangers at 0.
    ids = np.repeat(np.arange(4), 40)
    found = search_gallery(pairs_within(np.eye(4)[ids], ids))
    point = found.at_fpir(0.1)
    assert (point.fpir, point.tpir) == (0, 1)
    assert point.threshold == 1 / SCALE
    assert (found.n_mated, found.n_non_mated, found.n_without_mate) == (160, 160, 0)


def test_one_face_for_all_is_found_by_chance_and_never_in_the_open_set():
    ids = np.repeat(np.arange(10), 20)
    found = search_gallery(pairs_within(np.ones((200, 4)), ids))
    np.testing.assert_allclose(found.cmc(), np.arange(1, 11) / 10)
    point = found.at_fpir(0.1)
    assert (point.fpir, point.tpir) == (0, 0)
    draw = identity_weights(ids, 50)
    np.testing.assert_allclose(found.resampled_rate(draw), 0.1)
    np.testing.assert_allclose(found.resampled_tpir(draw, 0.1), 0)


@PROPERTY
@given(st.integers(0, 10_000), st.sampled_from([1e-9, 0.5, 1e9]))
def test_order_names_and_length_of_vectors_change_nothing(seed, factor):
    vectors, ids = some_faces(seed, n=110, n_faces=9)
    rows = np.random.default_rng(seed).permutation(len(ids))
    one = search_gallery(pairs_within(vectors, ids))
    other = search_gallery(pairs_within(vectors[rows] * factor, 1000 - ids[rows]))
    np.testing.assert_allclose(other.cmc(), one.cmc())
    assert other.at_fpir(0.1).threshold == one.at_fpir(0.1).threshold
    assert other.at_fpir(0.1).tpir == pytest.approx(one.at_fpir(0.1).tpir)
    assert (np.diff(one.cmc()) >= 0).all()


def test_resamples_are_those_of_repeated_probes():
    vectors, ids = some_faces(6, n=150, n_identities=25)
    found = search_gallery(pairs_within(vectors, ids))
    draw = identity_weights(ids, 30)
    codes = draw.codes(found.identities)
    ranks, rates = found.resampled_rate(draw, rank=2), found.resampled_tpir(draw, 0.1)
    for b in (0, 7, 29):
        probes = np.repeat(np.arange(len(codes)), draw.weights[b, codes])
        again = type(found)(
            found.identities[probes],
            found.mate[probes],
            found.stranger[probes],
            found.better[probes],
            found.tied[probes],
            found.n_identities,
            0,
        )
        assert ranks[b] == pytest.approx(again.cmc()[1])
        assert rates[b] == pytest.approx(again.at_fpir(0.1).tpir)


def test_every_identity_once_gives_the_figures_themselves():
    vectors, ids = some_faces(7, n=1200, n_identities=200)
    found = search_gallery(pairs_within(vectors, ids))
    names = np.unique(ids)
    once = IdentityDraw(names, np.ones((1, len(names)), np.int32))
    assert found.resampled_rate(once) == pytest.approx([found.cmc()[0]])
    for target in (0.1, 0.01):
        assert found.resampled_tpir(once, target) == pytest.approx([found.at_fpir(target).tpir])


def test_a_resample_without_a_search_has_no_value():
    vectors, ids = some_faces(8, n=120, n_identities=20)
    names = np.append(np.unique(ids), 99)
    draw = IdentityDraw(names, np.array([[0] * (len(names) - 1) + [len(names)]], np.int32))
    found = search_gallery(pairs_within(vectors, ids))
    assert np.isnan(found.resampled_rate(draw)).all()
    assert np.isnan(found.resampled_tpir(draw, 0.1)).all()


def test_intervals_cover_new_people_searched_in_the_same_gallery():
    """The gallery is part of the question, the probes are drawn: 95 % intervals of the rank-1 rate."""
    rng, people, strangers, photos = np.random.default_rng(9), 150, 300, 4
    gallery = rng.standard_normal((people + strangers, 6))
    values, intervals = [], []
    for seed in range(80):
        scatter = 0.5 * np.exp(0.5 * rng.standard_normal((people, 1)))
        ids = np.repeat(np.arange(people), photos)
        probes = gallery[ids] + scatter[ids] * rng.standard_normal((len(ids), 6))
        pairs = pairs_between(gallery, probes, np.arange(len(gallery)), ids, same_photos=False)
        found = search_gallery(pairs)
        values.append(found.cmc()[0])
        samples = found.resampled_rate(identity_weights(ids, 200, seed))
        ends = unit_interval(values[-1], samples, people)
        intervals.append((ends.low, ends.high))
    truth, ends = np.mean(values), np.array(intervals)
    assert np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1])) > 0.88


def test_failed_probes_are_counted_and_lone_photos_have_no_mate():
    vectors, ids = some_faces(5)
    vectors[:4] = np.nan
    assert search_gallery(pairs_between(vectors, vectors, ids)).n_failed_probe == 4
    lone = search_gallery(pairs_within(vectors, np.arange(len(ids))))
    nobody = search_gallery(pairs_between(np.full_like(vectors, np.nan), vectors, ids))
    draw = identity_weights(np.arange(len(ids)))
    for searches in (lone, nobody):
        for figure in (
            lambda s=searches: s.cmc(),
            lambda s=searches: s.at_fpir(0.1),
            lambda s=searches: s.resampled_rate(draw),
            lambda s=searches: s.resampled_tpir(draw, 0.1),
        ):
            with pytest.raises(MetricError, match="no probe"):
                figure()
    with pytest.raises(InputError, match="rank"):
        search_gallery(pairs_within(vectors, ids)).cmc(0)


@pytest.mark.parametrize("target", [0.1, 0.01])
def test_an_open_set_rate_needs_ten_false_candidates(target):
    n = round(10 / target)
    ids = np.repeat(np.arange(n // 2), 2)
    vectors = np.random.default_rng(0).standard_normal((n, 8))
    assert search_gallery(pairs_within(vectors, ids)).at_fpir(target).fpir <= target
    short = search_gallery(pairs_within(vectors[:-1], ids[:-1]))
    with pytest.raises(MetricError, match=f"needs {n:,} non-mated searches, there are {n - 1:,}"):
        short.at_fpir(target)
    with pytest.raises(InputError, match="target FPIR"):
        short.at_fpir(1.0)
