"""Identification against a plain loop; ties; the same photo never helps."""

import numpy as np
import pytest

from bench.errors import InputError, MetricError
from bench.metrics.identification import identify
from bench.metrics.verification import pairs_between, pairs_within


def plain_rates(gallery, probes, gallery_ids, probe_ids, max_rank, same_photos):
    """CMC with random order among ties, one probe at a time."""
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    probes = probes / np.linalg.norm(probes, axis=1, keepdims=True)
    rates, n = np.zeros(max_rank), 0
    for p in range(len(probes)):
        best: dict[int, float] = {}
        for g in range(len(gallery)):
            if same_photos and g == p:
                continue
            score = round(float(gallery[g] @ probes[p]), 5)
            best[gallery_ids[g]] = max(score, best.get(gallery_ids[g], -2))
        own = best.get(probe_ids[p])
        if own is None:
            continue
        n += 1
        better = sum(s > own for s in best.values())
        tied = sum(s == own for s in best.values())
        for k in range(1, max_rank + 1):
            rates[k - 1] += min(max(k - better, 0), tied) / tied
    return rates / n, n


def some_faces(seed, n=50, n_identities=12, n_faces=None):
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, n_identities, n)
    if n_faces:
        return rng.standard_normal((n_faces, 8))[rng.integers(0, n_faces, n)], ids
    return rng.standard_normal((n_identities, 8))[ids] + rng.standard_normal((n, 8)), ids


@pytest.mark.parametrize("n_faces", [None, 5])
def test_rates_are_those_of_a_plain_loop(n_faces):
    gallery, ids = some_faces(0, n_faces=n_faces)
    probes = gallery + (0 if n_faces else some_faces(1)[0])
    expected, n = plain_rates(gallery, probes, ids, ids, 6, same_photos=True)
    found = identify(pairs_between(gallery, probes, ids), max_rank=6)
    np.testing.assert_allclose(found.rates, expected)
    assert found.n_probes == n


def test_within_one_set_each_photo_searches_all_the_others():
    vectors, ids = some_faces(2)
    expected, n = plain_rates(vectors, vectors, ids, ids, 4, same_photos=True)
    found = identify(pairs_within(vectors, ids), max_rank=4)
    np.testing.assert_allclose(found.rates, expected)
    assert found.n_probes == n


def test_a_gallery_of_other_photos_and_probes_without_a_mate():
    (gallery, gallery_ids), (probes, probe_ids) = some_faces(3, n_identities=6), some_faces(4, n_identities=9)
    expected, n = plain_rates(gallery, probes, gallery_ids, probe_ids, 6, same_photos=False)
    found = identify(pairs_between(gallery, probes, gallery_ids, probe_ids, same_photos=False), max_rank=6)
    np.testing.assert_allclose(found.rates, expected)
    assert (found.n_probes, found.n_without_mate) == (n, len(probes) - n)
    assert found.n_identities == 6
    assert found.rates[-1] == pytest.approx(1)


def test_one_face_for_all_is_found_by_chance():
    ids = np.repeat(np.arange(10), 3)
    found = identify(pairs_within(np.ones((30, 4)), ids), max_rank=10)
    np.testing.assert_allclose(found.rates, np.arange(1, 11) / 10)


def test_failed_probes_are_counted_and_lone_photos_have_no_mate():
    vectors, ids = some_faces(5)
    vectors[:4] = np.nan
    assert identify(pairs_between(vectors, vectors, ids)).n_failed_probe == 4
    with pytest.raises(MetricError, match="no probe"):
        identify(pairs_within(vectors, np.arange(len(ids))))
    with pytest.raises(MetricError, match="no probe"):
        identify(pairs_between(np.full_like(vectors, np.nan), vectors, ids))
    with pytest.raises(InputError, match="rank"):
        identify(pairs_within(vectors, ids), max_rank=0)
