"""VGGFace2: 3.3 million photos of 9,131 people (Cao, Shen, Xie, Parkhi, Zisserman, FG 2018).

    train/n000002/0001_01.jpg, test/n000001/0001_01.jpg      also below data/; one of the two may be missing
    identity_meta.csv                    Class_ID, Name, Sample_Num, Flag (1 train), Gender    also in meta/
    loose_landmark_train.csv, ..._test.csv     NAME_ID,P1X,P1Y,...,P5X,P5Y    also in bb_landmark/ and meta/
    train_list.txt, test_list.txt        every photo of a part, for `data verify`    also in meta/

With both parts the official test people are TEST and the training people are dealt out to the other pools;
with one part its people are dealt out to all. Photos without landmarks have their faces looked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.api import ATTACK, DEVELOP, POOLS, TEST, VALIDATION, Attribute
from bench.components.survey import Problem
from bench.datasets._framing import Landmarks
from bench.datasets._labels import gender
from bench.datasets._layout import Found, Layout, first_file
from bench.datasets._photos import Photo, PhotoDataset
from bench.datasets._tables import Row, read_names, read_rows, read_table
from bench.faces import GENDER

META = "identity_meta.csv"
LAYOUT = Layout(
    "VGGFace2",
    ("data", ""),
    re.compile(r"(?:(?:.*/)?(?P<part>[^/]+)/)?(?P<key>(?P<person>n\d{6})/\d{4}_\d{2})\.jpg"),
    "n000001/0001_01.jpg",
    (".jpg",),
)
_PLACES = ("", "bb_landmark/", "meta/", "meta/bb_landmark/", "label/", "data/")
_COLUMNS = tuple(f"P{number}{axis}" for number in range(1, 6) for axis in "XY")


class VGGFace2(PhotoDataset):
    """Attributes: gender, where the list of people is there. Options: see `PhotoDataset`."""

    title = "VGGFace2"
    paper = "Cao, Shen, Xie, Parkhi, Zisserman, VGGFace2, FG 2018"
    watch = ("gender",)
    options = {"limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER,) if self._meta_file else ()

    def _photos(self) -> Sequence[Photo]:
        return [
            Photo(
                f.key,
                f.name,
                f.files,
                f["person"],
                self._genders.get(f["person"], {}),
                self._landmarks_by_key.get(f.key),
                TEST if self._has_both_parts and self._part(f) == "test" else "",
            )
            for f in self._found
        ]

    def _dealt(self) -> tuple[str, ...]:
        return (DEVELOP, VALIDATION, ATTACK) if self._has_both_parts else POOLS

    def _label_problems(self) -> Sequence[Problem]:
        return [*LAYOUT.strangers(self.roots), *self._missing()]

    def _missing(self) -> list[Problem]:
        """Photos that the list of a part names and that are not there; a part that is not there is none."""
        there = {f.key for f in self._found}
        problems: list[Problem] = []
        for part in ("train", "test"):
            path = first_file(self.roots, *(f"{place}{part}_list.txt" for place in _PLACES))
            lacking = [
                row
                for row in (read_names(path) if path else ())
                if row.cells[0].removesuffix(".jpg") not in there
            ]
            if any(self._part(f) == part for f in self._found):
                problems += [Problem("missing", r.where, f"no photo {r.cells[0]}", r.line) for r in lacking]
        return problems

    # -- files -------------------------------------------------------------------------------------------

    @cached_property
    def _found(self) -> list[Found]:
        return LAYOUT.find(self.roots)

    @cached_property
    def _has_both_parts(self) -> bool:
        return {"train", "test"} <= {self._part(f) for f in self._found}

    def _part(self, photo: Found) -> str:
        """`train` or `test`, by the list of people, else by the folder."""
        row = self._meta.get(photo["person"])
        return photo["part"] if row is None else {"0": "test", "1": "train"}[row[0]]

    @property
    def _meta_file(self) -> Path | None:
        return first_file(self.roots, *(f"{place}{META}" for place in _PLACES))

    @cached_property
    def _meta(self) -> Mapping[str, tuple[str, float]]:
        """Person -> flag and gender."""
        people: dict[str, tuple[str, float]] = {}
        for row in (read_rows(self._meta_file) if self._meta_file else [])[1:]:
            if row.cells[0] in people:
                raise row.fail(f"a second row for {row.cells[0]}")
            people[row.cells[0]] = _flag_and_gender(row)
        return people

    @cached_property
    def _genders(self) -> Mapping[str, Mapping[str, float]]:
        return {person: {GENDER.name: told} for person, (_, told) in self._meta.items()}

    @cached_property
    def _landmarks_by_key(self) -> Mapping[str, Landmarks]:
        found: dict[str, Landmarks] = {}
        for part in ("train", "test"):
            path = first_file(self.roots, *(f"{place}loose_landmark_{part}.csv" for place in _PLACES))
            for row in read_table(path, ("NAME_ID", *_COLUMNS)).rows if path else ():
                if row["NAME_ID"] in found:
                    raise row.fail(f"a second row for {row['NAME_ID']}")
                points = [row.number(column) for column in _COLUMNS]
                found[row["NAME_ID"]] = np.array(points, np.float32).reshape(5, 2)
        return found


def _flag_and_gender(row: Row) -> tuple[str, float]:
    """From the end of the row: some names have a comma of their own."""
    cells = [cell for cell in row.cells if cell]
    if len(cells) < 5 or cells[-2] not in ("0", "1") or cells[-1] not in ("m", "f"):
        raise row.fail("must be Class_ID, Name, Sample_Num, Flag (0 or 1), Gender (m or f)")
    return cells[-2], gender(cells[-1])
