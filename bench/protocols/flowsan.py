"""The evaluation of FlowSAN (Mirjalili, Raschka, Ross, IEEE Access 2019, section IV)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.protocols.definition import Item, Protocol
from bench.report.paper_figures import (
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    QUIET,
    RED,
    Drawing,
    Line,
    against_stages,
)
from bench.report.paper_tables import BEFORE, UNKNOWN, Quantity, Sheet, Subject, frame
from bench.report.tables import ORIGINAL_PROTECTED

if TYPE_CHECKING:
    import pandas as pd

STAGES = (1, 2, 3, 4, 5)
MIXED = ("face_mixing", "a=0.5")
POINT = "fmr=0.001"
_FAMILIES = {
    "Ens-Avg": ("avg", GREEN, (4.0, 1.5)),
    "Ens-Gibbs": ("gibbs", ORANGE, (1.0, 1.2)),
    "Ens-Best (oracle)": ("best", PURPLE, (5.0, 1.5, 1.0, 1.5)),
    "FlowSAN": ("", RED, ()),
}
"""Legend -> the variants' name in san_ensemble (none: flowsan), colour, dashes."""


def subject(family: str, n: int) -> Subject:
    """The variant of a family with n networks; of one member every ensemble is that member."""
    if not family:
        return ("flowsan", f"n={n}")
    return ("san_ensemble", f"{family if n > 1 else 'avg'}-n={n}")


def _figure(metric: str, stem: str, title: str, needs: str) -> Item:
    """Figures 6 and S1: a rate of every classifier against the number of networks."""

    def make(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
        panels: dict[str, list[Line]] = {}
        for attacker in sheet.attackers(attribute="gender"):

            def get(who: Subject, attacker: str = attacker) -> Quantity:
                return sheet.get(metric, who, component=attacker, attribute="gender")

            panels[attacker] = _lines(get)
        text = f"Gender: {metric.upper()} of unseen classifiers against the number of networks"
        return against_stages(panels, title=text, ylabel=metric.upper(), level=0.5)

    return Item(stem, title, make, needs)


def _lines(get: Any, families: tuple[str, ...] = tuple(_FAMILIES)) -> list[Line]:
    """Levels of the originals and of face mixing, and a curve of every family of which something is known."""
    levels = (("Original", BEFORE, BLUE, (4.0, 2.0)), ("face mixing", MIXED, QUIET, (4.0, 2.0)))
    found = [Line(n, colour, dashes, (), (q,)) for n, who, colour, dashes in levels if (q := get(who)).known]
    for name in families:
        family, colour, dashes = _FAMILIES[name]
        quantities = {n: get(subject(family, n)) for n in STAGES}
        known = {n: q for n, q in quantities.items() if q.known}
        if set(known) - ({1} if family else set()):
            found.append(Line(name, colour, dashes, tuple(known), tuple(known.values())))
    return found


def _figure_8(sheet: Sheet, curves: pd.DataFrame) -> Drawing | None:
    panels: dict[str, list[Line]] = {}
    for matcher in sheet.matchers():

        def get(who: Subject, matcher: str = matcher) -> Quantity:
            if who == MIXED:
                return UNKNOWN  # figure 8 leaves face mixing out
            return sheet.get("tmr", who, component=matcher, condition=ORIGINAL_PROTECTED, point=POINT)

        panels[matcher] = _lines(get, ("FlowSAN", "Ens-Avg", "Ens-Gibbs"))
    return against_stages(panels, title="TMR at FMR 0.1 % of unseen matchers", ylabel="TMR")


def _table_3(sheet: Sheet, curves: pd.DataFrame) -> pd.DataFrame:
    """Mean EER over the classifiers and mean TMR over the matchers, at n = 3 and n = 5."""
    subjects: dict[tuple[str, int | None], Subject]
    subjects = {("Original", None): BEFORE, ("face mixing", None): MIXED}
    subjects |= {(name, n): subject(f[0], n) for n in (3, 5) for name, f in _FAMILIES.items()}
    attackers, matchers = sheet.attackers(attribute="gender"), sheet.matchers()
    lines = []
    for (name, n), who in subjects.items():
        errors = [sheet.get("eer", who, component=a, attribute="gender") for a in attackers]
        matches = [
            sheet.get("tmr", who, component=m, condition=ORIGINAL_PROTECTED, point=POINT) for m in matchers
        ]
        eer, tmr = _mean(errors), _mean(matches)
        if not math.isnan(eer):
            lines.append({"model": name, "n": n, "eer": eer, "tmr_at_fmr_0.001": tmr})
    table = frame(lines)
    return table.astype({"n": "Int64"}) if len(table) else table


def _mean(found: list[Quantity]) -> float:
    """The mean if every component has a value: a mean over fewer would not compare."""
    if not found or not all(q.known for q in found):
        return math.nan
    return float(np.mean([q.value for q in found]))


_NEEDS = "gender of flowsan or san_ensemble under an attacker that reads the originals"

PROTOCOL = Protocol(
    title="FlowSAN (Mirjalili, Raschka, Ross, IEEE Access 2019)",
    settings={
        "methods": (
            *(f"flowsan:n={n}" for n in STAGES),
            *(f"san_ensemble:avg-n={n}" for n in STAGES),
            *(f"san_ensemble:{family}-n={n}" for family in ("gibbs", "best") for n in STAGES[1:]),
            "face_mixing:a=0.5",
        ),
        "attackers": ("default",),
        "matchers": ("default",),
        "extractors": ("default",),
        "attributes": ("gender",),
    },
    items=(
        _figure("auc", "figure_6", "Figure 6: AUC of gender classifiers against n", f"AUC of {_NEEDS}"),
        _figure("eer", "figure_s1", "Figure S1: EER of gender classifiers against n", f"EER of {_NEEDS}"),
        Item(
            "figure_8",
            "Figure 8: TMR at FMR 0.1 % against n",
            _figure_8,
            "TMR at FMR 0.1 % of flowsan or san_ensemble, original against protected",
        ),
        Item(
            "table_3",
            "Table 3: mean EER of the classifiers and mean TMR of the matchers",
            _table_3,
            f"EER of {_NEEDS}",
        ),
    ),
    absent={
        "Figure 7": "example faces are in the report's own sheet of faces",
        "Tables 1 and 2": "they list earlier work and datasets",
    },
    notes=(
        "The six classifiers and four matchers of the paper are replaced by all unseen ones of the run; only "
        "classifiers that read the originals are shown and averaged.",
        "An AUC below 0.5 is an inverted answer, not more privacy; the paper calls lower better.",
        "One dataset a run: the paper's Table 3 averages over four.",
    ),
)
