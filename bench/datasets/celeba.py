"""CelebA: aligned faces of celebrities with 40 attributes (Liu et al., ICCV 2015).

Reads the publisher's own files, see `_celeba_files`. The official test partition is TEST, the official
validation partition is VALIDATION; the identities of the official training partition are dealt out to
DEVELOP and ATTACK, each gender apart, so that methods and attackers learn from different people.

Images are rows 20 to 198 of the aligned 178x218 ones, resized: area averages below 178 px, bicubic above.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.api import ATTACK, DEVELOP, POOLS, TEST, VALIDATION, Attribute, Dataset, Faces, InputError, yes_no
from bench.components.survey import Report, Survey
from bench.datasets._aligned import decode_jpeg, load_images
from bench.datasets._celeba_files import Listing, holds, read_listing
from bench.datasets._image_files import ImageFiles
from bench.datasets._survey import Item, examine
from bench.errors import unknown_name
from bench.faces import GENDER, YOUNG
from bench.geometry import CELEBA_LANDMARKS

_NAMES = """
    5_o_Clock_Shadow Arched_Eyebrows Attractive Bags_Under_Eyes Bald Bangs Big_Lips Big_Nose Black_Hair
    Blond_Hair Blurry Brown_Hair Bushy_Eyebrows Chubby Double_Chin Eyeglasses Goatee Gray_Hair Heavy_Makeup
    High_Cheekbones Male Mouth_Slightly_Open Mustache Narrow_Eyes No_Beard Oval_Face Pale_Skin Pointy_Nose
    Receding_Hairline Rosy_Cheeks Sideburns Smiling Straight_Hair Wavy_Hair Wearing_Earrings Wearing_Hat
    Wearing_Lipstick Wearing_Necklace Wearing_Necktie Young
"""
OFFICIAL = tuple(_NAMES.split())
"""The 40 attributes, as the publisher spells them."""

DEFAULT = (
    *("Male", "Young"),
    *("Heavy_Makeup", "Attractive", "Smiling", "Eyeglasses"),
    # The parts of Li et al., Adaptive Facial-Attribute Obfuscation, MM 2021.
    *("Receding_Hairline", "Bushy_Eyebrows", "Narrow_Eyes", "Big_Nose", "Big_Lips"),
)

_WIDTH, _HEIGHT, _TOP = 178, 218, 20
_TRAIN, _VALIDATION, _TEST = range(3)


class CelebA(Dataset):
    """Attributes are the class index of `DEFAULT` (`Male` is gender) and of those `add` names.

    Options: add: more of the 40 attributes, separated by commas. attack_share: part of the training people
    that goes to ATTACK. limit: at most so many images a pool, taken by whole people; 0: all. partial: accept
    label rows without image. skip_damaged: leave damaged images out, and list them in `damaged`.
    """

    title = "CelebA"
    paper = "Liu et al., Deep Learning Face Attributes in the Wild, ICCV 2015"
    obfuscate = ("gender", "young")
    watch = ("gender", "young", "heavy_makeup", "attractive", "smiling")
    options = {"add": "", "attack_share": 0.5, "limit": 0, "partial": False, "skip_damaged": False}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return holds(root)

    def _attributes(self) -> tuple[Attribute, ...]:
        return tuple(_attribute(name) for name in self._official)

    def _fingerprint(self, pool: str) -> str:
        """Of every image in the pool: name, CRC, person, pool and labels; and the size.

        The same images give the same fingerprint from a folder or a zip, from one root or several.
        """
        people, listing = self._people, self._listing
        digest = hashlib.sha256(f"{self.size} {self._official}".encode())
        for name in sorted(people.pools[pool]):
            crc = listing.files[name].crc(name)
            row = (name, crc, listing.identities[name], people.pool_of[name], listing.attributes[name])
            digest.update(repr(row).encode())
        return digest.hexdigest()

    def _load(self, pool: str) -> Faces:
        listing = self._listing
        names, images = self._images(self._people.pools[pool])
        identities = np.array([listing.identities[n] for n in names], np.int64)
        attributes = self._attributes()
        signs = np.array([listing.attributes[n] for n in names], np.float32).reshape(-1, len(attributes))
        square = np.array(CELEBA_LANDMARKS) - (0, _TOP)
        landmarks = ((square + 0.5) * (self.size / _WIDTH) - 0.5).astype(np.float32)
        return Faces(
            images=images,
            identities=identities,
            keys=np.array(names, np.str_),
            labels={a.name: (signs[:, i] > 0).astype(np.float32) for i, a in enumerate(attributes)},
            attributes=attributes,
            landmarks=np.broadcast_to(landmarks, (len(names), 5, 2)).copy(),
        )

    def _survey(self, report: Report, faces: bool) -> Survey:
        listing, pools = self._listing, self._people.pools
        male = self._official.index("Male")
        items = []
        for name in (n for pool in POOLS for n in pools[pool]):
            files, signs = listing.files[name], listing.attributes[name]
            decode = partial(_square, files, name)
            person = str(listing.identities[name])
            items.append(Item(name, files, person, repr(signs), float(signs[male] > 0), decode))
        counts = {pool: (len(n), len({listing.identities[i] for i in n})) for pool, n in pools.items()}
        return Survey(counts, tuple(examine(items, report)))

    # -- what is where -----------------------------------------------------------------------------------

    @cached_property
    def _official(self) -> tuple[str, ...]:
        """Official names of the attributes, those asked for behind the usual ones."""
        known = {name.lower(): name for name in OFFICIAL}
        chosen = list(DEFAULT)
        for name in filter(None, (n.strip() for n in self.settings["add"].split(","))):
            if name.lower() not in known:
                raise unknown_name("attribute of CelebA", name, OFFICIAL)
            chosen.append(known[name.lower()])
        return tuple(dict.fromkeys(chosen))

    @cached_property
    def _listing(self) -> Listing:
        return read_listing(self.roots, self._official, partial=self.settings["partial"])

    @cached_property
    def _people(self) -> _People:
        share = self.settings["attack_share"]
        if not 0 < share < 1:
            raise InputError(f"dataset option attack_share must lie between 0 and 1, not {share}")
        if self.settings["limit"] < 0:
            raise InputError("dataset option limit must not be negative")
        return _deal(self._listing, self._official.index("Male"), share, self.settings["limit"], self.seed)

    # -- decoding ----------------------------------------------------------------------------------------

    @cached_property
    def damaged(self) -> list[str]:
        """Images that `load` left out because they cannot be decoded (`skip_damaged`), as they turn up."""
        return []

    def _images(self, names: Sequence[str]) -> tuple[list[str], NDArray[np.uint8]]:
        """Decoded images and the names they belong to."""
        damaged = self.damaged if self.settings["skip_damaged"] else None
        return load_images(names, self._listing.files, self.size, _square, damaged)


def _attribute(official: str) -> Attribute:
    return {"Male": GENDER, "Young": YOUNG}.get(official) or yes_no(official.lower())


# -- pools -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _People:
    """pools: pool -> sorted image names. pool_of: image name -> pool."""

    pools: Mapping[str, list[str]]
    pool_of: Mapping[str, str]


def _deal(listing: Listing, male: int, share: float, limit: int, seed: int) -> _People:
    """Whole people to pools. Raises InputError for a person with images in two official partitions."""
    images: dict[int, list[str]] = {}
    for name in sorted(listing.files):
        images.setdefault(listing.identities[name], []).append(name)
    partition, men = {}, {}
    for person, names in images.items():
        partition[person] = _one_partition(person, names, listing)
        men[person] = sum(listing.attributes[n][male] for n in names) > 0
    everybody = {pool: [p for p in images if partition[p] == number] for pool, number in _OFFICIAL_POOLS}
    train = [p for p in images if partition[p] == _TRAIN]
    everybody[ATTACK] = _share_of(train, men, share, seed)
    everybody[DEVELOP] = sorted(set(train) - set(everybody[ATTACK]))
    pools = {}
    for number, pool in enumerate(POOLS):
        people = everybody[pool]
        if limit:
            people = _at_most(people, men, images, limit, [seed, number])
        pools[pool] = sorted(name for person in people for name in images[person])
    return _People(pools, {name: pool for pool, names in pools.items() for name in names})


_OFFICIAL_POOLS = ((VALIDATION, _VALIDATION), (TEST, _TEST))


def _one_partition(person: int, names: Sequence[str], listing: Listing) -> int:
    first = names[0]
    for name in names:
        if listing.partitions[name] != listing.partitions[first]:
            raise InputError(
                f"identity {person} is in two partitions: {first} in {listing.partitions[first]}, "
                f"{name} in {listing.partitions[name]}; pools must not share a person: correct the lists"
            )
    return listing.partitions[first]


def _shuffled(people: Sequence[int], men: Mapping[int, bool], seed: int | list[int]) -> list[list[int]]:
    """The women and the men, each in random order."""
    rng = np.random.default_rng(seed)
    groups = [sorted(p for p in people if men[p] == man) for man in (False, True)]
    return [[group[i] for i in rng.permutation(len(group))] for group in groups]


def _share_of(people: Sequence[int], men: Mapping[int, bool], share: float, seed: int) -> list[int]:
    return sorted(p for group in _shuffled(people, men, seed) for p in group[: round(len(group) * share)])


def _at_most(
    people: Sequence[int],
    men: Mapping[int, bool],
    images: Mapping[int, Sequence[str]],
    limit: int,
    seed: list[int],
) -> list[int]:
    """People in random order, a woman and a man in turn, until the next would exceed `limit` images."""
    women_first = _shuffled(people, men, seed)
    turns = [(turn, gender, p) for gender, group in enumerate(women_first) for turn, p in enumerate(group)]
    chosen: list[int] = []
    total = 0
    for _, _, person in sorted(turns, key=lambda t: t[:2]):
        total += len(images[person])
        if total > limit:
            break
        chosen.append(person)
    if len(chosen) < 2 <= len(people):
        raise InputError(f"dataset option limit={limit} leaves a pool fewer than two people; raise it")
    return chosen


# -- pixels ------------------------------------------------------------------------------------------


def _square(files: ImageFiles, name: str) -> NDArray[np.uint8]:
    """BGR uint8 (178, 178, 3), the square part of an aligned image."""
    return decode_jpeg(files, name, _WIDTH, _HEIGHT, "img_align_celeba")[_TOP : _TOP + _WIDTH]
