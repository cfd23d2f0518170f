"""StarGAN over face parts and Li et al. (MM 2021): parts, saliency, choices, outputs, identity losses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import tiny_faces
from torch import Tensor, nn
from torch.nn.functional import interpolate, normalize

from bench import discover
from bench.api import Context, Faces, InputError, Protected, Request, UsageError, Variant, Verdict, yes_no
from bench.auxiliaries import TrainedAuxiliaries, untrained
from bench.faces import PART_NAMES
from methods._blocks.face_parts import PART_ATTRIBUTES, landmark_parts, parsed, part_masks
from methods._blocks.identity_training import perceptual_distance
from methods._blocks.networks import Critic, parameter_count
from methods._blocks.region_importance import (
    below_mean,
    cam,
    cam_head,
    class_means,
    contributions,
    grad_cam,
    least_important,
    min_max,
    part_scores,
)
from methods.li_mm21 import LiMm21
from methods.stargan import StarGan

PARTS = list(PART_ATTRIBUTES)
FIVE = tuple(yes_no(a) for a in PART_ATTRIBUTES.values())
TINY: dict[str, Any] = {
    "size": 32,
    "keep_detail": False,
    "down": [6, 8],
    "up": [6, 6],
    "blocks": 1,
    "critic_width": 4,
    "critic_depth": 3,
    "steps": 3,
    "batch": 6,
    "snapshots": 1,
    "strengths": [1.0],
}
POINTS = torch.tensor([[[22.0, 26.0], [42.0, 26.0], [32.0, 37.0], [24.0, 45.0], [40.0, 45.0]]])
"""A frontal face at 64 px."""


class Indifferent:
    """Judges who find everything equally good."""

    def verdict(self, protect: Any, variant: Variant) -> Verdict:
        return Verdict({"tiny": 0.5}, {"tiny": 0.5}, 1.0, 0.0)


def auxiliaries() -> TrainedAuxiliaries:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return untrained(FIVE, Indifferent())


def labelled_faces(n: int = 12, first_identity: int = 0, *, parts: bool = True) -> Faces:
    """Blobs with the five labels and one frontal face's landmarks and parts."""
    faces = tiny_faces(n, 32, attributes=FIVE, first_identity=first_identity)
    points = (POINTS.expand(n, -1, -1) / 2).contiguous()
    return replace(
        faces,
        landmarks=points.numpy(),
        parts=landmark_parts(points, 32).numpy() if parts else None,
    )


def tiny(method: type[StarGan] = LiMm21, **more: Any) -> Any:
    return method(FIVE, preset="quick", **{**TINY, **more})


def fit(method: StarGan) -> StarGan:
    method.fit(labelled_faces(), labelled_faces(first_identity=100), auxiliaries(), Context())
    return method


@pytest.fixture(scope="module")
def li() -> Any:
    return fit(tiny())


# -- outputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [StarGan, LiMm21])
def test_thirty_fixed_outputs(method: type[StarGan]) -> None:
    fixed = [v for v in method(FIVE).variants() if "parts" in v.parameters]
    assert [len(v.parameters["parts"]) for v in fixed] == [1] * 5 + [2] * 10 + [3] * 10 + [4] * 5
    assert len({frozenset(v.parameters["parts"]) for v in fixed}) == 30
    for variant in fixed:
        assert variant.name == "+".join(variant.parameters["parts"])
        assert variant.obfuscates == tuple(PART_ATTRIBUTES[p] for p in variant.parameters["parts"])


def test_outputs_that_choose_by_themselves_hide_all_five() -> None:
    variants = LiMm21(FIVE).variants()
    assert [v.name for v in variants[:6]] == ["k=1", "k=2", "k=3", "k=4", "adaptive", "best"]
    assert all(v.obfuscates == tuple(PART_ATTRIBUTES.values()) for v in variants[:6])
    assert [v.name for v in variants if v.selected] == ["k=1", "k=3", "adaptive"]
    selected = [v.name for v in StarGan(FIVE).variants() if v.selected]
    assert selected == ["eyes", "eyebrows+eyes+nose+mouth"]


@pytest.mark.parametrize(("labelled", "fixed", "most"), [(2, 3, 2), (4, 15, 4), (0, 0, 0)])
def test_fewer_outputs_where_labels_lack(labelled: int, fixed: int, most: int) -> None:
    names = [v.name for v in LiMm21(FIVE[:labelled]).variants()]
    assert sum(n.startswith("k=") for n in names) == most
    assert len([n for n in names if "=" not in n and n not in ("adaptive", "best")]) == fixed
    assert ("adaptive" in names) == (labelled > 0)


def test_printed_networks_and_hyperparameters() -> None:
    for method in (StarGan, LiMm21):
        built = method(FIVE, preset="paper")
        assert parameter_count(built._new_network(0)) == 8_430_528
        s = built.settings
        assert (s["size"], s["batch"], s["steps"], s["critic_steps"]) == (128, 16, 200_000, 5)
        assert (s["rate"], s["beta1"], s["beta2"], s["decay_from"]) == (1e-4, 0.5, 0.999, 0.5)
        assert (s["lambda_labels"], s["lambda_rec"], s["lambda_penalty"]) == (1.0, 10.0, 10.0)
        assert s["targets"] == "shuffled"
    assert parameter_count(Critic(128, 5)) == 44_762_048


# -- parts of a face -----------------------------------------------------------------------------------


def rows_of(parts: Tensor, name: str) -> Tensor:
    return (parts[0] == PART_NAMES.index(name)).nonzero()[:, 0].float()


@pytest.mark.parametrize("size", [32, 64, 112])
def test_landmark_parts_lie_in_order_from_top_to_bottom(size: int) -> None:
    parts = landmark_parts(POINTS * size / 64, size)
    assert parts.shape == (1, size, size)
    assert parts.dtype == torch.uint8
    heights = [rows_of(parts, name).mean() for name in PARTS]
    assert heights == sorted(heights)
    for upper, lower in (("eyebrows", "eyes"), ("eyes", "mouth"), ("nose", "mouth")):
        assert rows_of(parts, upper).max() < rows_of(parts, lower).min()


def test_landmark_parts_cover_the_landmarks_and_mirror_with_the_face() -> None:
    parts = landmark_parts(POINTS, 64)[0]
    expected = ["eyes", "eyes", "nose", "mouth", "mouth"]
    found = [PART_NAMES[parts[int(y), int(x)]] for x, y in POINTS[0]]
    assert found == expected
    mirrored = POINTS[:, [1, 0, 2, 4, 3]].clone()
    mirrored[..., 0] = 63 - mirrored[..., 0]
    assert torch.equal(landmark_parts(mirrored, 64)[0], parts.flip(-1))


def test_landmark_parts_turn_with_the_face() -> None:
    turned = torch.stack([63 - POINTS[..., 1], POINTS[..., 0]], -1)
    assert torch.equal(landmark_parts(turned, 64)[0], landmark_parts(POINTS, 64)[0].rot90(-1))


def test_landmark_parts_find_what_the_part_maps_of_drawn_faces_say() -> None:
    dataset = discover.load_class("dataset", "synthetic")(test_people=20, test_images=2, size=64, seed=3)
    faces: Faces = dataset.load("test")
    assert faces.landmarks is not None
    assert faces.parts is not None
    ours = part_masks(landmark_parts(torch.from_numpy(faces.landmarks), 64), PARTS)
    truth = part_masks(torch.from_numpy(faces.parts), PARTS)
    covered = (ours * truth).sum((0, 2, 3)) / truth.sum((0, 2, 3))
    assert (covered > torch.tensor([0.5, 0.8, 0.8, 0.7, 0.8])).all()
    # And little else: at most four times as many pixels as the part has.
    assert (ours.sum((0, 2, 3)) < 4 * truth.sum((0, 2, 3))).all()


def test_a_face_without_usable_landmarks_has_no_parts() -> None:
    points = torch.cat([POINTS, POINTS])
    points[1, 0, 0] = torch.nan
    masks = part_masks(landmark_parts(points, 64), PARTS)
    assert masks[0].sum() > 0
    assert masks[1].sum() == 0


def request(parts: Tensor | None, landmarks: Tensor | None) -> Request:
    return Request(Variant(), {}, ("a",), np.zeros(1, np.uint64), landmarks=landmarks, parts=parts)


def test_a_part_map_goes_before_landmarks_and_one_of_them_is_needed() -> None:
    given = torch.full((1, 64, 64), 2, dtype=torch.uint8)
    assert parsed(request(given, POINTS), 64) is given
    assert torch.equal(parsed(request(None, POINTS), 64), landmark_parts(POINTS, 64))
    with pytest.raises(InputError, match="part map or landmarks"):
        parsed(request(None, None), 64)


# -- saliency ------------------------------------------------------------------------------------------


class QuadrantMatcher:
    """Knows a face by one quadrant: its maps are the image's channels on 8 x 8 cells, its embedding the mean
    square of the cells in `rows` and `columns`."""

    def __init__(self, rows: slice, columns: slice) -> None:
        self.rows, self.columns = rows, columns

    def __call__(self, images: Tensor) -> Tensor:
        return self.embed_maps(self.maps(images))

    def maps(self, images: Tensor) -> Tensor:
        return nn.functional.avg_pool2d(images, images.shape[-1] // 8)

    def embed_maps(self, maps: Tensor) -> Tensor:
        return normalize(maps[:, :, self.rows, self.columns].square().mean((2, 3)))

    def lay(self, maps: Tensor, size: int) -> Tensor:
        return interpolate(maps, (size, size), mode="bilinear", align_corners=False)


TOP, BOTTOM, LEFT, RIGHT = slice(0, 4), slice(4, 8), slice(0, 4), slice(4, 8)


@pytest.mark.parametrize(("rows", "columns"), [(TOP, LEFT), (BOTTOM, RIGHT), (TOP, RIGHT)])
def test_grad_cam_finds_the_quadrant_that_decides(rows: slice, columns: slice) -> None:
    # Person 0 is red in that quadrant, person 1 is blue; every other quadrant is grey.
    images = torch.full((2, 3, 64, 64), 0.1)
    quadrant = (slice(8 * rows.start, 8 * rows.stop), slice(8 * columns.start, 8 * columns.stop))
    images[0, 0, quadrant[0], quadrant[1]] = 1.0
    images[1, 2, quadrant[0], quadrant[1]] = 1.0
    matcher = QuadrantMatcher(rows, columns)
    found = grad_cam(matcher, images, matcher(images))
    assert found.shape == (2, 8, 8)
    inside = found[:, rows, columns]
    assert inside.min() > 0.9
    assert found.sum() - inside.sum() < 0.1 * inside.sum()


def test_grad_cam_works_without_gradients_and_leaves_none() -> None:
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    matcher = auxiliaries().matcher
    means = torch.from_numpy(class_means(matcher, labelled_faces(), "gradcam"))
    with torch.no_grad():
        inside = grad_cam(matcher, images, means)
    assert torch.equal(inside, grad_cam(matcher, images, means))
    assert not inside.requires_grad
    assert inside.min() >= 0
    assert inside.amax((1, 2)).tolist() == pytest.approx([1, 1, 1])


def test_each_face_is_explained_by_itself() -> None:
    images = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    matcher = auxiliaries().matcher
    for explain, kind in ((grad_cam, "gradcam"), (cam, "cam")):
        means = torch.from_numpy(class_means(matcher, labelled_faces(), kind))  # type: ignore[arg-type]
        whole = explain(matcher, images, means)
        alone = torch.cat([explain(matcher, images[i : i + 1], means) for i in range(4)])
        assert whole.numpy() == pytest.approx(alone.numpy(), abs=1e-4)


def test_cam_contributions_add_up_to_the_class_logit() -> None:
    generator = torch.Generator().manual_seed(0)
    maps = torch.rand(5, 7, 4, 4, generator=generator)
    weights, bias = cam_head(torch.rand(6, 7, generator=generator))
    classes = torch.tensor([0, 5, 2, 2, 1])
    logits = maps.mean((2, 3)) @ weights.T + bias
    explained = contributions(maps, weights[classes]).mean((1, 2)) + bias[classes]
    assert explained.numpy() == pytest.approx(logits[torch.arange(5), classes].numpy(), abs=1e-6)


def test_cam_head_knows_the_people_it_was_made_of() -> None:
    means = torch.rand(6, 7, generator=torch.Generator().manual_seed(0))
    weights, bias = cam_head(means)
    assert (means @ weights.T + bias).argmax(1).tolist() == list(range(6))
    assert (means.mean(0) @ weights.T + bias).abs().max() < 1e-6


def test_class_means_are_means_over_each_persons_faces() -> None:
    faces, matcher = labelled_faces(), auxiliaries().matcher
    shuffled = faces.take(np.random.default_rng(0).permutation(len(faces)))
    embeddings = matcher(torch.from_numpy(faces.images).permute(0, 3, 1, 2).float() / 255)
    expected = embeddings.view(6, 2, -1).mean(1)
    for pool in (faces, shuffled):
        found = class_means(matcher, pool, "gradcam")
        assert found.dtype == np.float32
        assert found == pytest.approx(expected.numpy(), abs=1e-5)


# -- scores and choices --------------------------------------------------------------------------------


def test_part_scores_are_means_over_the_masks_and_0_without_one() -> None:
    saliency = torch.arange(4.0).view(1, 2, 2)
    masks = torch.tensor([[[[1.0, 1], [0, 0]], [[0, 0], [0, 1]], [[0, 0], [0, 0]]]])
    assert part_scores(saliency, masks)[0].tolist() == pytest.approx([0.5, 3.0, 0.0])


def test_fewer_parts_are_a_subset_of_more() -> None:
    scores = torch.rand(50, 5, generator=torch.Generator().manual_seed(0))
    scores[:10, 2:] = 0
    chosen = [least_important(scores, k) for k in range(1, 5)]
    for k, few in enumerate(chosen, 1):
        assert (few.sum(1) == k).all()
    for few, more in pairwise(chosen):
        assert not (few & ~more).any()
    assert chosen[0][:10].int().argmax(1).tolist() == [2] * 10
    lowest = scores[:, :].masked_fill(~chosen[1], torch.inf).amin(1)
    assert torch.equal(lowest, scores.amin(1))


def test_adaptive_takes_what_lies_below_the_mean_1_to_4_parts() -> None:
    scores = torch.tensor([[0.1, 0.2, 0.3, 0.5, 0.9], [0, 1, 1, 1, 1], [0.1] * 5, [0.0] * 5])
    chosen = below_mean(scores)
    assert chosen.int().tolist() == [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0]]
    many = below_mean(torch.rand(500, 5, generator=torch.Generator().manual_seed(0))).sum(1)
    assert many.min() >= 1
    assert many.max() <= 4


def test_min_max_of_a_constant_map_is_0() -> None:
    assert min_max(torch.full((1, 2, 2), 3.0)).sum() == 0
    assert min_max(torch.tensor([[[1.0, 3.0], [2.0, 2.0]]])).flatten().tolist() == [0, 1, 0.5, 0.5]


# -- protection ----------------------------------------------------------------------------------------


class LabelsShown(nn.Module):
    """Draws the label vector it is given into the first pixels of the first row."""

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        drawn = images.clone()
        drawn[:, :, 0, : labels.shape[1]] = labels[:, None] * 2 - 1
        return drawn


@pytest.fixture
def shown(li: Any) -> Any:
    """As `li`, but with a generator whose output shows its target labels."""
    method = tiny()
    method.restore(li.state())
    method._network = LabelsShown()
    return method


def changed_labels(method: StarGan, faces: Faces, variant: str) -> np.ndarray[Any, Any]:
    """bool (N, 5): which labels the generator was told to flip."""
    images = method.protect(faces, method.variant(variant)).images
    told = images[:, 0, :5, 0] > 127
    own = np.stack([faces.labels[a] for a in PART_ATTRIBUTES.values()], 1) > 0
    return told != own


def test_k_parts_are_flipped_each_a_superset_of_fewer(shown: Any) -> None:
    faces = labelled_faces(16, first_identity=300)
    flipped = [changed_labels(shown, faces, f"k={k}") for k in range(1, 5)]
    for k, found in enumerate(flipped, 1):
        assert (found.sum(1) == k).all()
    for few, more in pairwise(flipped):
        assert not (few & ~more).any()


def test_adaptive_flips_what_its_scores_say(shown: Any) -> None:
    faces = labelled_faces(16, first_identity=300)
    flipped = changed_labels(shown, faces, "adaptive")
    assert flipped.sum(1).min() >= 1
    assert flipped.sum(1).max() <= 4


def test_fixed_outputs_flip_the_same_parts_in_every_face(shown: Any) -> None:
    faces = labelled_faces(8, first_identity=300)
    assert changed_labels(shown, faces, "eyes+mouth").tolist() == [[False, False, True, False, True]] * 8


def test_a_missing_part_is_chosen_first(shown: Any) -> None:
    faces = labelled_faces(8, first_identity=300)
    assert faces.parts is not None
    parts = np.where(faces.parts == PART_NAMES.index("nose"), 1, faces.parts).astype(np.uint8)
    bald = np.where(parts == PART_NAMES.index("hair"), 0, parts).astype(np.uint8)
    assert (changed_labels(shown, replace(faces, parts=bald), "k=2")[:, [0, 3]]).all()


def test_parts_come_from_landmarks_where_there_is_no_map(shown: Any) -> None:
    mapped, plain = labelled_faces(8), labelled_faces(8, parts=False)
    for name in ("k=2", "adaptive"):
        assert np.array_equal(changed_labels(shown, mapped, name), changed_labels(shown, plain, name))


@pytest.mark.parametrize("variant", ["k=1", "eyes"])
def test_a_face_that_was_not_found_fails(li: Any, variant: str) -> None:
    faces = labelled_faces(4, parts=False)
    assert faces.landmarks is not None
    faces.landmarks[2] = np.nan
    found: Protected = li.protect(faces, li.variant(variant))
    assert found.failed.tolist() == [False, False, True, False]
    assert not found.images[2].any()


def test_where_nothing_tells_the_parts_of_a_face_they_cannot_be_chosen(li: Any) -> None:
    faces = labelled_faces(4, parts=False)
    assert not li.protect(replace(faces, landmarks=None), li.variant("eyes")).failed.any()
    with pytest.raises(InputError, match="eyes\\+nose"):
        li.protect(replace(faces, landmarks=None), li.variant("adaptive"))


def test_best_is_the_fixed_output_nearest_to_the_original(li: Any) -> None:
    faces = labelled_faces(6, first_identity=300)
    matcher = li._matcher("cpu")

    def seen(images: np.ndarray[Any, Any]) -> Tensor:
        return matcher(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)

    fixed = [v for v in li.variants() if "parts" in v.parameters]
    outputs = np.stack([li.protect(faces, v).images for v in fixed])
    best = li.protect(faces, li.variant("best")).images
    for i in range(len(faces)):
        distance = np.abs(outputs[:, i].astype(int) - best[i]).max((1, 2, 3))
        assert distance.min() <= 1
        cosines = seen(outputs[:, i]) @ seen(faces.images[i : i + 1])[0]
        # Outputs are rounded to 8 bits after the choice.
        assert cosines[int(distance.argmin())] >= cosines.max() - 1e-3


def test_strengths_blend_and_are_averaged_over_the_parts_of_each_face(li: Any) -> None:
    faces = labelled_faces(6, first_identity=300)
    method = tiny()
    method.restore({**li.state(), "strengths": np.array([0, 0, 0.5, 0, 0], np.float32)})
    method._network = LabelsShown()

    def reached(variant: str) -> Any:
        images = method.protect(faces, method.variant(variant)).images
        label = faces.labels["narrow_eyes"] > 0
        moved = images[:, 0, 2, 0].astype(float) - faces.images[:, 0, 2, 0]
        return moved / (np.where(label, 0.0, 255.0) - faces.images[:, 0, 2, 0])

    assert reached("eyes") == pytest.approx(0.5, abs=0.02)
    assert reached("eyes+nose") == pytest.approx(0.25, abs=0.02)
    assert np.array_equal(method.protect(faces, method.variant("hair")).images, faces.images)


def test_a_restored_twin_protects_alike(li: Any) -> None:
    again = tiny()
    again.restore(li.state())
    faces = labelled_faces(6, first_identity=300)
    for name in ("k=2", "adaptive", "eyes"):
        expected = li.protect(faces, li.variant(name)).images
        assert np.array_equal(again.protect(faces, again.variant(name)).images, expected)


def test_cam_is_another_map_over_other_means() -> None:
    method = fit(tiny(saliency="cam", steps=1))
    assert method.state()["class_means"].shape == (6, 128)
    assert (changed_count(method, "k=2") == 2).all()


def changed_count(method: StarGan, variant: str) -> np.ndarray[Any, Any]:
    method._network = LabelsShown()  # type: ignore[assignment]
    return changed_labels(method, labelled_faces(8, first_identity=300), variant).sum(1)


@pytest.mark.parametrize("option", ["saliency", "identity_loss"])
def test_an_unknown_name_is_refused(option: str) -> None:
    with pytest.raises(UsageError, match="cam" if option == "saliency" else "perceptual"):
        fit(tiny(LiMm21, **{option: "gradcamm" if option == "saliency" else "perceptuall"}))


# -- training ------------------------------------------------------------------------------------------


def weights_of(method: StarGan) -> Sequence[np.ndarray[Any, Any]]:
    return [v for k, v in fit(method).state().items() if k.startswith("network/")]


def test_the_released_identity_loss_changes_nothing_the_papers_does() -> None:
    plain = weights_of(tiny(StarGan))
    inert = weights_of(tiny(identity_loss="triplet_inert", lambda_id=10.0))
    acting = weights_of(tiny(identity_loss="perceptual", lambda_id=10.0))
    assert all(np.array_equal(a, b) for a, b in zip(plain, inert, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(plain, acting, strict=True))


def test_the_identity_loss_is_recorded_on_its_side_and_grows() -> None:
    def curves(**more: Any) -> Any:
        method = tiny(steps=4, **more)
        return method.fit(labelled_faces(), labelled_faces(first_identity=100), auxiliaries(), Context())[
            "curves"
        ]

    assert len(curves()["id"]) == 4
    assert len(curves(id_from=0.5)["id"]) == 2
    assert len(curves(identity_loss="triplet_inert")["id"]) == 4
    assert "id" not in curves(lambda_id=0.0)
    task = tiny(steps=4, id_from=0.5)
    task._network = task._new_network(0)
    growth = task._new_task(32, auxiliaries(), 0)._growth
    assert [growth(i) for i in range(4)] == pytest.approx([0, 0, 0.5, 1])


def test_perceptual_distance_is_0_for_the_original_and_has_a_gradient_elsewhere() -> None:
    matcher = auxiliaries().matcher
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert perceptual_distance(matcher, images, images) == pytest.approx(0, abs=1e-5)
    other = images.flip(-1).requires_grad_(True)
    distance = perceptual_distance(matcher, images, other)
    distance.backward()  # type: ignore[no-untyped-call]
    assert distance > 0.01
    assert other.grad is not None
    assert other.grad.abs().sum() > 0


def test_perceptual_distance_sums_maps_and_embedding() -> None:
    matcher = QuadrantMatcher(slice(0, 8), slice(0, 8))
    red, blue = torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 64, 64)
    red[:, 0], blue[:, 2] = 1, 1
    # Orthogonal maps and orthogonal embeddings: sqrt(2) each.
    assert perceptual_distance(matcher, red, blue) == pytest.approx(2 * 2**0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stargan", "li_mm21"])
def test_the_papers_networks_take_a_training_step_at_128_px(name: str) -> None:
    method = discover.load_class("method", name)(FIVE, preset="paper", steps=5, batch=2)
    faces = tiny_faces(4, 128, attributes=FIVE)
    others = tiny_faces(4, 128, attributes=FIVE, first_identity=100)
    figures = method.fit(faces, others, auxiliaries(), Context())
    terms = {"critic", "penalty", "critic_labels", "adversarial", "labels", "rec"}
    assert set(figures["curves"]) == terms | ({"id"} if name == "li_mm21" else set())
    assert all(np.isfinite(v).all() for v in figures["curves"].values())
    protected = method.protect(faces, method.variant("eyes+nose"))
    assert not np.array_equal(protected.images, faces.images)
