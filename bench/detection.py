"""Finds faces and their five landmarks in photographs of any size: UltraFace, then a landmark regressor.

A photograph is shrunk (averaging over areas) into the detector's 320x240 with its aspect ratio kept, in up to
three looks:

1. The whole photograph, as large as fits.
2. The same at half that size, framed in grey, where the first look found nothing or a face that fills more
   than .7 of the frame: of such crops UltraFace misses some (2 of the 400 portraits of AT&T, 2 % of UTKFace)
   and places others badly (AT&T, all pairs: TMR at FMR 1 % .995 with the first look alone, 1.000 with both).
3. Overlapping parts of the photograph, half and a quarter as wide, where still nothing was found and the
   parts need no enlarging. Faces below some 10 px of the detector's input are missed, which is a face of 1/32
   of the width at the first look and of 1/128 here. Where the first two looks found a face, smaller ones are
   not looked for.

Landmarks come from a square crop about the box, `_SQUARE` of the box's longer side. That factor matters more
than all else that was tried (607 people of LFW's first View 2 fold, 807 photographs; the mean cosine of mated
pairs and d', the distance of mated and non-mated means in deviations, by MobileFaceNet y1):

    longer side x 1.2    .582  4.34      the box itself, stretched        .641  5.44
    longer side x 1.0    .634  5.31      the box x .9, stretched          .644  5.58
    longer side x .82    .644  5.61      x .85, mean with mirrored crop   .643  5.56
    longer side x .7     .640  5.46      x .82, second pass, upright      .641  5.46

A second pass on a crop turned upright pays for tilted faces alone (photographs turned by 35 degrees: d' 4.88
with one pass, 5.39 with two), so only faces tilted by more than `_TILTED` get one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import radians

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.geometry import opencv, similarities, warp
from bench.onnx import OnnxNetwork
from bench.weights import WeightsFolder
from bench.weights_catalogue import PRETRAINED

DETECTOR = PRETRAINED["ultraface_rfb320"].pretrained
LANDMARKS = PRETRAINED["landmarks_regression_retail_0009"].pretrained

_WIDTH, _HEIGHT = 320, 240
_GREY = 127
_MEAN, _SPREAD = np.float32(127), np.float32(128)
_SURE, _SURER, _OVERLAP = 0.7, 0.95, 0.3
"""Score from which a box is a face (in one of the many parts of a photograph: the second), and intersection
over union from which two boxes are one face."""
_FILLS, _CLOSE = 0.7, 0.25
"""Shares of the frame's height: a face that fills it, and the least that a second look may replace."""
_PARTS = (2, 4)
_VIEWS_AT_ONCE, _CROPS_AT_ONCE = 4, 64
_CROP, _SQUARE, _TILTED = 48, 0.82, radians(15)
_UPRIGHT = np.array([[0.31, 0.385], [0.69, 0.38], [0.503, 0.59], [0.345, 0.787], [0.67, 0.785]])
"""Mean landmarks in the crop, as shares of its side."""

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class FoundFaces:
    """The faces of one photograph, surest first.

    boxes: float32 (K, 4), left, top, right, bottom in pixel edges of the photograph; may reach beyond it.
    scores: float32 (K,) in [0, 1].
    landmarks: float32 (K, 5, 2), x, y in pixels, centres at integers: left eye, right eye, nose tip, left and
        right mouth corner as seen in the image.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    landmarks: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.boxes)


class FaceFinder:
    """Detector and landmark regressor on one thread; what is found in an image depends on it alone.

    Raises Unavailable, with the remedy, when one of the two files is missing or another one.
    """

    def __init__(self, weights: WeightsFolder) -> None:
        self._detector = OnnxNetwork(weights.path(DETECTOR))
        self._regressor = OnnxNetwork(weights.path(LANDMARKS))

    def find(self, images: Sequence[Image]) -> list[FoundFaces]:
        """The faces of each image, uint8 (H, W, 3) RGB of any size. Raises InputError for other arrays."""
        for image in images:
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
                raise InputError(f"a photograph must be uint8 (H, W, 3), not {image.dtype} {image.shape}")
        if not images:
            return []
        detected = self._detect(images)
        counts = [len(d.scores) for d in detected]
        boxes = np.concatenate([d.boxes for d in detected])
        landmarks = self._landmarks(images, np.repeat(np.arange(len(images)), counts), boxes)
        each = np.split(landmarks, np.cumsum(counts)[:-1])
        return [
            FoundFaces(d.boxes.astype(np.float32), d.scores.astype(np.float32), points.astype(np.float32))
            for d, points in zip(detected, each, strict=True)
        ]

    # -- boxes -------------------------------------------------------------------------------------------

    def _detect(self, images: Sequence[Image]) -> list[_Boxes]:
        found = [seen.distinct() for seen in self._look(_View(image) for image in images)]
        doubtful = [i for i, seen in enumerate(found) if not len(seen.scores) or _fills(seen, images[i])]
        again = self._look(_View(images[i], share=0.5) for i in doubtful)
        for i, seen in zip(doubtful, again, strict=True):
            found[i] = _joined(found[i], seen.distinct(), images[i])
        for i, image in enumerate(images):
            if not len(found[i].scores):
                seen = _Boxes.all([found[i], *self._look(_parts(image))])
                found[i] = seen.take(seen.scores > _SURER).distinct()
        return found

    def _look(self, views: Iterable[_View]) -> Iterator[_Boxes]:
        """Of each view the boxes whose score is above the threshold, in pixels of its photograph."""
        views = iter(views)
        while some := list(islice(views, _VIEWS_AT_ONCE)):
            canvas = np.stack([view.drawn() for view in some]).astype(np.float32)
            outputs = self._detector(((canvas - _MEAN) / _SPREAD).transpose(0, 3, 1, 2))
            for view, scores, boxes in zip(some, outputs["scores"][..., 1], outputs["boxes"], strict=True):
                sure = scores > _SURE
                corners = view.in_photograph(boxes[sure].astype(np.float64))
                yield _Boxes(corners, scores[sure].astype(np.float64))

    # -- landmarks ---------------------------------------------------------------------------------------

    def _landmarks(
        self, images: Sequence[Image], owners: NDArray[np.intp], boxes: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Float (K, 5, 2) of the faces in `boxes` (K, 4), face k in image owners[k]."""
        points = self._regress(images, owners, _square_maps(boxes))
        eyes = points[:, 1] - points[:, 0]
        tilted = np.abs(np.arctan2(eyes[:, 1], eyes[:, 0])) > _TILTED
        if tilted.any():
            upright = similarities(points[tilted], _UPRIGHT * _CROP - 0.5)
            points[tilted] = self._regress(images, owners[tilted], upright)
        return points

    def _regress(
        self, images: Sequence[Image], owners: NDArray[np.intp], maps: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Landmarks (K, 5, 2) in the images, by crops under `maps` (K, 2, 3) from image to crop."""
        points = np.empty((len(maps), 5, 2))
        for start in range(0, len(maps), _CROPS_AT_ONCE):
            rows = slice(start, start + _CROPS_AT_ONCE)
            crops = [warp(images[i], m, _CROP, _CROP) for i, m in zip(owners[rows], maps[rows], strict=True)]
            blob = np.stack(crops)[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
            (values,) = self._regressor(blob).values()
            points[rows] = values.reshape(-1, 5, 2) * _CROP - 0.5
        back = np.linalg.inv(maps[:, :, :2])
        return np.einsum("kij,kpj->kpi", back, points - maps[:, None, :, 2])


def central(found: FoundFaces, width: int, height: int) -> int | None:
    """The face that a portrait of `width` x `height` is about, or None: large, and close to the centre.

    The root of the area counts, times exp(-(distance / a quarter of the shorter side)^2): in LFW, whose
    convention this is, the face that covers the centre.
    """
    if not len(found):
        return None
    boxes = found.boxes.astype(np.float64)
    apart = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - [width / 2, height / 2], axis=1)
    size = np.sqrt(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1))
    # As logarithms, so that faces far from the centre still differ.
    return int(np.argmax(np.log(size) - (apart / (min(width, height) / 4)) ** 2))


def _square_maps(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Affine maps (K, 2, 3) from image pixels to pixels of the crop about each box."""
    scale = _CROP / (_SQUARE * (boxes[:, 2:] - boxes[:, :2]).max(axis=1))
    centres = (boxes[:, :2] + boxes[:, 2:] - 1) / 2
    maps = scale[:, None, None] * np.eye(2, 3)
    maps[:, :, 2] = (_CROP - 1) / 2 - scale[:, None] * centres
    return maps


# -- views -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _View:
    """A part of a photograph in the middle of the detector's frame, scaled evenly.

    image: the part. left, top: where it lies in the photograph. share: how much of the frame it may take.
    """

    image: Image
    left: int = 0
    top: int = 0
    share: float = 1.0

    @property
    def _size(self) -> tuple[int, int]:
        height, width = self.image.shape[:2]
        scale = self.share * min(_WIDTH / width, _HEIGHT / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def drawn(self) -> Image:
        cv2 = opencv()
        width, height = self._size
        shrinks = width < self.image.shape[1]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        canvas = np.full((_HEIGHT, _WIDTH, 3), _GREY, np.uint8)
        x, y = (_WIDTH - width) // 2, (_HEIGHT - height) // 2
        small = cv2.resize(np.ascontiguousarray(self.image), (width, height), interpolation=interpolation)
        canvas[y : y + height, x : x + width] = small
        return canvas

    def in_photograph(self, boxes: NDArray[np.float64]) -> NDArray[np.float64]:
        """Boxes (K, 4), given as shares of the frame, in pixels of the photograph."""
        width, height = self._size
        x, y = (_WIDTH - width) // 2, (_HEIGHT - height) // 2
        scale = np.array([self.image.shape[1] / width, self.image.shape[0] / height] * 2)
        corners = boxes * [_WIDTH, _HEIGHT, _WIDTH, _HEIGHT] - [x, y, x, y]
        moved: NDArray[np.float64] = corners * scale + [self.left, self.top, self.left, self.top]
        return moved


def _parts(image: Image) -> Iterator[_View]:
    """Parts a half and a quarter as wide and high, overlapping by half, where each fills the frame."""
    height, width = image.shape[:2]
    for number in _PARTS:
        part_width, part_height = width // number, height // number
        if part_width < _WIDTH and part_height < _HEIGHT:
            continue
        for top in np.linspace(0, height - part_height, 2 * number - 1).astype(int):
            for left in np.linspace(0, width - part_width, 2 * number - 1).astype(int):
                yield _View(image[top : top + part_height, left : left + part_width], int(left), int(top))


# -- boxes -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Boxes:
    """boxes: (K, 4), left, top, right, bottom. scores: (K,)."""

    boxes: NDArray[np.float64]
    scores: NDArray[np.float64]

    @classmethod
    def all(cls, parts: Iterable[_Boxes]) -> _Boxes:
        """Those of several, by falling score."""
        several = list(parts)
        boxes, scores = (
            np.concatenate([p.boxes for p in several]),
            np.concatenate([p.scores for p in several]),
        )
        order = np.argsort(-scores, kind="stable")
        return cls(boxes[order], scores[order])

    def take(self, rows: NDArray[np.bool_] | list[int]) -> _Boxes:
        return _Boxes(self.boxes[rows], self.scores[rows])

    def distinct(self) -> _Boxes:
        """One box a face, by falling score: those that overlap a surer one are left out."""
        ordered, kept = _Boxes.all([self]), list[int]()
        for i, box in enumerate(ordered.boxes):
            if not _overlaps(box, ordered.boxes[kept]):
                kept.append(i)
        return ordered.take(kept)


def _overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether the intersection of `box` with one of `others` (K, 4) is too much of their union."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = np.prod(others[:, 2:] - others[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    return bool((common > _OVERLAP * (areas - common)).any())


def _heights(seen: _Boxes, image: Image) -> NDArray[np.float64]:
    """Of boxes, as shares of the frame's height at the first look."""
    height, width = image.shape[:2]
    return np.asarray(np.diff(seen.boxes[:, 1::2])[:, 0] * min(_WIDTH / width, _HEIGHT / height) / _HEIGHT)


def _fills(seen: _Boxes, image: Image) -> bool:
    return bool((_heights(seen, image) > _FILLS).any())


def _joined(first: _Boxes, second: _Boxes, image: Image) -> _Boxes:
    """Both looks: of close faces the second one's box, of small ones the first one's."""
    if not len(first.scores):
        return second
    close = second.take(_heights(second, image) > _CLOSE)
    alone = [i for i, box in enumerate(first.boxes) if not _overlaps(box, close.boxes)]
    return _Boxes.all([close, first.take(alone)])
