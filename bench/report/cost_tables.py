"""Reads and checks the tables of `bench throughput` that a report is given."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from bench.errors import InputError
from bench.machine_paths import without_paths
from bench.outside import MOST_RECORD, read_text
from bench.report.cost import FIRST, IDENTITY, Machine, Measured, way
from bench.spreadsheet import original
from bench.throughput.table import FAILED, FILE, LEFT_OUT, OK, UNAVAILABLE, Row

Facts = tuple[tuple[str, str], ...]
"""Name and value of what tells one machine from another."""

JOINED = FILE
"""The joined table in a report's folder."""

_NAMED_BY = ("accelerator", "processor")
_STATES = (OK, FAILED, UNAVAILABLE, LEFT_OUT)
_CEILING = re.compile(r"gemm_(\w+)_tflops|(copy)_gb_per_second")
_TYPES = {name: str(kind) for name, kind in get_type_hints(Row).items()}
_NEEDED = ("kind", "name", "path", "precision", "batch", "device", "status", "per_second")
_MADE_BY = "`python -m bench throughput`"


def read_machines(paths: Sequence[Path]) -> tuple[Machine, ...]:
    """The machines in tables of `bench throughput`, those of one machine joined.

    Raises InputError, naming file, line and column, for what is no such table, and for one measurement that
    is there twice.
    """
    environments: dict[Facts, list[Measured]] = {}
    for path in paths:
        for facts, measured in _rows(path):
            environments.setdefault(facts, []).append(measured)
    names = _labels(list(environments))
    return tuple(
        Machine(name, facts, _joined(rows, name))
        for name, (facts, rows) in zip(names, environments.items(), strict=True)
    )


def refuse_measured(folder: Path) -> None:
    """Raises InputError when `folder` holds a table that was measured, where a report would write its own."""
    path = folder / JOINED
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        if not file.readline().startswith(f"{FIRST},"):
            raise InputError(
                f"{path} would be replaced by the report's own; write the report elsewhere, by --out"
            )


def _rows(path: Path) -> Iterator[tuple[Facts, Measured]]:
    try:
        text = read_text(path, MOST_RECORD)
    except InputError as error:
        raise InputError(
            f"cannot read --throughput table: {error}; give it a {FILE} that {_MADE_BY} wrote"
        ) from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        names = list(reader.fieldnames or ())
        _check_header(path, names)
        count = 0
        for record in reader:
            count += 1
            yield _parsed(path, reader.line_num, record)
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: {error}; measure it anew") from error
    if not count:
        raise InputError(f"{path} has a header and no rows: nothing was measured")


def _check_header(path: Path, names: Sequence[str]) -> None:
    lacking = [n for n in _NEEDED if n not in names]
    if not any(n in names for n in _NAMED_BY):
        lacking += [" or ".join(_NAMED_BY)]
    if lacking or FIRST in names:
        what = f"lacks the columns {', '.join(lacking)}" if lacking else "is a report's joined table"
        raise InputError(f"{path} {what}; give --throughput a table that {_MADE_BY} wrote")
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        raise InputError(f"{path} has the columns {', '.join(twice)} twice")


def _parsed(path: Path, line: int, record: Mapping[str | None, Any]) -> tuple[Facts, Measured]:
    if None in record or None in record.values():
        raise InputError(f"{path}, line {line}: not as many cells as the header has; measure it anew")
    # A reason may name a folder of the machine it is from, which is nobody else's business.
    cells = {str(k): without_paths(original(str(v))) for k, v in record.items()}
    known = {n: _typed(path, line, n, cells[n]) for n in _TYPES if n in cells}
    row = Row(**known)
    _check(path, line, row)
    others = {n: v for n, v in cells.items() if n not in _TYPES}
    ceilings = tuple(
        (found[1] or found[2], _positive(path, line, n, v))
        for n, v in others.items()
        if (found := _CEILING.fullmatch(n)) and v
    )
    facts = tuple((n, v) for n, v in others.items() if v and not _CEILING.fullmatch(n))
    return facts, Measured(row, path, line, ceilings)


def _typed(path: Path, line: int, name: str, text: str) -> Any:
    kind = _TYPES[name]
    if kind == str(str):
        return text
    if not text and "None" in kind:
        return None
    try:
        if "bool" in kind:
            return {"True": True, "False": False}[text]
        return float(text) if "float" in kind else int(text)
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}, line {line}, column {name}: {text!r} is no {_noun(kind)}") from error


def _noun(kind: str) -> str:
    return "True or False" if "bool" in kind else "number" if "float" in kind else "whole number"


def _check(path: Path, line: int, row: Row) -> None:
    if row.status not in _STATES:
        raise InputError(
            f"{path}, line {line}, column status: {row.status!r} is none of {', '.join(_STATES)}"
        )
    for name in ("kind", "name"):
        if not getattr(row, name):
            raise InputError(f"{path}, line {line}, column {name}: it is empty")
    if row.status != OK:
        return
    _positive(path, line, "per_second", row.per_second)
    for spec in fields(row):
        found = getattr(row, spec.name)
        if isinstance(found, float) and not (math.isfinite(found) and found >= 0):
            raise InputError(f"{path}, line {line}, column {spec.name}: {found} is no figure of a valid row")


def _positive(path: Path, line: int, name: str, given: Any) -> float:
    try:
        found = float(given)
    except (TypeError, ValueError):
        found = math.nan
    if not (math.isfinite(found) and found > 0):
        raise InputError(f"{path}, line {line}, column {name}: {given!r} is no number above 0")
    return found


def _joined(rows: Sequence[Measured], machine: str) -> tuple[Measured, ...]:
    """The rows of one machine; what one table left out and another measured counts as measured."""
    tried: dict[tuple[Any, ...], Measured] = {}
    others: dict[tuple[Any, ...], Measured] = {}
    for measured in rows:
        key = tuple(getattr(measured.row, n) for n in IDENTITY)
        if measured.row.status not in (OK, FAILED):
            others.setdefault((*key, measured.row.status, measured.row.reason), measured)
            continue
        other = tried.setdefault(key, measured)
        if other is not measured:
            raise InputError(
                f"{measured.row.kind} {measured.row.name}, {way(measured.row)}, was measured twice on "
                f"{machine}: {other.table}, line {other.line}, and {measured.table}, line {measured.line}; "
                "give one of them"
            )
    done = {_task(m.row, v) for m in tried.values() for v in (m.row.variant, "")}
    left = [m for m in others.values() if m.row.status != LEFT_OUT or _task(m.row, m.row.variant) not in done]
    kept = {id(m) for m in (*tried.values(), *left)}
    return tuple(m for m in rows if id(m) in kept)


def _task(row: Row, variant: str) -> tuple[Any, ...]:
    """What a row that was left out tells of the work: its component was never made."""
    return row.kind, row.name, variant, row.preset, row.side, row.path, row.precision, row.batch


def _labels(machines: Sequence[Facts]) -> list[str]:
    """Accelerator or processor; of several of one name also what tells them apart."""
    facts = [dict(m) for m in machines]
    names = [next((f[n] for n in _NAMED_BY if n in f), "unnamed machine") for f in facts]
    labels = []
    for own, name in zip(facts, names, strict=True):
        alike = [f for f, n in zip(facts, names, strict=True) if n == name]
        keys = dict.fromkeys(k for f in alike for k in f)
        told = [f"{k} {own.get(k, 'unknown')}" for k in keys if len({f.get(k) for f in alike}) > 1]
        labels.append(f"{name} ({', '.join(told)})" if told else name)
    return labels
