"""Face mixing and MMDA: warps, mixes and subspaces against hand-made cases, and the adapters around them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from methods_tiny import EMBEDDED, RACE_OF_TWO, tiny_faces
from numpy.typing import NDArray
from torch import Tensor

from bench.api import Context, Faces, InputError, Request, UsageError, Variant, to_tensor
from bench.faces import AGE, GENDER, YOUNG
from methods._blocks.discriminant import (
    balancing_weights,
    decompose,
    effective_samples,
    restored,
)
from methods._blocks.warp import PiecewiseAffine, with_frame
from methods.face_mixing import FaceMixing, choose_donors, mix
from methods.mmda import Mmda, balanced_rows

SIZE = 24
FACE = torch.tensor([[8.0, 9], [16, 9], [12, 13], [9, 17], [15, 17]])


def shapes(n: int, seed: int = 0) -> Tensor:
    """Landmarks (n, 5, 2) of faces in images of SIZE."""
    return FACE + torch.from_numpy(np.random.default_rng(seed).uniform(-1.5, 1.5, (n, 5, 2))).float()


def ramps(n: int = 1) -> Tensor:
    """Images whose first two channels are the pixel's own x and y, over SIZE."""
    y, x = torch.meshgrid(torch.arange(SIZE) / SIZE, torch.arange(SIZE) / SIZE, indexing="ij")
    return torch.stack([x, y, torch.zeros_like(x)])[None].repeat(n, 1, 1, 1)


def with_landmarks(faces: Faces, seed: int = 0) -> Faces:
    scale = faces.size / SIZE
    return replace(faces, landmarks=(shapes(len(faces), seed).numpy() * scale).astype(np.float32))


# -- warp --------------------------------------------------------------------------------------------


def test_the_border_frames_the_landmarks() -> None:
    points = with_frame(torch.tensor([[[5.0, 7.0], [-3.0, 99.0]]]), SIZE)
    assert points.shape == (1, 10, 2)
    assert points[0, 0].tolist() == [5, 7]
    assert points[0, 1].tolist() == [1, SIZE - 2]
    assert {tuple(p) for p in points[0, 2:].tolist()} == {
        (x, y) for x in (0, 11.5, 23) for y in (0, 11.5, 23) if (x, y) != (11.5, 11.5)
    }


def test_warp_onto_itself_changes_nothing() -> None:
    images = torch.rand(3, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    points = with_frame(shapes(3), SIZE)
    assert torch.allclose(PiecewiseAffine(points, SIZE)(images, points), images, atol=1e-5)


def test_warp_takes_every_point_to_its_target() -> None:
    source = with_frame(shapes(2, seed=1), SIZE)
    target = with_frame(shapes(2, seed=2).round(), SIZE)
    warped = PiecewiseAffine(target, SIZE)(ramps(2), source)
    for i in range(2):
        for (x, y), came_from in zip(target[i, :5].long().tolist(), source[i, :5], strict=True):
            assert torch.allclose(warped[i, :2, y, x] * SIZE, came_from, atol=1e-3)


def test_warp_is_affine_within_a_triangle() -> None:
    # The middle of the upper side stands still and the inner point moves by (2, 2): half way, by (1, 1).
    side = SIZE + 1
    images = torch.nn.functional.pad(ramps(), (0, 1, 0, 1), mode="replicate")
    source, target = (with_frame(torch.tensor([[p]]), side) for p in ([14.0, 12.0], [12.0, 10.0]))
    warped = PiecewiseAffine(target, side)(images, source)
    assert torch.allclose(warped[0, :2, 5, 12] * SIZE, torch.tensor([13.0, 6.0]), atol=1e-3)
    # The border stands still.
    assert torch.allclose(warped[0, :, 0], images[0, :, 0], atol=1e-4)


def test_coinciding_points_are_no_obstacle() -> None:
    points = with_frame(torch.tensor([[[8.0, 9.0], [8.0, 9.0], [12.0, 13.0]]]), SIZE)
    assert torch.allclose(PiecewiseAffine(points, SIZE)(ramps(), points), ramps(), atol=1e-5)


# -- face mixing -------------------------------------------------------------------------------------


def test_no_weight_is_the_image_and_all_weight_the_donor() -> None:
    generator = torch.Generator().manual_seed(0)
    images, donors = (torch.rand(3, 3, SIZE, SIZE, generator=generator) for _ in range(2))
    own, other = shapes(3, 1), shapes(3, 2)
    assert torch.allclose(mix(images, own, donors, other, 0.0, 0.0), images, atol=1e-5)
    assert torch.allclose(mix(images, own, donors, other, 1.0, 1.0), donors, atol=1e-5)
    half = mix(images, own, donors, other, 0.5, 0.5)
    assert torch.allclose(half, mix(donors, other, images, own, 0.5, 0.5), atol=1e-5)
    assert not torch.allclose(half, (images + donors) / 2, atol=0.05)


def test_same_shape_is_a_cross_dissolve() -> None:
    generator = torch.Generator().manual_seed(0)
    images, donors = (torch.rand(2, 3, SIZE, SIZE, generator=generator) for _ in range(2))
    own = shapes(2)
    assert torch.allclose(mix(images, own, donors, own, 0.3, 0.9), 0.7 * images + 0.3 * donors, atol=1e-5)


def fitted_mixing(develop: Faces, **options: Any) -> FaceMixing:
    method = FaceMixing(develop.attributes, **{"donors_kept": 4, **options})
    method.fit(develop, tiny_faces(first_identity=100), None, Context())
    return method


def test_variants_are_the_mixing_weights() -> None:
    found = FaceMixing(EMBEDDED).variants()
    assert [(v.name, v.selected) for v in found] == [("a=0.3", False), ("a=0.5", True), ("a=0.7", False)]
    assert {v.obfuscates for v in found} == {("gender",)}
    assert FaceMixing((YOUNG,)).variants() == ()


def test_the_nearest_donor_of_the_opposite_gender_is_mixed_in() -> None:
    develop, test = with_landmarks(tiny_faces()), with_landmarks(tiny_faces(8, first_identity=300), 5)
    method = fitted_mixing(develop)
    state = method.state()
    found = method.protect(test, method.variant("a=0.5"))
    assert not found.failed.any()
    assert test.landmarks is not None
    for i in range(8):
        other = 1 - int(test.labels["gender"][i])
        distances = np.square(state["landmarks"][other] - test.landmarks[i]).sum((1, 2))
        donor = int(distances.argmin())
        images = to_tensor(np.stack([test.images[i], state["images"][other, donor]]))
        points = torch.from_numpy(np.stack([test.landmarks[i], state["landmarks"][other, donor]]))
        expected = mix(images[:1], points[:1], images[1:], points[1:], 0.5, 0.5)
        assert np.abs(found.images[i] - 255 * expected[0].permute(1, 2, 0).numpy()).max() <= 0.51


def test_donors_are_people_of_each_gender_and_none_twice() -> None:
    faces = with_landmarks(tiny_faces(40))
    rows = choose_donors(faces, 5, seed=3)
    assert rows.shape == (2, 5)
    for gender in (0, 1):
        assert (faces.labels["gender"][rows[gender]] == gender).all()
        assert len(np.unique(faces.identities[rows[gender]])) == 5
    assert np.array_equal(rows, choose_donors(faces, 5, seed=3))
    assert not np.array_equal(rows, choose_donors(faces, 5, seed=4))
    assert choose_donors(faces, 1000, seed=3).shape[1] <= 20
    assert faces.landmarks is not None
    landmarks = faces.landmarks[rows]
    distances = np.square(landmarks - landmarks.mean(1, keepdims=True)).sum((2, 3))
    assert (np.diff(distances, axis=1) >= 0).all()


def test_donors_of_one_gender_are_not_enough() -> None:
    faces = tiny_faces()
    faces.labels["gender"][:] = 1
    with pytest.raises(InputError, match="0 female"):
        choose_donors(faces, 3, seed=0)
    with pytest.raises(UsageError, match="nearest_shape or fixed or random"):
        FaceMixing(EMBEDDED, donors="oldest")


def test_fixed_and_random_donors() -> None:
    develop, test = with_landmarks(tiny_faces()), with_landmarks(tiny_faces(12, first_identity=300), 5)
    men = test.take(test.labels["gender"] == 1)
    assert men.landmarks is not None
    same = replace(
        men, images=men.images[:1].repeat(len(men), 0), landmarks=np.repeat(men.landmarks[:1], len(men), 0)
    )
    fixed, drawn = fitted_mixing(develop, donors="fixed"), fitted_mixing(develop, donors="random")
    variant = fixed.variant("a=0.7")
    outputs = fixed.protect(same, variant).images
    assert (outputs == outputs[0]).all()
    by_seed = [drawn.protect(same, variant, seed=s).images for s in (0, 0, 1)]
    assert np.array_equal(by_seed[0], by_seed[1])
    assert not np.array_equal(by_seed[0], by_seed[2])
    assert 2 <= len(np.unique(by_seed[0].reshape(len(same), -1), axis=0)) <= 4
    again = drawn.protect(same.take(np.arange(len(same))[::-1]), variant).images[::-1]
    assert np.array_equal(again, by_seed[0])


@pytest.mark.parametrize("without", ["develop", "test"])
def test_without_landmarks_aligned_faces_are_dissolved(without: str) -> None:
    develop, test = with_landmarks(tiny_faces()), with_landmarks(tiny_faces(8, first_identity=300))
    develop = replace(develop, landmarks=None) if without == "develop" else develop
    test = replace(test, landmarks=None) if without == "test" else test
    method = FaceMixing(EMBEDDED, donors_kept=1)
    figures = method.fit(develop, tiny_faces(first_identity=100), None, Context())
    assert figures["mode"] == ("mix_nolandmark" if without == "develop" else "mix")
    found = method.protect(test, method.variant("a=0.3")).images
    donors = method.state()["images"][1 - test.labels["gender"].astype(int), 0].astype(float)
    assert np.abs(found - (0.7 * test.images + 0.3 * donors)).max() <= 0.51


def test_a_face_without_finite_landmarks_fails() -> None:
    method = fitted_mixing(with_landmarks(tiny_faces()))
    test = with_landmarks(tiny_faces(4, first_identity=300))
    assert test.landmarks is not None
    test.landmarks[2, 1] = np.nan
    found = method.protect(test, method.variant("a=0.5"))
    assert found.failed.tolist() == [False, False, True, False]
    assert not found.images[2].any()


def test_mixing_restores_and_fits_any_size() -> None:
    method = fitted_mixing(with_landmarks(tiny_faces()))
    again = FaceMixing(EMBEDDED)
    again.restore(method.state())
    large = with_landmarks(tiny_faces(4, size=64, first_identity=300))
    variant = method.variant("a=0.5")
    images = method.protect(large, variant).images
    assert np.array_equal(again.protect(large, variant).images, images)
    small = with_landmarks(tiny_faces(4, first_identity=300))
    # The donors' eyes are where they belong at either size: halving the large mix gives nearly the small one.
    halved = images.reshape(4, 32, 2, 32, 2, 3).mean((2, 4))
    assert np.abs(halved - method.protect(small, variant).images).mean() < 12


# -- discriminant ------------------------------------------------------------------------------------


def factorial(
    each: int, noise: float = 1.0, *, drop: tuple[tuple[int, int], ...] = (), seed: int = 0
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.int64]], dict[str, NDArray[np.float64]]]:
    """Vectors (N, 20) = effect of mode a (2 classes) + of mode b (3) + noise; all combinations but `drop`."""
    rng = np.random.default_rng(seed)
    effects = {"a": rng.normal(0, 2, (2, 20)), "b": rng.normal(0, 2, (3, 20))}
    cells = [(i, j) for i in range(2) for j in range(3) if (i, j) not in drop]
    codes = np.repeat(np.array(cells), each, axis=0)
    vectors = effects["a"][codes[:, 0]] + effects["b"][codes[:, 1]] + rng.normal(0, noise, (len(codes), 20))
    labels = {"a": codes[:, 0].astype(np.int64), "b": codes[:, 1].astype(np.int64)}
    return vectors.astype(np.float32), labels, effects


def test_weights_balance_the_combinations() -> None:
    labels = {"a": np.array([0, 0, 0, 1, 1, 0]), "b": np.array([0, 0, 0, 0, 1, 1])}
    weights = balancing_weights(labels)
    assert weights.tolist() == pytest.approx([1 / 12, 1 / 12, 1 / 12, 1 / 4, 1 / 4, 1 / 4])
    assert effective_samples(np.full(8, 0.125)) == pytest.approx(8)
    assert effective_samples(weights) == pytest.approx(1 / (3 / 144 + 3 / 16))


def test_whitening_makes_the_total_scatter_one() -> None:
    vectors, labels, _ = factorial(40)
    weights = balancing_weights(labels) * np.random.default_rng(0).uniform(0.5, 1.5, len(vectors))
    weights /= weights.sum()
    parts = decompose(vectors, labels, weights, 12, seed=0)
    whitened = (vectors - parts.mean) @ parts.encoder.T
    assert np.abs(weights @ whitened).max() < 1e-4
    assert np.abs((whitened * weights[:, None]).T @ whitened - np.eye(12)).max() < 1e-4


def test_all_modes_are_orthogonal() -> None:
    vectors, labels, _ = factorial(40)
    parts = decompose(vectors, labels, balancing_weights(labels), 12, seed=0)
    joint = np.concatenate([m.directions for m in parts.modes.values()], 1)
    assert joint.shape == (12, 1 + 2)
    assert np.abs(joint.T @ joint - np.eye(3)).max() < 1e-5


def test_encoding_and_decoding_is_the_identity_within_the_subspace() -> None:
    vectors, labels, _ = factorial(40)
    parts = decompose(vectors, labels, balancing_weights(labels), 20, seed=0)
    back = parts.mean + (vectors - parts.mean) @ parts.encoder.T @ parts.decoder.T
    assert np.abs(back - vectors).max() < 1e-3


def test_a_mode_without_anything_within_its_classes_has_fisher_eigenvalue_one() -> None:
    vectors, labels, _ = factorial(60, noise=1.0)
    vectors[:, 0] = 3.0 * labels["a"]  # this coordinate varies between the classes of a only
    vectors[:, 1:] -= np.stack([vectors[labels["a"] == c, 1:].mean(0) for c in (0, 1)])[labels["a"]]
    parts = decompose(vectors, labels, balancing_weights(labels), 20, seed=0)
    assert parts.modes["a"].fisher == pytest.approx([1.0], abs=1e-3)
    assert parts.modes["b"].fisher.max() < 1
    axis = parts.decoder @ parts.modes["a"].directions[:, 0]
    assert abs(axis[0]) > 10 * np.abs(axis[1:]).max()


def test_missing_combinations_do_not_mix_the_modes() -> None:
    vectors, labels, effects = factorial(300, noise=0.3, drop=((1, 0), (0, 2)))
    parts = decompose(vectors, labels, balancing_weights(labels), 20, seed=0)
    # Plain class means would take part of b's effect for a's.
    step = parts.encoder @ (effects["a"][1] - effects["a"][0])
    mode = parts.modes["a"]
    assert mode.directions.shape == (20, 1)
    along = (mode.directions.T @ step).item()
    assert (mode.centroids[1] - mode.centroids[0]).item() == pytest.approx(along, rel=0.05)
    assert abs(along) == pytest.approx(np.linalg.norm(step), rel=0.1)


def test_half_precision_and_modes_alone_edit_alike() -> None:
    vectors, labels, _ = factorial(40)
    parts = decompose(vectors, labels, balancing_weights(labels), 12, seed=0)
    small = restored(parts.on_modes().state())
    assert small.encoder.shape == (3, 20)
    for name, mode in parts.modes.items():
        full = (vectors - parts.mean) @ parts.encoder.T @ mode.directions
        short = (vectors - small.mean) @ small.encoder.T @ small.modes[name].directions
        assert np.abs(full - short).max() < 0.02
        back = parts.decoder @ mode.directions
        assert np.abs(back - small.decoder @ small.modes[name].directions).max() < 0.01


def test_what_cannot_be_decomposed_is_refused() -> None:
    vectors, labels, _ = factorial(3)
    weights = balancing_weights(labels)
    with pytest.raises(InputError, match="18 PCA dimensions need more samples"):
        decompose(vectors, labels, weights, 18, seed=0)
    with pytest.raises(InputError, match="do not vary in 6 dimensions"):
        decompose(vectors[:, :4].copy(), labels, weights, 6, seed=0)
    with pytest.raises(InputError, match="cannot be told apart"):
        decompose(vectors, {"a": labels["a"], "again": labels["a"]}, weights, 8, seed=0)
    with pytest.raises(InputError, match="cannot hold a, b apart"):
        decompose(vectors, labels, weights, 2, seed=0)


# -- MMDA --------------------------------------------------------------------------------------------

MMDA_OPTIONS: dict[str, Any] = {"size": 0, "dimensions": 12, "faces": 200}
DEVELOP = tiny_faces(144, 16)


def fitted_mmda(**options: Any) -> Mmda:
    method = Mmda(EMBEDDED, **{**MMDA_OPTIONS, **options})
    method.fit(DEVELOP, tiny_faces(6, 16, first_identity=200), None, Context())
    return method


@pytest.fixture(scope="module")
def reconstructing() -> Mmda:
    return fitted_mmda()


@pytest.fixture(scope="module")
def residual() -> Mmda:
    return fitted_mmda(keep_residual=True)


def request(faces: Faces, variant: Variant) -> Request:
    labels = {k: torch.from_numpy(faces.labels[k]).long() for k in ("gender", "race", "young")}
    return Request(variant, labels, tuple(faces.keys), np.arange(len(faces), dtype=np.uint64))


def coefficients(method: Mmda, images: Tensor, mode: str) -> NDArray[np.floating]:
    parts = method._parts
    whitened = (images.flatten(1).numpy() - parts.mean) @ parts.encoder.T
    return whitened @ parts.modes[mode].directions


def test_mmda_variants_follow_the_labels() -> None:
    names = [v.name for v in Mmda(EMBEDDED).variants()]
    assert names == [
        *("gender", "gender-neutral", "race", "race-neutral"),
        *("age0", "age1", "age2", "age-neutral", "reconstruct"),
    ]
    assert [v.name for v in Mmda(EMBEDDED).variants() if v.selected] == ["gender", "gender-neutral"]
    found = Mmda((YOUNG, AGE), keep_residual=True).variants()
    assert [(v.name, v.obfuscates, v.needs) for v in found] == [
        ("young", ("young",), ("young",)),
        ("young-neutral", ("young",), ()),
    ]
    assert Mmda((AGE,)).variants() == ()


def test_without_an_edit_residual_and_all_the_image_comes_back(residual: Mmda) -> None:
    faces = tiny_faces(8, 16, first_identity=300)
    images = to_tensor(faces.images)
    assert torch.equal(residual._protect(images, request(faces, Variant("none", (), {"goals": {}}))), images)


def test_without_an_edit_the_reconstruction_comes_back(reconstructing: Mmda) -> None:
    faces = tiny_faces(8, 16, first_identity=300)
    parts, flat = reconstructing._parts, to_tensor(faces.images).flatten(1).numpy()
    expected = parts.mean + (flat - parts.mean) @ parts.encoder.T @ parts.decoder.T
    found = reconstructing.protect(faces, reconstructing.variant("reconstruct")).images
    as_images = expected.reshape(8, 3, 16, 16).transpose(0, 2, 3, 1).clip(0, 1) * 255
    assert np.abs(found - as_images).max() <= 0.51


@pytest.mark.parametrize("name", ["gender", "race-neutral", "age2"])
@pytest.mark.parametrize("kept", [False, True])
def test_an_edit_puts_the_target_in_place_and_leaves_other_modes(
    name: str, kept: bool, residual: Mmda, reconstructing: Mmda
) -> None:
    method = residual if kept else reconstructing
    faces = DEVELOP.take(slice(0, 12))
    # Compressed towards grey, so that no edited value is clipped at the ends of the range.
    images = to_tensor(faces.images) * 0.2 + 0.4
    changed = method._protect(images, request(faces, method.variant(name)))
    mode = {"gender": "gender", "race-neutral": "race", "age2": "age_group"}[name]
    centroids = method._parts.modes[mode].centroids
    if name == "gender":
        wanted = centroids[1 - faces.labels["gender"].astype(int)]
    else:
        wanted = centroids.mean(0) if name == "race-neutral" else centroids[2]
    assert np.abs(coefficients(method, changed, mode) - wanted).max() < 0.05
    for other in {"gender", "race", "age_group"} - {mode}:
        before, after = (coefficients(method, x, other) for x in (images, changed))
        assert np.abs(before - after).max() < 0.05


def test_another_race_is_drawn_for_each_face(residual: Mmda) -> None:
    faces = DEVELOP.take(slice(0, 24))
    images = to_tensor(faces.images) * 0.2 + 0.4
    changed = residual._protect(images, request(faces, residual.variant("race")))
    centroids = residual._parts.modes["race"].centroids
    distances = np.square(coefficients(residual, changed, "race")[:, None] - centroids).sum(2)
    chosen = distances.argmin(1)
    assert distances.min(1).max() < 0.01
    assert (chosen != faces.labels["race"]).all()
    assert all(len(set(chosen[faces.labels["race"] == r])) == 2 for r in range(3))


def test_the_axis_of_gender_tells_gender_until_it_is_neutral(residual: Mmda) -> None:
    faces = tiny_faces(48, 16, first_identity=400)
    axis = coefficients(residual, to_tensor(faces.images), "gender")[:, 0]
    centroids = residual._parts.modes["gender"].centroids[:, 0]
    guess = np.abs(axis - centroids[1]) < np.abs(axis - centroids[0])
    assert (guess == (faces.labels["gender"] == 1)).mean() > 0.9
    neutral = residual.protect(faces, residual.variant("gender-neutral")).images
    spread = coefficients(residual, to_tensor(neutral), "gender")[:, 0]
    assert np.abs(spread - centroids.mean()).max() < 0.25 * np.abs(centroids[1] - centroids[0])


def test_figures_and_restore(reconstructing: Mmda) -> None:
    method = Mmda(EMBEDDED, **MMDA_OPTIONS)
    figures = method.fit(DEVELOP, tiny_faces(6, 16, first_identity=200), None, Context())
    assert {k: len(v) for k, v in figures["fisher"].items()} == {"gender": 1, "race": 2, "age_group": 2}
    assert figures["faces"] == 144
    assert 12 < figures["effective_faces"] < 144.001
    state = method.state()
    assert all(np.array_equal(v, state[k]) for k, v in reconstructing.state().items())
    again = Mmda(EMBEDDED, **MMDA_OPTIONS)
    again.restore(state)
    faces = tiny_faces(8, 16, first_identity=300)
    for variant in method.variants():
        assert np.array_equal(again.protect(faces, variant).images, method.protect(faces, variant).images)


def test_faces_of_another_size_are_refused_when_the_size_is_free(reconstructing: Mmda) -> None:
    with pytest.raises(InputError, match="fitted on vectors of 768"):
        reconstructing.protect(tiny_faces(2, 32), reconstructing.variant("gender"))


def test_balanced_rows_take_turns() -> None:
    labels = np.array([0] * 20 + [1] * 4, np.float32)
    faces = tiny_faces(24, 8, attributes=(GENDER,))
    faces.labels["gender"][:] = labels
    rows = balanced_rows(faces, ("gender",), 10, seed=0)
    assert np.bincount(labels[rows].astype(int)).tolist() == [6, 4]
    assert (np.diff(rows) > 0).all()
    faces.labels["gender"][:3] = np.nan
    assert not set(balanced_rows(faces, ("gender",), 100, seed=0)) & {0, 1, 2}
    assert len(balanced_rows(faces, ("gender",), 100, seed=0)) == 21


def test_a_missing_class_is_named() -> None:
    faces = tiny_faces(12, 8, attributes=(GENDER, RACE_OF_TWO))
    faces.labels["race"][:] = 1
    with pytest.raises(InputError, match="race 0 is missing"):
        balanced_rows(faces, ("gender", "race"), 100, seed=0)


def test_more_dimensions_than_faces_is_refused() -> None:
    method = Mmda(EMBEDDED, **{**MMDA_OPTIONS, "dimensions": 150})
    with pytest.raises(InputError, match="150 PCA dimensions need more samples"):
        method.fit(DEVELOP, tiny_faces(6, 16, first_identity=200), None, Context())
