"""Drawn photographs in publishers' layouts, and a stand-in for the detector."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.api import Faces
from bench.components.dataset import Dataset
from bench.detection import FoundFaces

PLACES = np.array([(0.39, 0.42), (0.61, 0.42), (0.5, 0.55), (0.41, 0.66), (0.59, 0.66)])
"""Where the drawn faces have their landmarks, as shares of the picture."""


def drawn(name: str, width: int = 120, height: int = 140) -> NDArray[np.uint8]:
    """RGB picture that differs from name to name."""
    rng = np.random.default_rng(crc32(name.encode()))
    coarse = rng.integers(40, 256, (5, 5, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(picture: NDArray[np.uint8], ending: str = ".jpg") -> bytes:
    done, data = cv2.imencode(ending, np.ascontiguousarray(picture[..., ::-1]))
    assert done
    return data.tobytes()


def photo(name: str) -> bytes:
    """The bytes of a photo whose format is that of its name."""
    ending = "." + name.rpartition(".")[2].lower()
    picture = drawn(name)
    if ending == ".pgm":
        done, data = cv2.imencode(ending, picture[..., 0])
        assert done
        return data.tobytes()
    return encoded(picture, ending)


def write(
    root: Path, names: Sequence[str], bytes_of: Callable[[str], bytes] = photo, archive: str = ""
) -> Path:
    """The photos below `root`, or in the zip `archive` there."""
    root.mkdir(parents=True, exist_ok=True)
    if archive:
        with zipfile.ZipFile(root / archive, "w") as target:
            for name in names:
                target.writestr(name, bytes_of(name))
            target.writestr("__MACOSX/._x.jpg", b"fork")
        return root
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(bytes_of(name))
    return root


class StandIn:
    """Finds one face in every picture that is not black, always at the same place."""

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[FoundFaces]:
        return [self._face(image) for image in images]

    def _face(self, image: NDArray[np.uint8]) -> FoundFaces:
        height, width = image.shape[:2]
        known = int(image.max() > 0)
        points = (PLACES * (width, height)).astype(np.float32)
        box = np.array([0.25 * width, 0.2 * height, 0.75 * width, 0.8 * height], np.float32)
        scores = np.full(known, 0.99, np.float32)
        return FoundFaces(np.repeat(box[None], known, 0), scores, np.repeat(points[None], known, 0))


def everything(dataset: Dataset) -> dict[str, dict[str, float]]:
    """Key -> labels, over all pools."""
    found: dict[str, dict[str, float]] = {}
    for pool in dataset.pools():
        faces = dataset.load(pool)
        for row, key in enumerate(faces.keys.tolist()):
            found[key] = {name: float(values[row]) for name, values in faces.labels.items()}
    return found


def loaded(dataset: Dataset) -> Mapping[str, Faces]:
    return {pool: dataset.load(pool) for pool in dataset.pools()}


def assert_disjoint(dataset: Dataset) -> None:
    """No person and no photo in two pools, and no photo left out."""
    faces = loaded(dataset)
    people = [set(f.identities.tolist()) for f in faces.values()]
    assert sum(map(len, people)) == len(set.union(*people))
    keys = [key for f in faces.values() for key in f.keys.tolist()]
    assert len(keys) == len(set(keys))
