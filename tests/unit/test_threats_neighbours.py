"""Classes told from comparison scores: against slow obvious code, and on data with known answers."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bench.errors import InputError
from bench.metrics.privacy import attribute_leak, auc, balanced_accuracy, decide
from bench.threats import neighbours
from bench.threats.neighbours import COUNTS, WEIGHTINGS, NeighbourAttack, fit_neighbours, neighbour_scores

WEIGHT = {
    "mean": lambda rank: 1.0,
    "reciprocal": lambda rank: 1 - rank / (rank + 1),
    "logarithm": lambda rank: -np.log10(rank / (rank + 1)),
}


def people(count, seed, width=12, spread=1.0, images=3):
    """Vectors (N, D) whose first component leans towards the class, classes and identities."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, count)
    centres = rng.normal(size=(count, width))
    centres[:, 0] = spread * (2 * classes - 1)
    vectors = np.repeat(centres, images, axis=0) + 0.3 * rng.normal(size=(count * images, width))
    identities = np.repeat(np.arange(count) + 1000 * seed, images)
    return vectors.astype(np.float32), identities, np.repeat(classes, images).astype(np.float32)


def slow_score(similarities, count, weighting):
    highest = sorted(similarities, reverse=True)[:count]
    weights = [WEIGHT[weighting](rank) for rank in range(1, len(highest) + 1)]
    return sum(w * s for w, s in zip(weights, highest, strict=True)) / sum(weights)


def cosine(first, second):
    return float(first @ second / np.sqrt((first @ first) * (second @ second)))


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_scores_are_weighted_means_of_the_highest_similarities(weighting):
    own, _, labels = people(20, 1)
    probes, _, _ = people(5, 2)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    attack = NeighbourAttack(own / lengths, labels.astype(int), 2, 10, weighting)
    expected = [
        [
            slow_score([cosine(p, v) for v, y in zip(own, labels, strict=True) if y == c], 10, weighting)
            for c in (0, 1)
        ]
        for p in probes
    ]
    np.testing.assert_allclose(attack.scores(probes), expected, atol=2e-6)


@pytest.mark.parametrize(
    ("weighting", "expected"),
    [
        ("mean", (0.9 + 0.6) / 2),
        ("reciprocal", (0.9 / 2 + 0.6 / 3) / (1 / 2 + 1 / 3)),
        ("logarithm", (0.9 * np.log10(2) + 0.6 * np.log10(1.5)) / np.log10(3)),
    ],
)
def test_hand_computed_fusion(weighting, expected):
    attack = NeighbourAttack(np.zeros((4, 2), np.float32), np.array([0, 0, 0, 1]), 2, 2, weighting)
    fused = attack.fused(np.array([[0.6, 0.1, 0.9, 0.5]]))
    np.testing.assert_allclose(fused, [[expected, 0.5]], atol=1e-7)


def test_count_and_weighting_are_the_best_of_a_slow_search():
    vectors, identities, labels = people(40, 3, spread=0.7)
    found = NeighbourAttack.fit(vectors, identities, labels, 2)
    areas = {}
    for count in (n for n in COUNTS if n <= 50):
        for weighting in WEIGHTINGS:
            difference = []
            for row, identity in zip(vectors, identities, strict=True):
                others = identities != identity
                similarity = [cosine(row, v) for v in vectors[others]]
                own = [
                    slow_score(
                        [s for s, y in zip(similarity, labels[others], strict=True) if y == c],
                        count,
                        weighting,
                    )
                    for c in (0, 1)
                ]
                difference.append(own[1] - own[0])
            areas[count, weighting] = roc_auc_score(labels, difference)
    assert found.count in {n for n, _ in areas}
    assert areas[found.count, found.weighting] == pytest.approx(max(areas.values()), abs=1e-4)


def test_counts_stop_where_a_class_has_no_more_faces_of_others():
    vectors, identities, labels = people(6, 4, images=4)
    labels[:] = np.repeat([0, 0, 0, 0, 1, 1], 4)
    choice = neighbours._Choice.of("gender", labels, np.repeat(np.arange(6), 4), 2)
    # Class 1 has two people with four images: four faces of somebody else.
    assert choice.counts == (1,)
    assert NeighbourAttack.fit(vectors, identities, labels, 2).count == 1


def test_a_class_of_one_person_leaves_the_nearest_face():
    vectors, identities, labels = people(6, 5)
    labels[:] = np.repeat([0, 0, 0, 0, 0, 1], 3)
    found = NeighbourAttack.fit(vectors, identities, labels, 2)
    assert (found.count, found.weighting) == (1, "mean")
    assert found.scores(vectors).shape == (18, 2)


def test_other_photos_of_a_person_do_not_decide():
    # Photos of a person are near duplicates and its label a coin: the nearest face is always right, and
    # useless on other people. The class is in a direction that only many faces together show.
    rng = np.random.default_rng(6)
    vectors, identities, labels = people(150, 6, width=40, spread=0.8, images=4)
    vectors = np.repeat(vectors[::4], 4, axis=0) + 0.01 * rng.normal(size=vectors.shape)
    found = NeighbourAttack.fit(vectors, identities, labels, 2)
    assert found.count > 1
    probes, _, truth = people(100, 7, width=40, spread=0.8)
    single = NeighbourAttack(found.vectors, found.codes, 2, 1, "mean")
    assert auc(truth, found.scores(probes)) > auc(truth, single.scores(probes)) + 0.05


def test_reads_the_class_of_other_people():
    vectors, identities, labels = people(60, 8, spread=2.5)
    probes, _, truth = people(40, 9, spread=2.5)
    scores = NeighbourAttack.fit(vectors, identities, labels, 2).scores(probes)
    assert scores.dtype == np.float32
    assert attribute_leak(truth, scores) > 0.95
    assert balanced_accuracy(truth, decide(scores)) > 0.9


def test_several_attributes_share_similarities_and_answers():
    vectors, identities, gender = people(40, 10)
    probes, _, _ = people(10, 11)
    rng = np.random.default_rng(12)
    race = np.where(rng.random(120) < 0.3, np.nan, rng.integers(0, 3, 120))
    labels = {"gender": gender, "race": race}
    together = fit_neighbours(vectors, identities, labels, {"gender": 2, "race": 3})
    found = neighbour_scores(together, probes)
    for name, classes in (("gender", 2), ("race", 3)):
        alone = NeighbourAttack.fit(vectors, identities, labels[name], classes)
        assert (alone.count, alone.weighting) == (together[name].count, together[name].weighting)
        np.testing.assert_array_equal(found[name], alone.scores(probes))


def test_unknown_labels_are_left_out():
    vectors, identities, labels = people(40, 13)
    known = np.arange(120) % 4 > 0
    partly = NeighbourAttack.fit(vectors, identities, np.where(known, labels, np.nan), 2)
    alone = NeighbourAttack.fit(vectors[known], identities[known], labels[known], 2)
    assert (partly.count, partly.weighting) == (alone.count, alone.weighting)
    np.testing.assert_allclose(partly.scores(vectors), alone.scores(vectors), atol=2e-6)


def test_a_class_that_was_never_seen_is_never_named():
    vectors, identities, labels = people(30, 14)
    scores = NeighbourAttack.fit(vectors, identities, labels * 2, 3).scores(vectors)
    assert scores.shape == (90, 3)
    assert set(decide(scores)) == {0, 2}


def test_blocks_change_nothing(monkeypatch):
    vectors, identities, labels = people(40, 15)
    probes, _, _ = people(9, 16)
    whole = NeighbourAttack.fit(vectors, identities, labels, 2)
    expected = whole.scores(probes)
    monkeypatch.setattr(neighbours, "_BLOCK_ELEMENTS", 7 * len(vectors))
    parts = NeighbourAttack.fit(vectors, identities, labels, 2)
    assert (parts.count, parts.weighting) == (whole.count, whole.weighting)
    np.testing.assert_allclose(parts.scores(probes), expected, atol=2e-6)


def test_length_of_vectors_does_not_matter():
    vectors, identities, labels = people(30, 17)
    probes, _, _ = people(9, 18)
    plain = NeighbourAttack.fit(vectors, identities, labels, 2).scores(probes)
    scaled = NeighbourAttack.fit(5 * vectors, identities, labels, 2).scores(0.1 * probes)
    np.testing.assert_allclose(scaled, plain, atol=2e-6)


@pytest.mark.parametrize("width", [7, 512])
def test_equal_templates_have_no_leak(width):
    rng = np.random.default_rng(19)
    vectors = np.tile(rng.normal(size=width).astype(np.float32), (101, 1))
    labels = rng.integers(0, 2, 101).astype(np.float32)
    scores = NeighbourAttack.fit(vectors, np.arange(101) // 3, labels, 2).scores(vectors)
    assert np.ptp(scores, axis=0).max() == 0
    assert attribute_leak(labels, scores) == 0


def test_unusable_input_is_refused():
    vectors, identities, labels = people(5, 20)
    with pytest.raises(InputError, match="two or more"):
        NeighbourAttack.fit(vectors, identities, np.zeros(15), 2)
    with pytest.raises(InputError, match="two or more"):
        NeighbourAttack.fit(vectors, identities, labels + 1, 2)
    with pytest.raises(InputError, match="shape"):
        NeighbourAttack.fit(vectors, identities, labels[:3], 2)
    with pytest.raises(InputError, match="identities"):
        NeighbourAttack.fit(vectors, identities[:3], labels, 2)
    with pytest.raises(InputError, match="finite"):
        NeighbourAttack.fit(vectors * np.nan, identities, labels, 2)
    own = NeighbourAttack(vectors, labels.astype(int), 2, 1, "mean")
    other = NeighbourAttack(vectors.copy(), labels.astype(int), 2, 1, "mean")
    with pytest.raises(InputError, match="one fit_neighbours"):
        neighbour_scores({"a": own, "b": other}, vectors)
