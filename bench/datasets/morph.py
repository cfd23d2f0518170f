"""MORPH Album 2: mug shots over years with race, gender and age (Ricanek and Tesafaye, FG 2006).

    Album2/009055_1M54.JPG      person, number of the photo, sex, age; or in the folder itself, or Album2.zip
    *.csv                       id_num,picture_num,dob,doa,race,gender,facial_hair,age,age_diff,glasses,photo

Gender and age stand in the name and in the table; where they differ the table, which the publisher cleaned,
counts, and `data verify` names the photo. Race stands in the table alone: without it there is none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from bench.api import Attribute
from bench.components.survey import Problem
from bench.datasets._labels import AFRICAN_OR_CAUCASIAN, age_group, gender
from bench.datasets._layout import Found, Layout
from bench.datasets._photos import Photo, PhotoDataset
from bench.datasets._tables import Row, read_rows, read_table
from bench.errors import unknown_name
from bench.faces import AGE, AGE_GROUP, GENDER

LAYOUT = Layout(
    "MORPH",
    ("Album2", "album2", ""),
    re.compile(
        r"(?:.*/)?(?P<key>(?P<person>\d{1,6})_(?P<number>\d{1,3})(?P<gender>[MF])(?P<age>\d{1,3}))\.(?:JPG|jpg)"
    ),
    "009055_1M54.JPG",
    (".jpg",),
)
_COLUMNS = ("race", "gender", "age", "photo")
_RACES: Mapping[str, tuple[Attribute, Mapping[str, int]]] = {
    "five": (
        Attribute("race", ("Black", "White", "Asian", "Hispanic", "Other")),
        {letter: number for number, letter in enumerate("BWAHO")},
    ),
    "two": (AFRICAN_OR_CAUCASIAN, {"B": 0, "W": 1}),
}
"""Value of option `races` -> the attribute, and the publisher's letter -> class index."""


class MORPH(PhotoDataset):
    """Attributes: gender, age in years, age_group, and race where the table is there.

    Options: races: `five`, the publisher's classes, or `two`, African descent and Caucasian as PrivacyNet has
    them, the others unlabelled. limit, skip_damaged: see `PhotoDataset`.
    """

    title = "MORPH Album 2"
    paper = "Ricanek, Tesafaye, MORPH: A Longitudinal Image Database of Normal Adult Age-Progression, FG 2006"
    watch = ("gender", "race", "age_group")
    options = {"races": "five", "limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER, *((self._race[0],) if self._rows else ()), AGE, AGE_GROUP)

    def _photos(self) -> Sequence[Photo]:
        return [
            Photo(f.key, f.name, f.files, f"{int(f['person']):06d}", self._labels(f), where=self._place(f))
            for f in LAYOUT.find(self.roots)
        ]

    def _labels(self, photo: Found) -> dict[str, float]:
        labels = {GENDER.name: gender(photo["gender"]), AGE.name: float(photo["age"])}
        row = self._rows.get(photo.key)
        if row is not None:
            labels |= _told(row)
            race = self._race[1].get(row["race"].upper())
            labels |= {} if race is None else {"race": float(race)}
        return labels | {AGE_GROUP.name: age_group(labels[AGE.name])}

    def _label_problems(self) -> Sequence[Problem]:
        found = {f.key: f for f in LAYOUT.find(self.roots)}
        problems = list(LAYOUT.strangers(self.roots))
        for key, row in self._rows.items():
            if key not in found:
                problems.append(Problem("unused", row.where, f"no photo {key}.JPG", row.line))
                continue
            named = {GENDER.name: gender(found[key]["gender"]), AGE.name: float(found[key]["age"])}
            for name, told in _told(row).items():
                if told != named[name]:
                    what = f"another {name} than the name of {key}.JPG"
                    problems.append(Problem("mislabelled", row.where, what, row.line))
        return problems

    @property
    def _race(self) -> tuple[Attribute, Mapping[str, int]]:
        races = self.settings["races"]
        if races not in _RACES:
            raise unknown_name("value of dataset option races", races, _RACES)
        return _RACES[races]

    def _place(self, photo: Found) -> str:
        row = self._rows.get(photo.key)
        return row.place if row else ""

    @cached_property
    def _rows(self) -> Mapping[str, Row]:
        """Key -> row, of all tables that have the columns."""
        rows: dict[str, Row] = {}
        for path in (path for root in self.roots for path in _tables(root)):
            for row in read_table(path, _COLUMNS).rows:
                key = row["photo"].replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
                if key in rows and rows[key].cells != row.cells:
                    raise row.fail(f"another row for {key} says something else ({rows[key].place})")
                rows[key] = row
        return rows


def _tables(root: Path) -> list[Path]:
    paths = sorted([*root.glob("*.csv"), *root.glob("Album2/*.csv")])
    return [p for p in paths if (rows := read_rows(p)) and set(_COLUMNS) <= set(rows[0].cells)]


def _told(row: Row) -> dict[str, float]:
    """Gender and age of a row."""
    try:
        return {GENDER.name: gender(row["gender"]), AGE.name: row.number("age")}
    except KeyError as error:
        raise row.fail(f"gender must be M or F, not {row['gender']!r}") from error
