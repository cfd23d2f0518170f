"""Finds faces and their five landmarks with dlib: gradient histograms, then 68 points by regression trees.

King, Dlib-ml, JMLR 2009; Kazemi and Sullivan, One Millisecond Face Alignment, CVPR 2014, on 300-W, which is
for non-commercial use. The extra `dlib` installs both; `bench.detection` needs no extra.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.detection import FoundFaces
from bench.errors import InputError
from bench.weights import WeightsFolder, pretrained_file
from bench.weights_catalogue import PRETRAINED

LANDMARKS_68 = PRETRAINED["dlib_landmarks_68"].pretrained

_ENLARGED = 1
"""How often the picture is doubled first: the detector sees faces from 80 px on, so from 40 px."""
_FIVE = (slice(36, 42), slice(42, 48), slice(30, 31), slice(48, 49), slice(54, 55))
"""Points of the eyes, whose means count, of the nose tip and of the mouth corners, as seen in the photo."""


class DlibFinder:
    """As `bench.detection.FaceFinder`, frontal faces only; what is found in an image depends on it alone.

    Raises Unavailable, with the remedy, when the extra is not installed or its file is another one.
    """

    def __init__(self, weights: WeightsFolder | None) -> None:
        path = pretrained_file(LANDMARKS_68, weights)
        import dlib

        self._detector: Any = dlib.get_frontal_face_detector()
        self._regressor: Any = dlib.shape_predictor(str(path))

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[FoundFaces]:
        """The faces in each RGB image uint8 (H, W, 3); scores are the detector's margins, from 0 up.

        Raises InputError for anything else.
        """
        return [self._found(image) for image in images]

    def _found(self, image: NDArray[np.uint8]) -> FoundFaces:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"photographs must be uint8 (H, W, 3), got {image.dtype} {image.shape}")
        picture = np.ascontiguousarray(image)
        places, scores, _ = self._detector.run(picture, _ENLARGED, 0.0)
        # dlib counts the last pixel in.
        boxes = [(p.left(), p.top(), p.right() + 1, p.bottom() + 1) for p in places]
        landmarks = [self._five(picture, place) for place in places]
        return FoundFaces(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.array(scores, np.float32),
            np.array(landmarks, np.float32).reshape(-1, 5, 2),
        )

    def _five(self, picture: NDArray[np.uint8], place: Any) -> list[NDArray[np.float64]]:
        found = np.array([(p.x, p.y) for p in self._regressor(picture, place).parts()], np.float64)
        return [found[points].mean(axis=0) for points in _FIVE]
