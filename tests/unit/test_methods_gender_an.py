"""Gender-AN: sizes of its networks, transfer units, outputs, difference vectors, training."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, TinyAuxiliaries, tiny_faces

from bench.api import Attribute, Context, Faces, InputError, to_tensor
from bench.faces import GENDER, YOUNG, yes_no
from methods._blocks.gan_training import StganTask
from methods._blocks.labels import DifferenceCode, LabelCode
from methods._blocks.networks import parameter_count
from methods._blocks.stu import SelectiveTransferUnit, StganCritic, StganGenerator
from methods._blocks.training import Batch, Plan
from methods.gender_an import GenderAn

ATTRACTIVE, MAKEUP = yes_no("attractive"), yes_no("heavy_makeup")
FOUR = (GENDER, ATTRACTIVE, MAKEUP, YOUNG)
EIGHT = ["G", "GAttr", "GM", "GA", "GAttrM", "GAttrA", "GAM", "GAttrAM"]
LABELLED = (*EMBEDDED, ATTRACTIVE, MAKEUP)
TINY: dict[str, Any] = {
    "size": 0,
    "keep_detail": False,
    "width": 4,
    "depth": 3,
    "critic_width": 4,
    "critic_depth": 3,
    "critic_hidden": 8,
    "steps": 6,
    "batch": 6,
    "snapshots": 2,
    "strengths": [1.0],
}


def gender_an(part: str = "GAttrAM", *, preset: str = "quick", **more: Any) -> GenderAn:
    method = GenderAn(LABELLED, preset=preset, **{**TINY, **more})
    method.part = part
    return method


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "norm"])
def fitted(request: pytest.FixtureRequest) -> GenderAn:
    """Both with and without batch normalisation."""
    method = gender_an(norm=request.param)
    pools = tiny_faces(attributes=LABELLED), tiny_faces(first_identity=100, attributes=LABELLED)
    method.fit(*pools, TinyAuxiliaries(LABELLED), Context())
    return method


# -- networks ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "injection", "count"),
    [
        (4, "stgan", 4_700_707),
        (4, "port", 4_686_659),
        (1, "stgan", 4_666_003),
        (2, "stgan", 4_677_571),
        (3, "stgan", 4_689_139),
    ],
)
def test_generator_size(attributes: int, injection: Any, count: int) -> None:
    generator = StganGenerator(attributes, injection=injection)
    assert parameter_count(generator) == count


def test_generator_size_by_piece() -> None:
    generator = StganGenerator(4)
    pieces = generator.encoder, generator.units, torch.nn.ModuleList([generator.decoder, generator.last])
    assert [parameter_count(p) for p in pieces] == [698_080, 1_887_680, 2_114_947]
    assert parameter_count(StganGenerator(4, last_norm=True)) == 4_700_707 + 2 * 3


def test_critic_size() -> None:
    critic = StganCritic(224, 4)
    assert parameter_count(critic) == 26_395_861
    assert parameter_count(critic.trunk) == 698_576


@pytest.mark.parametrize("part", ["G", "GM", "GAttrM", "GAttrAM"])
def test_the_method_builds_the_papers_networks(part: str) -> None:
    method = GenderAn(FOUR, preset="paper")
    method.part = part
    assert method.native_size == 224
    attributes = len(method.code.attributes)
    built = method._new_network(0)
    assert parameter_count(built) == 4_666_003 + 11_568 * (attributes - 1)


@pytest.mark.parametrize(("gate", "kept"), [(-1e4, "state"), (1e4, "candidate")])
@pytest.mark.parametrize("norm", [False, True])
def test_update_gate_of_zero_and_one(gate: float, kept: str, norm: bool) -> None:
    """z = 0 gives the upsampled state, z = 1 the candidate."""
    torch.manual_seed(0)
    unit = SelectiveTransferUnit(3, 6, 2, norm=norm).double().eval()
    features, state = torch.randn(2, 3, 8, 8).double(), torch.randn(2, 6, 4, 4).double()
    difference = torch.tensor([[1.0, 0.0], [-1.0, 1.0]]).double()
    with torch.no_grad():
        unit.gates.get_parameter("1.bias" if norm else "0.bias")[3:] = gate
        if not norm:
            unit.gates.get_parameter("0.weight")[3:] = 0
        found, passed_on = unit(features, state, difference)
        tiled = difference[:, :, None, None].expand(-1, -1, 4, 4)
        below = unit.upsample(torch.cat([state, tiled], 1))
        reset = torch.sigmoid(unit.gates(torch.cat([features, below], 1))[:, :3])
        candidate = torch.tanh(unit.candidate(torch.cat([features, reset * below], 1)))
    assert torch.allclose(passed_on, reset * below)
    assert torch.equal(found, below if kept == "state" else candidate)


@pytest.mark.parametrize("injection", ["stgan", "port"])
@pytest.mark.parametrize("residual", [False, True])
def test_no_change_is_a_valid_order(injection: Any, residual: bool) -> None:
    torch.manual_seed(0)
    generator = StganGenerator(2, width=4, depth=3, injection=injection, residual=residual).eval()
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    same = generator(images, torch.zeros(2, 2))
    changed = generator(images, torch.tensor([[1.0, 0.0], [0.0, -1.0]]))
    assert same.shape == images.shape
    assert same.abs().max() <= 1
    assert not torch.equal(same, changed)
    if residual:
        assert 0 < (same - images).abs().max() < 0.1


@pytest.mark.parametrize("last_norm", [False, True])
def test_a_sample_does_not_depend_on_its_batch(last_norm: bool) -> None:
    torch.manual_seed(0)
    generator = StganGenerator(2, width=4, depth=3, injection="port", last_norm=last_norm).double()
    images, difference = torch.rand(6, 3, 16, 16).double(), torch.ones(6, 2).double()
    generator(images, difference)  # moves the running statistics
    generator.eval()
    whole = generator(images, difference)
    alone = torch.cat([generator(images[i : i + 1], difference[i : i + 1]) for i in range(6)])
    assert torch.allclose(whole, alone, atol=1e-12)


def test_sides_that_do_not_fit_are_refused() -> None:
    with pytest.raises(InputError, match="divisible by 32, not 48 x 64"):
        StganGenerator(1)(torch.zeros(1, 3, 48, 64), torch.zeros(1, 1))
    with pytest.raises(InputError, match="at least 64 px, not 63"):
        StganCritic(63, 1)


def test_critic_outputs() -> None:
    realness, labels = StganCritic(33, 3, width=4, depth=3, hidden=8)(torch.zeros(2, 3, 33, 33))
    assert (realness.shape, labels.shape) == ((2, 1), (2, 3))


# -- outputs -------------------------------------------------------------------------------------------


def test_eight_combinations_and_the_age_mode() -> None:
    variants = GenderAn(FOUR).variants()
    assert [v.name for v in variants] == [*EIGHT, "GAttrAM-age"]
    assert [v.part for v in variants] == [*EIGHT, "GAttrAM"]
    assert [v.name for v in variants if v.selected] == ["G", "GAttrAM", "GAttrAM-age"]
    assert GenderAn(FOUR).parts() == tuple(EIGHT)


def test_width_of_the_difference_vector() -> None:
    widths = {part: gender_an(part).code.width for part in EIGHT}
    assert list(widths.values()) == [1, 2, 2, 2, 3, 3, 3, 4]
    assert list(gender_an().code.classes) == ["gender", "attractive", "heavy_makeup", "young"]


def test_only_gender_is_obfuscated_and_needed_but_in_the_age_mode() -> None:
    variants = {v.name: v for v in GenderAn(LABELLED).variants()}
    for name in EIGHT:
        assert variants[name].obfuscates == variants[name].needs == ("gender",)
    assert variants["GAttrAM-age"].obfuscates == ("gender", "young", "age_group", "age")
    assert variants["GAttrAM-age"].needs == ("gender", "young")


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ((GENDER,), ["G"]),
        ((GENDER, YOUNG), ["G", "GA"]),
        ((GENDER, MAKEUP, YOUNG), ["G", "GM", "GA", "GAM"]),
        ((MAKEUP, YOUNG), []),
    ],
)
def test_combinations_that_a_dataset_does_not_label_are_not_offered(
    attributes: tuple[Attribute, ...], names: list[str]
) -> None:
    assert [v.name for v in GenderAn(attributes).variants()] == names


def test_printed_hyperparameters() -> None:
    s = GenderAn(FOUR, preset="paper").settings
    assert (s["batch"], s["steps"], s["critic_steps"]) == (16, 1_000_000, 5)
    assert (s["beta1"], s["beta2"], s["rate"], s["critic_rate"]) == (0.5, 0.999, 2e-4, 2e-4)
    weights = ("critic_labels", "labels", "rec", "match", "penalty")
    assert [s[f"lambda_{name}"] for name in weights] == [1, 10, 100, 100, 10]
    assert (s["lambda_pixel"], s["lambda_classifiers"], s["lambda_kept"]) == (0, 0, 0)


def test_learning_rates_drop_after_800_000_iterations() -> None:
    method = gender_an(preset="paper", steps=1_000_000)
    plan = method._plan(0)
    rates = [2e-4 * plan.rate(step) for step in (0, 799_999, 800_000, 999_999)]
    assert rates == pytest.approx([2e-4, 2e-4, 2e-5, 2e-5])
    assert Plan(10, 2, 0, decay_from=0.5).rate(9) == pytest.approx(0.2)  # without it they fall in a line


# -- difference vectors --------------------------------------------------------------------------------


def test_difference_is_the_sign_of_the_change_and_zero_elsewhere() -> None:
    code = DifferenceCode(FOUR)
    source = {a.name: torch.tensor([0, 1, 1, -1]) for a in FOUR}
    target = {**source, "gender": torch.tensor([1, 0, 1, 1]), "young": torch.tensor([0, 1, -1, -1])}
    assert code.guide(source, target).tolist() == [[1, 0, 0, 0], [-1, 0, 0, 0], [0] * 4, [0] * 4]
    assert not code.guide(source, source).any()


def test_difference_of_more_classes() -> None:
    code = DifferenceCode((Attribute("race", ("a", "b", "c")),))
    source, target = {"race": torch.tensor([0, 1, 2])}, {"race": torch.tensor([2, 1, -1])}
    assert code.guide(source, target).tolist() == [[-1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_attribute_losses_are_summed_or_averaged() -> None:
    logits = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    labels = {a.name: torch.tensor([0, 1, 1, 0, 1]) for a in FOUR}
    total = LabelCode(FOUR).loss(logits, labels)
    assert DifferenceCode(FOUR, "mean").loss(logits, labels) == pytest.approx(float(total) / 4)
    assert gender_an(attribute_reduction="mean").code.reduction == "mean"
    assert GenderAn(FOUR).settings["attribute_reduction"] == "sum"


# -- protection ----------------------------------------------------------------------------------------


def test_only_the_flipped_labels_matter(fitted: GenderAn) -> None:
    """Whatever else is known of a face, or unknown, changes nothing."""
    faces = tiny_faces(8, first_identity=300, attributes=LABELLED)
    others = {k: np.full_like(v, np.nan) for k, v in faces.labels.items() if k != "gender"}
    blank = replace(faces, labels={**others, "gender": faces.labels["gender"]})
    variant = fitted.variant("GAttrAM")
    expected = fitted.protect(faces, variant)
    found = fitted.protect(blank, variant)
    assert not found.failed.any()
    assert np.array_equal(found.images, expected.images)
    assert fitted.protect(blank, fitted.variant("GAttrAM-age")).failed.all()


def test_flipping_age_too_is_another_image(fitted: GenderAn) -> None:
    faces = tiny_faces(8, first_identity=300, attributes=LABELLED)
    images = {v.name: fitted.protect(faces, v).images for v in fitted.variants() if v.part == "GAttrAM"}
    assert not np.array_equal(images["GAttrAM"], images["GAttrAM-age"])
    assert not np.array_equal(images["GAttrAM"], faces.images)


def test_the_batch_does_not_matter(fitted: GenderAn) -> None:
    faces = tiny_faces(9, first_identity=300, attributes=LABELLED)
    variant = fitted.variant("GAttrAM")
    whole = fitted.protect(faces, variant).images.astype(int)
    alone = fitted.protect(faces, variant, batch=1).images.astype(int)
    assert np.abs(whole - alone).max() <= 1


def test_restored_twin_protects_alike(fitted: GenderAn) -> None:
    again = gender_an(norm=fitted.settings["norm"])
    again.restore(fitted.state())
    faces = tiny_faces(6, first_identity=300, attributes=LABELLED)
    for name in ("GAttrAM", "GAttrAM-age"):
        ours = fitted.protect(faces, fitted.variant(name)).images
        assert np.array_equal(again.protect(faces, again.variant(name)).images, ours)


# -- training ------------------------------------------------------------------------------------------


def stgan_task(faces: Faces, part: str = "GAttrAM", **settings: Any) -> StganTask:
    method = gender_an(part, **settings)
    method._network = method._new_network(0)
    task = method._new_task(faces.size, TinyAuxiliaries(LABELLED), 0)
    assert isinstance(task, StganTask)
    return task


def batch_of(faces: Faces) -> Batch:
    labels = {
        a.name: torch.from_numpy(np.nan_to_num(faces.labels[a.name], nan=-1)).long()
        for a in faces.attributes
        if not a.is_number
    }
    return Batch(to_tensor(faces.images), labels, torch.Generator().manual_seed(0))


def test_steps_teach_the_critic_its_labels_and_the_generator_the_targets() -> None:
    faces = tiny_faces(16, attributes=LABELLED)
    batch = batch_of(faces)
    task = stgan_task(faces, rate=3e-3, critic_rate=2e-3, viewed=False, lambda_classifiers=4.0)
    history = [task.step(i, batch) for i in range(30)]
    for name in ("critic_labels", "classifiers"):
        early, late = (float(sum(h[name].detach() for h in part)) for part in (history[:5], history[-5:]))
        assert late < early


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_losses_of_the_paper_are_those_of_equations_1_to_8(reduction: str) -> None:
    faces = tiny_faces(6, attributes=LABELLED)
    images = to_tensor(faces.images) * 2 - 1
    auxiliaries = TinyAuxiliaries(LABELLED)
    method = gender_an(preset="paper", critic_steps=1, attribute_reduction=reduction)
    method._network = method._new_network(0)
    task = method._new_task(faces.size, auxiliaries, 0)
    task.generator.train()
    source = {name: batch_of(faces).labels[name] for name in method.code.classes}
    target = task._targets(source, batch_of(faces))  # drawn as the step will draw them
    names = list(method.code.classes)
    a, b = (torch.stack([labels[n] for n in names], 1).float() for labels in (source, target))

    def attribute_loss(logits: torch.Tensor, labels: torch.Tensor) -> float:
        p = torch.sigmoid(logits)
        entropies = -(labels * p.log() + (1 - labels) * (1 - p).log())
        return float(entropies.sum(1).mean() if reduction == "sum" else entropies.mean())

    with torch.no_grad():
        same, fake = task.generator(images, torch.zeros(6, 4)), task.generator(images, b - a)
        (real_score, real_logits), (fake_score, _) = task.critic(images), task.critic(fake)
        distance = auxiliaries.matcher(images / 2 + 0.5) - auxiliaries.matcher(fake / 2 + 0.5)
    losses = {name: float(value.detach()) for name, value in task.step(0, batch_of(faces)).items()}
    with torch.no_grad():
        score, logits = task.critic(fake)  # the critic is updated before the generator
    expected = {
        "critic": float(fake_score.mean() - real_score.mean()),
        "critic_labels": attribute_loss(real_logits, a),
        "adversarial": -float(score.mean()),
        "labels": attribute_loss(logits, b),
        "rec": float((images - same).abs().mean()),
        "match": float(distance.square().sum(1).mean()),
    }
    assert {k: v for k, v in losses.items() if k != "penalty"} == pytest.approx(expected, rel=1e-4)


def test_shuffled_targets_are_labels_of_other_faces() -> None:
    faces = tiny_faces(24, attributes=LABELLED)
    faces.labels["young"][:5] = np.nan
    batch = batch_of(faces)
    task = stgan_task(faces, targets="shuffled")
    source = {name: batch.labels[name] for name in task.code.classes}
    target = task._targets(source, batch)
    assert sorted(target["gender"].tolist()) == sorted(source["gender"].tolist())
    assert (target["gender"] != source["gender"]).any()
    # All attributes come from the same face.
    both = {(int(a), int(b)) for a, b in zip(source["gender"], source["attractive"], strict=True)}
    assert {(int(a), int(b)) for a, b in zip(target["gender"], target["attractive"], strict=True)} <= both
    assert (target["young"][:5] == -1).all()
    assert (target["young"][5:] >= 0).all()


def test_drawn_targets_change_auxiliary_attributes_as_often_as_asked() -> None:
    faces = tiny_faces(120, attributes=LABELLED)
    batch = batch_of(faces)
    task = stgan_task(faces, targets="drawn", change=1.0, change_auxiliary=0.25)
    source = {name: batch.labels[name] for name in task.code.classes}
    target = task._targets(source, batch)
    changed = {name: float((target[name] != source[name]).float().mean()) for name in source}
    assert changed["gender"] == 1
    assert all(0.1 < share < 0.4 for name, share in changed.items() if name != "gender")


def test_reconstruction_asks_for_no_change() -> None:
    faces = tiny_faces(6, attributes=LABELLED)
    batch = batch_of(faces)
    task = stgan_task(faces, lambda_rec=1.0)
    images = batch.images * 2 - 1
    source = {name: batch.labels[name] for name in task.code.classes}
    flipped = {name: 1 - label for name, label in source.items()}
    with torch.no_grad():
        same = task._reconstruction(images, images, source, flipped)
        assert torch.equal(same, task.generator(images, torch.zeros(6, 4)))


def test_the_stopping_point_is_chosen_on_validation() -> None:
    auxiliaries = TinyAuxiliaries(LABELLED)
    method = gender_an(strengths=[1.0, 1.5])
    pools = tiny_faces(attributes=LABELLED), tiny_faces(first_identity=100, attributes=LABELLED)
    figures = method.fit(*pools, auxiliaries, Context())
    outputs = ["GAttrAM", "GAttrAM-age"]
    # Two snapshots at strength 1, then the other strength of the better one.
    assert auxiliaries.judged == [*outputs, *outputs, *outputs]
    assert figures["step"] in {3, 6}
    rows = figures["candidates"]
    totals = [sum(r["score"] for r in rows if r["snapshot"] == i and r["strength"] == 1) for i in (0, 1)]
    assert figures["step"] == (3, 6)[int(np.argmax(totals))]
    assert method.state()["strengths"].tolist() == [figures[f"strength_{name}"] for name in outputs]


class Interrupted(Exception):
    pass


def test_interrupted_fit_resumes_to_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With batch normalisation, whose running statistics belong to the state."""
    monkeypatch.setattr("bench.training.checkpoint.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("bench.training.record.REPORT_SECONDS", 0.0)

    def interrupt(done: float, total: float, text: str) -> None:
        if done == 3:
            raise Interrupted

    faces = tiny_faces(attributes=LABELLED)
    pools = faces, tiny_faces(first_identity=100, attributes=LABELLED), TinyAuxiliaries(LABELLED)
    whole, resumed = gender_an("GM", norm=True), gender_an("GM", norm=True)
    whole.fit(*pools, Context())
    with pytest.raises(Interrupted):
        gender_an("GM", norm=True).fit(*pools, Context(workdir=tmp_path, report=interrupt))
    resumed.fit(*pools, Context(workdir=tmp_path))
    expected = whole.state()
    assert any("running_var" in key for key in expected)
    assert all(np.array_equal(v, expected[k]) for k, v in resumed.state().items())


@pytest.mark.slow
def test_the_papers_preset_takes_a_real_step() -> None:
    """224 px, printed widths: every loss is finite and every convolution moves."""
    faces = tiny_faces(4, 64, attributes=LABELLED)
    method = GenderAn(LABELLED, preset="paper", steps=1, batch=2, critic_steps=1, snapshots=1)
    method.part = "GAttrAM"
    before = {k: v.half().numpy() for k, v in method._new_network(0).state_dict().items() if v.ndim == 4}
    figures = method.fit(
        faces,
        tiny_faces(4, 64, first_identity=100, attributes=LABELLED),
        TinyAuxiliaries(LABELLED),
        Context(),
    )
    assert all(np.isfinite(v).all() for v in figures["curves"].values())
    after = method.state()
    assert all((after[f"network/{k}"] != v).any() for k, v in before.items())
