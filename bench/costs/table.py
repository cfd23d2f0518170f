"""Rates as a CSV file: what ships with the package, and what `plan --cost --write-rates` leaves."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from bench.costs.fit import MEMORY, SECONDS, STORAGE, Key, Rates
from bench.errors import InputError
from bench.files import write_atomically

SHIPPED = "reference.csv"
_COLUMNS = (
    *("stage", "component", "quantity", "term", "coefficient", "most", "cells", "sizes", "error"),
    *("machine", "versions", "date"),
)
_NO_TERM = ""


@dataclass(frozen=True)
class Table:
    """Rates, and on what they were measured. machine: processor. versions: of what ran. date: ISO."""

    rates: Mapping[Key, Rates]
    machine: str = ""
    versions: str = ""
    date: str = ""


def shipped_table() -> Table:
    """What was measured on the reference machine."""
    place = files("bench.costs") / SHIPPED
    return _parsed(place.read_text(encoding="utf-8"), f"bench/costs/{SHIPPED}")


def read_table(path: Path) -> Table:
    """A table that `write_table` wrote. Raises InputError naming file, line and column."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read --rates {path}: {error}; give it a file that --write-rates wrote"
        ) from error
    return _parsed(text, str(path))


def write_table(path: Path, table: Table) -> Path:
    """One row a term, one with an empty term for a quantity that is always 0; sorted."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for key, rates in sorted(table.rates.items()):
        about = (rates.cells, rates.sizes, f"{rates.error:.3g}", table.machine, table.versions, table.date)
        for term, coefficient in rates.coefficients.items() or [(_NO_TERM, 0.0)]:
            figures = (f"{coefficient:.6g}", f"{rates.most.get(term, 0.0):.6g}")
            writer.writerow((*key, term, *figures, *about))
    return write_atomically(path, text.getvalue().encode())


def _parsed(text: str, where: str) -> Table:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    found: dict[Key, dict[str, Any]] = {}
    about: tuple[str, str, str] = ("", "", "")
    try:
        if tuple(reader.fieldnames or ()) != _COLUMNS:
            raise InputError(f"{where} is no table of rates; give --rates a file that --write-rates wrote")
        for row in reader:
            _enter(found, row, f"{where}, line {reader.line_num}")
            about = (row["machine"], row["versions"], row["date"])
    except csv.Error as error:
        raise InputError(f"{where}, line {reader.line_num}: {error}; write it anew") from error
    return Table({key: Rates(**values) for key, values in found.items()}, *about)


def _enter(found: dict[Key, dict[str, Any]], row: Mapping[str | None, Any], where: str) -> None:
    if None in row or None in row.values():
        raise InputError(f"{where}: not as many cells as the header has; write it anew")
    if row["quantity"] not in (SECONDS, MEMORY, STORAGE):
        raise InputError(f"{where}, column quantity: {row['quantity']!r} is none; write it anew")
    entry = found.setdefault(
        (row["stage"], row["component"], row["quantity"]),
        {
            "coefficients": {},
            "most": {},
            **{name: int(_number(where, name, row[name])) for name in ("cells", "sizes")},
            "error": _number(where, "error", row["error"]),
        },
    )
    if row["term"] != _NO_TERM:
        entry["coefficients"][row["term"]] = _number(where, "coefficient", row["coefficient"])
        entry["most"][row["term"]] = _number(where, "most", row["most"])


def _number(where: str, column: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise InputError(f"{where}, column {column}: {text!r} is no number of 0 or more; write it anew")
    return found
