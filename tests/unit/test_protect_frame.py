"""Faces out of a photograph and back into it."""

from __future__ import annotations

import numpy as np
import pytest
from photo_folder import PLACES, picture

from bench.user_photos.frame import Frame, moved

FRAME = Frame(64, (0.2 + 0.6 * PLACES) * 64)


def landmarks(left: float, top: float, side: float, turn: float = 0.0) -> np.ndarray:
    angle = np.radians(turn)
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points: np.ndarray = ((PLACES - 0.5) @ rotation.T + 0.5) * side + [left, top] - 0.5
    return points[None]


@pytest.mark.parametrize("turn", [0.0, 25.0])
@pytest.mark.parametrize("side", [30, 200])
def test_landmarks_go_where_the_frame_wants_them(side: int, turn: float) -> None:
    points = landmarks(40, 30, side, turn)
    there = moved(points, FRAME.maps(points))
    assert np.abs(there[0] - FRAME.landmarks).max() <= 0.35


@pytest.mark.parametrize(("side", "turn"), [(30, 0.0), (120, 0.0), (90, 20.0)])
def test_what_was_cut_fits_where_it_was(side: int, turn: float) -> None:
    """A smooth picture: cut and put back, hardly a pixel differs."""
    rows, columns = np.indices((240, 260))
    photo = np.stack([rows / 2, columns / 2, (rows + columns) / 3], axis=-1).astype(np.uint8)
    (to_frame,) = FRAME.maps(landmarks(80, 60, side, turn))
    after = photo.copy()
    FRAME.paste(after, FRAME.cut(photo, to_frame), to_frame)
    assert np.abs(after.astype(int) - photo).max() <= 2


def test_the_middle_is_replaced_the_outside_untouched_the_border_between() -> None:
    photo = picture(300, 300)
    (to_frame,) = FRAME.maps(landmarks(100, 100, 90))
    before = photo.copy()
    FRAME.paste(photo, np.full((64, 64, 3), 255, np.uint8), to_frame)
    rows, columns = np.indices((300, 300))
    centre = np.linalg.inv(to_frame[:, :2]) @ (np.array([31.5, 31.5]) - to_frame[:, 2])
    radius = 32 / np.linalg.norm(to_frame[:, 0])
    distance = np.hypot(columns - centre[0], rows - centre[1]) / radius
    assert (photo[distance < 0.74] == 255).all()
    assert np.array_equal(photo[distance > 1.01], before[distance > 1.01])
    between = photo[(distance > 0.8) & (distance < 0.95)]
    assert ((between > 60) & (between < 255)).any()


def test_large_photographs_are_pasted_in_bands_without_seams() -> None:
    photo = np.zeros((1500, 1400, 3), np.uint8)
    (to_frame,) = FRAME.maps(landmarks(200, 250, 900))
    ramp = np.repeat(np.linspace(50, 250, 64)[:, None], 64, axis=1).astype(np.uint8)
    FRAME.paste(photo, np.repeat(ramp[..., None], 3, axis=2), to_frame)
    column = photo[600:1100, 650, 0].astype(int)
    assert np.diff(column).min() >= 0
    assert np.diff(column).max() <= 1


@pytest.mark.parametrize(("left", "top"), [(-60, 50), (180, 120), (-500, -500)])
def test_faces_at_and_beyond_the_border(left: int, top: int) -> None:
    photo = picture(200, 150)
    (to_frame,) = FRAME.maps(landmarks(left, top, 80))
    assert FRAME.cut(photo, to_frame).shape == (64, 64, 3)
    after = photo.copy()
    FRAME.paste(after, np.full((64, 64, 3), 255, np.uint8), to_frame)
    assert (after.shape, after.dtype) == (photo.shape, np.uint8)
    assert np.array_equal(after, photo) == (left == -500)


def test_blackened_to_the_edges_of_the_frame() -> None:
    photo = np.full((300, 300, 3), 200, np.uint8)
    (to_frame,) = FRAME.maps(landmarks(100, 100, 90, turn=10))
    FRAME.black_out(photo, to_frame)
    assert (FRAME.cut(photo, to_frame)[1:-1, 1:-1] == 0).all()
    assert (photo[:50] == 200).all()
    assert set(np.unique(photo)) == {0, 200}
