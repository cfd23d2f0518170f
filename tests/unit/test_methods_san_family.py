"""Ensemble SAN and FlowSAN: which networks make which output, and how each of them is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, TinyAuxiliaries, tiny_faces

from bench.api import (
    Classifier,
    Context,
    ContractError,
    Faces,
    Method,
    UsageError,
    module_state,
    to_tensor,
)
from bench.faces import GENDER, YOUNG
from methods._blocks.images import luma
from methods._blocks.opponents import Opponents
from methods._blocks.san_family import new_network
from methods._blocks.san_series import SanSeries, member_seed
from methods.flowsan import FlowSan
from methods.san import San
from methods.san_ensemble import SanEnsemble

TINY: dict[str, Any] = {
    "size": 0,
    "keep_detail": False,
    "widths": [4, 4, 8, 8],
    "members": 3,
    "steps": 4,
    "batch": 6,
    "strengths": [1.0],
}
PARAMETERS = 324_248
"""Of one SAN as printed (Mirjalili et al., ICB 2018, Fig. 3)."""


class Extras(TinyAuxiliaries):
    """With a classifier of its own for each name, and a list of those that were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def extra(self, name: str) -> Classifier:
        self.asked.append(name)
        shift = 0.5 * int(name[-1])
        return lambda images: {k: v + shift * images.mean() for k, v in self._classify(images).items()}


def fit(method: SanSeries, auxiliaries: TinyAuxiliaries | None = None, **context: Any) -> dict[str, Any]:
    pools = tiny_faces(), tiny_faces(first_identity=100)
    return method.fit(*pools, auxiliaries or Extras(), Context(**context))


def ensemble(preset: str = "quick", **more: Any) -> SanEnsemble:
    return SanEnsemble(EMBEDDED, preset=preset, **{**TINY, **more})


def flow(preset: str = "quick", **more: Any) -> FlowSan:
    small = {"stage_steps": 3, "stage_strengths": [1.0]}
    return FlowSan(EMBEDDED, preset=preset, **{**TINY, **small, **more})


@pytest.fixture(scope="module")
def fitted() -> SanEnsemble:
    method = ensemble()
    fit(method)
    return method


@pytest.fixture(scope="module")
def stacked() -> FlowSan:
    method = flow()
    fit(method)
    return method


@pytest.fixture(scope="module")
def faces() -> Faces:
    return tiny_faces(16, first_identity=300)


def images(method: SanSeries, faces: Faces, variant: str, seed: int = 0) -> np.ndarray[Any, Any]:
    return method.protect(faces, method.variant(variant), seed=seed).images.astype(int)


# -- the ensemble's outputs --------------------------------------------------------------------------


def test_outputs_of_the_ensemble() -> None:
    variants = SanEnsemble((GENDER,)).variants()
    assert [v.name for v in variants] == [
        *(f"avg-n={n}" for n in range(1, 6)),
        *(f"gibbs-n={n}" for n in range(2, 6)),
        *(f"member={n}" for n in range(1, 6)),
        *(f"best-n={n}" for n in range(2, 6)),
    ]
    assert {v.obfuscates for v in variants} == {("gender",)}
    assert [v.name for v in variants if v.selected] == ["avg-n=3", "gibbs-n=3", "best-n=3"]
    bounds = {v.name: v.oracle for v in variants if v.oracle}
    assert list(bounds) == [f"best-n={n}" for n in range(2, 6)]
    assert bounds["best-n=3"] == ("member=1", "member=2", "member=3")
    assert SanEnsemble((YOUNG,)).variants() == ()


def test_members_differ(fitted: SanEnsemble, faces: Faces) -> None:
    found = [images(fitted, faces, f"member={i}") for i in (1, 2, 3)]
    assert not np.array_equal(found[0], found[1])
    assert not np.array_equal(found[1], found[2])


def test_the_mean_of_one_is_the_first_member(fitted: SanEnsemble, faces: Faces) -> None:
    assert np.array_equal(images(fitted, faces, "avg-n=1"), images(fitted, faces, "member=1"))


def test_the_mean_is_the_mean_of_the_members(fitted: SanEnsemble, faces: Faces) -> None:
    members = np.stack([images(fitted, faces, f"member={i}") for i in (1, 2, 3)])
    # Members are rounded to 8 bits, the mean is taken before.
    assert np.abs(images(fitted, faces, "avg-n=3") - members.mean(0)).max() <= 1


def test_gibbs_shows_one_of_the_members(fitted: SanEnsemble, faces: Faces) -> None:
    members = np.stack([images(fitted, faces, f"member={i}") for i in (1, 2, 3)])
    drawn = images(fitted, faces, "gibbs-n=3")
    same = (drawn == members).all((2, 3, 4))
    assert same.any(0).all()
    assert same.any(1).all()
    pair = images(fitted, faces, "gibbs-n=2")
    assert (pair == members[:2]).all((2, 3, 4)).any(0).all()


def test_gibbs_draws_for_each_face_by_itself(fitted: SanEnsemble, faces: Faces) -> None:
    drawn = images(fitted, faces, "gibbs-n=3", seed=4)
    assert np.array_equal(images(fitted, faces.take(slice(5, 9)), "gibbs-n=3", seed=4), drawn[5:9])
    assert not np.array_equal(images(fitted, faces, "gibbs-n=3", seed=5), drawn)


def test_a_bound_has_no_images(fitted: SanEnsemble, faces: Faces) -> None:
    with pytest.raises(UsageError, match="bound"):
        fitted.protect(faces, fitted.variant("best-n=2"))


# -- FlowSAN's outputs -------------------------------------------------------------------------------


def test_outputs_of_flowsan() -> None:
    variants = FlowSan((GENDER,)).variants()
    assert [(v.name, v.obfuscates, v.selected) for v in variants] == [
        (f"n={n}", ("gender",), n <= 3) for n in range(1, 6)
    ]
    assert FlowSan((YOUNG,)).variants() == ()


def test_each_stage_works_on_the_one_before(stacked: FlowSan, faces: Faces) -> None:
    prototypes = to_tensor(stacked.state()["prototypes"])
    gender = torch.from_numpy(faces.labels["gender"]).long()
    same, opposite = prototypes[gender], prototypes[1 - gender]
    drawn = luma(to_tensor(faces.images))
    for n, stage in enumerate(stacked._stages, 1):
        with torch.no_grad():
            after = stage.network.combine(stage.network.features(drawn, same), opposite, drawn)
        drawn = (drawn + stage.strength * (after - drawn)).clamp(0, 1)
        assert np.abs(images(stacked, faces, f"n={n}")[..., 1] - drawn[:, 0].numpy() * 255).max() <= 0.51


@pytest.mark.parametrize("preset", ["paper", "quick"])
def test_one_stage_is_the_first_member_of_the_ensemble(preset: str, faces: Faces) -> None:
    stages = flow(preset, steps=5, members=2, strengths=[1.0, 1.5])
    members = SanEnsemble(EMBEDDED, **{k: stages.settings[k] for k in SanEnsemble.options})
    fit(members)
    fit(stages)
    assert np.array_equal(images(stages, faces, "n=1"), images(members, faces, "member=1"))
    first = {k: v for k, v in stages.state().items() if k.startswith("1/")}
    assert all(np.array_equal(v, members.state()[k]) for k, v in first.items())
    assert not np.array_equal(images(stages, faces, "n=2"), images(members, faces, "member=2"))


# -- training ----------------------------------------------------------------------------------------


def test_each_network_has_its_own_classifier(fitted: SanEnsemble) -> None:
    for method in (ensemble(), flow()):
        auxiliaries = Extras()
        figures = fit(method, auxiliaries)
        assert auxiliaries.asked == ["resampled_1", "resampled_2", "resampled_3"]
        assert figures["trained_against"] == ["tiny matcher", "tiny classifier", *auxiliaries.asked]
    printed = ensemble("paper", members=1)
    assert fit(printed)["trained_against"] == ["tiny matcher", "resampled_1"]


def test_own_start_is_the_ensembles_member_and_previous_the_stage_before() -> None:
    still: dict[str, Any] = {"rate": 0.0, "average": 0.0, "members": 2}
    own, previous = flow(start="own", **still), flow(start="previous", **still)
    for method in (own, previous):
        fit(method)
    assert own._stages[1].network is not own._stages[0].network
    # Nothing is learned at a rate of 0, so each network still is what it started from.
    fresh = {p: new_network(own.settings, member_seed(0, p)).state_dict() for p in (1, 2)}
    wanted = {"own": fresh[2], "previous": fresh[1]}
    for name, method in (("own", own), ("previous", previous)):
        found = method._stages[1].network.state_dict()
        assert all(torch.equal(v.half(), wanted[name][k].half()) for k, v in found.items())


def test_strengths_are_chosen_stage_by_stage() -> None:
    method = flow(strengths=[1.0, 1.5], stage_strengths=[0.5, 1.0, 2.0])
    auxiliaries = Extras()
    figures = fit(method, auxiliaries)
    # The tiny judge likes strong changes; each stage is judged by the output that ends with it.
    assert auxiliaries.judged == 2 * ["n=1"] + 3 * ["n=2"] + 3 * ["n=3"]
    assert [figures[f"strength_{i}"] for i in (1, 2, 3)] == method.state()["strengths"].tolist()
    by_stage = {
        variant: max((c for c in figures["candidates"] if c["variant"] == variant), key=lambda c: c["score"])
        for variant in ("n=1", "n=2", "n=3")
    }
    assert [c["strength"] for c in by_stage.values()] == method.state()["strengths"].tolist()
    assert {k.split("/")[0] for k in figures["curves"]} == {"1", "2", "3"}


@pytest.mark.parametrize("make", [ensemble, flow])
def test_restored_methods_draw_the_same(make: Any, faces: Faces) -> None:
    method, again = make(), make()
    fit(method)
    again.restore(method.state())
    for variant in (v.name for v in method.variants() if not v.oracle):
        assert np.array_equal(images(again, faces, variant), images(method, faces, variant))
    with pytest.raises(ContractError, match="those of 3 networks, not 2"):
        make(members=2).restore(method.state())


@pytest.mark.parametrize("make", [ensemble, flow])
def test_an_interrupted_training_goes_on_where_it_was(make: Any, tmp_path: Path) -> None:
    whole, broken, again = make(), make(), make()
    fit(whole)

    def stop(done: float, total: float, text: str) -> None:
        assert 0 <= done <= total == 3
        if text.startswith("SAN 2 of 3"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(broken, workdir=tmp_path, report=stop)
    assert len(list(tmp_path.iterdir())) == 1
    fit(again, workdir=tmp_path)
    assert all(np.array_equal(v, again.state()[k]) for k, v in whole.state().items())


@pytest.mark.parametrize("members", [0, 6])
def test_there_are_five_classifiers_at_most(members: int) -> None:
    for method in (SanEnsemble, FlowSan):
        with pytest.raises(UsageError, match=r"members .* must be 1 to 5"):
            method((GENDER,), members=members).variants()


def test_an_unknown_start_is_refused() -> None:
    with pytest.raises(UsageError, match="previous"):
        fit(flow(start="previos"))


def test_opponents_may_be_named_one_by_one() -> None:
    def saying(value: float) -> Classifier:
        return lambda images: {"gender": torch.full((len(images), 2), value)}

    opponents = Opponents(TinyAuxiliaries(), turns=[0, 1, 1], classifiers=[saying(1.0), saying(2.0)])
    shown, generator = torch.zeros(2, 3, 8, 8), torch.Generator()
    said = [float(opponents.look(shown, step, generator)[0]["gender"][0, 0]) for step in range(4)]
    assert said == [1.0, 2.0, 2.0, 1.0]
    everyone = Opponents(TinyAuxiliaries(), classifiers=[saying(1.0), saying(2.0)])
    assert len(everyone.look_at_originals(shown, 0)) == 2


@pytest.mark.parametrize("method", [SanEnsemble, FlowSan])
def test_parameters_as_printed(method: type[SanSeries]) -> None:
    printed = method((GENDER,), preset="paper")
    one = sum(p.numel() for p in new_network(printed.settings, 0).parameters())
    assert one == PARAMETERS
    small = method(EMBEDDED, preset="paper", members=2, steps=1, batch=2, size=0)
    if isinstance(small, FlowSan):
        small = FlowSan(EMBEDDED, preset="paper", members=2, steps=1, batch=2, size=0, stage_steps=1)
    fit(small)
    assert sum(v.size for k, v in small.state().items() if "/" in k) == 2 * PARAMETERS


def test_the_flows_schedule_is_ten_epochs_more() -> None:
    settings = FlowSan((GENDER,), preset="paper").settings
    assert settings["steps"] * settings["batch"] == 20 * 157_350
    assert settings["stage_steps"] == -(-10 * 157_350 // settings["batch"])
    assert (settings["start"], settings["pixel_reference"]) == ("own", "original")
    assert (settings["common_classifiers"], settings["turns"]) == ([], [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "more"),
    [
        (San, {}),
        (SanEnsemble, {"members": 2}),
        (FlowSan, {"members": 2, "stage_steps": 2}),
    ],
)
def test_the_printed_presets_learn_at_224_px(method: type[Method], more: dict[str, Any]) -> None:
    printed = method(EMBEDDED, preset="paper", steps=2, **more)
    assert printed.native_size == 224
    few = tiny_faces(10), tiny_faces(6, first_identity=100)
    figures = printed.fit(*few, Extras(), Context())
    # The matching loss comes in after a quarter of the steps.
    assert {k.split("/")[-1] for k in figures["curves"]} == {"pixel", "gender", "match"}
    assert all(np.isfinite(curve).all() for curve in figures["curves"].values())
    networks = {k.split("/")[0] for k in printed.state() if "/" in k}
    assert len(networks) == more.get("members", 1)
    for place, name in enumerate(sorted(networks), 1):
        learned = {k: v for k, v in printed.state().items() if k.startswith(f"{name}/")}
        assert sum(v.size for v in learned.values()) == PARAMETERS
        seed = 0 if method is San else member_seed(0, place)
        start = module_state(new_network(printed.settings, seed), f"{name}/", half=True)
        assert all(not np.array_equal(v, start[k]) for k, v in learned.items())
    faces = tiny_faces(2, first_identity=300)
    variant = printed.variants()[0]
    assert printed.protect(faces, variant).images.shape == faces.images.shape
