"""Template-level methods: the printed identities, what goes, what is learned, and what is left to read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, RACE
from numpy.typing import NDArray
from torch import Tensor, nn

from bench.api import (
    Attribute,
    BenchError,
    Context,
    EmbeddingMethod,
    InputError,
    Request,
    Templates,
    UsageError,
    yes_no,
)
from bench.components.method_base import sample_seeds
from bench.faces import AGE, AGE_GROUP, GENDER, YOUNG
from methods._blocks.elimination import ENSEMBLES, Ensemble, Round, eliminate, schedule
from methods._blocks.embedding_networks import (
    Pairs,
    Projection,
    Rows,
    SplitAutoencoder,
    descend,
    moment_gaps,
    sensitive_loss,
    steps_of,
    train_on_rows,
    triplet_loss,
)
from methods._blocks.templates import Standardiser, class_labels, some_people
from methods._blocks.training import AnyTask, Plan
from methods.cosine_noise import CosineNoise
from methods.euclidean_noise import EuclideanNoise
from methods.ive import Ive
from methods.multi_ive import MultiIve, components, joint_label, rounds
from methods.pfrnet import PfrNet
from methods.sensitivenets import SensitiveNets

WIDTH = 32
GENDER_AT = (3, 11, 17, 25)
RACE_AT = (5, 9, 20, 30)
LEARNERS = (Ive, MultiIve, PfrNet, SensitiveNets)


def toy(people: int = 100, each: int = 4, first: int = 0) -> Templates:
    """Unit templates: a random centre a person, gender and race each moving four variables of their own."""
    rng = np.random.default_rng([5, first])
    identities = first + np.arange(people * each) // each
    gender = np.arange(people) % 2
    race = np.arange(people) // 2 % 3
    centres = rng.standard_normal((people, WIDTH))
    centres[:, GENDER_AT] += 3.0 * gender[:, None] - 1.5
    centres[:, RACE_AT] += 2.5 * (race[:, None] - 1)
    vectors = centres.repeat(each, axis=0) + 0.3 * rng.standard_normal((people * each, WIDTH))
    labels = {"gender": gender.repeat(each), "race": race.repeat(each)}
    return Templates(
        (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        identities,
        np.array([f"{i}-{k}" for k, i in enumerate(identities)]),
        {k: v.astype(np.float32) for k, v in labels.items()},
        (GENDER, RACE),
    )


def fitted(
    method: type[EmbeddingMethod], part: str, preset: str = "quick", people: int = 100, **options: Any
) -> EmbeddingMethod:
    found = method((GENDER, RACE), preset=preset, **options)
    found.part = part
    found.fit(toy(people), toy(10, first=1000), Context())
    return found


def part_of(method: type[EmbeddingMethod]) -> str:
    return method((GENDER, RACE)).parts()[0]


def auc(method: EmbeddingMethod | None, attribute: str = "gender", variant: str = "") -> float:
    """How well a logistic regression that learned from protected templates ranks those of other people."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    learn, test = toy(100, first=2000), toy(100, first=3000)
    if method is None:
        vectors = [learn.vectors, test.vectors]
    else:
        shown = method.variant(variant or method.part)
        vectors = [method.protect(t, shown) for t in (learn, test)]
    scale = np.abs(vectors[0]).mean()
    model = LogisticRegression(max_iter=500).fit(vectors[0] / scale, learn.labels[attribute])
    scores = model.predict_proba(vectors[1] / scale)
    chosen = scores[:, 1] if scores.shape[1] == 2 else scores
    return float(roc_auc_score(test.labels[attribute], chosen, multi_class="ovr"))


def neighbours(method: EmbeddingMethod | None) -> float:
    """Share of templates whose nearest other template is of the same person."""
    test = toy(100, first=3000)
    vectors = test.vectors if method is None else method.protect(test, method.variant(method.part))
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -2)
    return float((test.identities[scores.argmax(1)] == test.identities).mean())


def request(method: EmbeddingMethod, variant: str, count: int) -> Request:
    keys = tuple(f"k{i}" for i in range(count))
    return Request(method.variant(variant), {}, keys, sample_seeds(0, variant, keys))


# -- variants ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [Ive, PfrNet, SensitiveNets])
def test_one_part_an_attribute_and_gender_by_default(method: type[EmbeddingMethod]) -> None:
    variants = method(EMBEDDED).variants()
    assert [v.name for v in variants] == ["gender", "race", "age_group", "young"]
    assert all(v.obfuscates == (v.name,) and v.part == v.name for v in variants)
    assert [v.name for v in variants if v.selected] == ["gender"]
    assert [v.selected for v in method([RACE, YOUNG]).variants()] == [True, False]
    assert method([AGE, yes_no("smiling")]).variants() == ()


def test_multi_ive_hides_each_thing_once() -> None:
    variants = MultiIve(EMBEDDED).variants()
    assert [(v.name, v.part, v.selected) for v in variants] == [
        ("summed", "summed", True),
        ("sequential", "sequential", False),
        ("joint", "joint", False),
    ]
    assert {v.obfuscates for v in variants} == {("gender", "race", "age_group")}
    assert MultiIve([GENDER, YOUNG]).variants()[0].obfuscates == ("gender", "young")
    assert MultiIve([AGE]).variants() == ()


@pytest.mark.parametrize(
    ("method", "names", "selected"),
    [
        (CosineNoise, ["s=0.8", "s=0.9", "s=0.6"], "s=0.8"),
        (EuclideanNoise, ["d=0.5", "d=1"], "d=0.5"),
    ],
)
def test_noise_comes_in_strengths(method: type[EmbeddingMethod], names: list[str], selected: str) -> None:
    variants = method([GENDER, AGE_GROUP, AGE]).variants()
    assert [v.name for v in variants] == names
    assert [v.name for v in variants if v.selected] == [selected]
    assert {v.obfuscates for v in variants} == {("gender", "age_group")}
    assert method.same_space
    assert not method.trained
    assert method([AGE]).variants() == ()


# -- noise ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.8, 0.9, 0.6])
def test_csn_has_the_cosine(s: float) -> None:
    templates = toy()
    method = CosineNoise((GENDER,))
    protected = method.protect(templates, method.variant(f"s={s}"))
    cosines = (protected * templates.vectors).sum(1)
    assert np.abs(cosines - s).max() < 1e-6
    assert protected.shape == templates.vectors.shape


def test_csn_scores_shrink_by_s_squared() -> None:
    first = toy().vectors[:1]
    second = toy().vectors[1:2]
    method = CosineNoise((GENDER,))
    count = 2000
    both = torch.from_numpy(np.concatenate([first.repeat(count, 0), second.repeat(count, 0)]))
    noisy = method._protect(both, request(method, "s=0.8", 2 * count))
    scores = (noisy[:count] * noisy[count:]).sum(1)
    expected = 0.64 * float(first[0] @ second[0])
    assert abs(float(scores.mean()) - expected) < 4 * float(scores.std()) / math.sqrt(count)
    assert float(scores.std()) > 0.05  # or the interval above would say nothing


def test_csn_noise_is_orthogonal_and_averages_out() -> None:
    vector = torch.from_numpy(toy().vectors[:1])
    method = CosineNoise((GENDER,))
    noisy = method._protect(vector.expand(4000, -1), request(method, "s=0.6", 4000)).double()
    across = noisy - 0.6 * vector
    assert float((across @ vector[0].double()).abs().max()) < 1e-6
    # Isotropic in the 31 directions that are left: each has 1/31 of the variance .64.
    shares = torch.linalg.eigvalsh(across.T @ across / 4000)[1:] / (0.64 / (WIDTH - 1))
    assert 0.75 < float(shares.min()) < float(shares.max()) < 1.25
    mean = noisy.mean(0)
    assert float(mean @ vector[0].double() / mean.norm()) > 0.99


@pytest.mark.parametrize(("name", "distance"), [("d=0.5", 0.5), ("d=1", 1.0)])
def test_esn_has_the_distance(name: str, distance: float) -> None:
    vectors = torch.from_numpy(toy().vectors)
    method = EuclideanNoise((GENDER,))
    moved = method._protect(vectors, request(method, name, len(vectors)))
    assert torch.allclose((moved - vectors).norm(dim=1), torch.tensor(distance), atol=1e-6)
    assert method._protect(vectors, request(method, name, len(vectors))).equal(moved)
    # Nearly orthogonal to the template, hence about the cosine that the module's text names.
    cosines = (moved * vectors).sum(1) / moved.norm(dim=1)
    assert float(cosines.mean()) == pytest.approx(1 / math.sqrt(1 + distance**2), abs=0.02)


@pytest.mark.parametrize("method", [CosineNoise, EuclideanNoise])
def test_noise_depends_on_seed_and_key_alone(method: type[EmbeddingMethod]) -> None:
    templates = toy(10)
    found = method((GENDER,))
    variant = found.variants()[0]
    whole = found.protect(templates, variant)
    turned = Templates(templates.vectors[::-1].copy(), templates.identities[::-1], templates.keys[::-1])
    assert np.array_equal(found.protect(turned, variant)[::-1], whole)
    assert not np.allclose(found.protect(templates, variant, seed=1), whole)


# -- elimination ---------------------------------------------------------------------------------------


def test_the_authors_example_leaves_d_minus_100() -> None:
    s = Ive.resolve("paper", {})
    assert (s["trees"], s["steps"], s["eliminations"]) == (30, 20, 5)
    assert sum(schedule(512, s["steps"], s["eliminations"], s["share"])) == 100
    m = MultiIve.resolve("paper", {})
    assert (m["steps"], m["eliminations"]) == (85, 3)  # half of the authors' 170 rounds


def test_a_share_is_spread_evenly() -> None:
    counts = schedule(128, 10, 5, 0.7)
    assert sum(counts) == 90
    assert set(counts) == {9}
    assert schedule(8, 10, 5, 0.25) == [1, 1]


@pytest.mark.parametrize(("steps", "eliminations", "share"), [(20, 5, 0.0), (5, 5, 1.0), (5, 0, 0.0)])
def test_something_must_be_left_and_something_must_go(steps: int, eliminations: int, share: float) -> None:
    with pytest.raises(InputError, match="set the option share"):
        schedule(64, steps, eliminations, share)


@pytest.mark.parametrize(("steps", "eliminations"), [(3, 4), (1, 4), (31, 1)])
def test_ive_width(steps: int, eliminations: int) -> None:
    method = fitted(Ive, "gender", "check", steps=steps, eliminations=eliminations, share=0.0)
    protected = method.protect(toy(10), method.variant("gender"))
    assert protected.shape == (40, WIDTH - steps * eliminations)


@pytest.mark.parametrize("kind", ENSEMBLES)
def test_what_tells_goes_first(kind: str) -> None:
    templates = toy()
    target = class_labels(templates, "gender")
    told: list[tuple[float, float]] = []
    ctx = Context(report=lambda done, total, text: told.append((done, total)))
    ensemble = Ensemble(kind, 30)
    gone = eliminate(templates.vectors, [Round((target,), 2)] * 2, ensemble, ctx)
    assert set(gone.tolist()) == set(GENDER_AT)
    assert told == [(1, 2), (2, 2)]


def test_importances_are_summed_over_targets() -> None:
    templates = toy()
    targets = tuple(class_labels(templates, a) for a in ("gender", "race"))
    gone = eliminate(templates.vectors, [Round(targets, 8)], Ensemble(), Context())
    assert set(gone.tolist()) == {*GENDER_AT, *RACE_AT}


def test_blocked_columns_stay() -> None:
    templates = toy()
    target = class_labels(templates, "gender")
    gone = eliminate(templates.vectors, [Round((target,), 3)], Ensemble(), Context(), blocked=4)
    assert set(gone.tolist()) == set(GENDER_AT) - {3}
    with pytest.raises(InputError, match="3 of 32 variables of which 30 are blocked"):
        eliminate(templates.vectors, [Round((target,), 3)], Ensemble(), Context(), blocked=30)


def test_unknown_labels_teach_nothing() -> None:
    templates = toy()
    target = class_labels(templates, "gender")
    wrong = target.copy()
    wrong[::2] = -1
    first = Ensemble().importances(templates.vectors, wrong, 3)
    second = Ensemble().importances(templates.vectors[1::2], target[1::2], 3)
    assert np.array_equal(first, second)


def test_an_unknown_ensemble_is_named() -> None:
    with pytest.raises(UsageError, match="unknown ensemble 'forest'; known: random_forest"):
        Ensemble("forest").importances(toy().vectors, class_labels(toy(), "gender"), 0)


def test_the_toy_tells_everything() -> None:
    assert auc(None) > 0.99
    assert auc(None, "race") > 0.99
    assert neighbours(None) > 0.99


def test_ive_takes_the_attribute_away() -> None:
    method = fitted(Ive, "gender", "check", trees=30, steps=2, share=4 / WIDTH)
    assert method.state()["kept"].tolist() == [i for i in range(WIDTH) if i not in GENDER_AT]
    assert 0.35 < auc(method) < 0.65
    assert auc(method, "race") > 0.85
    assert neighbours(method) > 0.9


def test_ive_needs_two_classes() -> None:
    templates = toy(10)
    templates.labels["gender"][:] = 1
    method = Ive((GENDER, RACE), preset="check")
    method.part = "gender"
    with pytest.raises(InputError, match="at least two classes, got 1"):
        method.fit(templates, toy(10, first=1000), Context())


# -- Multi-IVE -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["summed", "sequential", "joint"])
def test_multi_ive_takes_both_attributes_away(strategy: str) -> None:
    method = fitted(MultiIve, strategy, "check", trees=30, steps=2, share=8 / WIDTH)
    kept = np.flatnonzero(method.state()["matrix"].any(1))
    assert set(range(WIDTH)) - set(kept.tolist()) == {*GENDER_AT, *RACE_AT}
    assert 0.35 < auc(method) < 0.65
    assert 0.35 < auc(method, "race") < 0.65
    assert neighbours(method) > 0.85


def test_sequential_rounds_share_the_eliminations_out() -> None:
    labels = [np.full(4, k) for k in range(3)]
    found = [(int(r.targets[0][0]), r.count) for r in rounds("sequential", labels, [4, 4, 3])]
    assert found == [(0, 2), (1, 1), (2, 1), (0, 1), (1, 2), (2, 1), (0, 1), (1, 1), (2, 1)]
    single = [(int(r.targets[0][0]), r.count) for r in rounds("sequential", labels, [1, 1, 1])]
    assert single == [(0, 1), (1, 1), (2, 1)]


def test_joint_label_numbers_the_combinations() -> None:
    gender = np.array([0, 1, 0, 1, -1, 0])
    race = np.array([2, 0, 2, 2, 0, -1])
    assert joint_label([gender, race]).tolist() == [0, 1, 0, 2, -1, -1]


@pytest.mark.parametrize("domain", ["pca", "ica"])
def test_components_and_back_is_the_identity(domain: str) -> None:
    vectors = Standardiser.of(toy().vectors)(toy().vectors)
    apart, together = components(vectors, domain, 0, 0)
    assert together is not None
    assert np.allclose(apart @ together, np.eye(WIDTH), atol=1e-4)
    variances = (vectors @ apart).var(0)
    if domain == "pca":
        assert (np.diff(variances) <= 1e-5).all()
    else:
        assert np.allclose(variances, 1, atol=0.02)


def test_multi_ive_in_the_pca_domain_keeps_the_width_and_the_blocked_components() -> None:
    method = fitted(MultiIve, "summed", "check", domain="pca", blocked=3, share=0.5)
    state = method.state()
    assert method.protect(toy(5), method.variant("summed")).shape == (20, WIDTH)
    assert np.linalg.matrix_rank(state["matrix"], tol=1e-4) == WIDTH // 2
    vectors = Standardiser(state["centre"], state["spread"])(toy().vectors)
    apart, _ = components(vectors, "pca", 3, 0)
    assert np.allclose(apart[:, :3].T @ state["matrix"], apart[:, :3].T, atol=1e-4)


def test_domains_are_checked() -> None:
    with pytest.raises(UsageError, match="none, pca or ica"):
        components(toy().vectors, "fourier", 0, 0)
    with pytest.raises(UsageError, match="needs domain=pca"):
        components(toy().vectors, "ica", 3, 0)


# -- PFRNet --------------------------------------------------------------------------------------------


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_pfrnet_has_the_printed_layers_at_512() -> None:
    network = SplitAutoencoder(512)
    shapes = [
        [tuple(m.weight.shape[::-1]) for m in part if isinstance(m, nn.Linear)]
        for part in (network.independent, network.dependent, network.decoder)
    ]
    assert shapes[0] == [(512, 512), (512, 512), (512, 512), (512, 496)]
    assert shapes[1] == [(512, 256), (256, 128), (128, 64), (64, 16)]
    assert shapes[2] == [(512, 512)] * 4
    square = 512 * 512 + 512
    assert parameters(network.independent) == 3 * square + 512 * 496 + 496
    assert parameters(network.dependent) == 512 * 256 + 256 + 256 * 128 + 128 + 128 * 64 + 64 + 64 * 16 + 16
    assert parameters(network.decoder) == 4 * square
    assert parameters(network) == 2_266_560


def test_pfrnet_paper_preset_takes_a_step_at_512() -> None:
    rng = np.random.default_rng(0)

    def wide(first: int) -> Templates:
        vectors = rng.standard_normal((120, 512)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        keys = np.array([f"{first}-{i}" for i in range(120)])
        labels = {"gender": (np.arange(120) % 2).astype(np.float32)}
        return Templates(vectors, first + np.arange(120), keys, labels, (GENDER,))

    method = PfrNet((GENDER,), preset="paper", epochs=1)
    method.part = "gender"
    figures = method.fit(wide(0), wide(500), Context())
    assert figures["steps"] == 2
    assert set(figures["curves"]) == {"reconstruction", "independent", "dependent"}
    assert method.protect(wide(900), method.variant("gender")).shape == (120, 496)
    assert PfrNet.resolve("paper", {})["rate"] == 1e-4


def test_moment_gaps_by_hand() -> None:
    codes = torch.tensor([[1.0, 2.0], [3.0, 2.0], [2.0, 0.0], [9.0, 9.0], [2.0, 4.0]])
    labels = torch.tensor([0, 0, 1, -1, 1])
    # Means (2, 2) in both classes; second moments (5, 4) against (4, 8).
    assert moment_gaps(codes, labels).tolist() == [[[0, 0]], [[1, -4]]]
    assert moment_gaps(codes, torch.tensor([0, 0, 1, 2, 1])).shape == (2, 3, 2)
    assert moment_gaps(codes, torch.tensor([1, 1, 1, -1, 1])).shape == (2, 0, 2)


def test_pfrnet_hides_the_attribute_and_keeps_neighbours() -> None:
    size: dict[str, Any] = {"people": 200, "steps": 300, "batch": 100}
    method = fitted(PfrNet, "gender", **size)
    assert auc(method) < 0.88
    assert auc(method, "race") > 0.95
    assert neighbours(method) > 0.8
    # It is the moments of z_ind that do it: without their loss the attribute stays readable.
    assert auc(fitted(PfrNet, "gender", **size, lambda_independent=0.0)) > 0.97


# -- SensitiveNets -------------------------------------------------------------------------------------


def test_the_projection_starts_as_the_identity() -> None:
    vectors = torch.from_numpy(toy(5).vectors)
    assert torch.allclose(Projection(WIDTH)(vectors), vectors, atol=1e-6)


def test_triplet_loss_by_hand() -> None:
    anchors = torch.eye(2)
    positives = torch.tensor([[0.6, 0.8], [0.0, 1.0]])
    people = torch.tensor([7, 8])
    # Squared distances: anchor 0 to its own .8, to the other 2; anchor 1 to its own 0, to the other .4.
    assert float(triplet_loss(anchors, positives, people, 1.5)) == pytest.approx((0.3 + 1.1) / 2)
    assert float(triplet_loss(anchors, positives, people, 0.5)) == pytest.approx(0.1)
    assert float(triplet_loss(anchors, positives, people, 0.1)) == 0
    assert float(triplet_loss(anchors, positives, torch.tensor([7, 7]), 1.5)) == 0


def test_sensitive_loss_wants_the_same_answer_for_all() -> None:
    def logits(*first: float) -> Tensor:
        return torch.log(torch.tensor([[p, 1 - p] for p in first]))

    assert float(sensitive_loss(logits(0.9, 0.9), 0.9)) == pytest.approx(0, abs=1e-6)
    assert float(sensitive_loss(logits(0.5), 0.9)) == pytest.approx(math.log(1.4))
    assert float(sensitive_loss(logits(0.1), 0.9)) == pytest.approx(math.log(1.8))


def test_pairs_are_other_templates_of_the_same_person() -> None:
    identities = np.array([5, 3, 5, 9, 3, 5, 7])
    pairs = Pairs(identities, "cpu")
    assert len(pairs) == 5  # people 9 and 7 have one template
    rows = torch.arange(5).repeat(200)
    anchors, others, people = pairs.draw(rows, torch.Generator().manual_seed(0))
    assert (anchors != others).all()
    assert np.array_equal(identities[anchors], people)
    assert np.array_equal(identities[others], people)
    seen = set(zip(anchors.tolist(), others.tolist(), strict=True))
    assert len(seen) == 3 * 2 + 2  # every ordered pair comes up


@pytest.mark.parametrize("identities", [[1, 2, 3], [1, 1, 2]])
def test_triplets_need_two_people_with_two_templates(identities: list[int]) -> None:
    with pytest.raises(InputError, match="two people with two templates"):
        Pairs(np.array(identities), "cpu")


def test_the_detector_is_trained_anew_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    from methods._blocks.embedding_networks import DetectorTask

    seen: list[Tensor] = []
    start = DetectorTask.__init__

    def watched(self: DetectorTask, vectors: Tensor, labels: Tensor, **options: Any) -> None:
        seen.append(vectors)
        start(self, vectors, labels, **options)

    monkeypatch.setattr(DetectorTask, "__init__", watched)
    # 400 templates in batches of 100: 4 steps an epoch.
    fitted(SensitiveNets, "gender", "check", steps=9, batch=100)
    assert len(seen) == 3
    assert not torch.allclose(seen[0], seen[1])
    assert not torch.allclose(seen[1], seen[2])


def test_sensitivenets_hides_the_attribute_and_keeps_neighbours() -> None:
    size: dict[str, Any] = {"people": 300, "steps": 400}
    method = fitted(SensitiveNets, "gender", **size)
    assert auc(method) < 0.75
    assert auc(method, "race") > 0.85
    assert neighbours(method) > 0.95
    assert auc(fitted(SensitiveNets, "gender", **size, lambda_sensitive=0.0)) > 0.97


# -- all that learn ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", LEARNERS)
def test_same_seed_same_bytes(method: type[EmbeddingMethod]) -> None:
    part = part_of(method)
    first, second = (fitted(method, part, "check").state() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(np.array_equal(first[k], second[k]) for k in first)


@pytest.mark.parametrize("method", LEARNERS)
def test_what_was_learned_is_restored(method: type[EmbeddingMethod]) -> None:
    part = part_of(method)
    found = fitted(method, part, "check")
    twin = method((GENDER, RACE), preset="check")
    twin.part = part
    twin.restore(found.state())
    test = toy(5, first=3000)
    expected = found.protect(test, found.variant(part))
    assert np.array_equal(twin.protect(test, twin.variant(part)), expected)
    assert np.allclose(np.linalg.norm(expected, axis=1), 1, atol=1e-5)
    assert not method.same_space


@pytest.mark.parametrize("method", LEARNERS)
@pytest.mark.parametrize("preset", ["paper", "quick", "check"])
def test_presets_resolve(method: type[EmbeddingMethod], preset: str) -> None:
    settings = method.resolve(preset, {})
    assert settings.keys() == method.options.keys()
    assert (settings == dict(method.options)) == (preset == "paper")


# -- shared pieces -------------------------------------------------------------------------------------


def test_class_labels_are_counted_without_gaps() -> None:
    templates = Templates(
        np.eye(5, dtype=np.float32),
        np.arange(5),
        np.array(list("abcde")),
        {"race": np.array([2, 0, np.nan, 2, 0], np.float32)},
        (Attribute("race", ("a", "b", "c")),),
    )
    assert class_labels(templates, "race").tolist() == [1, 0, -1, 1, 0]


def test_some_people_are_whole_people() -> None:
    templates = toy(20)
    some = some_people(templates, 30, 1)
    assert len(some) == 28
    assert (np.unique(some.identities, return_counts=True)[1] == 4).all()
    assert len(some.labels["gender"]) == len(some.keys) == 28
    assert np.array_equal(some.vectors, some_people(templates, 30, 1).vectors)
    assert not np.array_equal(some.identities, some_people(templates, 30, 2).identities)
    assert some_people(templates, 0, 1) is templates
    assert some_people(templates, 80, 1) is templates
    with pytest.raises(InputError, match="less than one person's templates"):
        some_people(templates, 3, 1)


def test_standardised_variables_have_mean_0_and_deviation_1() -> None:
    vectors = toy().vectors.copy()
    vectors[:, 4] = 0.25
    standard = Standardiser.of(vectors)(vectors)
    assert np.abs(standard.mean(0)).max() < 1e-5
    others = np.delete(standard.std(0), 4)
    assert np.allclose(others, 1, atol=1e-4)
    assert (standard[:, 4] == 0).all()


class MeanTask(AnyTask[Rows]):
    """Learns the mean of a column."""

    def __init__(self, column: NDArray[np.float32]) -> None:
        self.column = torch.from_numpy(column)
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.layer.weight)
        self.product = self.layer
        self.modules = {"layer": self.layer}
        self.optimisers = {"layer": torch.optim.Adam(self.layer.parameters(), lr=0.1)}
        self.rates: list[float] = []
        self.draws: list[float] = []

    def step(self, number: int, batch: Rows) -> Mapping[str, Tensor]:
        self.rates.append(self.optimisers["layer"].param_groups[0]["lr"])
        self.draws.append(float(torch.rand(1, generator=batch.generator)))
        loss = (self.layer.weight[0, 0] - self.column[batch.rows]).square().mean()
        descend(self.optimisers["layer"], loss)
        return {"error": loss} if number % 2 else {"error": loss, "even": loss}


def test_the_loop_learns_decays_and_reports() -> None:
    column = np.linspace(0, 2, 50).astype(np.float32)
    told: list[tuple[float, float]] = []
    ctx = Context(report=lambda done, total, text: told.append((done, total)))
    task, twin = MeanTask(column), MeanTask(column)
    plan = Plan(steps=200, batch=25, seed=4, decay_from=0.5)
    curves = train_on_rows(task, 50, plan, ctx, name="mean")
    assert float(task.layer.weight.detach()) == pytest.approx(1.0, abs=0.02)
    assert len(curves["error"]) == 48
    assert len(curves["even"]) == 48
    assert curves["error"][-1] < 0.5 * curves["error"][0]
    assert told[-1] == (200, 200)
    assert not task.layer.training
    assert task.rates[99] == 0.1
    assert task.rates[150] == pytest.approx(0.05)
    assert len(set(task.draws)) == 200
    assert train_on_rows(twin, 50, plan, Context(), name="mean") == curves
    assert twin.draws == task.draws


def test_the_loop_names_what_went_wrong() -> None:
    column = np.array([0.0, np.nan], np.float32)
    with pytest.raises(BenchError, match=r"training of mean diverged at step 0 \(loss error, even\)"):
        train_on_rows(MeanTask(column), 2, Plan(4, 2, 0), Context(), name="mean")
    for count, plan in ((0, Plan(4, 2, 0)), (2, Plan(0, 2, 0)), (2, Plan(4, 1, 0))):
        with pytest.raises(InputError, match="cannot train mean"):
            train_on_rows(MeanTask(column), count, plan, Context(), name="mean")


def test_steps_of_epochs() -> None:
    assert steps_of(100, 1000, 100) == 1000
    assert steps_of(1, 401, 100) == 5
    assert steps_of(1, 3, 100) == 1
