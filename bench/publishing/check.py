"""Reads again what is published: whether it is whole, and whether the README says what the tables say."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench import record
from bench.errors import InputError
from bench.publishing.readme import README, generated, published, shown_text
from bench.publishing.results import (
    LEADERBOARD,
    PUBLISHED,
    ROWS,
    misfit,
    read_published,
    refuse_mixed_rows,
)
from bench.publishing.safety import unsafe
from bench.weights import sha256_of_file


def check_published(to: Path) -> list[str]:
    """What is wrong with the results under `to`, a line each; nothing if all is well.

    Of every folder: its files are there and unchanged, its CSV files read as tables, the leaderboard follows
    from the rows, and nothing shows real faces or folders of a machine. Of the README: it says what
    `bench publish` would write now. Raises InputError where nothing is published.
    """
    folders = published(to)
    if not folders:
        raise InputError(f"nothing is published in {to}; `python -m bench publish RUN_FOLDER --to {to}` does")
    problems = [f"{folder.name}: {problem}" for folder in folders for problem in _problems(folder)]
    # The README is read against the tables only where those are what they were published as.
    return problems or list(_readme(to))


def _problems(folder: Path) -> Iterator[str]:
    about = record.read(folder / PUBLISHED)
    changed = list(_changed(folder, about["files"]))
    yield from changed
    if changed:
        return
    for path in sorted(folder.glob("*.csv")):
        yield from _misread(path)
    try:
        found = read_published(folder)
        refuse_mixed_rows(found)
    except InputError as error:
        yield str(error)
        return
    if why := misfit(folder / LEADERBOARD, folder / ROWS):
        yield why
    yield from unsafe(folder, photographs=bool(about["photographs"]))


def _changed(folder: Path, files: dict[str, str]) -> Iterator[str]:
    there = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} - {PUBLISHED}
    for name in sorted(files.keys() | there):
        if name not in there:
            yield f"{name} is missing"
        elif name not in files:
            yield f"{name} was not published by this program"
        elif sha256_of_file(folder / name) != files[name]:
            yield f"{name} is not the file that was published"


def _misread(path: Path) -> Iterator[str]:
    """Whatever would trouble a reader of CSV: pandas, or a spreadsheet."""
    import pandas as pd

    data = path.read_bytes()
    if data.startswith(b"\xef\xbb\xbf") or b"\r\n" in data:
        yield f"{path.name} has a byte order mark or lines that end in CR LF"
    rows = list(csv.reader(io.StringIO(data.decode(), newline="")))
    head = rows[0] if rows else []
    if not head or len(set(head)) != len(head) or "" in head or "Unnamed: 0" in head:
        yield f"{path.name} has no header, an unnamed column, or one name twice"
    if any(len(row) != len(head) for row in rows):
        yield f"{path.name} has lines of different lengths"
    if list(pd.read_csv(io.BytesIO(data)).columns) != head:
        yield f"{path.name} reads otherwise in pandas"


def _readme(to: Path) -> Iterator[str]:
    shown: Any = shown_text(to).splitlines()
    for said, should in zip_longest(shown, generated(to).splitlines(), fillvalue=""):
        if said != should:
            yield f"{README} says '{said[:80]}' where the tables say '{should[:80]}'; publish again"
            return
