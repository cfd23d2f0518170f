"""Canonical faces: what every stage and every component receives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError

DEVELOP, VALIDATION, ATTACK, TEST = "develop", "validation", "attack", "test"
POOLS = (DEVELOP, VALIDATION, ATTACK, TEST)
"""Identity-disjoint pools. Methods and auxiliaries learn on DEVELOP and are chosen on VALIDATION (its
held-out part); attackers and matchers learn on ATTACK; every figure is computed on TEST."""


@dataclass(frozen=True)
class Attribute:
    """A soft-biometric attribute. `classes` is empty for a number, which then has a `unit`."""

    name: str
    classes: tuple[str, ...] = ()
    unit: str = ""

    @property
    def is_number(self) -> bool:
        return not self.classes


GENDER = Attribute("gender", ("female", "male"))
AGE = Attribute("age", unit="years")
AGE_GROUP = Attribute("age_group", ("up to 30", "31 to 45", "over 45"))
YOUNG = Attribute("young", ("no", "yes"))

SOFT_BIOMETRICS = (
    *("gender", "race", "age_group", "age", "young"),
    *("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips"),
)
"""What the methods of the literature hide; controls stand beside them for each of these."""

_SAME_THING = ({"age", "age_group", "young"},)


def kept(attributes: Iterable[str], obfuscated: Iterable[str]) -> tuple[str, ...]:
    """The attributes that should survive: not obfuscated, nor another name for one that is (young, age
    group)."""
    gone = set(obfuscated)
    for names in _SAME_THING:
        if gone & names:
            gone |= names
    return tuple(a for a in attributes if a not in gone)


def yes_no(name: str) -> Attribute:
    """An attribute that a face has or has not."""
    return Attribute(name, ("no", "yes"))


@dataclass(frozen=True)
class Faces:
    """N face images with what is known of them.

    images: uint8 (N, H, W, 3), RGB.
    identities: int64 (N,).
    keys: str (N,), unique; names of the samples in every stored result.
    labels: attribute name -> float32 (N,): class index or number; NaN where unknown.
    attributes: the attributes that `labels` holds.
    landmarks: float32 (N, 5, 2) or None: x, y in pixels of `images`, pixel centres at integers, of left eye,
        right eye, nose tip, left and right mouth corner as seen in the image. NaN where no face was found in
        the photograph: a failure to acquire, which nothing downstream may score.
    parts: uint8 (N, H, W) or None: face part of each pixel, numbered by `PART_NAMES`.
    """

    images: NDArray[np.uint8]
    identities: NDArray[np.int64]
    keys: NDArray[np.str_]
    labels: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    attributes: tuple[Attribute, ...] = ()
    landmarks: NDArray[np.float32] | None = None
    parts: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        n = len(self.images)
        if self.images.ndim != 4 or self.images.shape[-1] != 3 or self.images.dtype != np.uint8:
            raise InputError(f"faces must be uint8 (N, H, W, 3), got {self.images.dtype} {self.images.shape}")
        columns = {"identities": self.identities, "keys": self.keys, **self.labels}
        columns |= {"landmarks": self.landmarks} if self.landmarks is not None else {}
        columns |= {"parts": self.parts} if self.parts is not None else {}
        for name, column in columns.items():
            if len(column) != n:
                raise InputError(f"{name} has {len(column)} rows for {n} images")
        if len(np.unique(self.keys)) != n:
            raise InputError("sample keys are not unique")
        if {a.name for a in self.attributes} != set(self.labels):
            raise InputError("labels and attributes do not name the same things")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def size(self) -> int:
        """Side of the square images in pixels."""
        return int(self.images.shape[1])

    @property
    def acquired(self) -> NDArray[np.bool_]:
        """Which faces (N,) were found in their photographs: all but those with unknown landmarks."""
        if self.landmarks is None:
            return np.ones(len(self), bool)
        return np.asarray(np.isfinite(self.landmarks).all(axis=(1, 2)))

    def attribute(self, name: str) -> Attribute:
        return next(a for a in self.attributes if a.name == name)

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Faces:
        """The faces at `rows` (indices, a mask or a slice), in that order."""
        return replace(
            self,
            images=self.images[rows],
            identities=self.identities[rows],
            keys=self.keys[rows],
            labels={k: v[rows] for k, v in self.labels.items()},
            landmarks=None if self.landmarks is None else self.landmarks[rows],
            parts=None if self.parts is None else self.parts[rows],
        )


def most_people(identities: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Which of the faces (N,) are of the first people, in order of appearance, with at most `most` faces."""
    people, first, counts = np.unique(identities, return_index=True, return_counts=True)
    order = np.argsort(first)
    chosen = people[order][np.cumsum(counts[order]) <= most]
    return np.isin(identities, chosen)


def first_photos(identities: NDArray[np.int64], photos: int) -> NDArray[np.bool_]:
    """Which of the faces (N,) are among the first `photos` of their person."""
    order = np.argsort(identities, kind="stable")
    starts = np.flatnonzero(np.diff(identities[order], prepend=np.int64(-1)))
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    chosen = np.zeros(len(identities), bool)
    chosen[order] = place < photos
    return chosen


def whole_people(faces: Faces, most: int) -> Faces:
    """The faces of the first people (in order of appearance) that together have at most `most` faces."""
    return faces.take(most_people(faces.identities, most))


PART_NAMES = (
    "background",
    "skin",
    "hair",
    "eyebrows",
    "eyes",
    "nose",
    "mouth",
    "ears",
    "neck_and_clothes",
)
