"""Looks at all files of a dataset and says what is there and what is wrong with it."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.components.dataset import Dataset
from bench.components.survey import FAULTS, NOTES, Problem, Report, Survey
from bench.errors import InputError
from bench.files import write_atomically
from bench.spreadsheet import harmless

COLUMNS = ("kind", "file", "line", "what")
_SHOWN = 20


@dataclass(frozen=True)
class Check:
    """What a dataset holds and what is wrong with it. survey: None where nothing could be read."""

    dataset: str
    survey: Survey | None
    problems: tuple[Problem, ...]

    @property
    def is_sound(self) -> bool:
        """Whether nothing must be mended; notes do not count."""
        return not any(problem.is_fault for problem in self.problems)

    @property
    def counts(self) -> dict[str, int]:
        """Problems by kind, those that must be mended first; kinds without any are left out."""
        found = Counter(problem.kind for problem in self.problems)
        return {kind: found[kind] for kind in (*FAULTS, *NOTES) if found[kind]}


def check(dataset: Dataset, report: Report = lambda done, total, text: None, *, faces: bool = False) -> Check:
    """Look at every photo and label of `dataset`. What keeps it from being read is a problem like others.

    faces: whether to look for faces too, see `Dataset.survey`. Raises Unavailable without the detector.
    """
    try:
        survey = dataset.survey(report, faces=faces)
    except InputError as error:
        places = ", ".join(str(root) for root in dataset.roots)
        return Check(dataset.id, None, (Problem("unusable", places, str(error)),))
    return Check(dataset.id, survey, survey.problems)


def lines(found: Check) -> Iterator[str]:
    """The result for people: pools, then the problems by kind, of each the first few."""
    if found.survey is not None:
        survey = found.survey
        yield f"{found.dataset}: {survey.photos:,} photos of {survey.people:,} people"
        for pool, (photos, people) in survey.pools.items():
            yield f"  {pool:10} {photos:9,} photos {people:8,} people"
    for kind, number in found.counts.items():
        yield f"{number:,} {kind}: {FAULTS.get(kind) or NOTES[kind]}"
        yield from _first(kind, found.problems, _SHOWN if kind in FAULTS else 0)
    yield "nothing to mend" if found.is_sound else "not sound"


def _first(kind: str, problems: tuple[Problem, ...], most: int) -> Iterator[str]:
    of_kind = [problem for problem in problems if problem.kind == kind]
    for problem in of_kind[:most]:
        place = f"{problem.file}, line {problem.line}" if problem.line else problem.file
        yield f"  {problem.what}" if problem.file in problem.what else f"  {place}: {problem.what}"
    if most and len(of_kind) > most:
        yield f"  and {len(of_kind) - most:,} more; --out FILE.csv lists them"


def write_csv(found: Check, path: Path) -> Path:
    """Every problem as a row of `COLUMNS`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for problem in found.problems:
        row = (problem.kind, problem.file, str(problem.line or ""), problem.what)
        writer.writerow([harmless(cell) for cell in row])
    return write_atomically(path, text.getvalue().encode("utf-8", "backslashreplace"))
