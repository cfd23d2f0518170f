"""MUCT: 3,755 photos of 276 people with 76 manual landmarks (Milborrow, Morkel, Nicolls, PRASA 2010).

    jpg/i000qa-fn.jpg       person 000, lights q to z, camera a to e, female or male, none or glasses
    muct76-opencv.csv       also in muct-landmarks/: name,tag,x00,y00,...,x75,y75

The list is optional: photos without it, or whose eyes, nose tip or mouth corners it marks as hidden (0,0),
have their faces looked for. Its rows of mirrored photos (`ir...`), which nobody publishes, are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.api import Attribute
from bench.components.survey import Problem
from bench.datasets._framing import Landmarks
from bench.datasets._labels import EYEGLASSES, gender
from bench.datasets._layout import Layout, first_file
from bench.datasets._photos import Photo, PhotoDataset
from bench.datasets._tables import Row, read_table
from bench.faces import GENDER

LIST = "muct76-opencv.csv"
LAYOUT = Layout(
    "MUCT",
    ("jpg", "muct", ""),
    re.compile(
        r"(?:.*/)?(?P<key>i(?P<person>\d{3})(?P<lights>[q-z])(?P<camera>[a-e])-"
        r"(?P<gender>[fm])(?P<glasses>[ng]))\.jpg"
    ),
    "i000qa-fn.jpg",
    (".jpg",),
)
FIVE = (31, 36, 67, 48, 54)
"""Numbers of the pupils, the nose tip and the mouth corners, as seen in the photo, among the 76."""


class MUCT(PhotoDataset):
    """Attributes: gender, eyeglasses. Options: see `PhotoDataset`."""

    title = "MUCT"
    paper = "Milborrow, Morkel, Nicolls, The MUCT Landmarked Face Database, PRASA 2010"
    watch = ("gender", "eyeglasses")
    options = {"limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return LAYOUT.tree(root) is not None

    def _attributes(self) -> tuple[Attribute, ...]:
        return (GENDER, EYEGLASSES)

    def _photos(self) -> Sequence[Photo]:
        photos = []
        for found in LAYOUT.find(self.roots):
            row = self._rows.get(found.key)
            labels = {GENDER.name: gender(found["gender"]), EYEGLASSES.name: float(found["glasses"] == "g")}
            points, where = (_points(row), row.place) if row else (None, "")
            photos.append(
                Photo(found.key, found.name, found.files, found["person"], labels, points, where=where)
            )
        return photos

    def _label_problems(self) -> Sequence[Problem]:
        there = {found.key for found in LAYOUT.find(self.roots)}
        unused = [
            Problem("unused", row.where, f"no photo {key}.jpg", row.line)
            for key, row in self._rows.items()
            if key not in there
        ]
        return [*LAYOUT.strangers(self.roots), *unused]

    @cached_property
    def _rows(self) -> Mapping[str, Row]:
        """Key -> row of the list of landmarks."""
        path = first_file(self.roots, LIST, f"muct-landmarks/{LIST}", f"jpg/{LIST}")
        rows: dict[str, Row] = {}
        needed = [f"{axis}{number:02d}" for number in FIVE for axis in "xy"]
        for row in read_table(path, ("name", *needed)).rows if path else ():
            if row["name"] in rows:
                raise row.fail(f"a second row for {row['name']}")
            if not row["name"].startswith("ir"):
                rows[row["name"]] = row
        return rows


def _points(row: Row) -> Landmarks | None:
    points = [[row.number(f"{axis}{number:02d}") for axis in "xy"] for number in FIVE]
    hidden = any(x == y == 0 for x, y in points)
    return None if hidden else np.array(points, np.float32)
