"""What a method is told of a face: from a table of the user's, else from pretrained networks at hand."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import discover
from bench.components.attacker import Attacker
from bench.components.base import Context
from bench.datasets._labels import age_group
from bench.errors import InputError, Unavailable, unknown_name
from bench.faces import AGE, AGE_GROUP, GENDER, Attribute, Faces
from bench.outside import MOST_TABLE, read_text
from bench.spreadsheet import original
from bench.weights import WeightsFolder

TABLE = "labels file"
FILE = "file"

_READERS = {
    GENDER.name: ("dlib_gender", "intel_age_gender", "insightface_genderage"),
    AGE.name: ("insightface_genderage", "intel_age_gender"),
}
"""Pretrained attackers that tell an attribute, the most accurate on CelebA first."""
_DERIVED: Mapping[str, tuple[str, Callable[[float], float]]] = {AGE_GROUP.name: (AGE.name, age_group)}
"""Attribute -> which one it follows from, and how."""


@dataclass(frozen=True)
class Told:
    """Labels of K faces. values: attribute -> float32 (K,), NaN where unknown. sources: attribute -> K names
    of who says so, empty where nobody does."""

    values: Mapping[str, NDArray[np.float32]]
    sources: Mapping[str, tuple[str, ...]]


def read_table(path: Path, attributes: Sequence[Attribute]) -> dict[str, dict[str, float]]:
    """File -> attribute -> label, of a CSV with a column `file` (as it stands in the result's) and one for
    each attribute that is known: a class by its name or number, or a number; empty where unknown.

    Raises InputError with the line.
    """
    known = {a.name: a for a in attributes}
    reader = csv.DictReader(io.StringIO(read_text(path, MOST_TABLE), newline=""), restkey="", strict=True)
    try:
        names = list(reader.fieldnames or [])
        _check_columns(path, names, known)
        rows: dict[str, dict[str, float]] = {}
        for row in reader:
            where = f"{path}, line {reader.line_num}"
            if "" in row or row[FILE] is None:
                raise InputError(f"{where}: not as many cells as line 1 has; correct the line")
            file = original(row[FILE])
            if file in rows:
                raise InputError(f"{where}: a second row for {file}; keep one")
            given = {c: (row[c] or "").strip() for c in names if c != FILE}
            rows[file] = {c: _label(known[c], text, where) for c, text in given.items() if text}
        return rows
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; give --labels a CSV in UTF-8") from error


def _check_columns(path: Path, names: Sequence[str], known: Mapping[str, Attribute]) -> None:
    if FILE not in names:
        raise InputError(f"{path} has no column '{FILE}'; its first line must name the columns")
    for column in names:
        if column != FILE and column not in known:
            raise InputError(f"{path}, line 1: {unknown_name('attribute', column, known)}")
        if names.count(column) > 1:
            raise InputError(f"{path}, line 1: two columns are called '{column}'; keep one")


def _label(attribute: Attribute, text: str, where: str) -> float:
    names = [name.casefold() for name in attribute.classes]
    if text.casefold() in names:
        return float(names.index(text.casefold()))
    try:
        value = float(text) if "_" not in text else np.nan
    except ValueError:
        value = np.nan
    if np.isfinite(value) and (attribute.is_number or value in range(len(names))):
        return value
    allowed = ", ".join(attribute.classes) or f"a number ({attribute.unit})"
    raise InputError(f"{where}: {attribute.name} is '{text[:80]}', not one of: {allowed}")


class LabelReaders:
    """The pretrained attackers that can tell `attributes` of a photograph; `names`: attribute -> who.

    What none of them can tell has no entry. The same network serves several attributes.
    """

    def __init__(self, attributes: Iterable[Attribute], weights: WeightsFolder | None) -> None:
        self._ctx = Context(weights=weights)
        self._attackers: dict[str, Attacker] = {}
        self._attributes = {a.name: a for a in attributes}
        self.names = {a: name for a in self._attributes if (name := self._first_at_hand(a))}

    def _first_at_hand(self, attribute: str) -> str:
        told = _DERIVED[attribute][0] if attribute in _DERIVED else attribute
        for name in _READERS.get(told, ()):
            if name in self._attackers or self._open(name):
                return name
        return ""

    def _open(self, name: str) -> bool:
        try:
            attacker: Attacker = discover.load_class("attacker", name)()
            attacker.prepare(self._ctx)
        except Unavailable:
            return False
        self._attackers[name] = attacker
        return True

    def read(self, faces: Faces) -> dict[str, NDArray[np.float32]]:
        """attribute -> float32 (K,), for those in `names`."""
        scores = {n: self._attackers[n].scores(faces, self._ctx) for n in set(self.names.values())}
        found = {}
        for name, reader in self.names.items():
            told, derive = _DERIVED.get(name, (name, float))
            values = scores[reader][told]
            plain = values[:, 0] if values.shape[1] == 1 else self._classes(name, told, values)
            found[name] = np.array([derive(float(v)) for v in plain], np.float32)
        return found

    def _classes(self, name: str, told: str, scores: NDArray[np.float32]) -> NDArray[np.floating]:
        """Class indices as the method counts them, from scores in the order of the reader's classes."""
        own = self._attributes[name].classes
        theirs = GENDER.classes if told == GENDER.name else own
        order = [own.index(c) if c in own else np.nan for c in theirs]
        return np.array(order, np.float32)[scores.argmax(axis=1)]


def tell(
    faces: Faces,
    wanted: Sequence[str],
    given: Mapping[str, float],
    owner: int,
    readers: LabelReaders,
) -> Told:
    """The labels in `wanted` of the faces of one photograph.

    given: the user's labels of the photograph, which are those of the face `owner`, the one it is about.
    """
    count = len(faces)
    values = {a: np.full(count, np.nan, np.float32) for a in wanted}
    sources = {a: [""] * count for a in wanted}
    open_ones = [a for a in wanted if a in readers.names and (count > 1 or a not in given)]
    read = readers.read(faces) if open_ones else {}
    for a in wanted:
        if a in open_ones:
            values[a][:] = read[a]
            sources[a] = [readers.names[a] if np.isfinite(v) else "" for v in read[a]]
        if a in given:
            values[a][owner], sources[a][owner] = given[a], TABLE
    return Told(values, {a: tuple(s) for a, s in sources.items()})
