"""UTKFace: aligned faces of all ages with age, gender and race in the file name (Zhang et al., CVPR 2017).

    UTKFace/[age]_[gender]_[race]_[date&time].jpg.chip.jpg      or UTKFace.zip, read in place

Nothing else is published: no identities, so every image counts as a person of its own and no two images can
be compared as mated; no landmarks; no partition, so the images are dealt out to the pools here, each gender
and race apart. An image that is there twice, byte for byte, counts once, under the first of its names. The
near-duplicates that remain in the full set (recompressed copies, some with other labels) may lie in
different pools; the publisher's labels are estimates of an algorithm checked by one annotator, and stay.

Images are the whole aligned 200x200 ones, resized: area averages below 200 px, bicubic above.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.api import ATTACK, DEVELOP, POOLS, TEST, VALIDATION, Attribute, Dataset, Faces, InputError
from bench.components.survey import Report, Survey
from bench.datasets._aligned import decode_jpeg, image_source, join_sources, load_images
from bench.datasets._image_files import ImageFiles
from bench.datasets._survey import Item, examine
from bench.errors import unknown_name
from bench.faces import AGE, AGE_GROUP, GENDER

FOLDER = "UTKFace"
LANDMARKS = ((59.10, 59.90), (137.01, 59.91), (98.14, 101.80), (62.91, 138.57), (133.50, 138.49))
"""Mean landmarks of the aligned 200x200 images, by dlib's 68-point model over 785 images: eye centres, nose
tip, mouth corners. Single faces differ from them by 3 to 4 px at the eyes and 6 to 8 px elsewhere (standard
deviations), for the alignment is by similarity and poses vary."""

_SIDE = 200
_OLDEST = 116
_SHARES = {DEVELOP: 0.4, VALIDATION: 0.1, ATTACK: 0.25, TEST: 0.25}

# In the full set three names lack the race, others a gender, a dot or a letter of "jpg", or have a space.
_NAME = re.compile(r"(\d{1,3})_(\d?)_(?:(\d?)_)?\d{8,}\D*\.jpg", re.IGNORECASE)
_GENDERS = {"0": GENDER.classes.index("male"), "1": GENDER.classes.index("female")}
_RACES: Mapping[str, tuple[Attribute, Mapping[str, int]]] = {
    "five": (
        Attribute("race", ("White", "Black", "Asian", "Indian", "Others")),
        {str(code): code for code in range(5)},
    ),
    "two": (Attribute("race", ("African descent", "Caucasian")), {"1": 0, "0": 1}),
}
"""Value of option `races` -> the attribute, and the publisher's code -> class index."""


class UTKFace(Dataset):
    """Attributes: gender, race, age in years, age_group.

    Options: races: `five`, the publisher's classes, or `two`, African descent and Caucasian as PrivacyNet
    has them, where images of the other three are without a label of race. limit: at most so many images a
    pool, 0: all. skip_damaged: leave damaged images out, and list them in `damaged`.
    """

    title = "UTKFace"
    paper = "Zhang, Song, Qi, Age Progression/Regression by Conditional Adversarial Autoencoder, CVPR 2017"
    watch = ("gender", "race", "age_group")
    options = {"races": "five", "limit": 0, "skip_damaged": False}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return image_source(root, FOLDER) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER, self._race[0], AGE, AGE_GROUP)

    def _fingerprint(self, pool: str) -> str:
        """Of every image in the pool: name, CRC, person and labels; and the size. Zip or folder, all one."""
        images = self._images
        digest = hashlib.sha256(f"{self.size} {self._race[0]}".encode())
        for name in self._dealt[pool]:
            row = (name, images.crcs[name], images.people[name], images.labels[name])
            digest.update(repr(row).encode())
        return digest.hexdigest()

    def _load(self, pool: str) -> Faces:
        return self._faces(self._dealt[pool])

    def _load_some(self, pool: str, most: int) -> Faces:
        return self._faces(self._dealt[pool][:most])

    def _faces(self, wanted: Sequence[str]) -> Faces:
        images = self._images
        damaged = self.damaged if self.settings["skip_damaged"] else None
        names, pixels = load_images(wanted, images.files, self.size, _square, damaged)
        labels = [images.labels[n] for n in names]
        landmarks = ((np.array(LANDMARKS) + 0.5) * (self.size / _SIDE) - 0.5).astype(np.float32)
        return Faces(
            images=pixels,
            identities=np.array([images.people[n] for n in names], np.int64),
            keys=np.array(names, np.str_),
            labels={
                "gender": np.array([label.gender for label in labels], np.float32),
                "race": np.array([label.race for label in labels], np.float32),
                "age": np.array([label.age for label in labels], np.float32),
                "age_group": np.array([_age_group(label.age) for label in labels], np.float32),
            },
            attributes=self._attributes(),
            landmarks=np.broadcast_to(landmarks, (len(names), 5, 2)).copy(),
        )

    def _survey(self, report: Report, faces: bool) -> Survey:
        """Copies that count once are named too. Nobody is published, so a copy is of no other person."""
        files, races = self._images.files, self._race[1]
        items = []
        for name in sorted(files):
            label = _parse(name, files[name].where, races)
            labels = repr(name.split("_")[:3])
            decode = partial(_square, files[name], name)
            items.append(Item(name, files[name], "", labels, label.gender, decode))
        counts = {pool: (len(names), len(names)) for pool, names in self._dealt.items()}
        return Survey(counts, tuple(examine(items, report)))

    @property
    def _race(self) -> tuple[Attribute, Mapping[str, int]]:
        races = self.settings["races"]
        if races not in _RACES:
            raise unknown_name("value of dataset option races", races, _RACES)
        return _RACES[races]

    @cached_property
    def _images(self) -> _Images:
        return _read(self.roots, self._race[1])

    @cached_property
    def _dealt(self) -> Mapping[str, list[str]]:
        """Names of the images in each pool, in random order: file names begin with the age."""
        if self.settings["limit"] < 0:
            raise InputError("dataset option limit must not be negative")
        dealt = _deal(self._images.labels, self.seed)
        most = self.settings["limit"] or len(self._images.labels)
        return {pool: names[:most] for pool, names in dealt.items()}

    @cached_property
    def damaged(self) -> list[str]:
        """Images that `load` left out because they cannot be decoded (`skip_damaged`), as they turn up."""
        return []


# -- files and labels --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Labels:
    """Years, and class indices of gender and race, NaN where the name does not tell."""

    age: int
    gender: float
    race: float


@dataclass(frozen=True)
class _Images:
    """By file name: where the bytes are, their CRC-32, the labels, and the number of the person."""

    files: Mapping[str, ImageFiles]
    crcs: Mapping[str, int]
    labels: Mapping[str, _Labels]
    people: Mapping[str, int]


def _read(roots: Sequence[Path], races: Mapping[str, int]) -> _Images:
    sources = []
    for root in roots:
        source = image_source(root, FOLDER)
        if source is None or not source.names():
            raise InputError(
                f"no UTKFace in {root}: looked for {FOLDER}/*.jpg and {FOLDER}.zip; give --data the folder "
                "that holds them (unpack a tar.gz first)"
            )
        sources.append(source)
    files = join_sources(sources)
    crcs = {name: files[name].crc(name) for name in sorted(files)}
    names = _distinct(files, crcs)
    labels = {name: _parse(name, files[name].where, races) for name in names}
    return _Images(files, crcs, labels, {name: number for number, name in enumerate(names)})


def _distinct(files: Mapping[str, ImageFiles], crcs: Mapping[str, int]) -> list[str]:
    """Sorted names, less those of images that an earlier name has already, byte for byte."""
    first: dict[int, list[str]] = {}
    names = []
    for name in sorted(files):
        others = first.setdefault(crcs[name], [])
        if not any(files[o].read(o) == files[name].read(name) for o in others):
            others.append(name)
            names.append(name)
    return names


def _parse(name: str, where: str, races: Mapping[str, int]) -> _Labels:
    """Labels in a file name. A gender or race that it lacks, or whose code is not the publisher's, is NaN."""
    found = _NAME.fullmatch(name)
    if found is None or int(found[1]) > _OLDEST:
        raise InputError(
            f"image {name} in {where}: a name must be [age]_[gender]_[race]_[date&time].jpg.chip.jpg with an "
            f"age of 0 to {_OLDEST}; give it the publisher's name or remove it"
        )
    return _Labels(int(found[1]), _GENDERS.get(found[2], nan), races.get(found[3], nan))


def _age_group(years: int) -> int:
    """Groups of PrivacyNet: up to 30, 31 to 45, over 45."""
    return int(years > 30) + int(years > 45)


# -- pools and pixels --------------------------------------------------------------------------------


def _deal(labels: Mapping[str, _Labels], seed: int) -> dict[str, list[str]]:
    """Names by pool, `_SHARES` of every gender and race; any first few of a pool have them in its shares.

    The order is by a digest of seed and name: it does not depend on what else there is.
    """
    strata: dict[tuple[str, str], list[str]] = {}
    for name, label in labels.items():
        strata.setdefault((str(label.gender), str(label.race)), []).append(name)
    edges = np.cumsum([0.0, *(_SHARES[pool] for pool in POOLS)])
    placed: dict[str, list[tuple[float, str]]] = {pool: [] for pool in POOLS}
    for _, names in sorted(strata.items()):
        names.sort(key=lambda n: hashlib.sha256(f"{seed}\0{n}".encode()).digest())
        cuts = np.round(edges * len(names)).astype(int)
        for pool, start, stop in zip(POOLS, cuts[:-1], cuts[1:], strict=True):
            part = names[start:stop]
            placed[pool] += [((i + 0.5) / len(part), name) for i, name in enumerate(part)]
    return {pool: [name for _, name in sorted(rows)] for pool, rows in placed.items()}


def _square(files: ImageFiles, name: str) -> NDArray[np.uint8]:
    """BGR uint8 (200, 200, 3)."""
    return decode_jpeg(files, name, _SIDE, _SIDE, "aligned and cropped faces")
