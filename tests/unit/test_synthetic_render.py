"""Rendering: the same bytes in any company, landmarks and parts that fit the picture."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench.datasets.synthetic.identities import Population, draw_population
from bench.datasets.synthetic.labels import LABELS, LANDMARKS, Part
from bench.datasets.synthetic.render import RenderedFaces, render_faces

SIZE = 64


@pytest.fixture(scope="module")
def population() -> Population:
    return draw_population(5, 40, 60)


@pytest.fixture(scope="module")
def faces(population: Population) -> RenderedFaces:
    return render_faces(population, 3, SIZE, 7)


def assert_same(one: RenderedFaces, other: RenderedFaces) -> None:
    np.testing.assert_array_equal(one.images, other.images)
    np.testing.assert_array_equal(one.parts, other.parts)
    np.testing.assert_array_equal(one.landmarks, other.landmarks)
    np.testing.assert_array_equal(one.identities, other.identities)
    for name in LABELS:
        np.testing.assert_array_equal(one.labels[name], other.labels[name])


def take(faces: RenderedFaces, rows: NDArray[np.integer]) -> RenderedFaces:
    return RenderedFaces(
        images=faces.images[rows],
        identities=faces.identities[rows],
        labels={name: values[rows] for name, values in faces.labels.items()},
        landmarks=faces.landmarks[rows],
        parts=faces.parts[rows],
    )


def test_shapes_types_and_order(faces: RenderedFaces) -> None:
    assert len(faces) == 180
    assert faces.images.shape == (180, SIZE, SIZE, 3)
    assert faces.images.dtype == np.uint8
    assert faces.parts.shape == (180, SIZE, SIZE)
    assert faces.parts.dtype == np.uint8
    assert faces.landmarks.shape == (180, len(LANDMARKS), 2)
    assert faces.landmarks.dtype == np.float32
    np.testing.assert_array_equal(faces.identities, np.repeat(np.arange(40, 100), 3))
    assert tuple(faces.labels) == LABELS


def test_same_bytes_twice(population: Population, faces: RenderedFaces) -> None:
    assert_same(faces, render_faces(population, 3, SIZE, 7))


@pytest.mark.parametrize("images", [1, 7, 16, 48])
def test_chunking_changes_no_byte(
    population: Population, faces: RenderedFaces, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.datasets.synthetic.render._PIXELS_AT_ONCE", images * SIZE * SIZE)
    rows = np.arange(images, 3 * images)
    assert_same(take(faces, rows), render_faces(population, 3, SIZE, 7, rows=rows))


def test_threads_change_no_byte(population: Population, faces: RenderedFaces) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        rows = np.arange(20)
        assert_same(take(faces, rows), render_faces(population, 3, SIZE, 7, rows=rows))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_a_subset_in_any_order_is_the_same_images(population: Population, faces: RenderedFaces) -> None:
    rows = np.random.default_rng(0).permutation(len(faces))[:41]
    assert_same(take(faces, rows), render_faces(population, 3, SIZE, 7, rows=rows))


def test_an_image_does_not_depend_on_the_number_of_images(
    population: Population, faces: RenderedFaces
) -> None:
    first_two = np.flatnonzero(np.arange(180) % 3 < 2)
    assert_same(take(faces, first_two), render_faces(population, 2, SIZE, 7))


def test_a_person_does_not_depend_on_the_pool(faces: RenderedFaces) -> None:
    pool = draw_population(5, 50, 4)
    assert_same(take(faces, np.arange(30, 42)), render_faces(pool, 3, SIZE, 7))


def test_images_differ_by_person_number_and_seed(population: Population, faces: RenderedFaces) -> None:
    assert len(np.unique(faces.images.reshape(180, -1), axis=0)) == 180
    again = render_faces(population, 1, SIZE, 8, rows=np.arange(20))
    assert not np.any(np.all(again.images == faces.images[::3][:20], axis=(1, 2, 3)))


def test_no_rows_give_no_images(population: Population) -> None:
    assert render_faces(population, 3, SIZE, 7, rows=np.array([], dtype=int)).images.shape == (
        0,
        SIZE,
        SIZE,
        3,
    )


@pytest.mark.parametrize("size", [32, 48, 128, 256])
def test_sizes_show_the_same_face(population: Population, faces: RenderedFaces, size: int) -> None:
    other = render_faces(population, 3, size, 7, rows=np.arange(4))
    assert other.images.shape == (4, size, size, 3)
    shift = (other.landmarks + 0.5) / size - (faces.landmarks[:4] + 0.5) / SIZE
    assert np.abs(shift).max() < 1e-4

    def coarse(images: NDArray[np.uint8]) -> NDArray[np.float64]:
        step = images.shape[1] // 16
        blocks = images.reshape(4, 16, step, 16, step, 3)
        means: NDArray[np.float64] = blocks.mean(axis=(2, 4))
        return means

    assert np.abs(coarse(other.images) - coarse(faces.images[:4])).mean() < 6


def test_landmarks_lie_in_their_parts(faces: RenderedFaces) -> None:
    x, y = np.rint(faces.landmarks).astype(int).transpose(2, 0, 1)
    assert ((x >= 0) & (x < SIZE) & (y >= 0) & (y < SIZE)).all()
    found = faces.parts[np.arange(len(faces))[:, None], y, x]
    expected = {0: Part.EYES, 1: Part.EYES, 2: Part.NOSE, 3: Part.MOUTH, 4: Part.MOUTH}
    for point, part in expected.items():
        near = [near_part(faces, k, x[k, point], y[k, point], part) for k in range(len(faces))]
        assert np.mean(near) > 0.95, LANDMARKS[point]
    on_face = np.isin(found, [Part.SKIN, Part.EYES, Part.NOSE, Part.MOUTH, Part.EYEBROWS, Part.HAIR])
    assert on_face.all()


def near_part(faces: RenderedFaces, k: int, x: int, y: int, part: Part) -> bool:
    return bool((faces.parts[k, max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] == part).any())


def test_eye_landmarks_are_the_middle_of_the_eyes(faces: RenderedFaces) -> None:
    """Measured against the part map of faces whose fringe leaves both eyes free."""
    columns = np.arange(SIZE)
    for k in range(60):
        middle = faces.landmarks[k, :2, 0].mean()
        eyes = faces.parts[k] == Part.EYES
        for eye, half in enumerate((columns < middle, columns >= middle)):
            rows, cols = np.nonzero(eyes & half)
            if len(rows) < 12:
                continue
            centre = np.array([cols.mean(), rows.mean()])
            assert np.abs(centre - faces.landmarks[k, eye]).max() < 2.5


def test_landmarks_stand_in_order(faces: RenderedFaces) -> None:
    left_eye, right_eye, nose, left_mouth, right_mouth = faces.landmarks.transpose(1, 0, 2)
    assert (left_eye[:, 0] < nose[:, 0]).all()
    assert (nose[:, 0] < right_eye[:, 0]).all()
    assert (left_mouth[:, 0] < right_mouth[:, 0]).all()
    assert (nose[:, 1] > np.maximum(left_eye[:, 1], right_eye[:, 1])).all()
    assert (nose[:, 1] < np.minimum(left_mouth[:, 1], right_mouth[:, 1])).all()


def test_every_part_is_where_it_belongs(faces: RenderedFaces) -> None:
    assert faces.parts.max() <= max(Part)
    height = np.arange(SIZE)[None, :, None]
    share = {part: (faces.parts == part).mean() for part in Part}
    assert all(value > 0.001 for value in share.values())
    assert 0.15 < share[Part.SKIN] < 0.55

    def mean_height(part: Part) -> float:
        mask = faces.parts == part
        return float((mask * height).sum() / mask.sum())

    order = [Part.HAIR, Part.EYEBROWS, Part.EYES, Part.NOSE, Part.MOUTH, Part.NECK_AND_CLOTHES]
    heights = [mean_height(part) for part in order]
    assert heights == sorted(heights)


def test_labels_show_in_the_pixels() -> None:
    """Smiles widen mouths, make-up reddens lips, ...: crude, but each must be visible."""
    faces = render_faces(draw_population(6, 0, 300), 1, SIZE, 2)
    images = faces.images.astype(np.float32)

    def part_mean(part: Part, channel: NDArray[np.float32]) -> NDArray[np.float32]:
        mask = faces.parts == part
        total = np.sum(channel * mask, axis=(1, 2), dtype=np.float32)
        mean: NDArray[np.float32] = total / np.maximum(mask.sum((1, 2), dtype=np.float32), 1)
        return mean

    redness = part_mean(Part.MOUTH, images[..., 0] - images[..., 1])
    mouth_size = (faces.parts == Part.MOUTH).sum((1, 2))
    eye_size = (faces.parts == Part.EYES).sum((1, 2))
    lit = images[..., 0].max((1, 2))
    assert (lit > 60).all()
    for label, measured in (
        ("heavy_makeup", redness),
        ("smiling", mouth_size),
        ("big_lips", mouth_size),
        ("narrow_eyes", -eye_size),
    ):
        on = faces.labels[label] == 1
        assert measured[on].mean() > measured[~on].mean() + 0.3 * measured.std(), label


@pytest.mark.parametrize("size", [16, 40, 65, 272])
def test_sizes_outside_the_range_are_refused(population: Population, size: int) -> None:
    with pytest.raises(ValueError, match="multiple of 16"):
        render_faces(population, 1, size, 7)


def test_bad_counts_and_rows_are_refused(population: Population) -> None:
    with pytest.raises(ValueError, match="images_per_identity"):
        render_faces(population, 0, SIZE, 7)
    with pytest.raises(ValueError, match=r"rows must lie in 0\.\.59"):
        render_faces(population, 1, SIZE, 7, rows=np.array([60]))


def test_importing_the_package_does_not_import_torch() -> None:
    code = (
        "import sys, bench.datasets.synthetic.render, bench.datasets.synthetic.identities;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
