"""PrivacyNet and baseline-GAN: outputs, label vectors, targets, one step of training, resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, RACE, RACE_OF_TWO, TinyAuxiliaries, tiny_faces

from bench import discover, shipped
from bench.api import Context, ContractError, Faces, load_module, to_tensor, to_uint8
from bench.faces import AGE_GROUP, GENDER, YOUNG, yes_no
from bench.store import canonical_json
from methods._blocks.attribute_gan import AttributeGan
from methods._blocks.gan_training import GanTask
from methods._blocks.labels import LabelCode, target_labels
from methods._blocks.networks import TranslationGenerator
from methods._blocks.opponents import Opponents
from methods._blocks.training import Batch
from methods.baseline_gan import BaselineGan
from methods.privacynet import PrivacyNet

THREE = (GENDER, RACE, AGE_GROUP)
TINY: dict[str, Any] = {
    "size": 0,
    "keep_detail": False,
    "down": [6, 8],
    "up": [6, 6],
    "blocks": 1,
    "critic_width": 4,
    "critic_depth": 3,
    "steps": 6,
    "batch": 6,
    "snapshots": 1,
    "strengths": [1.0],
}
FIFTEEN = [
    "gender",
    "race",
    "age0",
    "age1",
    "age2",
    "gender+race",
    "gender+age0",
    "gender+age1",
    "gender+age2",
    "race+age0",
    "race+age1",
    "race+age2",
    "gender+race+age0",
    "gender+race+age1",
    "gender+race+age2",
]


def tiny(method: type[AttributeGan] = PrivacyNet, **more: Any) -> AttributeGan:
    return method(EMBEDDED, preset="quick", **{**TINY, **more})


@pytest.fixture(scope="module")
def fitted() -> AttributeGan:
    method = tiny()
    method.fit(tiny_faces(), tiny_faces(first_identity=100), TinyAuxiliaries(), Context())
    return method


@pytest.mark.parametrize("method", [PrivacyNet, BaselineGan])
def test_fifteen_outputs(method: type[AttributeGan]) -> None:
    variants = method(THREE).variants()
    assert [v.name for v in variants] == FIFTEEN
    assert len({str(v.parameters) for v in variants}) == 15


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ((GENDER,), ["gender"]),
        ((GENDER, RACE_OF_TWO, AGE_GROUP), FIFTEEN),
        ((GENDER, YOUNG), ["gender", "young", "gender+young"]),
        ((GENDER, RACE_OF_TWO), ["gender", "race", "gender+race"]),
        ((AGE_GROUP, YOUNG), ["age0", "age1", "age2"]),
        ((yes_no("smiling"),), []),
    ],
)
def test_the_outputs_that_the_labels_allow(attributes: Any, names: list[str]) -> None:
    assert [v.name for v in PrivacyNet(attributes).variants()] == names


def test_hiding_an_age_group_hides_every_word_for_age() -> None:
    hidden = {v.name: v.obfuscates for v in PrivacyNet(EMBEDDED).variants()}
    assert hidden["gender"] == ("gender",)
    assert hidden["race+age1"] == ("race", "age_group", "young", "age")


def test_baseline_is_privacynet_without_matcher() -> None:
    assert BaselineGan(THREE).settings["lambda_match"] == 0
    assert BaselineGan(THREE, preset="quick").settings["lambda_match"] == 0
    ours, theirs = (m(THREE, preset="quick").settings for m in (PrivacyNet, BaselineGan))
    assert {k for k in ours if ours[k] != theirs[k]} == {"lambda_match"}


def test_printed_hyperparameters() -> None:
    s = PrivacyNet(THREE, preset="paper").settings
    assert (s["batch"], s["steps"], s["lambda_critic_labels"]) == (16, 200_000, 1.0)
    assert (s["lambda_labels"], s["lambda_match"], s["lambda_rec"]) == (4.0, 4.0, 4.0)


# -- labels --------------------------------------------------------------------------------------------


def test_label_code_of_the_paper_has_five_channels() -> None:
    code = LabelCode((GENDER, RACE_OF_TWO, AGE_GROUP))
    labels = {"gender": torch.tensor([1, 0]), "race": torch.tensor([0, 1]), "age_group": torch.tensor([2, 0])}
    assert code.encode(labels).tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]


def test_unknown_labels_are_the_mean_of_the_classes() -> None:
    code = LabelCode((GENDER, RACE))
    found = code.encode({"gender": torch.tensor([-1]), "race": torch.tensor([-1])})
    assert found.numpy() == pytest.approx(np.array([[0.5, 1 / 3, 1 / 3, 1 / 3]]))


def test_label_loss_ignores_unknown_labels() -> None:
    code = LabelCode((GENDER, RACE))
    logits = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    part = {"gender": torch.tensor([1, 0]), "race": torch.tensor([2, 0])}
    more = {"gender": torch.tensor([1, 0, -1]), "race": torch.tensor([2, 0, -1])}
    assert code.loss(logits, more) == pytest.approx(code.loss(logits[:2], part).item())
    none = {"gender": torch.tensor([-1] * 3), "race": torch.tensor([-1] * 3)}
    assert code.loss(logits, none) == 0


def test_label_loss_is_binary_plus_softmax_cross_entropy() -> None:
    code = LabelCode((GENDER, RACE))
    logits = torch.tensor([[0.0, 5.0, 5.0, 5.0]])
    loss = code.loss(logits, {"gender": torch.tensor([1]), "race": torch.tensor([0])})
    assert loss == pytest.approx(np.log(2) + np.log(3))


def test_targets_change_what_is_asked_and_nothing_else() -> None:
    labels = {"gender": torch.tensor([0, 1, -1]), "race": torch.tensor([0, 1, 2])}
    found = target_labels(labels, {"gender": "other"}, {"gender": 2, "race": 3}, torch.full((3, 1), 0.99))
    assert found["gender"].tolist() == [1, 0, -1]
    assert found["race"].tolist() == [0, 1, 2]
    assert target_labels(labels, {"race": 1}, {"race": 3}, torch.zeros(3, 1))["race"].tolist() == [1, 1, 1]


def test_another_race_is_never_the_own_and_each_other_one_is_drawn() -> None:
    labels = {"race": torch.arange(3).repeat(100)}
    draws = torch.rand(300, 1, generator=torch.Generator().manual_seed(0))
    found = target_labels(labels, {"race": "other"}, {"race": 3}, draws)["race"]
    assert (found != labels["race"]).all()
    pairs = {(int(a), int(b)) for a, b in zip(labels["race"], found, strict=True)}
    assert len(pairs) == 6


# -- protection ----------------------------------------------------------------------------------------


def test_every_output_is_another_image(fitted: AttributeGan) -> None:
    faces = tiny_faces(12, first_identity=300)
    images = {v.name: fitted.protect(faces, v).images for v in fitted.variants()}
    assert len({i.tobytes() for i in images.values()}) == 15
    assert all(i.std() > 10 for i in images.values())


def test_race_is_drawn_by_key_not_by_place(fitted: AttributeGan) -> None:
    faces = tiny_faces(12, first_identity=300)
    variant = fitted.variant("race")
    images = fitted.protect(faces, variant).images.astype(int)
    turned = fitted.protect(faces.take(np.arange(12)[::-1]), variant, batch=5).images[::-1]
    assert np.abs(images - turned).max() <= 1
    assert not np.array_equal(images, fitted.protect(faces, variant, seed=1).images)


def test_strength_blends_with_the_original(fitted: AttributeGan) -> None:
    faces = tiny_faces(6, first_identity=300)
    blended = tiny()
    blended.restore({**fitted.state(), "strengths": np.array([0, 0, 40, 40, 40], np.float32)})

    def change(method: AttributeGan, variant: str) -> float:
        images = method.protect(faces, method.variant(variant)).images
        return float(np.abs(images.astype(float) - faces.images).mean())

    assert change(blended, "gender") == change(blended, "gender+race") == 0
    # A variant of several parts takes the mean of their strengths.
    assert 0 < change(fitted, "gender+age0") < change(blended, "gender+age0") < change(blended, "age0")


def test_restored_twin_protects_alike(fitted: AttributeGan) -> None:
    again = tiny()
    again.restore(fitted.state())
    faces = tiny_faces(6, first_identity=300)
    for name in ("gender", "race+age1"):
        ours = fitted.protect(faces, fitted.variant(name)).images
        assert np.array_equal(again.protect(faces, again.variant(name)).images, ours)
    with pytest.raises(ContractError, match="do not fit the network"):
        tiny(blocks=2).restore(fitted.state())


@pytest.mark.parametrize(
    ("variant", "needs"),
    [
        ("gender", ("gender",)),
        ("age1", ()),
        ("gender+age0", ("gender",)),
        ("gender+race+age2", ("gender", "race")),
    ],
)
def test_only_labels_to_turn_away_from_are_needed(
    fitted: AttributeGan, variant: str, needs: tuple[str, ...]
) -> None:
    """Without one of these a face fails; without another it is processed."""
    assert fitted.variant(variant).needs == needs
    for name in ("gender", "race", "age_group"):
        faces = tiny_faces(4, first_identity=300)
        faces.labels[name][1] = np.nan
        found = fitted.protect(faces, fitted.variant(variant))
        assert found.failed.tolist() == [False, name in needs, False, False]
        assert found.images[1].any() == (name not in needs)


def test_a_kept_label_that_is_unknown_is_fed_in_as_the_mean(fitted: AttributeGan) -> None:
    faces = tiny_faces(4, first_identity=300)
    faces.labels["race"][:] = np.nan
    images = to_tensor(faces.images)
    gender, age = (torch.from_numpy(faces.labels[n]).long() for n in ("gender", "age_group"))
    third = torch.full((4, 3), 1 / 3)
    codes = torch.cat([1 - gender[:, None], third, torch.eye(3)[age]], 1).float()
    with torch.no_grad():
        drawn = fitted._network.eval()(images * 2 - 1, codes) / 2 + 0.5
    change = fitted._strengths["gender"] * (drawn - images)
    found = fitted.protect(faces, fitted.variant("gender")).images
    assert np.array_equal(found, to_uint8(images + change))


@pytest.mark.parametrize("name", ["privacynet", "baseline_gan"])
def test_shipped_weights_fit_the_quick_preset(name: str) -> None:
    """They restore a method that does what its file holds: one pass, labels as channels, one strength."""
    card = next(c for c in shipped.cards() if (c["method"], c["size"]) == (name, 64))
    dataset = discover.load_class("dataset", "synthetic")(size=64, seed=card["seed"], test_people=3)
    method = discover.load_class("method", name)(dataset.attributes(), preset="quick")
    assert canonical_json(method.settings) == canonical_json(card["settings"])
    arrays = {k: v.astype(np.float32) for k, v in shipped.load(card["sha256"]).items()}
    method.restore(arrays)
    faces = dataset.load("test")
    race, age = (torch.from_numpy(faces.labels[n]).long() for n in ("race", "age_group"))
    gender = torch.from_numpy(faces.labels["gender"])[:, None]
    images = to_tensor(faces.images)
    network = TranslationGenerator(
        7, stem=0, down=[32, 48], up=[32, 16], blocks=2, head_kernel=3, head_bias=True,
        upsampling="nearest", norm=False, residual=True,
    )  # fmt: skip
    load_module(network, arrays, "network/")
    with torch.no_grad():
        drawn = network(images * 2 - 1, torch.cat([1 - gender, torch.eye(3)[race], torch.eye(3)[age]], 1))
    expected = images + float(arrays["strengths"][0]) * (drawn / 2 + 0.5 - images)
    found = method.protect(faces, method.variant("gender")).images
    assert np.abs(found.astype(int) - to_uint8(expected).astype(int)).max() <= 1
    assert 1 < np.abs(found.astype(int) - faces.images).mean() < 20


# -- training ------------------------------------------------------------------------------------------


def gan_task(method: AttributeGan, faces: Any) -> GanTask:
    network = method._new_network(0)
    return GanTask(network, method.code, faces.size, TinyAuxiliaries(), method.settings, seed=0)


def batch_of(faces: Any) -> Batch:
    labels = {k: torch.from_numpy(np.nan_to_num(v, nan=-1)).long() for k, v in faces.labels.items()}
    return Batch(to_tensor(faces.images), labels, torch.Generator().manual_seed(0))


def test_steps_teach_the_critic_its_labels_and_the_generator_the_targets() -> None:
    faces = tiny_faces(24)
    task = gan_task(tiny(rate=3e-3, critic_rate=2e-3, viewed=False, lambda_classifiers=4.0), faces)
    batch = batch_of(faces)
    history = [task.step(i, batch) for i in range(40)]
    for name in ("critic_labels", "classifiers"):
        early, late = (float(sum(h[name].detach() for h in part)) for part in (history[:5], history[-5:]))
        assert late < early


def test_critic_steps_come_before_each_generator_step() -> None:
    faces = tiny_faces(6)
    task = gan_task(tiny(critic_steps=3), faces)
    before = {k: v.clone() for k, v in task.generator.state_dict().items()}
    for number in range(2):
        assert "adversarial" not in task.step(number, batch_of(faces))
        assert all(torch.equal(v, before[k]) for k, v in task.generator.state_dict().items())
    assert "adversarial" in task.step(2, batch_of(faces))
    assert any(not torch.equal(v, before[k]) for k, v in task.generator.state_dict().items())


@pytest.mark.parametrize(
    ("weights", "terms"),
    [
        (
            {"lambda_rec": 4.0, "lambda_pixel": 0.0, "lambda_classifiers": 0.0, "lambda_kept": 0.0},
            {"rec", "match"},
        ),
        ({"lambda_match": 0.0, "lambda_pixel": 1.0, "lambda_kept": 1.0}, {"pixel", "kept", "classifiers"}),
    ],
)
def test_a_weight_of_zero_drops_its_term(weights: dict[str, float], terms: set[str]) -> None:
    faces = tiny_faces(6)
    losses = gan_task(tiny(PrivacyNet, **weights), faces).step(0, batch_of(faces))
    optional = {"rec", "match", "pixel", "kept", "classifiers"}
    assert optional & losses.keys() == terms


@pytest.mark.parametrize("unknown", [3, 6])
def test_unknown_labels_do_not_stop_training(unknown: int) -> None:
    faces = tiny_faces(6)
    for values in faces.labels.values():
        values[:unknown] = np.nan
    losses = gan_task(tiny(), faces).step(0, batch_of(faces))
    assert all(torch.isfinite(v) for v in losses.values())


def joined_faces() -> Faces:
    """Six faces whose race is unknown, as CelebA's, and six without gender and age group."""
    faces = tiny_faces(12)
    faces.labels["race"][:6] = np.nan
    faces.labels["gender"][6:] = np.nan
    faces.labels["age_group"][6:] = np.nan
    return faces


@pytest.mark.parametrize("targets", ["drawn", "shuffled"])
def test_an_unknown_label_has_no_target(targets: str) -> None:
    batch = batch_of(joined_faces())
    task = gan_task(tiny(change=1.0), joined_faces())
    task.settings = {**task.settings, "targets": targets}
    source = {name: batch.labels[name] for name in task.code.classes}
    target = task._targets(source, batch)
    for name, label in source.items():
        assert (target[name][label < 0] == -1).all()
        assert (target[name][label >= 0] >= 0).all()
    assert (target["race"][6:] != source["race"][6:]).any()


def test_unknown_labels_contribute_no_gradient_to_the_label_heads() -> None:
    faces = joined_faces()
    batch = batch_of(faces)
    task = gan_task(tiny(), faces)
    source = {name: batch.labels[name] for name in task.code.classes}
    logits = task.critic(batch.images * 2 - 1)[1]
    (slope,) = torch.autograd.grad(task.code.loss(logits, source), logits)
    channels = task.code.channels
    for name in ("gender", "race", "age_group"):
        known = source[name] >= 0
        assert (slope[:, channels[name]][known] != 0).all()
        assert (slope[:, channels[name]][~known] == 0).all()


def test_an_attribute_that_no_face_of_the_batch_has_leaves_its_head_alone() -> None:
    faces = tiny_faces(6)
    faces.labels["race"][:] = np.nan
    batch = batch_of(faces)
    task = gan_task(tiny(), faces)
    source = {name: batch.labels[name] for name in task.code.classes}
    task.code.loss(task.critic(batch.images * 2 - 1)[1], source).backward()
    slope = task.critic.get_parameter("labels.weight").grad
    assert slope is not None
    assert not slope[task.code.channels["race"]].any()
    assert all(slope[task.code.channels[name]].any() for name in ("gender", "age_group"))


def test_classifiers_are_not_asked_for_unknown_targets() -> None:
    batch = batch_of(joined_faces())
    opponents = Opponents(TinyAuxiliaries(), confidence=0.8)
    logits = {n: torch.zeros(12, k, requires_grad=True) for n, k in (("gender", 2), ("race", 3))}
    opponents.towards([logits], {n: batch.labels[n] for n in logits}).backward()
    for name, values in logits.items():
        assert values.grad is not None
        assert (values.grad.any(1) == (batch.labels[name] >= 0)).all()


@pytest.mark.slow
@pytest.mark.parametrize("method", [PrivacyNet, BaselineGan])
def test_the_papers_preset_takes_a_real_step(method: type[AttributeGan]) -> None:
    """224 px, printed widths: every loss is finite and every convolution moves."""
    built = method(EMBEDDED, preset="paper", steps=1, batch=2, critic_steps=1)
    before = {k: v.half().numpy() for k, v in built._new_network(0).state_dict().items() if v.ndim == 4}
    pools = tiny_faces(4, 64), tiny_faces(4, 64, first_identity=100)
    figures = built.fit(*pools, TinyAuxiliaries(), Context())
    assert all(np.isfinite(v).all() for v in figures["curves"].values())
    assert {"rec", "labels", "adversarial", "critic", "penalty", "critic_labels"} <= figures["curves"].keys()
    after = built.state()
    assert all((after[f"network/{k}"] != v).any() for k, v in before.items())


class Interrupted(Exception):
    pass


def test_interrupted_fit_resumes_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fitted: AttributeGan
) -> None:
    monkeypatch.setattr("bench.training.checkpoint.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("bench.training.record.REPORT_SECONDS", 0.0)

    def interrupt(done: float, total: float, text: str) -> None:
        if done == 3:
            raise Interrupted

    pools = tiny_faces(), tiny_faces(first_identity=100), TinyAuxiliaries()
    with pytest.raises(Interrupted):
        tiny().fit(*pools, Context(workdir=tmp_path, report=interrupt))
    resumed = tiny()
    resumed.fit(*pools, Context(workdir=tmp_path))
    expected = fitted.state()
    assert all(np.array_equal(v, expected[k]) for k, v in resumed.state().items())


def test_every_single_output_gets_its_own_strength() -> None:
    auxiliaries = TinyAuxiliaries()
    method = tiny(strengths=[0.5, 1.0])
    figures = method.fit(tiny_faces(), tiny_faces(first_identity=100), auxiliaries, Context())
    singles = ["gender", "race", "age0", "age1", "age2"]
    assert auxiliaries.judged == [name for name in singles for _ in (0.5, 1.0)]
    chosen = [figures[f"strength_{name}"] for name in singles]
    assert method.state()["strengths"].tolist() == chosen
    for name, strength in zip(singles, chosen, strict=True):
        rows = [c for c in figures["candidates"] if c["variant"] == name]
        assert strength == max(rows, key=lambda c: c["score"])["strength"]
