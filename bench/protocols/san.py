"""The evaluation of Semi-Adversarial Networks (Mirjalili et al., ICB 2018, section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.protocols.definition import Item, Protocol
from bench.report.paper_figures import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    QUIET,
    ROC,
    Drawing,
    Entry,
    curve_bands,
    curve_figure,
)
from bench.report.paper_tables import BEFORE, Sheet, frame
from bench.report.tables import ORIGINAL_ORIGINAL, ORIGINAL_PROTECTED, POOL
from bench.results import ORIGINAL

if TYPE_CHECKING:
    import pandas as pd

MIXED = ("face_mixing", "a=0.5")
OPPOSITE = ("san", "op")
POINT = "fmr=0.01"
_OUTPUTS = {"original": BEFORE, "sm": ("san", "sm"), "nt": ("san", "nt"), "op": OPPOSITE}


def _table_2(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    """Error rate of every classifier before, after OP, and after face mixing."""
    subjects = {"original": BEFORE, "op": OPPOSITE, "face_mixing": MIXED}
    lines: list[dict[str, Any]] = []
    for attacker in sheet.attackers():
        found = {
            name: sheet.get("accuracy", who, component=attacker, attribute="gender").complement()
            for name, who in subjects.items()
        }
        if found["op"].known or found["face_mixing"].known:
            line: dict[str, Any] = {"classifier": attacker, "dataset": " + ".join(sheet.datasets)}
            for name, quantity in found.items():
                line |= quantity.columns(name)
            lines.append(line | {"flags": found["original"].flags})
    return frame(lines)


def _table_3(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    """TMR at FMR 1 % of every matcher, and their mean, on the originals and on the three outputs."""
    lines: list[dict[str, Any]] = []
    for matcher in (*sheet.matchers(), POOL):
        found = {
            name: sheet.get("tmr", who, component=matcher, condition=ORIGINAL_PROTECTED, point=POINT)
            for name, who in _OUTPUTS.items()
        }
        if any(q.known for name, q in found.items() if name != "original"):
            line: dict[str, Any] = {"matcher": matcher, "dataset": " + ".join(sheet.datasets)}
            for name, quantity in found.items():
                line |= quantity.columns(name)
            lines.append(line)
    return frame(lines)


def _figure_7(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
    method, variant, condition = curves["method"], curves["variant"], curves["condition"]
    original = (method == ORIGINAL) & (condition == ORIGINAL_ORIGINAL)
    entries: list[Entry] = [("Before", QUIET, (), original)]
    shown = (
        ("After (SM)", ("san", "sm"), BLUE, (4.0, 1.5)),
        ("After (NT)", ("san", "nt"), GREEN, (1.0, 1.2)),
        ("After (OP)", OPPOSITE, ORANGE, ()),
        ("face mixing", MIXED, PURPLE, (5.0, 1.5, 1.0, 1.5)),
    )
    for name, who, colour, dashes in shown:
        mine = (method == who[0]) & (variant == who[1]) & (condition == ORIGINAL_PROTECTED)
        entries.append((name, colour, dashes, mine))
    title = "Face matching, original against protected"
    return curve_figure(curve_bands(curves, ROC, entries), ROC, title=title)


PROTOCOL = Protocol(
    title="Semi-Adversarial Networks (Mirjalili, Raschka, Namboodiri, Ross, ICB 2018)",
    settings={
        "methods": ("san:op", "san:sm", "san:nt", "face_mixing:a=0.5"),
        "attackers": ("default",),
        "matchers": ("default",),
        "extractors": ("default",),
        "attributes": ("gender",),
    },
    items=(
        Item(
            "table_2",
            "Table 2: error rates of gender classifiers before and after",
            _table_2,
            "accuracy of gender of san:op or face_mixing:a=0.5",
        ),
        Item(
            "table_3",
            "Table 3: TMR at FMR 1 % with same, neutral and opposite prototype",
            _table_3,
            "TMR at FMR 1 % of san, original against protected",
        ),
        Item(
            "figure_7",
            "Figure 7: ROC of face matchers",
            _figure_7,
            "curves of san, original against protected",
        ),
    ),
    absent={
        "Figure 5": "example faces are in the report's own sheet of faces",
        "Figure 6": "ROC curves of attribute classifiers are not kept; their AUC and EER are in the rows",
        "Table 1": "it counts the faces of the datasets",
    },
    notes=(
        "IntraFace and the commercial products cannot be had: dlib_gender stands in for IntraFace and "
        "intel_age_gender for G-COTS, the mean of the unseen matchers for M-COTS.",
        "An error rate above 0.5 is an inverted answer, not more privacy.",
    ),
)
