"""NIQE against pyiqa, and by itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import InputError
from bench.metrics.niqe import FEATURES, features, luma, niqe


def parameters() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A mean and a covariance of the size that natural images have."""
    rng = np.random.default_rng(5)
    root = rng.normal(0, 0.1, (FEATURES, 2 * FEATURES))
    return rng.uniform(0.1, 2, FEATURES), root @ root.T


def natural(count: int, height: int = 224, width: int = 224) -> NDArray[np.uint8]:
    """Smooth surfaces with edges and noise."""
    rng = np.random.default_rng(6)
    images = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        image = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float64)
        image[rng.integers(20, 100) :, rng.integers(20, 100) :] *= 0.6
        images.append(np.clip(image + rng.normal(0, 3, image.shape), 0, 255))
    return np.stack(images).astype(np.uint8)


def flat_regions() -> NDArray[np.uint8]:
    images = natural(3)
    images[:, :, :60], images[:, 150:] = 255, 0
    return images


def one_flat_block() -> NDArray[np.uint8]:
    images = natural(3)
    images[:, :110, :110] = 137
    return images


def blocks_of_one_colour() -> NDArray[np.uint8]:
    return np.stack(
        [cv2.resize(i[::16, ::16], (224, 224), interpolation=cv2.INTER_NEAREST) for i in natural(3)]
    )


def blurred() -> NDArray[np.uint8]:
    return np.stack([cv2.GaussianBlur(i, (0, 0), 3) for i in natural(3)])


def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "images",
    [
        natural(4),
        natural(2, 300, 200),
        noise(),
        blurred(),
        flat_regions(),
        one_flat_block(),
        blocks_of_one_colour(),
    ],
    ids=["natural", "oblong", "noise", "blurred", "flat regions", "flat block", "pixelated"],
)
def test_as_pyiqa(images: NDArray[np.uint8]) -> None:
    import torch
    from pyiqa.archs.niqe_arch import calculate_niqe

    mean, covariance = parameters()
    tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    expected = calculate_niqe(
        tensor, mu_pris_param=torch.from_numpy(mean), cov_pris_param=torch.from_numpy(covariance)
    ).numpy()
    assert np.allclose(niqe(images, mean, covariance), expected, rtol=1e-5, atol=0)


def test_the_distance_of_a_gaussian_from_itself_is_nothing() -> None:
    image = natural(1)
    own = features(luma(image[0]))
    covariance = np.cov(own, rowvar=False) + 1e-3 * np.eye(FEATURES)
    near = niqe(image, own.mean(axis=0), covariance)[0]
    assert near == pytest.approx(0, abs=1e-9)
    assert niqe(image, own.mean(axis=0) + 0.1, covariance)[0] > 1


def test_images_do_not_influence_each_other() -> None:
    images, (mean, covariance) = natural(4), parameters()
    alone = np.concatenate([niqe(images[i : i + 1], mean, covariance) for i in range(4)])
    assert np.array_equal(niqe(images, mean, covariance), alone)


def test_what_is_left_over_is_ignored() -> None:
    images, (mean, covariance) = natural(1, 224, 224), parameters()
    changed = images.copy()
    changed[:, 192:], changed[:, :, 192:] = 0, 255
    assert np.array_equal(niqe(images, mean, covariance), niqe(changed, mean, covariance))


def test_a_flat_image_has_no_niqe() -> None:
    assert np.isnan(niqe(np.full((1, 224, 224, 3), 90, np.uint8), *parameters())).all()


def test_no_images() -> None:
    assert niqe(np.zeros((0, 224, 224, 3), np.uint8), *parameters()).shape == (0,)


def test_luma_of_grey_is_grey() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(luma(ramp)[0], np.arange(256))


@pytest.mark.parametrize("shape", [(1, 191, 224, 3), (1, 224, 191, 3), (224, 224, 3), (1, 224, 224, 1)])
def test_too_small_or_no_rgb_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="192 px"):
        niqe(np.zeros(shape, np.uint8), *parameters())


def test_other_parameters_are_refused() -> None:
    mean, covariance = parameters()
    with pytest.raises(InputError, match="parameters"):
        niqe(natural(1), mean[:18], covariance)
