"""What stands beside the measured rows: searches, the papers' claims re-tested, the papers' own figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup

from bench.report.curves import Band
from bench.report.sections import ABSENT, Grid, GridRow, Head, number, span
from bench.report.tables import label

if TYPE_CHECKING:
    import pandas as pd

_ANSWERS = ("held", "not held", "cannot tell")
_WORDS = {"held": "held", "not held": "not held", "cannot tell": "cannot be told"}
_CLAIM_HEADS = (
    Head("Answer", "held, not held, or cannot tell: from the interval of the margin", text=True),
    Head("Claim", "The claim in words.", text=True),
    Head("Decided by", "The inequality of the claim that decides it.", text=True),
    Head(
        "Margin",
        "By how much the deciding inequality is met: the claim wants it above 0. The intervals of one claim "
        "hold together in 95 % of runs.",
    ),
    Head("Why it cannot be told", text=True),
    Head("Paper", text=True),
    Head("Source", "Where it is printed, and which bound was chosen here because none is.", text=True),
)
_BESIDE_HEADS = (
    Head("Figure", "Metric, operating point, attribute and the paper's own component.", text=True),
    Head("Paper's", "The printed figure, errors turned into accuracies."),
    Head("Measured", "The figure of this run, with its 95 % interval."),
    Head("Measured by", "Component that measured it here.", text=True),
    Head(
        "Agreement",
        "same: the same quantity; stand-in: another classifier in place of one that cannot be had; differs: "
        "another quantity of the same name, never to be joined.",
        text=True,
    ),
    Head("Source", "Table, figure or section that prints it.", text=True),
    Head("Note", "What to know before the two are compared.", text=True),
)


class Evidence(NamedTuple):
    """searches: CMC bands by condition. claims: columns of `bench.report.claims.COLUMNS`. beside: columns of
    `bench.papers.reported.BESIDE`. private: the faces shown are photographs of
    people, not to be published."""

    searches: Mapping[str, Sequence[Band]] = {}
    claims: pd.DataFrame | None = None
    beside: pd.DataFrame | None = None
    private: bool = False


class ClaimsView(NamedTuple):
    """says: how many answers of each kind there are."""

    says: str
    grid: Grid


def claims_view(table: pd.DataFrame | None, known: Mapping[str, Any]) -> ClaimsView | None:
    """The claims by method; `known` are the methods that have a section to link to. None without any."""
    if table is None or table.empty:
        return None
    several = table["seed"].nunique() > 1
    groups: dict[str, list[GridRow]] = {}
    for line in _records(table):
        name = f"{line['claim']}, seed {line['seed']}" if several else line["claim"]
        method = line["method"] if line["method"] in known else ""
        cells = (
            Markup("<b>{}</b>").format(line["answer"]),
            *(_text(line[key]) for key in ("text", "decided_by")),
            _figure(line["value"], line["low"], line["high"]),
            *(_text(line[key]) for key in ("reason", "paper", "source")),
        )
        groups.setdefault(line["method"], []).append(GridRow(name, "", cells, method=method))
    counts = Counter(table["answer"])
    says = ", ".join(f"{counts[answer]} {_WORDS[answer]}" for answer in _ANSWERS if counts[answer])
    return ClaimsView(says, Grid("Claims", "", _CLAIM_HEADS, _grouped(groups)))


def beside_grid(table: pd.DataFrame | None) -> Grid | None:
    """The papers' figures beside those of the run, by paper; None without any."""
    if table is None or table.empty:
        return None
    groups: dict[str, list[GridRow]] = {}
    for line in _records(table):
        name = label(line["method"], line["variant"])
        cells = (
            _text(line["quantity"]),
            _figure(line["reported"], np.nan, np.nan),
            _figure(line["measured"], line["ci_low"], line["ci_high"]),
            *(_text(line[key]) for key in ("component", "agreement", "source", "note")),
        )
        groups.setdefault(line["paper"], []).append(GridRow(name, "", cells))
    return Grid("Beside the papers", "", _BESIDE_HEADS, _grouped(groups))


def _grouped(groups: Mapping[str, Sequence[GridRow]]) -> tuple[tuple[str, tuple[GridRow, ...]], ...]:
    return tuple((name, tuple(rows)) for name, rows in sorted(groups.items()))


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines as plain values: absent text is empty, an absent number is NaN."""
    text = table.select_dtypes(exclude=["number", "bool"]).columns
    plain = table.assign(**{c: table[c].astype("string").fillna("").astype(object) for c in text})
    return [{str(k): v for k, v in line.items()} for line in plain.to_dict("records")]


def _text(value: str) -> Markup:
    return Markup("{}").format(value) if value else ABSENT


def _figure(value: float, low: float, high: float) -> Markup:
    if not np.isfinite(value):
        return ABSENT
    return Markup(number("", float(value)) + span("", float(low), float(high)))
