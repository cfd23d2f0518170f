"""Alignment and cropping for pretrained networks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.api import Faces, InputError
from bench.geometry import (
    ARCFACE_112,
    CELEBA_LANDMARKS,
    INTEL_128,
    SPHEREFACE_96X112,
    Alignment,
    align,
    alignment_matrices,
    celeba_box,
    opencv,
    similarities,
    warp,
)


def faces_of(images: NDArray[np.uint8], landmarks: NDArray[np.floating] | None) -> Faces:
    n = len(images)
    return Faces(
        images=images,
        identities=np.arange(n),
        keys=np.array([f"face{i}" for i in range(n)]),
        landmarks=None if landmarks is None else landmarks.astype(np.float32),
    )


def ramp(height: int, width: int) -> NDArray[np.uint8]:
    """Red grows by 1 a pixel to the right, green by 1 a pixel down."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, 128)], axis=2).astype(np.uint8)


@pytest.mark.parametrize(
    ("alignment", "published"),
    [
        (SPHEREFACE_96X112, [[0.9525, 0.0047, -36.8101], [-0.0047, 0.9525, -54.4061]]),
        (ARCFACE_112, [[0.9525, 0.0047, -28.8101], [-0.0047, 0.9525, -54.4061]]),
        (INTEL_128, [[1.164, 0.006, -39.6698], [-0.006, 1.164, -72.171]]),
    ],
)
def test_maps_from_aligned_celeba(alignment: Alignment, published: list[list[float]]) -> None:
    """The fixed affine maps published with the weights."""
    (matrix,) = alignment_matrices(np.array([CELEBA_LANDMARKS]), alignment)
    assert np.allclose(matrix, published, atol=6e-5)


@settings(max_examples=50, deadline=None)
@given(
    angle=st.floats(-3, 3),
    scale=st.floats(0.1, 10),
    shift=st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
)
def test_a_similarity_is_recovered(angle: float, scale: float, shift: tuple[float, float]) -> None:
    template = np.array(CELEBA_LANDMARKS)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = (template - shift) @ np.linalg.inv(turn).T
    (found,) = similarities(points[None], template)
    assert np.allclose(found, np.column_stack([turn, shift]), atol=1e-6)


def test_least_squares_beats_its_neighbours() -> None:
    rng = np.random.default_rng(0)
    template = np.array(CELEBA_LANDMARKS)
    points = template + rng.normal(0, 4, template.shape)

    def loss(matrix: NDArray[np.float64]) -> float:
        return float(((points @ matrix[:, :2].T + matrix[:, 2] - template) ** 2).sum())

    (best,) = similarities(points[None], template)
    for step in 1e-4 * np.vstack([np.eye(4), -np.eye(4)]):
        other = best + np.array([[step[0], -step[1], step[2]], [step[1], step[0], step[3]]])
        assert loss(other) > loss(best)


def test_whole_box_at_its_own_size_is_the_image() -> None:
    image = np.random.default_rng(0).integers(0, 256, (178, 178, 3), dtype=np.uint8)
    whole = Alignment(CELEBA_LANDMARKS, (0, 0, 178, 178), 178, 178)
    assert np.array_equal(align(faces_of(image[None], np.array([CELEBA_LANDMARKS])), whole)[0], image)


@pytest.mark.parametrize(("side", "slope"), [(180, 0.5), (90, 1.0), (45, 2.0), (25, 3.6), (16, 5.625)])
def test_pixels_land_where_they_should(side: int, slope: float) -> None:
    """A ramp stays a ramp, with the value at each output pixel's centre, enlarged or shrunk."""
    box = celeba_box(20, 60, 110, 150, side)
    (crop,) = align(faces_of(ramp(218, 178)[None], np.array([CELEBA_LANDMARKS])), box)
    centres = (np.arange(side) + 0.5) * slope - 0.5
    inner = slice(2, -2)
    assert np.abs(crop[inner, inner, 0].astype(float) - (20 + centres[None, inner])).max() <= 1
    assert np.abs(crop[inner, inner, 1].astype(float) - (60 + centres[inner, None])).max() <= 1


def test_a_box_shrinks_by_area_averages() -> None:
    image = np.random.default_rng(1).integers(0, 256, (218, 178, 3), dtype=np.uint8)
    (crop,) = align(faces_of(image[None], np.array([CELEBA_LANDMARKS])), celeba_box(34, 75, 144, 185, 55))
    expected = cv2.resize(image[75:185, 34:144], (55, 55), interpolation=cv2.INTER_AREA)
    assert np.abs(crop.astype(int) - expected).max() <= 1


def test_shrinking_has_no_moire() -> None:
    checkers = (255 * (np.indices((178, 178)).sum(axis=0) % 2)).astype(np.uint8)
    image = np.repeat(checkers[..., None], 3, axis=2)
    small = warp(image, np.array([[0.31, 0.02, 3.0], [-0.02, 0.31, 2.0]]), 40, 40)
    assert small[8:-8, 8:-8].std() < 12


def test_a_wide_box_is_squeezed_each_way_by_its_own_scale() -> None:
    box = celeba_box(20, 40, 84, 168, 32)  # 64 x 128 to 32 x 32
    (crop,) = align(faces_of(ramp(218, 178)[None], np.array([CELEBA_LANDMARKS])), box)
    assert np.abs(np.diff(crop[16, 2:-2, 0].astype(int)) - 2).max() <= 1
    assert np.abs(np.diff(crop[2:-2, 16, 1].astype(int)) - 4).max() <= 1


def test_edges_are_repeated() -> None:
    image = ramp(178, 178)
    matrix = np.array([[1.0, 0, 20], [0, 1, 30]])
    out = warp(image, matrix, 218, 228)
    assert np.array_equal(out[30:208, 20:198], image)
    assert (out[30:208, :20] == image[:, :1]).all()
    assert (out[208:, 20:198] == image[-1]).all()


def test_each_face_has_its_own_map() -> None:
    """A face that lies elsewhere, larger and turned comes out the same."""
    coarse = np.random.default_rng(2).integers(0, 256, (11, 9, 3), dtype=np.uint8)
    image = np.asarray(cv2.resize(coarse, (178, 218), interpolation=cv2.INTER_CUBIC), np.uint8)
    angle, scale = 0.3, 1.7
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shift = np.array([120.0, 20.0])
    matrix = np.column_stack([turn, shift])
    moved = np.asarray(cv2.warpAffine(image, matrix, (500, 500), flags=cv2.INTER_CUBIC), np.uint8)
    points = np.array(CELEBA_LANDMARKS)
    (straight,) = align(faces_of(image[None], points[None]), ARCFACE_112)
    faces = faces_of(np.stack([moved, moved]), np.stack([points @ turn.T + shift, points * 1.5 + 30]))
    turned, other = align(faces, ARCFACE_112)
    assert np.abs(turned.astype(int) - straight).mean() < 1
    assert np.abs(other.astype(int) - straight).mean() > 20


def test_what_cannot_be_aligned_is_refused() -> None:
    images = np.zeros((2, 64, 64, 3), np.uint8)
    with pytest.raises(InputError, match="no landmarks"):
        align(faces_of(images, None), ARCFACE_112)
    landmarks = np.tile(np.array(CELEBA_LANDMARKS), (2, 1, 1))
    landmarks[1, 3, 0] = np.nan
    with pytest.raises(InputError, match="landmarks of face1 are not finite"):
        align(faces_of(images, landmarks), ARCFACE_112)
    landmarks[1] = 5
    with pytest.raises(InputError, match="all one point"):
        align(faces_of(images, landmarks), ARCFACE_112)


def test_no_face_is_no_face() -> None:
    assert align(faces_of(np.zeros((0, 64, 64, 3), np.uint8), np.zeros((0, 5, 2))), ARCFACE_112).shape == (
        0,
        112,
        112,
        3,
    )


def test_opencv_keeps_to_one_thread() -> None:
    assert opencv().getNumThreads() == 1
