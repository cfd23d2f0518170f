"""People of the procedural dataset: reproducible, disjoint, labelled as CelebA's population is."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.datasets.synthetic.appearance import Appearance, draw_appearance
from bench.datasets.synthetic.draws import Draws
from bench.datasets.synthetic.identities import RACES, draw_population
from bench.datasets.synthetic.labels import LABELS

CROWD = 20_000
BINARY = [name for name in LABELS if name not in ("age", "age_group", "race")]


@pytest.fixture(scope="module")
def crowd() -> Appearance:
    population = draw_population(1, 0, CROWD)
    people = np.arange(CROWD)
    return draw_appearance(population, people, np.zeros(CROWD, dtype=np.int64), 5)


def correlation(crowd: Appearance, one: str, other: str) -> float:
    return float(np.corrcoef(crowd.labels[one], crowd.labels[other])[0, 1])


def test_draws_are_uniform_normal_and_keyed_by_name() -> None:
    draws = Draws(3, np.arange(50_000))
    uniform, normal = draws.uniform("a"), draws.normal("a", limit=5)
    np.testing.assert_allclose(np.histogram(uniform, 10, (0, 1))[0] / 50_000, 0.1, atol=0.006)
    assert abs(normal.mean()) < 0.02
    assert abs(normal.std() - 1) < 0.02
    assert abs(np.corrcoef(uniform, draws.uniform("b"))[0, 1]) < 0.02
    assert abs(np.corrcoef(uniform[:-1], uniform[1:])[0, 1]) < 0.02
    assert not np.array_equal(uniform, Draws(4, np.arange(50_000)).uniform("a"))


def test_draws_tell_the_order_of_keys() -> None:
    one, two = np.arange(100), np.arange(100)[::-1].copy()
    assert not np.any(Draws(3, one, two).bits("a") == Draws(3, two, one).bits("a"))


def test_choice_follows_its_probabilities() -> None:
    picks = Draws(3, np.arange(50_000)).choice("a", RACES)
    np.testing.assert_allclose(np.bincount(picks) / 50_000, RACES, atol=0.01)


def test_a_person_does_not_depend_on_the_range_asked_for() -> None:
    whole, part = draw_population(9, 0, 300), draw_population(9, 120, 50)
    np.testing.assert_array_equal(part.numbers, np.arange(120, 170))
    for columns, of_part in ((whole.traits, part.traits), (whole.labels, part.labels)):
        for name, values in columns.items():
            np.testing.assert_array_equal(values[120:170], of_part[name])


def test_disjoint_ranges_and_other_seeds_share_no_person() -> None:
    pools = [
        draw_population(9, 0, 2000),
        draw_population(9, 2000, 2000),
        draw_population(8, 0, 2000),
    ]
    assert not set(pools[0].numbers) & set(pools[1].numbers)
    people = [np.stack([p.traits["nose_width"], p.traits["eye_x"]], axis=1) for p in pools]
    everybody = np.concatenate(people)
    assert len(np.unique(everybody, axis=0)) == len(everybody)


@pytest.mark.parametrize(("first", "count"), [(-1, 5), (0, 0), (3, -2)])
def test_bad_ranges_are_refused(first: int, count: int) -> None:
    with pytest.raises(ValueError, match=f"identities={count}"):
        draw_population(1, first, count)


def test_labels_are_complete_and_coded_as_documented(crowd: Appearance) -> None:
    assert set(crowd.labels) == set(LABELS)
    for name in BINARY:
        assert set(np.unique(crowd.labels[name])) == {0.0, 1.0}, name
    age = crowd.labels["age"]
    assert age.min() >= 16
    assert age.max() <= 80
    np.testing.assert_array_equal(crowd.labels["young"], age < 40)
    groups = np.where(age <= 30, 0, np.where(age <= 45, 1, 2))
    np.testing.assert_array_equal(crowd.labels["age_group"], groups)
    assert set(np.unique(crowd.labels["race"])) == {0.0, 1.0, 2.0}
    assert all(values.dtype == np.float32 for values in crowd.labels.values())


@pytest.mark.parametrize(
    ("label", "low", "high"),
    [
        ("gender", 0.48, 0.52),
        ("young", 0.65, 0.77),
        ("smiling", 0.47, 0.53),
        ("heavy_makeup", 0.25, 0.42),
        ("attractive", 0.42, 0.60),
        ("eyeglasses", 0.06, 0.16),
        ("receding_hairline", 0.06, 0.30),
        ("bushy_eyebrows", 0.08, 0.30),
        ("narrow_eyes", 0.08, 0.30),
        ("big_nose", 0.08, 0.30),
        ("big_lips", 0.08, 0.30),
    ],
)
def test_prevalence(crowd: Appearance, label: str, low: float, high: float) -> None:
    assert low <= crowd.labels[label].mean() <= high


def test_age_groups_and_races_are_well_populated(crowd: Appearance) -> None:
    for label, least in (("age_group", 0.22), ("race", 0.22)):
        assert np.bincount(crowd.labels[label].astype(int)).min() / CROWD > least


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        ("heavy_makeup", "gender", -0.72, -0.58),
        ("attractive", "young", 0.38, 0.62),
        ("attractive", "heavy_makeup", 0.30, 0.60),
        ("attractive", "gender", -0.52, -0.25),
        ("receding_hairline", "gender", 0.18, 0.45),
        ("receding_hairline", "young", -0.50, -0.20),
        ("bushy_eyebrows", "gender", 0.25, 0.50),
        ("big_nose", "gender", 0.22, 0.45),
        ("big_lips", "gender", -0.45, -0.20),
        ("gender", "young", -0.03, 0.03),
        ("smiling", "gender", -0.03, 0.03),
    ],
)
def test_correlations_are_those_of_celeba(
    crowd: Appearance, one: str, other: str, low: float, high: float
) -> None:
    assert low <= correlation(crowd, one, other) <= high


def test_no_label_decides_another(crowd: Appearance) -> None:
    for i, one in enumerate(BINARY):
        for other in BINARY[i + 1 :]:
            assert abs(correlation(crowd, one, other)) < 0.85, (one, other)


def test_single_traits_overlap_between_the_sexes() -> None:
    population = draw_population(2, 0, CROWD)
    male = population.labels["gender"] == 1
    for name in ("head_width", "brow_thickness", "jaw_squareness", "hair_length", "hair_volume"):
        assert best_threshold_accuracy(population.traits[name], male) < 0.85, name


def best_threshold_accuracy(values: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    hits = np.cumsum(np.where(truth[np.argsort(values)], -1, 1))
    accuracy = (truth.sum() + hits) / len(truth)
    return float(max(accuracy.max(), 1 - accuracy.min()))


def test_image_labels_vary_within_a_person_and_the_others_do_not() -> None:
    population = draw_population(4, 0, 200)
    person, image = np.divmod(np.arange(200 * 8), 8)
    labels = draw_appearance(population, person, image, 5).labels
    spread = {name: np.ptp(values.reshape(200, 8), axis=1) for name, values in labels.items()}
    for name in population.labels:
        assert not spread[name].any(), name
    for name in ("smiling", "heavy_makeup", "eyeglasses", "attractive"):
        assert spread[name].any(), name
