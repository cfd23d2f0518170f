"""Metrics of image quality that plug-ins bring: their names, columns and descriptions in the report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.discover import components
from bench.errors import UsageError
from bench.report.tables import LEADERBOARD, METRICS, Metric

if TYPE_CHECKING:
    import pandas as pd

_BEST = {"better": "high, for quality", "worse": "low, for quality"}


def refuse_taken(names: Iterable[str]) -> None:
    """Raises UsageError for the name of a metric that the leaderboard uses for something else."""
    for name in names:
        if name in METRICS or name in LEADERBOARD:
            raise UsageError(
                f"a metric cannot be called {name}: the leaderboard has a figure or column of that name; "
                "give its file or entry point another name"
            )


def added_columns(board: pd.DataFrame) -> tuple[str, ...]:
    """The columns of a leaderboard that it has from plug-ins."""
    return tuple(name for name in board.columns if name not in LEADERBOARD)


def described(names: Iterable[str]) -> dict[str, Metric]:
    """What the installed plug-ins say of their metrics; of one that is not installed, its name."""
    listed = components("metric")
    found = {}
    for name in names:
        says = listed[name].metadata if name in listed else {}
        found[name] = Metric(
            str(says.get("title", name)),
            str(says.get("unit", "")),
            str(says.get("what", "A metric of image quality that is not installed here.")),
            _BEST.get(str(says.get("higher_is")), "neither"),
        )
    return found
