"""The columns of published tables: what each holds and in which unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from bench.report.added import described
from bench.report.cost import FIGURES
from bench.report.tables import LEADERBOARD, METRICS, NOT_REPRODUCIBLE

LEADERBOARD_FILE, ROWS_FILE = "leaderboard.csv", "rows.parquet"

ROWS = {
    "method": "Method or control; empty on a line about an attacker or matcher that could not run.",
    "variant": "Output mode of the method.",
    "method_role": "method, or control for a yardstick.",
    "dataset": "Dataset.",
    "metric": "What the value is: a metric of this dictionary.",
    "value": "The figure, in the unit of its metric; empty where there is none.",
    "level": "What is protected: the image, or the template that a matcher makes of it.",
    "attribute": "Attribute that was asked for; empty where the figure is of whole images.",
    "role": "obfuscated where the variant hides the attribute, kept where it should survive.",
    "label_source": "Whose labels the method was told: truth, predicted or random.",
    "threat": "Rung of the attackers' ladder, or worst of all; empty where nobody attacks.",
    "component_kind": "attacker, matcher, quality or cost.",
    "component": "Who measured: an attacker and what it reads, a matcher, or the recipe of a metric of "
    "quality; pool for all unseen ones together.",
    "seen": "True when the method was trained against the component: the figure is in no total.",
    "condition": "Which side of a comparison is protected.",
    "policy": "reset: the threshold is set on the scores at hand; fixed: on those of the originals.",
    "operating_point": "Error rate or rank at which the figure is taken.",
    "ci_low": "Lower end of the 95 % interval, over identities.",
    "ci_high": "Upper end of the 95 % interval.",
    "n": "Faces, comparisons or searches behind the figure.",
    "n_failed": "Those that could not be processed.",
    "seed": "Seed of the training.",
    "status": "ok, failed, unavailable or undefined.",
    "reason": "Why there is no value or no interval; of a worst case, who it is.",
    "flags": "What makes the figure doubtful.",
    "unit": "Unit of the value where its metric has one.",
    "higher_is": "Whether more is better or worse for privacy and matching, or neither.",
    "reported": "The figure that a paper prints for the same quantity.",
    "cell": "Key of the work behind the figure.",
}
"""Columns of the tidy rows."""

_YEARS = ("mae_years", "mae_years_low", "mae_years_high")
_UNITS = {
    **dict.fromkeys((*_YEARS, "mae_years_static", "mae_years_chance", "mae_years_shift"), "years"),
    "psnr": "dB",
    "images_per_second": "images/s",
    "peak_mb": "MB",
    "gflop": "10^9 operations",
    **dict.fromkeys(("n", "n_failed"), "faces"),
}
"""Unit of a column; all others are shares, indices, names or numbers of things."""


class Entry(NamedTuple):
    """table: the file. column: its column, or metric=<name> for rows of one metric. unit: empty for none."""

    table: str
    column: str
    unit: str
    meaning: str


def entries(board: Iterable[str], metrics: Iterable[str]) -> Iterator[Entry]:
    """Of all that a published folder holds. board: columns of leaderboard.csv; metrics: of the rows."""
    named = {name for name in metrics if name}
    added = described(sorted(named - METRICS.keys()))
    known = {**METRICS, **added}
    for column in board:
        figure, at, machine = column.partition("@")
        if at and figure in FIGURES:
            says = f"{FIGURES[figure]}; on {machine}, see throughput.csv."
        else:
            says = LEADERBOARD.get(column) or known[column].what if column in known else LEADERBOARD[column]
        unit = _UNITS.get(figure, added[column].unit if column in added else "")
        yield Entry(LEADERBOARD_FILE, column, unit, says)
    for column, meaning in ROWS.items():
        yield Entry(ROWS_FILE, column, "", meaning)
    for name in sorted(named):
        metric = known[name]
        # Only years are estimated so far where a metric leaves its unit to the attribute.
        unit = "years, of age" if name.startswith(("mae", "error_")) else metric.unit
        yield Entry(ROWS_FILE, f"metric={name}", unit, f"{metric.title}. {metric.what} Best: {metric.best}.")


def columns_of_board(board: Iterable[str]) -> list[str]:
    """The columns that leaderboard.csv has of a board's."""
    return [name for name in board if name not in NOT_REPRODUCIBLE]
