"""Brings faces into the frame that a network was trained on: similarity from five landmarks, then a box.

Points are x, y in pixels with pixel centres at integers; boxes are (left, top, right, bottom) in pixel
edges, so that (0, 0, W, H) is a whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import ceil
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.faces import Faces

Points = tuple[tuple[float, float], ...]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Alignment:
    """How a network wants a face.

    landmarks: where the five landmarks of `Faces` shall lie in a reference frame.
    box: the part of that frame the network sees. width, height: pixels it is resampled to.
    """

    landmarks: Points
    box: Box
    width: int
    height: int


CELEBA_LANDMARKS: Points = (
    (69.53, 112.49),
    (107.47, 112.48),
    (87.97, 134.29),
    (71.21, 152.99),
    (105.85, 152.98),
)
"""Mean landmarks of the aligned 178x218 images of CelebA, over 779 images, by dlib's 68-point model."""

_SPHEREFACE: Points = (
    (30.2946, 51.6963),
    (65.5318, 51.5014),
    (48.0252, 71.7366),
    (33.5493, 92.3655),
    (62.7299, 92.2041),
)
_INTEL: Points = (
    (0.31556875, 0.46157410),
    (0.68262292, 0.45983393),
    (0.50026250, 0.64050535),
    (0.34947187, 0.82469195),
    (0.65343644, 0.82325080),
)

SPHEREFACE_96X112 = Alignment(_SPHEREFACE, (0, 0, 96, 112), 96, 112)
"""Template of SphereFace (Liu et al., CVPR 2017)."""

ARCFACE_112 = Alignment(tuple((x + 8, y) for x, y in _SPHEREFACE), (0, 0, 112, 112), 112, 112)
"""Template of ArcFace (Deng et al., CVPR 2019): SphereFace's, 8 px wider on either side."""

INTEL_128 = Alignment(tuple((128 * x, 128 * y) for x, y in _INTEL), (0, 0, 128, 128), 128, 128)
"""Template of Intel's face-reidentification-retail-0095."""

CELEBA_FACE_BOX: Box = (47.2, 65.2, 130.7, 183.9)
"""Where a detector sees the face in aligned 178x218 CelebA: mean box of UltraFace over 600 images."""

_OPENFACE: Points = (
    (0.27737, 0.16728),
    (0.70615, 0.15900),
    (0.49209, 0.42211),
    (0.30711, 0.64185),
    (0.69541, 0.63414),
)

OPENFACE_96 = Alignment(tuple((96 * x, 96 * y) for x, y in _OPENFACE), (0, 0, 96, 96), 96, 96)
"""Five points of the 68-point mean face of OpenFace (its `align_dlib.py`), which spans the image from the
outermost point to the outermost: centres of the eyes' six points, tip of the nose, corners of the mouth."""

_DLIB: Points = ((47.55, 46.60), (100.48, 46.60), (74.01, 76.56), (50.41, 103.02), (97.61, 103.02))

DLIB_150 = Alignment(_DLIB, (0, 0, 150, 150), 150, 150)
"""dlib's face chip of 150 px with a padding of .25: where its mean face of 68 points has the centres of the
eyes' six points, the tip of the nose and the corners of the mouth."""

CASIANET_96 = Alignment(ARCFACE_112.landmarks, (2.24, 2.24, 109.76, 109.76), 96, 96)
"""The centre of 96 from faces of 100 px, as DR-GAN takes them (Tran et al., CVPR 2017); where the landmarks
lie in those the paper does not say: ArcFace's template stands in."""


def celeba_box(left: float, top: float, right: float, bottom: float, side: int) -> Alignment:
    """A box of the aligned 178x218 CelebA frame, brought to `side` x `side`."""
    return Alignment(CELEBA_LANDMARKS, (left, top, right, bottom), side, side)


VGGFACE2_224 = celeba_box(41.4, 77.0, 136.4, 172.0, side=224)
"""The crop of VGGFace2 (Cao et al., FG 2018): `CELEBA_FACE_BOX` 1.3 times as wide and high, scaled until its
shorter side is 256, of that the central 224."""

FACENET_160 = celeba_box(32.7, 50.7, 145.2, 198.4, side=160)
"""The crop on which FaceNet's weights were validated on LFW (davidsandberg/facenet: detector box, a margin of
32 px in photographs of 250 px, stretched to 160): `CELEBA_FACE_BOX` with that margin, scaled by the distance
of the eyes."""


def align(faces: Faces, alignment: Alignment) -> NDArray[np.uint8]:
    """Faces as `alignment` wants them: uint8 (N, height, width, 3), RGB.

    Pixels outside an image repeat its edge. Shrinking averages over the area, enlarging is bicubic.
    Raises InputError when landmarks are missing or not finite.
    """
    if faces.landmarks is None:
        raise InputError("these faces have no landmarks, which alignment for pretrained networks needs")
    lost = ~np.isfinite(faces.landmarks).all(axis=(1, 2))
    if lost.any():
        raise InputError(f"landmarks of {faces.keys[lost][0]} are not finite; leave the face out")
    matrices = alignment_matrices(faces.landmarks, alignment)
    out = np.empty((len(faces), alignment.height, alignment.width, 3), np.uint8)
    for image, matrix, target in zip(faces.images, matrices, out, strict=True):
        target[:] = warp(image, matrix, alignment.width, alignment.height)
    return out


def alignment_matrices(landmarks: NDArray[np.floating], alignment: Alignment) -> NDArray[np.float64]:
    """Affine maps (N, 2, 3) from image pixels to pixels of the aligned face, from `landmarks` (N, 5, 2)."""
    to_frame = similarities(landmarks, np.array(alignment.landmarks))
    left, top, right, bottom = alignment.box
    scale = np.array([alignment.width / (right - left), alignment.height / (bottom - top)])
    origin = np.array([left, top]) - 0.5
    matrices: NDArray[np.float64] = to_frame * scale[:, None]
    matrices[:, :, 2] -= origin * scale + 0.5
    return matrices


def similarities(points: NDArray[np.floating], template: NDArray[np.floating]) -> NDArray[np.float64]:
    """Least-squares similarities (rotation, uniform scale, shift; no mirroring): (N, 2, 3).

    points: (N, K, 2), mapped to template: (K, 2). With x, y read as x + iy the map is z -> az + b, a linear
    regression in one complex unknown, so all N are solved at once.
    """
    source = points[..., 0].astype(np.float64) + 1j * points[..., 1].astype(np.float64)
    target = template[:, 0] + 1j * template[:, 1]
    centred = source - source.mean(axis=1, keepdims=True)
    spread = (np.abs(centred) ** 2).sum(axis=1)
    if (spread == 0).any():
        raise InputError("the landmarks of a face are all one point; it cannot be aligned")
    a = (centred.conj() @ (target - target.mean())) / spread
    b = target.mean() - a * source.mean(axis=1)
    rows = np.stack([a.real, -a.imag, b.real, a.imag, a.real, b.imag], axis=1)
    matrices: NDArray[np.float64] = rows.reshape(-1, 2, 3)
    return matrices


def warp(image: NDArray[np.uint8], matrix: NDArray[np.float64], width: int, height: int) -> NDArray[np.uint8]:
    """`image` (H, W, 3) under the affine map `matrix` (2, 3): uint8 (height, width, 3)."""
    cv2 = opencv()
    # One output pixel covers 1 / scale input pixels: sample that many times in it, then take the mean.
    step = np.linalg.norm(np.linalg.inv(matrix[:, :2]), axis=0)
    fold_x, fold_y = (max(1, ceil(s - 1e-6)) for s in step)
    if fold_x == fold_y == 1:
        return _sample(image, matrix, width, height, cv2.INTER_CUBIC)
    fold = np.array([fold_x, fold_y], np.float64)
    fine = matrix * fold[:, None]
    fine[:, 2] += (fold - 1) / 2
    sampled = _sample(image, fine, width * fold_x, height * fold_y, cv2.INTER_LINEAR)
    averaged: NDArray[np.uint8] = cv2.resize(sampled, (width, height), interpolation=cv2.INTER_AREA)
    return averaged


def _sample(
    image: NDArray[np.uint8], matrix: NDArray[np.float64], width: int, height: int, interpolation: int
) -> NDArray[np.uint8]:
    cv2 = opencv()
    sampled: NDArray[np.uint8] = cv2.warpAffine(
        image, matrix, (width, height), flags=interpolation, borderMode=cv2.BORDER_REPLICATE
    )
    return sampled


@cache
def opencv() -> ModuleType:
    """OpenCV, kept to one thread: the harness runs one process a core."""
    import cv2

    cv2.setNumThreads(1)
    return cv2  # type: ignore[no-any-return,unused-ignore]
