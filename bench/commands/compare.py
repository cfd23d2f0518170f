"""`bench compare`: paired differences of two runs or two outputs, and what changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import UsageError
from bench.shown import one_line

if TYPE_CHECKING:
    from bench.compare import Comparison

_MANY = 60
"""Figures above which the terminal shows those alone that clearly differ."""
_HEADINGS = ("figure", "first", "second", "difference", "95 % interval", "verdict", "note")
_CODE_SIGNS = 60


def compare(
    first: Annotated[str, typer.Argument(help="report folder, or with --run a method or method:variant")],
    second: Annotated[str, typer.Argument(help="the other one")],
    run: Annotated[
        Path | None, typer.Option("--run", help="report folder in which to compare two outputs")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="file for all figures: .csv, or .md with what changed")
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="show the traceback of an error")] = False,
) -> None:
    """Differences of two runs, or of two outputs of one run, with 95 % intervals; and what changed.

    Paired over the same people and resamples where both looked at the same. Every difference is the first
    less the second.
    """
    from bench.compare import compare_outputs, compare_runs

    if out is not None and out.suffix not in (".csv", ".md"):
        raise UsageError(f"--out {out}: the file's name must end in .csv or .md")
    found = compare_outputs(run, first, second) if run else compare_runs(Path(first), Path(second))
    for line in _lines(found):
        print(one_line(line))
    if out is not None:
        from bench.files import write_atomically
        from bench.report.tables import csv_text

        written = csv_text(found.table) if out.suffix == ".csv" else _markdown(found)
        print(f"wrote {write_atomically(out, written.encode())}")


def _lines(found: Comparison) -> Iterator[str]:
    yield f"first: {found.first}   second: {found.second}   difference: first less second"
    yield from (f"note: {note}" for note in found.notes)
    if found.changes:
        yield "what changed"
        cells = [(c.part, c.what, _cut(c.first), _cut(c.second)) for c in found.changes]
        yield from _aligned([("part", "what", "first", "second"), *cells])
    records = found.table.to_dict("records")
    shown = records
    if len(records) > _MANY:
        shown = [r for r in records if r["verdict"] in ("higher", "lower")]
        yield f"{len(shown)} of {len(records)} figures differ beyond doubt; --out FILE.csv has all"
    for title, lines in groupby(shown, _title):
        yield title
        yield from _aligned([_HEADINGS, *map(_cells, lines)])
    for name, count in found.table["verdict"].value_counts(sort=False).items():
        yield f"{count} {name}"


def _title(line: dict[Any, Any]) -> str:
    names = " against ".join(dict.fromkeys((line["first"], line["second"])))
    parts = [line["attribute"] or "whole images" * (line["level"] == "image") or "templates"]
    return f"{names}: {', '.join(parts)} (labels {line['label_source']}, seed {line['seed']})"


def _cells(line: dict[Any, Any]) -> tuple[str, ...]:
    ends = f"{_number(line['low'])} to {_number(line['high'])}" if line["low"] == line["low"] else ""
    note = "; ".join(part for part in ("unpaired" * (line["how"] == "unpaired"), line["note"]) if part)
    figures = (_number(line[name]) for name in ("value_first", "value_second", "difference"))
    return (line["figure"], *figures, ends, line["verdict"], note)


def _number(value: float) -> str:
    return "" if value != value else f"{value:.4g}"


def _cut(value: str) -> str:
    return value if len(value) <= _CODE_SIGNS else f"{value[: _CODE_SIGNS - 1]}…"


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The rows as columns two spaces apart, whatever widths the letters have on a terminal."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
        yield f"  {'  '.join(padded)}".rstrip()


def _markdown(found: Comparison) -> str:
    from bench.report.markdown import table, text

    parts = [f"# {text(found.first)} against {text(found.second)}\n"]
    parts.append("Every difference is the first less the second, with its 95 % interval over identities.\n")
    parts += [f"- {text(note)}\n" for note in found.notes]
    if found.changes:
        parts += ["## What changed\n", table(("part", "what", "first", "second"), found.changes)]
    parts.append("## Differences\n")
    for title, lines in groupby(found.table.to_dict("records"), _title):
        parts += [f"{text(title)}\n", table(_HEADINGS, map(_cells, lines), numbers=(1, 2, 3))]
    return "\n".join(parts)
