"""The two methods that attack given networks, on linear networks whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, tiny_faces
from torch import Tensor
from torch.nn.functional import normalize

from bench.api import Context, InputError, Request, Variant, to_tensor
from bench.auxiliaries import untrained
from bench.faces import GENDER, YOUNG
from methods._blocks.perturbation import (
    descend,
    identity_change,
    slopes_of,
    to_box,
    to_free,
)
from methods.chhabra2018 import Attack, Chhabra2018, lead
from methods.mirjalili_ross2017 import MirjaliliRoss2017, Objective, Queries

SIDE = 8


class LinearNetworks:
    """Gender is how bright the left half is, smiling the upper half; a matcher sees the four quarters."""

    def __init__(self, gain: float = 20.0) -> None:
        left = torch.zeros(3, SIDE, SIDE)
        left[:, :, : SIDE // 2] = gain / (3 * SIDE * SIDE / 2)
        self.weights = {"gender": left, "smiling": left.transpose(1, 2)}
        self.gain = gain
        self.calls = 0

    def classify(self, images: Tensor) -> Mapping[str, Tensor]:
        self.calls += 1
        bright = {k: (images * w).sum((1, 2, 3)) - self.gain / 2 for k, w in self.weights.items()}
        return {k: torch.stack([-b / 2, b / 2], 1) for k, b in bright.items()}

    def matcher(self, images: Tensor) -> Tensor:
        return normalize(torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(1) - 0.5)


def faces(n: int = 6, seed: int = 0, upper: float = 0.06) -> Tensor:
    """Grey images (n, 3, SIDE, SIDE): left halves .1 brighter or darker than the rest, upper ones `upper`."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.5 + 0.05 * (torch.rand(n, 3, SIDE, SIDE, generator=generator) - 0.5)
    images[:, :, :, : SIDE // 2] += torch.where(torch.arange(n) % 2 == 0, 0.1, -0.1)[:, None, None, None]
    images[:, :, : SIDE // 2] += torch.where(torch.arange(n) % 3 == 0, upper, -upper)[:, None, None, None]
    return images


def gender_of(images: Tensor) -> Tensor:
    return LinearNetworks().classify(images)["gender"].argmax(1)


# -- block -------------------------------------------------------------------------------------------


def test_the_box_and_back() -> None:
    images = torch.linspace(0, 1, 101)
    assert torch.isfinite(to_free(images)).all()
    assert torch.allclose(to_box(to_free(images)), images, atol=1e-5)
    extremes = to_box(torch.tensor([-1e6, 1e6]))
    assert extremes.tolist() == [0, 1]


def test_descent_is_adam_on_every_row_by_itself() -> None:
    generator = torch.Generator().manual_seed(0)
    start, centre = (torch.randn(5, 3, generator=generator) for _ in range(2))

    def look(values: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return 2 * (values - centre[rows]) * (rows[:, None] + 1), torch.ones_like(rows, dtype=torch.bool)

    found = descend(start, look, 30, 0.05)
    expected = start.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([expected], lr=0.05)
    for _ in range(30):
        expected.grad = 2 * (expected.detach() - centre) * (torch.arange(5)[:, None] + 1)
        optimiser.step()
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.equal(start, found)


def test_who_stops_stays_where_it_is_and_others_do_not_notice() -> None:
    start = torch.zeros(4, 2)
    seen: list[int] = []

    def look(values: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        seen.append(len(rows))
        return torch.ones_like(values), rows >= step

    found = descend(start, look, 10, 0.1)
    assert found[:, 0].tolist() == pytest.approx([-0.1, -0.2, -0.3, -0.4], abs=1e-4)
    assert seen == [4, 4, 3, 2, 1]


def test_a_falling_rate_ends_at_zero() -> None:
    def look(values: Tensor, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return torch.ones_like(values), torch.ones_like(rows, dtype=torch.bool)

    found = descend(torch.zeros(1, 1), look, 4, 0.1, falling=True)
    assert found.item() == pytest.approx(-0.1 * (1 + 0.75 + 0.5 + 0.25), abs=1e-5)


def test_slopes_are_each_samples_own() -> None:
    values = torch.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    assert slopes_of((values**2).sum(1), values).tolist() == [[2.0], [4.0], [6.0]]


def test_identity_changes_by_four_at_most() -> None:
    unit = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    others = torch.tensor([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0]])
    assert identity_change(unit, others).tolist() == [0, 2, 4]


# -- Mirjalili and Ross 2017 -------------------------------------------------------------------------

MR: dict[str, Any] = {
    "confidence": 0.9,
    "tolerance": 0.02,
    "lambda_match": 0.1,
    "lambda_change": 0.1,
}


def chances(images: Tensor) -> Tensor:
    return LinearNetworks().classify(images)["gender"].softmax(1)[:, 1]


def test_flip_reaches_the_other_side_and_stops_there() -> None:
    images, networks = faces(), LinearNetworks()
    wanted = 1 - gender_of(images)
    objective = Objective(networks.classify, networks.matcher, images, wanted, MR)
    found = objective.changed(descend(torch.zeros(6, 3, 4, 4), objective.look, 200, 0.01), slice(None))
    towards = torch.where(wanted == 1, chances(found), 1 - chances(found))
    assert (towards >= 0.9).all()
    assert (towards < 0.95).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_neutral_ends_at_a_coin_toss() -> None:
    images, networks = faces(), LinearNetworks()
    objective = Objective(networks.classify, networks.matcher, images, None, MR)
    assert ((chances(images) - 0.5).abs() > 0.1).all()
    coarse = descend(torch.zeros(6, 3, 4, 4), objective.look, 200, 0.01, falling=True)
    assert ((chances(objective.changed(coarse, slice(None))) - 0.5).abs() <= 0.02).all()


def test_who_is_there_already_is_left_alone() -> None:
    images, networks = faces(), LinearNetworks()
    gender = gender_of(images)
    wanted = torch.where(torch.arange(6) < 3, gender, 1 - gender)
    objective = Objective(networks.classify, networks.matcher, images, wanted, {**MR, "confidence": 0.6})
    found = objective.changed(descend(torch.zeros(6, 3, 4, 4), objective.look, 100, 0.01), slice(None))
    assert torch.equal(found[:3], images[:3])
    assert all(not torch.equal(found[i], images[i]) for i in (3, 4, 5))


def test_matching_and_size_hold_the_change_back() -> None:
    images, networks = faces(), LinearNetworks()
    wanted = 1 - gender_of(images)

    def outcome(**settings: float) -> tuple[float, float]:
        weighed = {**MR, "confidence": 1.1, **settings}  # beyond reach: all iterations are used
        objective = Objective(networks.classify, networks.matcher, images, wanted, weighed)
        found = objective.changed(descend(torch.zeros(6, 3, 4, 4), objective.look, 60, 0.01), slice(None))
        moved = identity_change(networks.matcher(found), networks.matcher(images)).mean()
        return float(moved), float((found - images).square().mean())

    free = outcome(lambda_match=0.0, lambda_change=0.0)
    assert outcome(lambda_match=20.0, lambda_change=0.0)[0] < 0.5 * free[0]
    assert outcome(lambda_match=0.0, lambda_change=1000.0)[1] < 0.5 * free[1]


def request(n: int, first: int = 0) -> Request:
    seeds = np.arange(first, first + n, dtype=np.uint64)
    return Request(Variant(), {}, tuple(str(s) for s in seeds), seeds)


def test_queries_estimate_the_slope() -> None:
    images, networks = faces(), LinearNetworks()
    objective = Objective(networks.classify, networks.matcher, images, 1 - gender_of(images), MR)
    rows, coarse = torch.arange(6), torch.zeros(6, 3, 2, 2)
    exact, _ = objective.look(coarse, rows, 0)
    estimated, _ = Queries(objective, request(6), 400, 0.01).look(coarse, rows, 0)
    alike = torch.nn.functional.cosine_similarity(estimated.flatten(1), exact.flatten(1))
    assert (alike > 0.9).all()
    assert torch.allclose(
        estimated.flatten(1).norm(dim=1) / exact.flatten(1).norm(dim=1), torch.ones(6), atol=0.25
    )


def test_queries_flip_without_gradients() -> None:
    images, networks = faces(), LinearNetworks()
    wanted = 1 - gender_of(images)
    objective = Objective(networks.classify, networks.matcher, images, wanted, MR)
    with torch.inference_mode():
        look = Queries(objective, request(6), 8, 0.02).look
        found = objective.changed(descend(torch.zeros(6, 3, 2, 2), look, 100, 0.01), slice(None))
    assert torch.equal(gender_of(found), wanted)


def test_directions_belong_to_sample_and_step() -> None:
    images, networks = faces(), LinearNetworks()
    objective = Objective(networks.classify, networks.matcher, images, None, MR)
    queries = Queries(objective, request(6), 3, 0.02)
    coarse = torch.zeros(6, 3, 2, 2)
    everyone = queries._directions(coarse, torch.arange(6), 4)
    assert everyone.shape == (3, 6, 3, 2, 2)
    some = torch.tensor([4, 1])
    assert torch.equal(queries._directions(coarse[some], some, 4), everyone[:, some])
    assert not torch.equal(queries._directions(coarse, torch.arange(6), 5), everyone)


# -- Chhabra et al. 2018 -----------------------------------------------------------------------------

CW: dict[str, Any] = {
    "searches": 9,
    "iterations": 300,
    "rate": 0.01,
    "falling": False,
    "first_c": 1e-3,
    "kappa": 0.0,
    "kappa_kept": 0.0,
    "c_identity": 0.0,
}


def attack(images: Tensor, kept: tuple[str, ...] = (), **settings: Any) -> Attack:
    networks = LinearNetworks()
    suppressed = {"gender": gender_of(images)}
    return Attack(networks.classify, networks.matcher, images, suppressed, kept, {**CW, **settings})


def test_lead_over_the_best_of_the_others() -> None:
    logits = torch.tensor([[3.0, 1.0, 2.0], [3.0, 1.0, 2.0]])
    assert lead(logits, torch.tensor([0, 1])).tolist() == [1, -2]


def test_suppression_finds_the_nearest_point_of_the_other_side() -> None:
    images = faces()
    found = attack(images).run()
    networks = LinearNetworks()
    weight = networks.weights["gender"]
    margin = lead(networks.classify(images)["gender"], gender_of(images))
    nearest = margin / weight.norm()  # distance to the hyperplane where both logits are equal
    moved = (found - images).flatten(1).norm(dim=1)
    assert (lead(networks.classify(found)["gender"], gender_of(images)) <= 1e-5).all()
    assert (moved >= nearest - 1e-4).all()
    assert torch.allclose(moved, nearest, rtol=0.1)


def test_kappa_is_the_margin_that_is_asked_for() -> None:
    images = faces()
    found = attack(images, kappa=1.0, first_c=1.0, searches=3).run()
    leads = lead(LinearNetworks().classify(found)["gender"], gender_of(images))
    assert (leads <= -1 + 1e-5).all()
    assert (leads > -1.3).all()


def test_kept_attributes_stay() -> None:
    # Left and upper half share a quarter: a change of the left half alone would end or begin many a smile.
    images, networks = faces(12, upper=0.02), LinearNetworks()
    before = networks.classify(images)
    settings: dict[str, Any] = {"first_c": 1.0, "searches": 3, "iterations": 200}
    careless, careful = attack(images, **settings).run(), attack(images, ("smiling",), **settings).run()
    stays = [
        (networks.classify(x)["smiling"].argmax(1) == before["smiling"].argmax(1))
        for x in (careless, careful)
    ]
    assert not stays[0].all()
    assert stays[1].all()
    assert ((lead(networks.classify(careful)["gender"], gender_of(images))) <= 1e-5).all()


def test_two_attributes_at_once() -> None:
    images, networks = faces(), LinearNetworks()
    before = {k: v.argmax(1) for k, v in networks.classify(images).items()}
    found = Attack(
        networks.classify, networks.matcher, images, before, (), {**CW, "first_c": 1.0, "searches": 2}
    ).run()
    for name, logits in networks.classify(found).items():
        assert (lead(logits, before[name]) <= 1e-5).all()


def test_identity_term_holds_the_embedding() -> None:
    images, networks = faces(), LinearNetworks()
    moved = [
        identity_change(
            networks.matcher(attack(images, first_c=1.0, searches=1, c_identity=weight).run()),
            networks.matcher(images),
        ).mean()
        for weight in (0.0, 20.0)
    ]
    assert moved[1] < 0.8 * moved[0]


def test_what_is_misread_already_needs_no_change() -> None:
    images, networks = faces(), LinearNetworks()
    misread = {"gender": 1 - gender_of(images)}
    found = Attack(networks.classify, networks.matcher, images, misread, (), {**CW, "searches": 2}).run()
    assert torch.allclose(found, images, atol=1e-5)


def test_out_of_reach_returns_the_nearest_miss_and_never_the_original() -> None:
    images, networks = faces(), LinearNetworks()
    found = attack(images, kappa=1000.0, first_c=1.0, searches=1, iterations=20).run()
    before, after = (lead(networks.classify(x)["gender"], gender_of(images)) for x in (images, found))
    assert (after < before - 0.1).all()
    assert attack(images, iterations=1, searches=1).run().isnan().all()


def test_a_loss_that_no_longer_falls_ends_the_step() -> None:
    networks = LinearNetworks(gain=0.0)  # blind: nothing to gain anywhere
    images = faces(2)
    suppressed = {"gender": torch.zeros(2, dtype=torch.long)}
    settings = {**CW, "searches": 1, "iterations": 60, "kappa": 1.0, "first_c": 1e3}
    Attack(networks.classify, networks.matcher, images, suppressed, (), settings).run()
    # One look at the originals, then looks 0 to 12: the loss is compared every 6 and has not fallen at 12.
    assert networks.calls == 1 + 13


def test_each_sample_is_attacked_as_if_alone() -> None:
    images = faces(5)
    settings: dict[str, Any] = {"first_c": 0.1, "searches": 3, "iterations": 30, "c_identity": 1.0}
    together = attack(images, ("smiling",), **settings).run()
    for i in range(5):
        alone = attack(images[i : i + 1], ("smiling",), **settings).run()
        assert torch.allclose(alone[0], together[i], atol=1e-4)


# -- adapters ----------------------------------------------------------------------------------------

SMALL: dict[str, Any] = {"size": 32}


def fitted(method_class: type[Any], **options: Any) -> Any:
    torch.manual_seed(0)
    method = method_class(EMBEDDED, preset="check", **SMALL, **options)
    networks = untrained(EMBEDDED, None)
    figures = method.fit(tiny_faces(8), tiny_faces(4, first_identity=100), networks, Context())
    assert figures["trained_against"] == [
        networks.names[0],
        networks.names[1 + method.settings["classifier"]],
    ]
    return method


def test_variants_of_mirjalili_ross() -> None:
    found = MirjaliliRoss2017(EMBEDDED).variants()
    assert [(v.name, v.selected, v.needs) for v in found] == [
        ("flip", True, None),
        ("neutral", False, ()),
        ("blackbox", False, None),
    ]
    assert {v.obfuscates for v in found} == {("gender",)}
    assert MirjaliliRoss2017((YOUNG,)).variants() == ()


def test_variants_of_chhabra_name_what_they_suppress() -> None:
    found = Chhabra2018(EMBEDDED).variants()
    assert [v.name for v in found] == ["gender", "gender+smiling", "gender+young", "gender+smiling+young"]
    assert all(v.obfuscates == v.needs == tuple(v.name.split("+")) for v in found)
    assert [v.name for v in found if v.selected] == ["gender"]
    assert [v.name for v in Chhabra2018((GENDER,)).variants()] == ["gender"]
    assert Chhabra2018((YOUNG,)).variants() == ()


def test_what_says_the_same_as_a_suppressed_attribute_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[tuple[str, ...]] = []
    original = Attack.__init__

    def spy(self: Attack, *args: Any) -> None:
        kept.append(tuple(args[4]))
        original(self, *args)

    monkeypatch.setattr(Attack, "__init__", spy)
    method = fitted(Chhabra2018)
    faces_ = tiny_faces(3, first_identity=300)
    for name in ("gender", "gender+young"):
        method.protect(faces_, method.variant(name))
    assert kept == [("race", "age_group", "young", "smiling"), ("race", "smiling")]


@pytest.mark.parametrize("method_class", [MirjaliliRoss2017, Chhabra2018])
def test_networks_are_stored_and_restored(method_class: type[Any]) -> None:
    method = fitted(method_class)
    assert all(k.startswith("aux/") for k in method.state())
    again = method_class(EMBEDDED, preset="check", **SMALL)
    again.restore(method.state())
    faces_ = tiny_faces(6, first_identity=300)
    images = method.protect(faces_, method.variants()[0]).images
    assert not np.array_equal(images, faces_.images)
    assert np.array_equal(again.protect(faces_, again.variants()[0]).images, images)


@pytest.mark.parametrize("method_class", [MirjaliliRoss2017, Chhabra2018])
def test_only_needed_labels_are_missed(method_class: type[Any]) -> None:
    method = fitted(method_class)
    faces_ = tiny_faces(4, first_identity=300)
    faces_.labels["smiling"][1] = np.nan
    faces_.labels["gender"][2] = np.nan
    found = method.protect(faces_, method.variants()[0])
    assert found.failed.tolist() == [False, False, True, False]
    assert not found.images[2].any()


def test_neutral_needs_no_label() -> None:
    method = fitted(MirjaliliRoss2017)
    faces_ = tiny_faces(4, first_identity=300)
    images = method.protect(faces_, method.variant("neutral")).images
    faces_.labels["gender"][:] = np.nan
    blind = method.protect(faces_, method.variant("neutral"))
    assert not blind.failed.any()
    assert np.array_equal(blind.images, images)


def test_a_classifier_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="is 0 to 2, got 3"):
        fitted(MirjaliliRoss2017, classifier=3)


@pytest.mark.parametrize("name", ["flip", "neutral"])
def test_more_iterations_confound_the_given_classifier(name: str) -> None:
    method = fitted(MirjaliliRoss2017, iterations=30)
    faces_ = tiny_faces(6, first_identity=300)
    classify, _ = method._networks(torch.device("cpu"))
    found = method.protect(faces_, method.variant(name)).images
    before, after = (classify(to_tensor(x))["gender"].softmax(1)[:, 1] for x in (faces_.images, found))
    if name == "neutral":
        assert ((after - 0.5).abs() <= ((before - 0.5).abs() + 1e-3).clamp(min=0.025)).all()
    else:
        towards = torch.from_numpy(1 - 2 * faces_.labels["gender"])
        assert ((after - before) * towards > 0).all()
