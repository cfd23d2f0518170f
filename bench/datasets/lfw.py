"""LFW: press photographs of 5,749 people with a published list of 6,000 comparisons (Huang et al., 2007).

    lfw-deepfunneled/Name/Name_NNNN.jpg    or lfw_funneled/, lfw/, or one of them as .zip, read in place
    pairs.txt                              View 2: 10 folds of 300 mated and 300 non-mated pairs
    male_names.txt, female_names.txt       gender, a file name a line (Afifi and Abdelhamed, AFIF4, 2017)
    lfw_attributes.txt                     scores of 73 classifiers (Kumar et al., ICCV 2009): above 0, yes

Every list is optional. The gender lists name photos of the whole set, which a partial one may lack. A gender
that both lists claim is unknown; the attribute file tells that of photos that neither list names.

LFW and CelebA share celebrities: what was trained on CelebA may have seen people of LFW.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from bench.api import TEST, Attribute, InputError, yes_no
from bench.components.survey import Problem
from bench.datasets._layout import Found, Layout, first_file
from bench.datasets._photos import Photo, PhotoDataset
from bench.datasets._tables import Row, read_names, read_table
from bench.errors import unknown_name
from bench.faces import GENDER
from bench.metrics.pair_lists import FoldedPairs, read_pairs

PAIRS, MALE, FEMALE, ATTRIBUTES = "pairs.txt", "male_names.txt", "female_names.txt", "lfw_attributes.txt"
LAYOUT = Layout(
    "LFW",
    ("lfw-deepfunneled", "lfw_deepfunneled", "lfw-funneled", "lfw_funneled", "lfw", ""),
    re.compile(r"(?:.*/)?(?P<key>(?P<person>[^/]+)/(?P=person)_\d{4})\.jpg"),
    "Name/Name_0001.jpg",
    (".jpg",),
)
_YES_NO = {
    "Eyeglasses": "eyeglasses",
    "Smiling": "smiling",
    "Heavy Makeup": "heavy_makeup",
    "Receding Hairline": "receding_hairline",
    "Bushy Eyebrows": "bushy_eyebrows",
    "Narrow Eyes": "narrow_eyes",
    "Big Nose": "big_nose",
    "Big Lips": "big_lips",
}
"""Columns of the attribute file -> CelebA's names for the same things."""

PEOPLE, VIEW2 = "people", "view2"
_DIGITS = 9


class LFW(PhotoDataset):
    """Attributes: gender; with the attribute file those of `_YES_NO` too.

    Options: pools: `people`, dealt out to all pools, or `view2`, where TEST is what the pair list names and
    there is no other pool. limit, skip_damaged: see `PhotoDataset`.
    """

    title = "LFW"
    paper = "Huang, Ramesh, Berg, Learned-Miller, Labeled Faces in the Wild, Technical Report 07-49, 2007"
    watch = ("gender",)
    options = {"pools": "people", "limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        more = tuple(yes_no(name) for name in _YES_NO.values()) if first_file(self.roots, ATTRIBUTES) else ()
        return (GENDER, *more)

    def _pairs(self) -> FoldedPairs | None:
        """View 2. Raises InputError where TEST is not what it names."""
        if self._list is not None and not self._is_view2:
            raise InputError(
                f"{PAIRS} names photos of all people, and TEST has a quarter of them: add "
                f"--set dataset_options.pools={VIEW2}"
            )
        return self._list

    @cached_property
    def _list(self) -> FoldedPairs | None:
        path = first_file(self.roots, PAIRS)
        return read_pairs(path) if path else None

    def _photos(self) -> Sequence[Photo]:
        found = {f.key: f for f in self._found}
        wanted, pool = (self._view2, TEST) if self._is_view2 else (tuple(found), "")
        return [
            Photo(f.key, f.name, f.files, f["person"], self._labels.get(f.key, {}), pool=pool)
            for f in map(found.__getitem__, wanted)
        ]

    def _label_problems(self) -> Sequence[Problem]:
        return [*LAYOUT.strangers(self.roots), *self._missing, *self._doubtful]

    @cached_property
    def _found(self) -> list[Found]:
        return LAYOUT.find(self.roots)

    @property
    def _is_view2(self) -> bool:
        pools = self.settings["pools"]
        if pools not in (PEOPLE, VIEW2):
            raise unknown_name("value of dataset option pools", pools, (PEOPLE, VIEW2))
        return bool(pools == VIEW2)

    @cached_property
    def _listed(self) -> list[str]:
        """Keys of the photos that the pair list names, none where there is no list."""
        pairs = self._list
        return sorted({*pairs.left, *pairs.right}) if pairs else []

    @property
    def _view2(self) -> Sequence[str]:
        """The same. Raises InputError where there is no list, or where one of them is missing."""
        if not self._listed:
            places = ", ".join(map(str, self.roots))
            raise InputError(f"dataset option pools=view2 needs {PAIRS}, which is not in {places}")
        if self._missing:
            raise InputError(f"{len(self._missing):,} photos of {PAIRS} are missing: {self._missing[0].what}")
        return self._listed

    @property
    def _missing(self) -> list[Problem]:
        there = {f.key for f in self._found}
        where = str(first_file(self.roots, PAIRS))
        return [Problem("missing", where, f"no photo {k}.jpg") for k in self._listed if k not in there]

    # -- labels ------------------------------------------------------------------------------------------

    @cached_property
    def _labels(self) -> Mapping[str, Mapping[str, float]]:
        """Key -> labels."""
        path = first_file(self.roots, ATTRIBUTES)
        labels = _scored(path) if path else {}
        for key, claims in self._claims.items():
            known = labels.setdefault(key, {})
            known.pop(GENDER.name, None)
            if len(claims) == 1:
                known[GENDER.name] = float(*claims)
        return labels

    @cached_property
    def _claims(self) -> Mapping[str, Mapping[int, Row]]:
        """Key -> gender -> the row that tells it."""
        claims: dict[str, dict[int, Row]] = {}
        for gender, name in enumerate((FEMALE, MALE)):
            path = first_file(self.roots, name)
            for row in read_names(path) if path else ():
                claims.setdefault(_key(row), {}).setdefault(gender, row)
        return claims

    @property
    def _doubtful(self) -> list[Problem]:
        """Photos of both lists of genders, and rows of photos that are not there."""
        there = {f.key for f in self._found}
        problems = []
        for key, claims in self._claims.items():
            row = claims[max(claims)]
            if key not in there:
                problems.append(Problem("unused", row.where, f"no photo {key}.jpg", row.line))
            elif len(claims) > 1:
                what = f"{key} stands in {FEMALE} and in {MALE}; its gender is taken as unknown"
                problems.append(Problem("mislabelled", row.where, what, row.line))
        return problems


def _key(row: Row) -> str:
    """Key of the photo that a line of a list names, `Name_0001.jpg`."""
    match = re.fullmatch(r"((.+)_\d{4})\.jpg", row.cells[0])
    if match is None:
        raise row.fail(f"must be a file name as Name_0001.jpg, not {row.cells[0]!r}")
    return f"{match[2]}/{match[1]}"


def _scored(path: Path) -> dict[str, dict[str, float]]:
    """Key -> labels by the sign of the classifiers' scores."""
    table = read_table(path, ("person", "imagenum", "Male", *_YES_NO), "\t", skip=1)
    labels: dict[str, dict[str, float]] = {}
    for row in table.rows:
        person = row["person"].replace(" ", "_")
        if not row["imagenum"].isdecimal() or len(row["imagenum"]) > _DIGITS:
            raise row.fail(f"imagenum must be a number, not {row['imagenum']!r}")
        key = f"{person}/{person}_{int(row['imagenum']):04d}"
        if key in labels:
            raise row.fail(f"a second row for {key}")
        labels[key] = {name: float(row.number(column) > 0) for column, name in _YES_NO.items()}
        labels[key][GENDER.name] = float(row.number("Male") > 0)
    return labels
