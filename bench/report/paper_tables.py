"""Measured figures as the papers lay out theirs: the look-ups that a protocol's tables are built from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.papers.reported import with_reported
from bench.report.tables import ORIGINAL_ORIGINAL, POOL
from bench.results import OK, ORIGINAL

if TYPE_CHECKING:
    import pandas as pd

WEAK = "weak_attacker"
BEFORE = (ORIGINAL, "default")
"""The subject that shows what components make of unprotected faces."""

Subject = tuple[str, str]
"""Method and variant."""


class Quantity(NamedTuple):
    """A measured value with the ends of its 95 % interval, and the paper's own figure; NaN where absent.

    flags: what makes it doubtful.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    reported: float = math.nan
    flags: str = ""

    @property
    def known(self) -> bool:
        return not math.isnan(self.value)

    def complement(self) -> Quantity:
        """1 - value: an error rate from an accuracy, with the ends of the interval changed over."""
        return Quantity(1 - self.value, 1 - self.high, 1 - self.low, 1 - self.reported, self.flags)

    def columns(self, name: str) -> dict[str, float]:
        """The columns `name`, `name_low`, `name_high` and `name_reported` of a table."""
        ends = {"low": self.low, "high": self.high, "reported": self.reported}
        return {name: self.value} | {f"{name}_{end}": value for end, value in ends.items()}


UNKNOWN = Quantity()


class Sheet:
    """The rows of one run under the papers' setting: images, static attackers, thresholds set anew.

    rows: a table as `bench.results.to_frame` makes it. Of several label sources and seeds one is used
    (`usual`). Figures of components that the method was
    trained against are left out, as everywhere. The paper's figure stands beside a measured one where
    dataset, metric and operating point agree (`bench.papers.reported.with_reported`, with stand-ins).
    """

    def __init__(self, rows: pd.DataFrame) -> None:
        table = _papers_setting(with_reported(rows, stand_ins=True))
        self.datasets: tuple[str, ...] = tuple(sorted(table["dataset"].unique()))
        names = ("method", "variant", "metric", "component", "attribute", "condition", "operating_point")
        self._figures: dict[tuple[str, ...], Quantity] = {}
        for line in table.to_dict("records"):
            value, low, high, printed = (float(line[n]) for n in ("value", "ci_low", "ci_high", "reported"))
            self._figures[tuple(line[n] for n in names)] = Quantity(value, low, high, printed, line["flags"])
        self._table = table

    def get(
        self,
        metric: str,
        subject: Subject,
        *,
        component: str = POOL,
        attribute: str = "",
        condition: str = "",
        point: str = "",
    ) -> Quantity:
        """One figure; `UNKNOWN` if it was not measured. The original is its own probe and reference."""
        if condition and subject[0] == ORIGINAL:
            condition = ORIGINAL_ORIGINAL
        key = (*subject, metric, component, attribute, condition, point)
        return self._figures.get(key, UNKNOWN)

    def quality(self, metric: str, subject: Subject) -> Quantity:
        """A whole-image figure, whatever the recipe behind it; a run has one recipe a metric."""
        found = self._table[(self._table["component_kind"] == "quality") & (self._table["metric"] == metric)]
        for recipe in sorted(found["component"].unique()):
            if (quantity := self.get(metric, subject, component=recipe)).known:
                return quantity
        return UNKNOWN

    def attackers(self, families: Iterable[str] = (), *, attribute: str = "") -> list[str]:
        """Attackers of the run, `svm@se_resnet` and the like, the pool left out.

        families: their names before the `@`, in the order wanted; none means all, by name. attribute: only
        those that read it off the originals, since the others prove nothing.
        """
        named = self._components("attacker")
        if attribute:
            named = [n for n in named if self._reads(n, attribute)]
        order = tuple(families)
        if not order:
            return named
        return [n for family in order for n in named if n.partition("@")[0] == family]

    def _reads(self, attacker: str, attribute: str) -> bool:
        quantity = self.get("auc", BEFORE, component=attacker, attribute=attribute)
        return quantity.known and WEAK not in quantity.flags.split()

    def matchers(self, names: Sequence[str] = ()) -> list[str]:
        """Matchers of the run, the pool left out: those of `names` in their order, or all by name."""
        found = self._components("matcher")
        return [n for n in names if n in found] if names else found

    def variants(self, method: str) -> list[str]:
        """Measured variants of a method, by name."""
        return sorted(self._table.loc[self._table["method"] == method, "variant"].unique())

    def _components(self, kind: str) -> list[str]:
        found = self._table.loc[self._table["component_kind"] == kind, "component"].unique()
        return sorted(n for n in found if n not in ("", POOL))


def _papers_setting(rows: pd.DataFrame) -> pd.DataFrame:
    text = [
        *("dataset", "level", "method", "variant", "attribute", "label_source", "threat", "status", "flags"),
        *("component_kind", "component", "metric", "condition", "policy", "operating_point"),
    ]
    table = rows.copy()
    table[text] = table[text].astype("string").fillna("").astype(object)
    keep = (table["status"] == OK) & table["value"].notna() & ~table["seen"] & (table["level"] == "image")
    keep &= table["policy"].isin(["", "reset"]) & table["threat"].isin(["", "static"])
    table = table[keep]
    return table[usual(table)]


def usual(table: pd.DataFrame) -> pd.Series[bool]:
    """Of every output's lines those that a paper's figure shows: bool over the lines.

    table: method, variant, label_source and seed. The truth where an output has it, else its first label
    source by name: what needs no labels has the truth alone. Of several seeds the lowest.
    """
    sources = sorted(set(table["label_source"]) - {"", "truth"})
    place = table["label_source"].map({"": 0, "truth": 0} | {s: i for i, s in enumerate(sources, 1)})
    outputs = [table["method"], table["variant"]]
    chosen = place == place.groupby(outputs).transform("min")
    seeds = table["seed"].where(chosen)
    return chosen & (table["seed"] == seeds.groupby(outputs).transform("min"))


def frame(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """A table of `lines`; empty without any."""
    import pandas as pd

    return pd.DataFrame.from_records(lines)
