"""Your own photographs: a folder and a table that says who is on them.

    manifest.csv       file,identity and whatever else is known; one row a photo
    any/place/a.jpg    the photos, named by their path below the folder

Columns: `file` and `identity` must be there. `pool` puts a person into develop, validation, attack or test;
people without one are dealt out. Landmarks in pixels of the upright photo, left and right as seen in it:
`left_eye_x`, `left_eye_y`, `right_eye_x`, ... `nose_`, `mouth_left_`, `mouth_right_`; faces of rows without
them are looked for. Every other column is an attribute: its different texts are the classes, an empty cell is
unknown, and a head like `age [years]` makes it a number with that unit. Texts `female` and `male`, `no` and
`yes` make the attributes that the methods know; a number called age brings the age group with it.

    file,identity,gender,age [years],hat
    ann/1.jpg,ann,female,31,no
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

import numpy as np

from bench.api import POOLS, Attribute, InputError, yes_no
from bench.components.survey import Problem
from bench.datasets._file_trees import FolderTree
from bench.datasets._framing import Landmarks
from bench.datasets._labels import age_group
from bench.datasets._photos import Photo, PhotoDataset
from bench.datasets._tables import Row, Table, read_table
from bench.faces import AGE, AGE_GROUP, GENDER

MANIFEST = "manifest.csv"
_POINTS = ("left_eye", "right_eye", "nose", "mouth_left", "mouth_right")
LANDMARKS = tuple(f"{point}_{axis}" for point in _POINTS for axis in "xy")
_OWN = ("file", "identity", "pool", *LANDMARKS)
_HEAD = re.compile(r"(?P<name>[^\[\]]+?)\s*(?:\[(?P<unit>[^\[\]]+)\])?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST_CLASSES = 64


class Folder(PhotoDataset):
    """Attributes: the columns of the manifest. Options: see `PhotoDataset`.

    Several roots are joined: each has a manifest with the same columns, and a person may be in several.
    """

    title = "own photographs"
    options = {"limit": 0, "skip_damaged": False, "finder": "ultraface"}

    @classmethod
    def holds(cls, root: Path) -> bool:
        return (root / MANIFEST).is_file()

    def _attributes(self) -> tuple[Attribute, ...]:
        return tuple(attribute for attribute, _ in self._columns)

    def _photos(self) -> Sequence[Photo]:
        return [photo for entry in self._rows if (photo := self._photo(*entry)) is not None]

    def _check(self) -> None:
        for problem in self._absent:
            raise InputError(
                f"{problem.file}, line {problem.line}: {problem.what}; copy it there or remove the line"
            )

    def _label_problems(self) -> Sequence[Problem]:
        named = {(tree.where, row["file"]) for _, row, tree in self._rows}
        unused = [
            Problem("unused", f"{tree.where}/{name}", f"not in {MANIFEST}")
            for tree in self._trees.values()
            for name in sorted(tree.names())
            if (tree.where, name) not in named
        ]
        return [*self._absent, *unused]

    # -- rows --------------------------------------------------------------------------------------------

    @cached_property
    def _tables(self) -> Mapping[Path, Table]:
        """Root -> its manifest. Raises InputError where columns differ."""
        tables: dict[Path, Table] = {}
        for root in self.roots:
            if not self.holds(root):
                raise InputError(
                    f"no {MANIFEST} in {root}; write one with the columns file, identity and what you know"
                )
            tables[root] = table = read_table(root / MANIFEST, ("file", "identity"))
            first = next(iter(tables.values()))
            if set(table.columns) != set(first.columns):
                differing = ", ".join(sorted(set(table.columns) ^ set(first.columns)))
                raise InputError(f"{first.where} and {table.where} do not have the same columns: {differing}")
        return tables

    @cached_property
    def _trees(self) -> Mapping[Path, FolderTree]:
        return {root: FolderTree(root) for root in self._tables}

    @cached_property
    def _rows(self) -> list[tuple[int, Row, FolderTree]]:
        """Number of the root, row and files. Raises InputError for a bad path, or one that comes twice."""
        found: list[tuple[int, Row, FolderTree]] = []
        for number, (root, table) in enumerate(self._tables.items()):
            lines: dict[str, int] = {}
            for row in table.rows:
                _refuse(row)
                first = lines.setdefault(row["file"], row.line)
                if first != row.line:
                    raise row.fail(f"{row['file']} stands in line {first} already")
                found.append((number, row, self._trees[root]))
        return found

    @cached_property
    def _absent(self) -> list[Problem]:
        return [
            Problem("missing", row.where, f"no photo {row['file']} in {tree.where}", row.line)
            for _, row, tree in self._rows
            if row["file"] not in tree.names()
        ]

    def _photo(self, number: int, row: Row, tree: FolderTree) -> Photo | None:
        if row["file"] not in tree.names():
            return None
        labels: dict[str, float] = {}
        for attribute, column in self._columns:
            value = _value(attribute, row, column)
            if value is not None:
                labels[attribute.name] = value
        key = row["file"] if len(self.roots) == 1 else f"{number}/{row['file']}"
        pool = row["pool"].lower() if "pool" in row.columns else ""
        if pool and pool not in POOLS:
            raise row.fail(f"no pool '{row['pool']}'; pools are {', '.join(POOLS)}, or an empty cell")
        return Photo(key, row["file"], tree, row["identity"], labels, _points(row), pool, row.place)

    @cached_property
    def _columns(self) -> list[tuple[Attribute, str]]:
        """Each attribute and the column that tells it."""
        table = next(iter(self._tables.values()))
        rows = [row for _, row, _ in self._rows]
        columns = [(_attribute(c, rows, table), c) for c in table.columns if c not in _OWN]
        names = [attribute.name for attribute, _ in columns]
        for name in names:
            if names.count(name) > 1:
                raise InputError(f"{table.where}: two columns tell the attribute {name}; leave one")
        if AGE_GROUP.name not in names:
            columns += [(AGE_GROUP, column) for attribute, column in columns if attribute == AGE]
        return columns


def _refuse(row: Row) -> None:
    """Raises InputError for a row without person, or whose path leads out of the folder."""
    path = PurePosixPath(row["file"])
    if not row["file"] or not row["identity"]:
        raise row.fail("a row needs a file and an identity")
    if path.is_absolute() or ".." in path.parts or "\\" in row["file"] or str(path) != row["file"]:
        raise row.fail(f"{row['file']!r} must be a plain path below the folder, with / between its parts")


def _attribute(column: str, rows: Sequence[Row], table: Table) -> Attribute:
    """What a column tells, by its head and its texts."""
    head = _HEAD.fullmatch(column)
    name = re.sub(r"[\s-]+", "_", head["name"].strip().lower()) if head else ""
    if head is None or not _NAME.fullmatch(name):
        raise InputError(
            f"{table.where}: column '{column}' must be named as `hat` or `age [years]`, in letters and digits"
        )
    if head["unit"]:
        return Attribute(name, unit=head["unit"].strip())
    texts = sorted({row[column] for row in rows} - {""})
    if len(texts) > _MOST_CLASSES:
        raise InputError(
            f"{table.where}: column '{column}' has {len(texts)} different texts; a number needs a unit in "
            f"its head, as `{name} [years]`"
        )
    if not texts:
        raise InputError(f"{table.where}: column '{column}' is empty; leave it out")
    for known in (GENDER, yes_no(name)):
        if known.name == name and set(texts) <= set(known.classes):
            return known
    if len(texts) == 1:
        raise InputError(f"{table.where}: column '{column}' says {texts[0]!r} of everybody; leave it out")
    return Attribute(name, tuple(texts))


def _value(attribute: Attribute, row: Row, column: str) -> float | None:
    """Class index or number; None for an empty cell."""
    if not row[column]:
        return None
    if attribute == AGE_GROUP and column != AGE_GROUP.name:
        return age_group(row.number(column))
    return row.number(column) if attribute.is_number else float(attribute.classes.index(row[column]))


def _points(row: Row) -> Landmarks | None:
    """The five landmarks; None where the row has none. Raises InputError where it has a part of them."""
    given = [column for column in LANDMARKS if column in row.columns and row[column]]
    if not given:
        return None
    if len(given) < len(LANDMARKS):
        lacking = next(column for column in LANDMARKS if column not in given)
        raise row.fail(f"{lacking} is missing; give all ten coordinates of the landmarks or none")
    return np.array([row.number(column) for column in LANDMARKS], np.float32).reshape(5, 2)
