"""One pool made of the pools of several datasets, for methods to learn on.

PrivacyNet learns gender, race and age from CelebA and MORPH together, though neither labels all three: an
attribute that a dataset lacks is unknown in its rows (NaN), and losses leave unknown labels out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.faces import Attribute, Faces
from bench.geometry import opencv, similarities, warp

_BLOCK = 2**40
"""Identities of a dataset, which has a block of numbers to itself."""

_LEAST_MOVE = 0.5
"""Pixels; resampling a whole pool would cost more sharpness than a smaller move brings."""


def join(pools: Sequence[Faces], names: Sequence[str], frame: Faces | None = None) -> Faces:
    """The faces of all `pools` as one pool.

    names: of the datasets, unique; keys become `<name>/<key>`, and identities of different datasets differ.
    frame: faces whose mean landmarks those of every pool are brought onto, by one similarity a pool with its
        edges repeated outside; None: those of the first pool that has any. Datasets cut faces differently,
        and a network learns one scale. Pools without landmarks stay as they are.

    Attributes are the union by name; a label that a dataset lacks is NaN. Landmarks and parts are None unless
    all pools have them. Rows are spread so that the first few people come from all pools in their shares.
    Raises InputError when pools differ in size, or give one attribute different classes or units.
    """
    if not pools or len(pools) != len(names) or len(set(names)) != len(names):
        raise InputError(f"cannot join {len(pools)} pools under the names {', '.join(names)}")
    for name, pool in zip(names, pools, strict=True):
        if pool.size != pools[0].size:
            raise InputError(
                f"faces of {names[0]} have {pools[0].size} px and those of {name} {pool.size}; "
                "load them at one --size"
            )
    attributes = join_attributes(dict(zip(names, (p.attributes for p in pools), strict=True)))
    target = _mean_landmarks([*([frame] if frame is not None else []), *pools])
    moved = [pool if target is None else _moved(pool, target) for pool in pools]
    rows = _spread(pools)
    keys = [f"{name}/{key}" for name, pool in zip(names, pools, strict=True) for key in pool.keys]
    landmarks = [pool.landmarks for pool in moved if pool.landmarks is not None]
    parts = [pool.parts for pool in moved if pool.parts is not None]
    return Faces(
        images=np.concatenate([pool.images for pool in moved])[rows],
        identities=np.concatenate(_identities(moved, names))[rows],
        keys=np.array(keys)[rows],
        labels={a.name: np.concatenate([_labels(pool, a.name) for pool in moved])[rows] for a in attributes},
        attributes=attributes,
        landmarks=np.concatenate(landmarks)[rows] if len(landmarks) == len(moved) else None,
        parts=np.concatenate(parts)[rows] if len(parts) == len(moved) else None,
    )


def join_attributes(by_dataset: Mapping[str, Iterable[Attribute]]) -> tuple[Attribute, ...]:
    """The union by name, in order of appearance. Raises InputError naming two datasets that disagree."""
    found: dict[str, tuple[Attribute, str]] = {}
    for dataset, attributes in by_dataset.items():
        for attribute in attributes:
            first, where = found.setdefault(attribute.name, (attribute, dataset))
            if first != attribute:
                raise InputError(
                    f"{where} and {dataset} mean different things by {attribute.name}: {_said(first)} and "
                    f"{_said(attribute)}; set options under which they agree, or train on one of them"
                )
    return tuple(attribute for attribute, _ in found.values())


def _said(attribute: Attribute) -> str:
    return attribute.unit if attribute.is_number else f"({', '.join(attribute.classes)})"


def _labels(pool: Faces, name: str) -> NDArray[np.float32]:
    unknown = np.full(len(pool), np.nan, np.float32)
    return pool.labels.get(name, unknown)


def _identities(pools: Sequence[Faces], names: Sequence[str]) -> list[NDArray[np.int64]]:
    """Numbers that are the same in every pool of the same datasets, whatever else the pool holds."""
    for name, pool in zip(names, pools, strict=True):
        if len(pool) and not 0 <= pool.identities.min() <= pool.identities.max() < _BLOCK:
            raise InputError(f"identities of {name} must lie in 0..{_BLOCK - 1} to be joined with others")
    return [pool.identities + number * _BLOCK for number, pool in enumerate(pools)]


def _spread(pools: Sequence[Faces]) -> NDArray[np.intp]:
    """Order of the concatenated rows that keeps people together and mixes the pools evenly."""
    return np.argsort(np.concatenate([_places(pool) for pool in pools]), kind="stable")


def _places(pool: Faces) -> NDArray[np.float64]:
    """Where in 0..1 each face goes: people in order of appearance, each taking room for its faces."""
    _, first, person, counts = np.unique(
        pool.identities, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.argsort(first)
    centres = np.empty(len(first))
    centres[order] = np.cumsum(counts[order]) - counts[order] / 2
    return centres[person] / max(len(pool), 1)


# -- one scale ---------------------------------------------------------------------------------------


def _mean_landmarks(pools: Iterable[Faces]) -> NDArray[np.float64] | None:
    """Mean landmarks (5, 2) of the first pool that has any."""
    for pool in pools:
        if pool.landmarks is not None and len(pool):
            return _mean(pool.landmarks)
    return None


def _mean(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    finite = landmarks[np.isfinite(landmarks).all(axis=(1, 2))]
    if not len(finite):
        raise InputError("no face of a pool to be joined has finite landmarks; leave its dataset out")
    mean: NDArray[np.float64] = finite.mean(axis=0, dtype=np.float64)
    return mean


def _moved(pool: Faces, target: NDArray[np.float64]) -> Faces:
    """`pool` with its mean landmarks on `target` (5, 2); untouched where no pixel would move visibly."""
    if pool.landmarks is None or not len(pool):
        return pool
    matrix = similarities(_mean(pool.landmarks)[None], target)[0]
    last = pool.size - 1
    corners = np.array([(0, 0), (0, last), (last, 0), (last, last)], np.float64)
    if np.abs(_mapped(corners, matrix) - corners).max() < _LEAST_MOVE:
        return pool
    images = np.empty_like(pool.images)
    for image, out in zip(pool.images, images, strict=True):
        out[:] = warp(image, matrix, pool.size, pool.size)
    parts = None if pool.parts is None else np.stack([_moved_parts(p, matrix) for p in pool.parts])
    landmarks = _mapped(pool.landmarks.astype(np.float64), matrix).astype(np.float32)
    return replace(pool, images=images, landmarks=landmarks, parts=parts)


def _mapped(points: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    mapped: NDArray[np.float64] = points @ matrix[:, :2].T + matrix[:, 2]
    return mapped


def _moved_parts(parts: NDArray[np.uint8], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    cv2 = opencv()
    size = parts.shape[::-1]
    moved: NDArray[np.uint8] = cv2.warpAffine(
        parts, matrix, size, flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return moved
