"""Reads lists and tables of labels; whatever does not fit is named with file and line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bench.errors import InputError
from bench.outside import MOST_TABLE, read_text


@dataclass(frozen=True)
class Row:
    """One row of a table. line: its number in the file, the first is 1. cells: the trimmed texts."""

    where: str
    line: int
    cells: tuple[str, ...]
    columns: tuple[str, ...] = ()

    def __getitem__(self, column: str) -> str:
        return self.cells[self.columns.index(column)]

    @property
    def place(self) -> str:
        """File and line, for a message."""
        return f"{self.where}, line {self.line}"

    def fail(self, problem: str) -> InputError:
        """The error that names file and line."""
        return InputError(f"{self.place}: {problem}; correct the line or fetch the file again")

    def number(self, column: str) -> float:
        """The number in a column. Raises InputError when it is none or not finite."""
        text = self[column]
        try:
            value = float(text) if "_" not in text else float("nan")
        except ValueError:
            value = float("nan")
        if not abs(value) < float("inf"):
            raise self.fail(f"{column} must be a number, not {text!r}")
        return value


@dataclass(frozen=True)
class Table:
    """columns: their names, as written. rows: all rows below the names."""

    where: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_rows(path: Path, delimiter: str = ",") -> list[Row]:
    """All rows but empty ones. LF or CRLF, with or without byte-order mark, quoted or not.

    Raises InputError when the file cannot be read or is no UTF-8 text.
    """
    return list(_rows(str(path), _text(path), delimiter))


def read_table(path: Path, needed: Sequence[str], delimiter: str = ",", skip: int = 0) -> Table:
    """A table whose first row, after `skip` others, names its columns.

    Raises InputError for a missing or repeated column and for a row of another width; cells that are empty
    at the end of a row are not counted.
    """
    rows = read_rows(path, delimiter)
    if len(rows) <= skip:
        raise InputError(f"{path} is empty; it must begin with the names of its columns")
    head = rows[skip]
    # A sign of comment before the names stands for no column.
    columns = _without_empty_end(head.cells[1:] if head.cells[0] == "#" else head.cells)
    for name in needed:
        if name not in columns:
            raise head.fail(f"no column '{name}' among {', '.join(columns)}")
    for name in columns:
        if not name or columns.count(name) > 1:
            raise head.fail(f"two columns are called '{name}'" if name else "a column has no name")
    return Table(str(path), columns, tuple(_fitted(row, columns) for row in rows[skip + 1 :]))


def read_names(path: Path) -> list[Row]:
    """A list with one name a line, in its one cell; empty lines are passed over. Raises as `read_rows`."""
    text = _text(path)
    lines = enumerate(text.split("\n"), 1)
    return [Row(str(path), number, (line.strip(),)) for number, line in lines if line.strip()]


def _fitted(row: Row, columns: tuple[str, ...]) -> Row:
    cells = row.cells
    if len(cells) > len(columns) and not any(cells[len(columns) :]):
        cells = cells[: len(columns)]
    if len(cells) != len(columns):
        raise row.fail(f"{len(cells)} values for {len(columns)} columns")
    return Row(row.where, row.line, cells, columns)


def _without_empty_end(cells: tuple[str, ...]) -> tuple[str, ...]:
    while cells and not cells[-1]:
        cells = cells[:-1]
    return cells


def _text(path: Path) -> str:
    return read_text(path, MOST_TABLE).replace("\r\n", "\n").replace("\r", "\n")


def _rows(where: str, text: str, delimiter: str) -> Iterator[Row]:
    # The names of people may hold anything but a line end; only tables with commas quote.
    quotes = '"' if delimiter == "," else None
    quoting: Literal[0, 3] = 0 if quotes else 3  # csv.QUOTE_MINIMAL, csv.QUOTE_NONE
    lines = io.StringIO(text)
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, quotechar=quotes, quoting=quoting)
    try:
        for cells in reader:
            trimmed = tuple(cell.strip() for cell in cells)
            if any(trimmed):
                yield Row(where, reader.line_num, trimmed)
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: {error}; correct the line") from error
