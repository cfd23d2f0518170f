"""Drawn photographs for the tests of `bench.user_photos`, and a finder that knows how they were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.detection import FoundFaces
from bench.faces import GENDER
from bench.stages.faces import attribute_params
from bench.store import digest
from bench.user_photos.frame import Frame
from bench.user_photos.photo import PhotoProtector
from bench.user_photos.recipe import Recipe

Image = NDArray[np.uint8]

PLACES = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.6], [0.38, 0.75], [0.62, 0.75]])
"""Landmarks of a drawn face, as shares of its side."""


def picture(width: int = 200, height: int = 150, *faces: tuple[int, int, int]) -> Image:
    """A greenish ground with red faces at (left, top, side), striped so that every method changes them."""
    rows, columns = np.indices((height, width))
    image = np.stack([rows % 40, 90 + columns % 60, rows % 50], axis=-1).astype(np.uint8)
    for left, top, side in faces:
        part = image[top : top + side, left : left + side]
        stripes = (np.indices(part.shape[:2]).sum(axis=0) // 4 % 2).astype(np.uint8)
        part[:] = np.stack([200 + 50 * stripes, 30 * stripes, 20 * stripes], axis=-1)
    return image


class DrawnFinder:
    """Finds the red faces of `picture`; keeps the shapes of what it was shown."""

    def __init__(self) -> None:
        self.shown: list[tuple[int, ...]] = []

    def find(self, images: Sequence[Image]) -> list[FoundFaces]:
        self.shown += [image.shape for image in images]
        return [self._one(image) for image in images]

    def _one(self, image: Image) -> FoundFaces:
        red = (image[..., 0].astype(int) - image[..., 1] > 90).astype(np.uint8)
        red = cv2.morphologyEx(red, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
        _, _, stats, _ = cv2.connectedComponentsWithStats(red)
        left_top, size = stats[1:, :2].astype(np.float32), stats[1:, 2:4].astype(np.float32)
        landmarks = left_top[:, None] + PLACES * size[:, None] - 0.5
        scores = np.ones(len(size), np.float32)
        return FoundFaces(np.hstack([left_top, left_top + size]), scores, landmarks.astype(np.float32))


def recipe(tmp_path: Path, method: str = "blur", variant: str = "default", **other: Any) -> Recipe:
    """A recipe of a method that learns nothing, for faces of 48 px."""
    values: dict[str, Any] = {
        "params": {
            "method": method,
            "settings": {},
            "attributes": attribute_params([GENDER]),
            "part": "",
            "variant": variant,
        },
        "variant": variant,
        "store": tmp_path / "store",
        "fit": "",
        "weights": "",
        "frame": Frame(48, (0.2 + 0.6 * PLACES) * 48),
        "told": (),
        "needed": (),
        "folder": None,
        "seed": 0,
        "device": "cpu",
        "paste": False,
    } | other
    settings = {k: str(values[k]) for k in ("params", "variant", "told", "needed", "paste", "seed")}
    return Recipe(**values, settings=digest(settings))


def open_drawn_finder(_: Recipe) -> DrawnFinder:
    return DrawnFinder()


def protector(made: Recipe, source: Path, target: Path) -> PhotoProtector:
    return PhotoProtector(made, source, target, DrawnFinder())
