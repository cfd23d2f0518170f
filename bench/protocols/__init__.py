"""Protocols of the papers, and of LFW, as presets of a run, with their own tables and figures.

A protocol sets methods, attackers, matchers, attributes, pairs and threats as its paper does; whatever the
user sets himself goes before it. Its output is a folder of CSV tables and PNG and SVG figures.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import unknown_name
from bench.files import write_atomically

if TYPE_CHECKING:
    import pandas as pd

    from bench.protocols.definition import Item, Protocol
    from bench.report.paper_tables import Sheet

PROTOCOLS = {
    "flowsan": "bench.protocols.flowsan",
    "gender-an": "bench.protocols.gender_an",
    "lfw": "bench.protocols.lfw",
    "li-mm21": "bench.protocols.li_mm21",
    "privacynet": "bench.protocols.privacynet",
    "san": "bench.protocols.san",
}
"""Name -> module with the `PROTOCOL`."""

WRITTEN, ABSENT = "written", "absent"


def load_protocol(name: str) -> Protocol:
    """The protocol called `name`. Raises UsageError with the nearest names for an unknown one."""
    if name not in PROTOCOLS:
        raise unknown_name("protocol", name, PROTOCOLS)
    found: Protocol = import_module(PROTOCOLS[name]).PROTOCOL
    return found


def protocol_settings(name: str) -> dict[str, Any]:
    """The keys of `bench.config.RunConfig` that the protocol sets, to be merged under the user's own.

    Raises UsageError with the nearest names for an unknown protocol.
    """
    from bench.protocols.definition import ALL_PAPERS

    return {**ALL_PAPERS, **load_protocol(name).settings}


def write_protocol(name: str, rows: pd.DataFrame, curves: pd.DataFrame, folder: Path) -> list[Path]:
    """Write the paper's tables and figures from what a run measured; returns the files written.

    rows: the tidy rows. curves: method, variant, matcher, condition, fmr, tmr, and kind (`roc`, or `cmc` with
    ranks in fmr and identification rates in tmr). folder: made if missing. `<table>.csv`; for a figure PNG,
    SVG and its numbers as CSV; `index.csv` lists every table and figure of the paper, and for what could not
    be made the reason; `beside.csv` has the paper's figures beside the measured ones wherever the dataset is
    the same. Equal inputs give equal bytes. Raises UsageError for an unknown protocol, InputError for rows
    without the columns of `bench.results.COLUMNS`.
    """
    from bench.papers.reported import beside
    from bench.report.paper_tables import Sheet, frame
    from bench.report.tables import write_csv

    chosen = load_protocol(name)
    sheet = Sheet(rows)
    index, paths = [], []
    for item in chosen.items:
        files = _write_item(item, sheet, curves, folder)
        paths += files
        said = {"item": item.title, "status": WRITTEN if files else ABSENT}
        reason = "" if files else f"the run has none of: {item.needs}"
        index.append(said | {"files": " ".join(f.name for f in files), "reason": reason})
    for title, reason in chosen.absent.items():
        index.append({"item": title, "status": ABSENT, "files": "", "reason": reason})
    for note in chosen.notes:
        index.append({"item": "note", "status": "", "files": "", "reason": note})
    paths.append(write_csv(beside(rows), folder / "beside.csv"))
    paths.append(write_csv(frame(index), folder / "index.csv"))
    return paths


def _write_item(item: Item, sheet: Sheet, curves: pd.DataFrame, folder: Path) -> list[Path]:
    from bench.report.paper_figures import Drawing
    from bench.report.print_style import render
    from bench.report.tables import write_csv

    made = item.make(sheet, curves)
    if made is None:
        return []
    table = made.table if isinstance(made, Drawing) else made
    if not len(table):
        return []
    paths = [write_csv(table, folder / f"{item.stem}.csv")]
    if isinstance(made, Drawing):
        for kind in ("png", "svg"):
            paths.append(write_atomically(folder / f"{item.stem}.{kind}", render(made.figure, kind)))
    return paths
