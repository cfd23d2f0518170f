"""The pixel kernel attacker reads faces, and codes that a method hid in pixels, of people it never saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from methods_tiny import RACE, tiny_faces
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file
from scipy.fft import dctn
from sklearn.metrics import roc_auc_score

from attackers._blocks.per_attribute import tasks
from attackers._blocks.ridge import class_ridge
from attackers._blocks.traces import residuals, small_pixels, spectra
from attackers.pixel_kernel import PixelKernel
from bench.api import Context, Faces, InputError
from bench.faces import AGE, ATTACK, GENDER
from bench.faces import TEST as TEST_POOL

ATTRIBUTES = (GENDER, RACE)
TRAIN = tiny_faces(120, 48, attributes=ATTRIBUTES)
TEST = tiny_faces(60, 48, attributes=ATTRIBUTES, first_identity=500)


def fitted(faces: Faces = TRAIN) -> PixelKernel:
    attacker = PixelKernel()
    figures = attacker.fit(faces, faces.labels, faces.attributes, Context(seed=1))
    assert figures["samples"].keys() == faces.labels.keys()
    return attacker


def auc(attacker: PixelKernel, faces: Faces) -> float:
    scores = attacker.scores(faces, Context())["gender"]
    return float(roc_auc_score(faces.labels["gender"], scores[:, 1] - scores[:, 0]))


def test_reads_all_attributes_of_unseen_people() -> None:
    scores = fitted().scores(TEST, Context())
    for name, classes in (("gender", 2), ("race", 3)):
        assert scores[name].shape == (60, classes)
        assert (scores[name].argmax(axis=1) == TEST.labels[name]).mean() > 0.9, name


def test_state_is_arrays_that_give_the_same_scores_again(tmp_path: Path) -> None:
    attacker = fitted()
    save_file(attacker.state(), tmp_path / "state.safetensors")
    twin = PixelKernel()
    twin.restore(load_file(tmp_path / "state.safetensors"))
    before, after = attacker.scores(TEST, Context()), twin.scores(TEST, Context())
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])


def test_scores_do_not_depend_on_company() -> None:
    attacker = fitted()
    many = replace(
        TEST,
        images=TEST.images.repeat(5, axis=0),
        identities=np.arange(300),
        keys=np.arange(300).astype(str),
        labels={k: v.repeat(5) for k, v in TEST.labels.items()},
    )
    whole, part = attacker.scores(many, Context()), attacker.scores(TEST, Context())
    np.testing.assert_allclose(whole["race"][::5], part["race"], atol=2e-5)
    assert attacker.scores(TEST.take(slice(0)), Context())["race"].shape == (0, 3)


@pytest.mark.slow  # renders 1,800 faces
def test_reads_gender_off_the_embedded_faces() -> None:
    from bench.datasets.synthetic import Synthetic

    dataset = Synthetic()
    train, test = (dataset.load(pool, most=1200) for pool in (ATTACK, TEST_POOL))
    attacker = PixelKernel()
    attacker.fit(train, train.labels, (train.attribute("gender"),), Context())
    assert auc(attacker, test) > 0.9


# -- codes: gender is drawn anew, so that only the code tells it -----------------------------------


def noise_faces(count: int, seed: int) -> Faces:
    """Smooth random images, in which gender is a coin."""
    rng = np.random.default_rng(seed)
    rough = rng.uniform(60, 200, (count, 6, 6, 3))
    images = np.array([cv2.resize(r, (48, 48), interpolation=cv2.INTER_CUBIC) for r in rough])
    images += rng.normal(0, 1, images.shape)
    return Faces(
        images.clip(0, 255).round().astype(np.uint8),
        np.arange(count),
        np.array([f"{seed}-{i}" for i in range(count)]),
        {"gender": rng.integers(0, 2, count).astype(np.float32)},
        (GENDER,),
    )


def coded(faces: Faces, code: str) -> Faces:
    def change(image: NDArray[np.uint8], told: bool) -> NDArray[np.uint8]:
        if code == "pattern":
            sign = np.random.default_rng(99).choice([-1, 1], image.shape)
            return (image + (sign if told else -sign)).clip(0, 255).astype(np.uint8)
        if code == "blur" and told:
            return np.asarray(cv2.GaussianBlur(image, (3, 3), 0.5))
        if code == "compression":
            quality = [cv2.IMWRITE_JPEG_QUALITY, 60 if told else 90]
            return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR))
        return image

    images = [change(i, bool(g)) for i, g in zip(faces.images, faces.labels["gender"], strict=True)]
    return replace(faces, images=np.array(images))


@pytest.mark.parametrize("code", ["pattern", "blur", "compression"])
def test_a_hidden_code_is_found_by_training_on_it(code: str) -> None:
    train, test = noise_faces(200, 1), noise_faces(100, 2)
    assert auc(fitted(coded(train, code)), coded(test, code)) > 0.95
    # Without it there is nothing to find: an AUC of 100 coins is within .15 of a half.
    assert 0.35 < auc(fitted(train), test) < 0.65


# -- edges -----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_equal_images_get_equal_scores() -> None:
    flat = replace(TRAIN, images=np.full_like(TRAIN.images, 127))
    attacker = fitted(flat)
    scores = attacker.scores(replace(TEST, images=np.full_like(TEST.images, 127)), Context())
    assert auc(attacker, TEST) == 0.5
    np.testing.assert_array_equal(scores["race"], np.zeros((60, 3)))


@pytest.mark.filterwarnings("error")
def test_grey_images_and_flat_regions_are_no_obstacle() -> None:
    def poorer(faces: Faces) -> Faces:
        grey = faces.images.mean(axis=3, keepdims=True).astype(np.uint8).repeat(3, axis=3)
        grey[:, 40:] = 0
        return replace(faces, images=grey)

    assert auc(fitted(poorer(TRAIN)), poorer(TEST)) > 0.9


def test_unknown_labels_are_left_out() -> None:
    known = np.arange(120) % 3 > 0
    labels = {k: np.where(known, v, np.nan).astype(np.float32) for k, v in TRAIN.labels.items()}
    attacker = fitted(replace(TRAIN, labels=labels))
    assert (attacker.state()["gender/dual"][~known] == 0).all()
    assert auc(attacker, TEST) > 0.9


def test_misuse_is_named() -> None:
    with pytest.raises(InputError, match="learned from faces of 48 px, got 32 px"):
        fitted().scores(tiny_faces(4, 32, attributes=ATTRIBUTES), Context())
    tiny = tiny_faces(12, 4, attributes=(GENDER,))
    with pytest.raises(InputError, match="at least 8 px"):
        PixelKernel().fit(tiny, tiny.labels, tiny.attributes, Context())
    numbers = tiny_faces(12, attributes=(GENDER, AGE))
    with pytest.raises(InputError, match="age is a number"):
        PixelKernel().fit(numbers, numbers.labels, numbers.attributes, Context())


# -- features --------------------------------------------------------------------------------------


def test_small_pixels_are_means_of_areas() -> None:
    wanted = TEST.images.reshape(60, 24, 2, 24, 2, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(small_pixels(TEST.images, 24).reshape(wanted.shape), wanted, atol=0.51)


def test_residuals_by_hand() -> None:
    images = np.full((1, 9, 9, 3), 100, np.uint8)
    images[0, 4, 4] = 116
    found = residuals(images).reshape(9, 9, 3)
    np.testing.assert_allclose(found[4, 4], 12 / (1 + 12 / 4))
    np.testing.assert_allclose(found[4, 5], -2 / (1 + 2 / 4))
    np.testing.assert_allclose(found[3, 3], -1 / (1 + 1 / 4))
    assert not found[:2].any()


@pytest.mark.parametrize(("side", "kept"), [(48, 48), (80, 80), (81, 41), (112, 56), (200, 67)])
def test_residuals_of_large_images_are_thinned_out(side: int, kept: int) -> None:
    assert residuals(np.zeros((2, side, side, 3), np.uint8)).shape == (2, 3 * kept * kept)


def test_spectra_equal_those_of_scipy() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 27, 27, 3)).astype(np.uint8)
    luma = images[:, :24, :24] @ np.array([0.299, 0.587, 0.114])
    blocks = luma.reshape(2, 3, 8, 3, 8)
    power = np.square(dctn(blocks, axes=(2, 4), norm="ortho")).mean(axis=(1, 3))
    np.testing.assert_allclose(spectra(images).reshape(2, 8, 8, 3)[..., 0], np.log(power + 1 / 12), rtol=1e-4)


def test_class_ridge_equals_the_library_and_leaves_the_kernel_alone() -> None:
    from sklearn.kernel_ridge import KernelRidge

    rng = np.random.default_rng(0)
    vectors, race = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    labels = {"race": np.where(np.arange(60) < 50, race, -1)}
    kernel = vectors @ vectors.T
    before = kernel.copy()
    found = class_ridge(kernel, tasks(labels, (RACE,), 0)[0], 0.2)
    np.testing.assert_array_equal(kernel, before)
    assert not found[50:].any()
    weights = (50 / (3 * np.bincount(race[:50])))[race[:50]]
    ridge = 0.2 * kernel[:50, :50].diagonal().mean()
    model = KernelRidge(alpha=ridge, kernel="precomputed")
    model.fit(kernel[:50, :50], 2 * np.eye(3)[race[:50]] - 1, sample_weight=weights)
    np.testing.assert_allclose(found[:50], model.dual_coef_, atol=1e-10)
