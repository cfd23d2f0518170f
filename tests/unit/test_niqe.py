"""NIQE against pyiqa, and by itself."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from bench.errors import InputError, MetricError
from bench.metrics.niqe import (
    FEATURES,
    MIN_BLOCKS,
    block_for,
    features,
    fit_niqe,
    luma,
    matlab_luma,
    niqe,
)


def parameters() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A mean and a covariance of the size that natural images have."""
    rng = np.random.default_rng(5)
    root = rng.normal(0, 0.1, (FEATURES, 2 * FEATURES))
    return rng.uniform(0.1, 2, FEATURES), root @ root.T


def decided(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same without colours whose luma lies half-way between two whole numbers, or nearly so: how single
    precision rounds these depends on the processor. Their blue goes one up or down."""
    red, green, blue = np.moveaxis(images.astype(np.int64), -1, 0)
    plain = (299 * red + 587 * green + 114 * blue) % 1000 == 500
    matlab = abs((65_481 * red + 128_553 * green + 24_966 * blue) % 255_000 - 127_500) < 1000
    found = images.copy()
    found[..., 2] += np.where(plain | matlab, np.where(blue < 128, 1, 255), 0).astype(np.uint8)
    return decided(found) if (plain | matlab).any() else found


def natural(count: int, height: int = 224, width: int = 224) -> NDArray[np.uint8]:
    """Smooth surfaces with edges and noise."""
    rng = np.random.default_rng(6)
    images = []
    for _ in range(count):
        coarse = rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)
        image = np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float64)
        image[rng.integers(20, 100) :, rng.integers(20, 100) :] *= 0.6
        images.append(np.clip(image + rng.normal(0, 3, image.shape), 0, 255))
    return decided(np.stack(images).astype(np.uint8))


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
    images = decided(images)
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


# -- the form of PIRM --------------------------------------------------------------------------------


@pytest.mark.parametrize("images", [natural(3), noise()], ids=["natural", "noise"])
def test_without_a_border_on_matlabs_luma_as_pyiqa(images: NDArray[np.uint8]) -> None:
    import torch
    from pyiqa.archs.niqe_arch import calculate_niqe

    mean, covariance = parameters()
    images = decided(images)
    expected = calculate_niqe(
        torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255,
        crop_border=4,
        color_space="ycbcr",
        mu_pris_param=torch.from_numpy(mean),
        cov_pris_param=torch.from_numpy(covariance),
    ).numpy()
    found = niqe(images, mean, covariance, crop=4, grey=matlab_luma)
    assert np.allclose(found, expected, rtol=1e-5, atol=0)
    assert not np.allclose(found, niqe(images, mean, covariance), rtol=1e-3)


@pytest.mark.parametrize(
    ("mine", "space", "weights", "one"),
    [
        (luma, "yiq", (299, 587, 114), 1000),
        (matlab_luma, "ycbcr", (65_481, 128_553, 24_966), 255_000),
    ],
)
def test_luma_as_pyiqas_but_for_colours_half_way_between_two(mine, space, weights, one):  # type: ignore[no-untyped-def]
    import torch
    from pyiqa.utils.color_util import to_y_channel

    colours = np.random.default_rng(0).integers(0, 256, (1, 500, 500, 3), dtype=np.uint8)
    tensor = torch.from_numpy(colours).permute(0, 3, 1, 2).float() / 255
    theirs = to_y_channel(tensor, 255, space).numpy()[0, 0]
    found = mine(colours[0])
    from_half_way = abs(colours[0].astype(np.int64) @ weights % one - one // 2)
    assert np.array_equal(found[from_half_way > one // 250], theirs[from_half_way > one // 250])
    assert abs(found - theirs).max() <= 1


def test_the_ends_of_luma() -> None:
    black, white = np.zeros((1, 1, 3), np.uint8), np.full((1, 1, 3), 255, np.uint8)
    assert (luma(black), luma(white)) == (0, 255)
    assert (matlab_luma(black), matlab_luma(white)) == (16, 235)
    half_way = np.array([[[0, 0, 250]]], np.uint8)  # 28.5
    assert luma(half_way) == 29


# -- models fitted on images at hand -----------------------------------------------------------------


@pytest.mark.parametrize("block", [32, 48])
def test_other_blocks_as_pyiqa(block: int) -> None:
    import torch
    from pyiqa.archs.niqe_arch import niqe as referee

    images, (mean, covariance) = natural(3, 110, 100), parameters()
    expected = referee(
        torch.from_numpy(np.stack([luma(i) for i in images]))[:, None],
        torch.from_numpy(mean).repeat(3, 1),
        torch.from_numpy(covariance).repeat(3, 1, 1),
        block_size_h=block,
        block_size_w=block,
    ).numpy()
    assert np.allclose(niqe(images, mean, covariance, block=block), expected, rtol=1e-5, atol=0)


def test_a_model_is_the_gaussian_of_the_sharp_blocks_alone() -> None:
    """Each image has one half without detail beyond faint noise, which must not count."""
    images = (natural(MIN_BLOCKS, 64, 64) // 16 + 120).astype(np.uint8)
    sharp = np.random.default_rng(1).normal(0, 25, images[:, :, :32].shape)
    images[:, :, :32] = np.clip(images[:, :, :32] + sharp, 0, 255).astype(np.uint8)
    every = np.stack([features(luma(i), 32) for i in images])
    model = fit_niqe(images, 32)
    kept = every[:, :2].reshape(-1, FEATURES)  # blocks go column by column, so the left half comes first
    assert model.n_blocks == 2 * len(images)
    assert np.allclose(model.mean, kept.mean(axis=0))
    assert np.allclose(model.covariance, np.cov(kept, rowvar=False))
    lenient = fit_niqe(images, 32, sharpness=0)
    assert lenient.n_blocks == 4 * len(images)


def test_a_model_knows_its_own_images_from_damaged_ones() -> None:
    images = natural(60, 96, 96)
    model = fit_niqe(images[:40], block_for(96))
    plain = niqe(images[40:], model.mean, model.covariance, block=model.block)
    soft = np.stack([cv2.GaussianBlur(i, (0, 0), 2) for i in images[40:]])
    assert (niqe(soft, model.mean, model.covariance, block=model.block) > plain).all()


@pytest.mark.parametrize(
    ("side", "block"), [(64, 32), (112, 56), (191, 94), (192, 96), (224, 96), (999, 96), (35, 16), (31, 0)]
)
def test_two_blocks_fit_into_every_side(side: int, block: int) -> None:
    assert block_for(side) == block
    assert 2 * block <= side


def test_too_few_blocks_make_no_model() -> None:
    with pytest.raises(MetricError, match=f"a model needs {MIN_BLOCKS}"):
        fit_niqe(natural(3, 64, 64), 32)
    with pytest.raises(MetricError, match="0 sharp blocks"):
        fit_niqe(np.full((100, 64, 64, 3), 90, np.uint8), 32)
    with pytest.raises(InputError, match="do not fit"):
        fit_niqe(natural(3, 64, 64), 34)
