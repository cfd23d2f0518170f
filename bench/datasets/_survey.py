"""Looks at every photo of a dataset: can it be decoded, and is it there twice?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any

from bench.components.survey import Problem, Report
from bench.datasets._image_files import ImageFiles
from bench.errors import InputError


@dataclass(frozen=True)
class Item:
    """A photo to look at. person: empty where nobody says who it is. labels: text of all that is said of it.

    gender: class index or NaN. decode: the picture; raises InputError when it is no complete one.
    """

    name: str
    files: ImageFiles
    person: str
    labels: str
    gender: float
    decode: Callable[[], Any]

    @property
    def file(self) -> str:
        return f"{self.files.where}/{self.name}"


def examine(
    items: Sequence[Item], report: Report, has_face: Callable[[Any], bool] = lambda picture: True
) -> list[Problem]:
    """Pictures that cannot be decoded, that are there twice, and people whose gender is told in two ways.

    has_face: whether there is a face in what `Item.decode` returned.
    """
    problems = []
    for number, item in enumerate(items):
        report(number, len(items), item.name)
        try:
            picture = item.decode()
        except InputError as error:
            problems.append(Problem("unreadable", item.file, str(error)))
            continue
        if not has_face(picture):
            problems.append(Problem("faceless", item.file, "no face was found"))
    return problems + _twice(items) + _inconsistent(items)


def _twice(items: Sequence[Item]) -> list[Problem]:
    by_sum: dict[int, list[Item]] = {}
    for item in items:
        try:
            by_sum.setdefault(item.files.crc(item.name), []).append(item)
        except InputError:
            continue  # named among the unreadable ones
    problems = []
    for alike in by_sum.values():
        for place, item in enumerate(alike[1:], 1):
            first = next((other for other in alike[:place] if _same_bytes(item, other)), None)
            if first is not None:
                problems.append(_second(item, first))
    return problems


def _second(item: Item, first: Item) -> Problem:
    if item.person != first.person:
        what = f"the same bytes as {first.file}, which is {first.person}, not {item.person}"
        return Problem("mislabelled", item.file, what)
    if item.labels != first.labels:
        return Problem("mislabelled", item.file, f"the same bytes as {first.file} with other labels")
    return Problem("duplicate", item.file, f"the same bytes as {first.file}")


def _same_bytes(one: Item, other: Item) -> bool:
    try:
        return one.files.read(one.name) == other.files.read(other.name)
    except InputError:
        return False  # named among the unreadable ones


def _inconsistent(items: Iterable[Item]) -> list[Problem]:
    genders: dict[str, dict[float, Item]] = {}
    for item in items:
        if item.person and not isnan(item.gender):
            genders.setdefault(item.person, {}).setdefault(item.gender, item)
    return [
        Problem("inconsistent", max(told.values(), key=lambda i: i.name).file, f"{person} has two genders")
        for person, told in genders.items()
        if len(told) > 1
    ]
