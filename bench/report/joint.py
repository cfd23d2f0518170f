"""One table over several reports: what the same methods did on different datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report.tables import NOT_REPRODUCIBLE, leaderboard, sorted_rows, write_csv

if TYPE_CHECKING:
    import pandas as pd


def write_joint(folder: Path, reports: Sequence[Path]) -> Path:
    """Join the rows of several report folders, each of its own dataset, into leaderboard.csv and rows.csv of
    `folder`; returns the leaderboard's path. Lines of different datasets are never ranked against each other.
    """
    rows = sorted_rows(_rows(reports))
    write_csv(rows, folder / "rows.csv", digits=None)
    board = leaderboard(rows).drop(columns=list(NOT_REPRODUCIBLE))
    return write_csv(board, folder / "leaderboard.csv")


def _rows(reports: Sequence[Path]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([pd.read_parquet(report / "rows.parquet") for report in reports], ignore_index=True)
