"""What a look at every file of a dataset found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

FAULTS: Mapping[str, str] = {
    "unusable": "nothing can be loaded before this is mended",
    "missing": "named by a list and not there",
    "unreadable": "no complete picture",
    "duplicate": "byte for byte another photo of the same person and labels",
    "mislabelled": "byte for byte a photo of somebody else, or labelled in two ways",
}
"""Kinds of problem that somebody should mend, and what they mean."""

NOTES: Mapping[str, str] = {
    "faceless": "no face was found in it, so that it will count as a failure to acquire",
    "inconsistent": "photos of one person with different genders",
    "unlabelled": "without a label that others have",
    "unused": "a photo that no list names, or labels of one that is not there",
}
"""Kinds that are usual in published datasets and only counted."""

Report = Callable[[float, float, str], None]
"""Moves a progress bar: done, total, text."""


@dataclass(frozen=True)
class Problem:
    """kind: of `FAULTS` or `NOTES`. file: which one, and `line` in it, 0: none. what: one line."""

    kind: str
    file: str
    what: str
    line: int = 0

    @property
    def is_fault(self) -> bool:
        return self.kind in FAULTS


@dataclass(frozen=True)
class Survey:
    """pools: pool -> (photos, people). problems: in the order they were found."""

    pools: Mapping[str, tuple[int, int]]
    problems: tuple[Problem, ...]

    @property
    def photos(self) -> int:
        return sum(photos for photos, _ in self.pools.values())

    @property
    def people(self) -> int:
        return sum(people for _, people in self.pools.values())
