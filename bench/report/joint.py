"""One table and page over several reports: what the same methods did on different datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.files import write_atomically
from bench.report.page import everyone, render_page
from bench.report.style import looks
from bench.report.tables import NOT_REPRODUCIBLE, leaderboard, sorted_rows, write_csv

if TYPE_CHECKING:
    import pandas as pd


def write_joint(folder: Path, reports: Sequence[Path]) -> Path:
    """Join the rows of several report folders, each of its own dataset, into leaderboard.csv, rows.csv and a
    page of `folder`; returns the leaderboard's path. Lines of different datasets are never ranked against
    each other, and curves and faces stay in the pages of their own.
    """
    rows = sorted_rows(_rows(reports))
    write_csv(rows, folder / "rows.csv", digits=None)
    board = leaderboard(rows)
    names = [str(name) for name in rows["dataset"].unique()]
    told = {
        "dataset_title": ", ".join(names),
        "reports": [report.name for report in reports],
    }
    page = render_page(board, rows, {}, None, told, looks(*everyone(rows)))
    write_atomically(folder / "index.html", page.encode())
    return write_csv(board.drop(columns=list(NOT_REPRODUCIBLE)), folder / "leaderboard.csv")


def _rows(reports: Sequence[Path]) -> pd.DataFrame:
    import pandas as pd

    return pd.concat([pd.read_parquet(report / "rows.parquet") for report in reports], ignore_index=True)
