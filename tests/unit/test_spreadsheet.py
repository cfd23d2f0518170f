"""Texts that a spreadsheet would compute, in every table that the program writes."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import data_check
from bench.components.survey import Problem
from bench.report.tables import csv_text
from bench.report.training_curves import Training, write_training_curves
from bench.spreadsheet import harmless, original
from bench.throughput.table import Row, Table
from bench.user_photos.record import Record
from bench.user_photos.table import write_table

RISKY = ("=1+1", "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "'=1")  # noqa: RUF001


@given(st.text())
@settings(derandomize=True, database=None)
def test_every_text_comes_back_and_none_is_a_formula(text: str) -> None:
    assert original(harmless(text)) == text
    assert not harmless(text).startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_harmless_texts_stay_as_they_are() -> None:
    for text in ("", "san:op", "a=1", "0.5", "Ann", "é", "1-2"):
        assert harmless(text) == text


def _cells(text: str) -> list[str]:
    return [cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row]


def _none_is_computed(text: str, expected: int) -> None:
    """No cell is a formula, and as many as expected were made harmless."""
    cells = _cells(text)
    assert not [c for c in cells if c.startswith(RISKY[:-1]) and not _is_number(c)]
    assert sum(c.startswith("'") for c in cells) == expected


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_tables_of_reports_keep_numbers_and_disarm_texts() -> None:
    text = csv_text(pd.DataFrame({"name": RISKY, "value": [-0.5] * len(RISKY)}))
    _none_is_computed(text, len(RISKY))
    back = pd.read_csv(io.StringIO(text, newline=""))
    assert back["name"].map(original).tolist() == list(RISKY)
    assert back["value"].tolist() == [-0.5] * len(RISKY)


def test_the_table_of_protect_is_disarmed(tmp_path: Path) -> None:
    records = [Record(path=risky, reason=risky, format="PNG") for risky in ("=1.jpg", "-x.jpg", "@a", "'b")]
    _none_is_computed(write_table(tmp_path, records).read_text("utf-8"), 8)


def test_the_table_of_problems_is_disarmed(tmp_path: Path) -> None:
    problems = tuple(Problem("missing", risky, risky) for risky in RISKY)
    written = data_check.write_csv(data_check.Check("x", None, problems), tmp_path / "p.csv")
    _none_is_computed(written.read_bytes().decode(), 2 * len(RISKY))


def test_measured_speeds_are_disarmed_and_read_again(tmp_path: Path) -> None:
    from bench.report.cost_tables import read_machines

    table = Table(tmp_path, {"processor": "=A CPU"})
    table.add([Row("method", "-san", "eager", "fp32", 1, "cpu", per_second=2.0, reason="+why")])
    _none_is_computed(table.path.read_text("utf-8"), 3)
    (machine,) = read_machines([table.path])
    (measured,) = machine.measured
    assert (measured.row.name, measured.row.reason, measured.row.per_second) == ("-san", "+why", 2.0)
    assert dict(machine.facts)["processor"] == "=A CPU"


def test_curves_of_training_are_disarmed(tmp_path: Path) -> None:
    table, picture = write_training_curves(tmp_path, [Training("san", "", {"=loss": [-0.25, 1.5]}, 20)], {})
    assert table.read_text("utf-8") == "step,loss,value\n10,'=loss,-0.25\n20,'=loss,1.5\n"
    assert picture.is_file()
