"""What datasets of photographs have in common: an adapter says which photos there are, no more."""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import nan
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from bench.components.dataset import Dataset
from bench.components.survey import Problem, Report, Survey
from bench.datasets._aligned import DamagedImageError
from bench.datasets._dealing import at_most, deal
from bench.datasets._decoding import decode_photo
from bench.datasets._framing import Landmarks, centre_square, framed
from bench.datasets._image_files import ImageFiles
from bench.datasets._survey import Item, examine
from bench.errors import InputError, unknown_name
from bench.faces import GENDER, POOLS, Faces
from bench.weights import WeightsFolder, pretrained_file
from bench.weights_catalogue import PRETRAINED

if TYPE_CHECKING:
    from bench.detection import FoundFaces

_AT_ONCE = 8
_DETECTORS = tuple(
    PRETRAINED[name].pretrained for name in ("ultraface_rfb320", "landmarks_regression_retail_0009")
)
_FINDERS = {"ultraface": _DETECTORS, "dlib": (PRETRAINED["dlib_landmarks_68"].pretrained,)}
"""Value of option `finder` -> the files behind it."""


class Finder(Protocol):
    """What finds faces in photographs: `bench.detection.FaceFinder`."""

    def find(self, images: Sequence[NDArray[np.uint8]]) -> list[FoundFaces]:
        """The faces in each RGB picture."""
        ...


@dataclass(frozen=True)
class Photo:
    """A photograph as its publisher lists it.

    key: unique name of the sample. name: of its file in `files`. identity: the person, as the publisher
    writes it. labels: attribute name -> class index or number; what is left out is unknown.
    landmarks: (5, 2) in pixels of the upright photo, NaN or None where the publisher tells none.
    pool: where the publisher puts the person, empty: dealt out. where: file and line that speak of it.
    """

    key: str
    name: str
    files: ImageFiles
    identity: str
    labels: Mapping[str, float] = field(default_factory=dict)
    landmarks: Landmarks | None = None
    pool: str = ""
    where: str = ""

    @property
    def described(self) -> str:
        """What to call it in a message."""
        return f"image {self.name} in {self.files.where}"


class PhotoDataset(Dataset):
    """Fill in `_attributes` and `_photos`, and `holds`.

    Faces lie where CelebA's do: one similarity a photo, from its published landmarks where there are any,
    else from those that the detector finds. A photo without a face is a failure to acquire and stays, as the
    middle of the photo with unknown landmarks. People are dealt out to the pools by name and seed, the
    genders apart.

    Options: limit: at most so many photos a pool, taken by whole people; 0: all. skip_damaged: leave damaged
    photos out, and list them in `damaged`. finder: what looks for faces, `ultraface` or `dlib` (an extra).
    """

    options = {"limit": 0, "skip_damaged": False, "finder": "ultraface"}

    # -- hooks -------------------------------------------------------------------------------------------

    @abstractmethod
    def _photos(self) -> Sequence[Photo]:
        """Every photo that there is; cheap: names and labels alone."""

    def _dealt(self) -> tuple[str, ...]:
        """The pools among which people without a pool of their own are dealt out."""
        return POOLS

    def _label_problems(self) -> Sequence[Problem]:
        """What is wrong with lists of labels and can be passed over."""
        return ()

    def _check(self) -> None:
        """Raises InputError for what must be mended before anything is loaded."""

    # -- what the harness asks ---------------------------------------------------------------------------

    def _pools(self) -> tuple[str, ...]:
        return tuple(pool for pool in POOLS if self._people[pool])

    def _fingerprint(self, pool: str) -> str:
        """Of every photo in the pool: key, CRC, person, labels and landmarks; the size and the detector."""
        digest = hashlib.sha256(repr((self.size, self._attributes(), self._sums)).encode())
        for photo in self._pool(pool):
            given = None if photo.landmarks is None else photo.landmarks.tolist()
            person = (photo.identity, self._numbers[photo.identity])
            row = (photo.key, photo.files.crc(photo.name), person, sorted(photo.labels.items()), given)
            digest.update(repr(row).encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    def _load(self, pool: str) -> Faces:
        return self._faces(self._pool(pool))

    def _load_some(self, pool: str, most: int) -> Faces:
        people = self._people[pool]
        totals = np.cumsum([self._counts[person] for person in people])
        chosen = set(people[: int(np.searchsorted(totals, most, side="right"))])
        return self._faces([photo for photo in self._pool(pool) if photo.identity in chosen])

    def _survey(self, report: Report, faces: bool) -> Survey:
        pools = {pool: self._members(pool) for pool in POOLS}
        photos = [photo for members in pools.values() for photo in members]
        items = [_item(photo) for photo in photos]
        found = examine(items, report, self._has_face) if faces else examine(items, report)
        return Survey(
            {pool: (len(members), len(self._people[pool])) for pool, members in pools.items()},
            (*found, *self._unlabelled(photos), *self._label_problems()),
        )

    def _has_face(self, decoded: tuple[Photo, NDArray[np.uint8]]) -> bool:
        return self._landmarks([decoded])[0] is not None

    def _unlabelled(self, photos: Sequence[Photo]) -> list[Problem]:
        lacking = {a.name: [p for p in photos if a.name not in p.labels] for a in self._attributes()}
        return [
            Problem("unlabelled", f"{photo.files.where}/{photo.name}", f"no {name}")
            for name, without in lacking.items()
            if len(without) < len(photos)
            for photo in without
        ]

    # -- people ------------------------------------------------------------------------------------------

    @cached_property
    def photos(self) -> list[Photo]:
        """All photos, by person and key. Raises InputError when two have one key, or a person two pools."""
        photos = sorted(self._photos(), key=lambda p: (p.identity, p.key))
        if not photos:
            self._check()
            raise InputError(f"{self.id} has no photos in {', '.join(map(str, self.roots))}")
        keys: dict[str, Photo] = {}
        pools: dict[str, Photo] = {}
        for photo in photos:
            other = keys.setdefault(photo.key, photo)
            if other is not photo:
                raise InputError(f"{other.described} and {photo.described} are both {photo.key}; keep one")
            other = pools.setdefault(photo.identity, photo)
            if other.pool != photo.pool:
                raise InputError(
                    f"{photo.where or photo.described}: {photo.identity} is put in pool "
                    f"'{photo.pool}' here and in '{other.pool}' by {other.where or other.described}; pools "
                    "must not share a person"
                )
        return photos

    @cached_property
    def _numbers(self) -> Mapping[str, int]:
        """Person -> number."""
        return {name: number for number, name in enumerate(sorted({p.identity for p in self.photos}))}

    @cached_property
    def _counts(self) -> Mapping[str, int]:
        """Person -> number of photos."""
        return Counter(photo.identity for photo in self.photos)

    @cached_property
    def _people(self) -> Mapping[str, list[str]]:
        """Pool -> people, in random order, less those beyond `limit`."""
        limit = self.settings["limit"]
        if limit < 0:
            raise InputError("dataset option limit must not be negative")
        people: dict[str, list[str]] = {pool: [] for pool in POOLS}
        strata = _strata(self.photos)
        placed = {photo.identity: photo.pool for photo in self.photos}
        for pool in POOLS:
            # Dealing to one pool only puts its people in the order that `limit` goes by.
            own = {person: strata[person] for person, where in placed.items() if where == pool}
            people[pool] += deal(own, (pool,), self.seed)[pool]
        others = {person: strata[person] for person, where in placed.items() if not where}
        for pool, dealt in deal(others, self._dealt(), self.seed).items():
            people[pool] += dealt
        return {pool: at_most(names, self._counts, limit, pool) for pool, names in people.items()}

    def _pool(self, pool: str) -> list[Photo]:
        """The photos of a pool, by person in random order and key. Raises InputError as `_check` does."""
        self._check()
        return self._members(pool)

    def _members(self, pool: str) -> list[Photo]:
        place = {person: number for number, person in enumerate(self._people[pool])}
        chosen = [photo for photo in self.photos if photo.identity in place]
        return sorted(chosen, key=lambda photo: place[photo.identity])

    # -- pixels ------------------------------------------------------------------------------------------

    @cached_property
    def damaged(self) -> list[str]:
        """Photos that `load` left out because they cannot be decoded (`skip_damaged`), as they turn up."""
        return []

    @cached_property
    def _finder(self) -> Finder:
        weights = self.weights or WeightsFolder.find()
        if self.settings["finder"] == "dlib":
            from bench.detection_dlib import DlibFinder

            return DlibFinder(weights)
        return open_finder(weights)

    @property
    def _sums(self) -> tuple[str, ...]:
        """Checksums of what looks for faces."""
        finder = self.settings["finder"]
        if finder not in _FINDERS:
            raise unknown_name("value of dataset option finder", finder, _FINDERS)
        return _checksums(finder)

    def _faces(self, photos: Sequence[Photo]) -> Faces:
        images = np.empty((len(photos), self.size, self.size, 3), np.uint8)
        landmarks = np.full((len(photos), 5, 2), nan, np.float32)
        kept: list[Photo] = []
        for photo, image, points in self._framed(photos):
            images[len(kept)], landmarks[len(kept)] = image, points
            kept.append(photo)
        attributes = self._attributes()
        values = {a.name: [photo.labels.get(a.name, nan) for photo in kept] for a in attributes}
        return Faces(
            images=images[: len(kept)],
            identities=np.array([self._numbers[p.identity] for p in kept], np.int64),
            keys=np.array([p.key for p in kept], np.str_),
            labels={name: np.array(column, np.float32) for name, column in values.items()},
            attributes=attributes,
            landmarks=landmarks[: len(kept)],
        )

    def _framed(self, photos: Sequence[Photo]) -> Iterator[tuple[Photo, NDArray[np.uint8], Landmarks]]:
        """Each photo that can be decoded with its face cut out, and the landmarks there."""
        for start in range(0, len(photos), _AT_ONCE):
            group = photos[start : start + _AT_ONCE]
            decoded = [(photo, image) for photo in group if (image := self._decoded(photo)) is not None]
            for (photo, image), points in zip(decoded, self._landmarks(decoded), strict=True):
                if points is None:
                    yield photo, centre_square(image, self.size), np.full((5, 2), nan, np.float32)
                else:
                    yield (photo, *framed(image, points, self.size))

    def _decoded(self, photo: Photo) -> NDArray[np.uint8] | None:
        """RGB of any size; None where a damaged photo is to be left out."""
        try:
            return decode_photo(photo.files.read(photo.name), photo.described)
        except DamagedImageError as error:
            if not self.settings["skip_damaged"]:
                raise InputError(
                    f"{error}; fetch it again, or leave such images out with "
                    "--set dataset_options.skip_damaged=true"
                ) from error
            if photo.key not in self.damaged:
                self.damaged.append(photo.key)
            return None

    def _landmarks(self, decoded: Sequence[tuple[Photo, NDArray[np.uint8]]]) -> list[Landmarks | None]:
        """Five points of each photo: the publisher's, else the detector's; None where there is no face."""
        found: list[Landmarks | None] = [published_landmarks(photo) for photo, _ in decoded]
        searched = [row for row, points in enumerate(found) if points is None]
        if searched:
            images = [decoded[row][1] for row in searched]
            for row, image, faces in zip(searched, images, self._finder.find(images), strict=True):
                found[row] = _central(faces, image)
        return found


def published_landmarks(photo: Photo) -> Landmarks | None:
    """The publisher's landmarks, where all five are known. Raises InputError when they are all one point."""
    points = photo.landmarks
    if points is None or not np.isfinite(points).all():
        return None
    if np.ptp(points, axis=0).max() == 0:
        place = photo.where or photo.described
        raise InputError(f"{place}: the five landmarks are all one point; correct them")
    return points


def _item(photo: Photo) -> Item:
    def decode() -> tuple[Photo, NDArray[np.uint8]]:
        image = decode_photo(photo.files.read(photo.name), photo.described)
        points, size = published_landmarks(photo), np.array(image.shape[1::-1])
        if points is not None and ((points < -size) | (points > 2 * size)).any():
            place = photo.where or photo.described
            raise InputError(f"{place}: landmarks lie far outside the {size[0]}x{size[1]} photo")
        return photo, image

    labels = repr(sorted(photo.labels.items()))
    gender = photo.labels.get(GENDER.name, nan)
    return Item(photo.name, photo.files, photo.identity, labels, gender, decode)


def open_finder(weights: WeightsFolder | None) -> Finder:
    """What finds faces. Raises Unavailable with the remedy when its networks are not at hand."""
    from bench.detection import FaceFinder

    for pretrained in _DETECTORS:
        pretrained_file(pretrained, weights)
    return FaceFinder(cast("WeightsFolder", weights))


def _central(faces: FoundFaces, image: NDArray[np.uint8]) -> Landmarks | None:
    """Landmarks of the face in the middle: publishers put the person they name there."""
    from bench.detection import central

    chosen = central(faces, image.shape[1], image.shape[0])
    return None if chosen is None else faces.landmarks[chosen]


def _checksums(finder: str) -> tuple[str, ...]:
    return tuple(pretrained.sha256 for pretrained in _FINDERS[finder])


def _strata(photos: Sequence[Photo]) -> dict[str, str]:
    """Person -> gender by the majority of the labelled photos, empty where none is labelled."""
    votes: dict[str, float] = {}
    for photo in photos:
        gender = photo.labels.get(GENDER.name, nan)
        votes[photo.identity] = votes.get(photo.identity, 0.0) + (0.0 if np.isnan(gender) else 2 * gender - 1)
    return {person: "" if vote == 0 else "male" if vote > 0 else "female" for person, vote in votes.items()}
