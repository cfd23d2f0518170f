"""Cuts a face out of a photograph so that it lies where the faces of CelebA lie in their square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.geometry import Alignment, alignment_matrices, celeba_box, opencv, warp

Landmarks = NDArray[np.float32]
"""(5, 2): x, y of left eye, right eye, nose tip and mouth corners as seen in the picture."""


def canonical(size: int) -> Alignment:
    """The square of rows 20 to 198 of the aligned 178x218 CelebA frame, at `size` px a side."""
    return celeba_box(0, 20, 178, 198, size)


def framed(photo: NDArray[np.uint8], landmarks: Landmarks, size: int) -> tuple[NDArray[np.uint8], Landmarks]:
    """The face uint8 (size, size, 3) by one similarity from its five landmarks, and where they went.

    Raises InputError when the landmarks are all one point.
    """
    matrix = alignment_matrices(landmarks[None], canonical(size))[0]
    moved = landmarks.astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
    return warp(photo, matrix, size, size), moved.astype(np.float32)


def centre_square(photo: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """The middle of a photograph in which no face was found: uint8 (size, size, 3)."""
    cv2 = opencv()
    side = min(photo.shape[:2])
    top, left = (photo.shape[0] - side) // 2, (photo.shape[1] - side) // 2
    square = np.ascontiguousarray(photo[top : top + side, left : left + side])
    interpolation = cv2.INTER_AREA if size < side else cv2.INTER_CUBIC
    resized: NDArray[np.uint8] = cv2.resize(square, (size, size), interpolation=interpolation)
    return resized
