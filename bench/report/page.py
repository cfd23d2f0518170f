"""The folder a run leaves for people: leaderboard, rows, curves, figures and one self-contained page.

The page asks the network for nothing: styles, script, charts and faces are inside it, and its content
security policy forbids every other source. All text from data is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from bench.errors import InputError
from bench.files import write_atomically
from bench.report.claims import write_claims
from bench.report.cost import Costs
from bench.report.cost_tables import JOINED, refuse_measured
from bench.report.curves import (
    CURVE_COLUMNS,
    SEARCH_COLUMNS,
    Band,
    all_bands,
    all_search_bands,
    check_curves,
    check_searches,
)
from bench.report.evidence import Evidence
from bench.report.style import Look, looks
from bench.report.tables import NOT_REPRODUCIBLE, csv_text, leaderboard, sorted_rows, write_csv
from bench.results import COLUMNS

if TYPE_CHECKING:
    import pandas as pd

_HERE = Path(__file__).parent
_FIGURES = ("plane_", "reduction_", "roc_", "det_", "cmc_", "auc_", "kept_", "samples.")


def write_report(
    folder: Path,
    *,
    rows: pd.DataFrame,
    curves: pd.DataFrame,
    samples: Mapping[str, NDArray[np.uint8]] | None,
    provenance: Mapping[str, Any],
    costs: Costs | None = None,
    searches: pd.DataFrame | None = None,
    claims: pd.DataFrame | None = None,
    beside: pd.DataFrame | None = None,
    private: bool = False,
) -> list[Path]:
    """Write the report into `folder` and return its files; equal inputs give equal bytes.

    rows: tidy rows as `bench.results.to_frame` makes them, in any order.
    curves: columns method, variant, matcher, condition, fmr, tmr; rates in [0, 1]; may be empty.
    samples: `method:variant` (or `method`) -> uint8 (k, H, W, 3), the same k people in each; None: no faces.
    provenance: shown as given. Known keys: dataset, size (px), seed, command, versions, machine,
        pools (name -> images, identities), unavailable (mappings of kind, name, reason, remedy),
        flags (flag -> what it means).
    costs: tables of `bench throughput`; None: none.
    searches: CMC curves; columns method, variant, matcher, condition, rank (from 1), rate in [0, 1].
    claims: table of `bench.report.claims`. beside: table of `bench.papers.reported.beside`.
    private: the samples are photographs of people: they go into the page alone, which says so.

    Writes leaderboard.csv (nothing in it differs between two runs of one seed), rows.parquet, rows.csv,
    curves.csv, plots/*.png and *.svg, index.html and, with `costs`, throughput.csv, with `searches`, cmc.csv,
    with `claims`, claims.csv. What an earlier report drew or joined and this one does not have is removed.
    Raises InputError when a table lacks a column, a quantity has two values, samples do not fit each other,
    or a throughput.csv is there that was measured.
    """
    from bench.report.plots import figures

    _check(rows, curves, samples)
    refuse_measured(folder)
    rows = sorted_rows(rows)
    curves = sorted_rows(curves[list(CURVE_COLUMNS)])
    board = leaderboard(rows)
    table = looks(*everyone(rows, curves))
    bands = all_bands(curves)
    evidence = Evidence({}, claims, beside, private and bool(samples))
    if searches is not None:
        check_searches(searches)
        searches = sorted_rows(searches[list(SEARCH_COLUMNS)])
        evidence = evidence._replace(searches=all_search_bands(searches))
    printed = None if evidence.private else samples
    published = _published(board, costs)
    written = [
        write_csv(published, folder / "leaderboard.csv"),
        write_atomically(folder / "rows.parquet", _parquet(rows)),
        write_csv(rows, folder / "rows.csv", digits=None),
        write_csv(curves, folder / "curves.csv", digits=None),
        *_write_figures(folder / "plots", figures(board, rows, bands, printed, table, evidence.searches)),
        *_write_costs(folder / JOINED, board, costs),
        *_write_searches(folder / "cmc.csv", searches),
        *([write_claims(claims, folder)] if claims is not None else []),
    ]
    page = render_page(board, rows, bands, samples, provenance, table, costs, evidence)
    return [*written, write_atomically(folder / "index.html", page.encode())]


def render_page(
    board: pd.DataFrame,
    rows: pd.DataFrame,
    bands: Mapping[str, Sequence[Band]],
    samples: Mapping[str, NDArray[np.uint8]] | None,
    provenance: Mapping[str, Any],
    table: Mapping[str, Look],
    costs: Costs | None = None,
    evidence: Evidence | None = None,
) -> str:
    """The page as HTML. bands: ROC by condition. table: colour and marker of every method and control."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from bench.report.view import view

    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breaks"] = _breaks
    shown = view(board, rows, bands, samples, provenance, table, costs, evidence)
    tones = "".join(f".t{t.number}{{--c:{t.colour}}}" for t in shown["tones"].values())
    style = (_HERE / "page.css").read_text("utf-8") + tones
    script = (_HERE / "page.js").read_text("utf-8")
    leaderboard_csv = csv_text(_published(board, costs)).encode()
    return environment.get_template("template.html").render(
        **shown,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
        leaderboard_csv=base64.b64encode(leaderboard_csv).decode(),
    )


def _published(board: pd.DataFrame, costs: Costs | None) -> pd.DataFrame:
    """What leaderboard.csv holds."""
    table = board.drop(columns=list(NOT_REPRODUCIBLE))
    return costs.with_columns(table) if costs else table


def _write_costs(path: Path, board: pd.DataFrame, costs: Costs | None) -> list[Path]:
    if costs is None:
        path.unlink(missing_ok=True)
        return []
    return [write_csv(costs.table(board), path)]


def _write_searches(path: Path, searches: pd.DataFrame | None) -> list[Path]:
    if searches is None:
        path.unlink(missing_ok=True)
        return []
    return [write_csv(searches, path, digits=None)]


def _breaks(name: str) -> Markup:
    """The name, escaped, with places where a narrow column may break it."""
    text = str(escape(name))
    for sign in ":+@_":
        text = text.replace(sign, f"{sign}<wbr>")
    return Markup(text)


def _policy(style: str, script: str) -> str:
    """Nothing loads and nothing runs but this very style sheet and script, and images inside the page."""
    digests = [base64.b64encode(sha256(text.encode()).digest()).decode() for text in (style, script)]
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digests[0]}'; "
        f"script-src 'sha256-{digests[1]}'; base-uri 'none'; form-action 'none'"
    )


def _check(rows: pd.DataFrame, curves: pd.DataFrame, samples: Mapping[str, NDArray[np.uint8]] | None) -> None:
    missing = [c for c in COLUMNS if c not in rows.columns]
    if missing:
        raise InputError(f"the table of rows lacks {', '.join(missing)}; make it with bench.results.to_frame")
    check_curves(curves)
    shapes = {name: images.shape for name, images in (samples or {}).items()}
    for name, images in (samples or {}).items():
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise InputError(
                f"sample faces of {name} must be uint8 (k, H, W, 3), got {images.dtype} {images.shape}"
            )
    if len(set(shapes.values())) > 1:
        raise InputError(f"sample faces differ in number or size: {shapes}")


def everyone(rows: pd.DataFrame, curves: pd.DataFrame | None = None) -> tuple[set[str], set[str]]:
    """Methods and controls by name; a method known from its curves alone counts as a method."""
    named = rows[rows["method"].fillna("") != ""]
    is_control = named["method_role"] == "control"
    controls = {str(m) for m in named["method"][is_control]}
    found = {str(m) for m in named["method"][~is_control]}
    found |= {str(m) for m in curves["method"].unique()} if curves is not None else set()
    return found - controls, controls


def _parquet(rows: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    rows.to_parquet(buffer, index=False)
    return buffer.getvalue()


def _write_figures(folder: Path, drawn: Iterable[tuple[str, bytes]]) -> list[Path]:
    written = [write_atomically(folder / name, data) for name, data in drawn]
    for path in sorted(folder.glob("*")):
        ours = path.suffix in (".png", ".svg") and path.name.startswith(_FIGURES)
        if ours and path not in written:
            path.unlink()
    return written
