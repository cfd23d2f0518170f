"""Two outputs side by side, figure by figure: what differs, by how much, and whether that is beyond doubt."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import MetricError
from bench.faces import AGE
from bench.ladder import AWARE, RUNGS, STATIC, WORST
from bench.metrics.uncertainty import Interval, paired_difference
from bench.report.tables import (
    HEADLINE_FMR,
    ORIGINAL_ORIGINAL,
    ORIGINAL_PROTECTED,
    POOL,
    PROTECTED_PROTECTED,
    QUALITY,
    TEMPLATE,
    label,
)
from bench.results import OK
from bench.scoring.rows import SampleKey

if TYPE_CHECKING:
    import pandas as pd

HIGHER, LOWER, EQUAL, CANNOT_TELL, REFUSED = "higher", "lower", "equal", "cannot tell", "not compared"
PAIRED, UNPAIRED = "paired", "unpaired"
LEAK, KEPT_CAC, YEARS = "leak", "kept_cac", "mae_years"
COLUMNS = (
    *("level", "attribute", "label_source", "seed", "first", "second", "figure"),
    *("value_first", "value_second", "difference", "low", "high", "verdict", "how", "note"),
)
"""Of the table of differences; difference: first less second; low, high: its 95 % interval."""

_SETS = ("fid", "kid", "fd_squeeze", "kd_squeeze")
"""Distances of sets of images, which depend on how many there are."""
_DRAWN = ("leak", "reduction", "cac", "tmr_kept", "mae")


def is_contrasted(key: SampleKey) -> bool:
    """Whether the resamples of a figure are needed here; other components than the pool are of quality."""
    at_headline = (key.metric, key.policy, key.operating_point) == ("tmr", "reset", HEADLINE_FMR)
    return key.component != POOL or key.metric in _DRAWN or at_headline


class Output(NamedTuple):
    """One output of one training, told one kind of labels."""

    level: str
    method: str
    variant: str
    label_source: str
    seed: int

    @property
    def name(self) -> str:
        return label(self.method, self.variant)


class Found(NamedTuple):
    """A figure: its value and interval, the resamples if there are any, its recipe and number of samples."""

    value: float
    low: float
    high: float
    drawn: NDArray[np.floating] | None
    recipe: str
    n: float


@dataclass(frozen=True)
class Side:
    """The rows of a run, and the resamples of its pooled figures; none where they were not kept."""

    rows: pd.DataFrame
    draws: Mapping[SampleKey, NDArray[np.floating]]

    @cached_property
    def outputs(self) -> dict[Output, list[Any]]:
        """Output -> its rows that a figure may come from."""
        rows = self.rows[(self.rows["status"] == OK) & ~self.rows["seen"] & self.rows["value"].notna()]
        pooled = (rows["component"] == POOL) | (rows["component_kind"] == "quality")
        found: dict[Output, list[Any]] = {}
        row: Any
        for row in rows[pooled.fillna(value=False)].itertuples(index=False):
            key = Output(row.level, row.method, _text(row.variant), _text(row.label_source), int(row.seed))
            found.setdefault(key, []).append(row)
        return found

    def figures(self, output: Output) -> dict[tuple[str, str], Found]:
        """(attribute, figure) -> what was found of an output; attribute is empty for whole images."""
        rows = self.outputs.get(output, ())
        found: dict[tuple[str, str], Found] = {}
        for name, rule in _RULES.items():
            for row in rule.rows(rows, output):
                attribute = _text(row.attribute) if rule.per_attribute else ""
                found.setdefault((attribute, name), self._found(row))
        found |= {("", str(row.metric)): self._found(row) for row in rows if _is_quality(row)}
        hidden = {attribute for attribute, name in found if name == LEAK}
        return found | self._kept(rows, hidden)

    def worst(self, output: Output, attribute: str, rungs: Collection[str]) -> Found | None:
        """The worst leak over some of the rungs, the maximum inside each resample; None without resamples."""
        figures = self.figures(output)
        some = [
            figures[attribute, f"leak_{rung}"] for rung in rungs if (attribute, f"leak_{rung}") in figures
        ]
        drawn = [one.drawn for one in some if one.drawn is not None]
        if not drawn or len(drawn) < len(some):
            return None
        first = max(some, key=lambda one: one.value)
        return first._replace(low=math.nan, high=math.nan, drawn=np.max(drawn, axis=0))

    def _found(self, row: Any) -> Found:
        key = SampleKey._make("" if _absent(v := getattr(row, n)) else v for n in SampleKey._fields)
        recipe = str(row.component) if _is_quality(row) else ""
        low, high, n = (math.nan if _absent(v) else float(v) for v in (row.ci_low, row.ci_high, row.n))
        drawn = self.draws.get(key._replace(seed=int(row.seed)))
        return Found(float(row.value), low, high, drawn, recipe, n)

    def _kept(self, rows: Iterable[Any], hidden: Collection[str]) -> dict[tuple[str, str], Found]:
        """Mean absolute CAC over the attributes that should survive, beside each hidden one."""
        changes = {_text(r.attribute): self._found(r) for r in rows if r.metric == "cac" and r.role == "kept"}
        found = {}
        for attribute in sorted(hidden):
            others = [one for name, one in changes.items() if name != attribute]
            if others:
                value = math.fsum(abs(one.value) for one in others) / len(others)
                drawn = [np.abs(one.drawn) for one in others if one.drawn is not None]
                mean = np.mean(drawn, axis=0) if len(drawn) == len(others) else None
                names = ", ".join(sorted(set(changes) - {attribute}))
                found[attribute, KEPT_CAC] = Found(value, math.nan, math.nan, mean, names, len(others))
        return found


def contrast(
    pairs: Sequence[tuple[tuple[Side, Output], tuple[Side, Output]]],
    refused: Mapping[str, str],
    *,
    paired: bool,
) -> pd.DataFrame:
    """A line for every figure that both of a pair have, with `COLUMNS`.

    refused: figure -> why it means something else on the two sides; such lines have values and no difference.
    paired: whether both sides resampled the same people in the same draws. Without, or without resamples, the
    interval is made from the two separate ones (Zou and Donner, Stat. Med. 2008), which is wider where both
    looked at the same people. Each pair is taken by itself.
    """
    import pandas as pd

    lines = [line for one, other in pairs for line in _lines(one, other, refused, paired)]
    return pd.DataFrame.from_records(lines, columns=list(COLUMNS))


def unpaired_difference(first: Found, second: Found) -> Interval:
    """Interval of first - second from their own intervals (Zou and Donner 2008, eq. 7: MOVER).

    Raises MetricError where one of them has none.
    """
    ends = (first.low, first.high, second.low, second.high)
    if not np.isfinite(ends).all():
        raise MetricError("no interval: one of the two has none, and there are no resamples to pair")
    gap = first.value - second.value
    down = math.hypot(max(0.0, first.value - first.low), max(0.0, second.high - second.value))
    up = math.hypot(max(0.0, first.high - first.value), max(0.0, second.value - second.low))
    return Interval(gap - down, gap + up)


# -- lines -------------------------------------------------------------------------------------------


def _lines(
    one: tuple[Side, Output], other: tuple[Side, Output], refused: Mapping[str, str], paired: bool
) -> Iterator[tuple[Any, ...]]:
    (left, first), (right, second) = one, other
    here, there = left.figures(first), right.figures(second)
    sources = dict.fromkeys((first.label_source, second.label_source))
    seeds = dict.fromkeys((str(first.seed), str(second.seed)))
    for attribute, name in sorted(here.keys() & there.keys(), key=_order):
        start = (first.level, attribute, " / ".join(sources), " / ".join(seeds), first.name, second.name)
        a, b = here[attribute, name], there[attribute, name]
        why = refused.get(name, "") or _differ(name, a, b)
        if name == LEAK and why and paired:
            shared = here.keys() & there.keys()
            rungs = [r for r in RUNGS if f"leak_{r}" not in refused and (attribute, f"leak_{r}") in shared]
            some, others = left.worst(first, attribute, rungs), right.worst(second, attribute, rungs)
            if some and others:
                note = f"worst of {', '.join(rungs)}: {why}"
                yield (*start, name, *_difference(some, others, paired, note))
                continue
        if why:
            yield (*start, name, a.value, b.value, math.nan, math.nan, math.nan, REFUSED, "", why)
        else:
            yield (*start, name, *_difference(a, b, paired, ""))


def _differ(name: str, a: Found, b: Found) -> str:
    """Why two figures of one name are of different recipes; empty where they are not."""
    if a.recipe != b.recipe:
        return f"different recipes: {a.recipe} and {b.recipe}"
    if name in _SETS and a.n != b.n:
        return f"made from {a.n:.0f} and {b.n:.0f} images, on which this distance depends"
    return ""


def _difference(a: Found, b: Found, paired: bool, note: str) -> tuple[Any, ...]:
    how, gap = UNPAIRED, a.value - b.value
    try:
        if paired and a.drawn is not None and b.drawn is not None and a.drawn.shape == b.drawn.shape:
            how, ends = PAIRED, paired_difference(a.drawn, b.drawn)
        else:
            ends = unpaired_difference(a, b)
    except MetricError as error:
        reason = "; ".join(part for part in (note, str(error)) if part)
        return a.value, b.value, gap, math.nan, math.nan, EQUAL if gap == 0 else CANNOT_TELL, "", reason
    return a.value, b.value, gap, ends.low, ends.high, _verdict(gap, ends), how, note


def _verdict(gap: float, ends: Interval) -> str:
    if gap == ends.low == ends.high == 0:
        return EQUAL
    return HIGHER if ends.low > 0 else LOWER if ends.high < 0 else CANNOT_TELL


# -- where figures come from -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    """Rows of a metric; `prefer` names a column and its accepted values for an output, the best first."""

    metric: str
    per_attribute: bool = False
    prefer: Callable[[Output], tuple[str, tuple[str, ...]]] | None = None
    where: Mapping[str, str] | None = None

    def rows(self, rows: Iterable[Any], output: Output) -> list[Any]:
        """The fitting rows, the preferred ones first."""
        fitting = [r for r in rows if r.metric == self.metric and self._fits(r)]
        if self.prefer is None:
            return fitting
        column, values = self.prefer(output)
        ranked = [(values.index(v), r) for r in fitting if (v := _text(getattr(r, column))) in values]
        return [row for _, row in sorted(ranked, key=lambda pair: pair[0])]

    def _fits(self, row: Any) -> bool:
        return all(_text(getattr(row, column)) == value for column, value in (self.where or {}).items())


def _condition(output: Output) -> tuple[str, tuple[str, ...]]:
    """Which comparison the headline is of; that of the originals has only one."""
    first = PROTECTED_PROTECTED if output.level == TEMPLATE else ORIGINAL_PROTECTED
    return "condition", (first, ORIGINAL_ORIGINAL)


def _papers(_: Output) -> tuple[str, tuple[str, ...]]:
    return "threat", (STATIC, AWARE)


def _hardest(_: Output) -> tuple[str, tuple[str, ...]]:
    return "threat", (WORST, STATIC, AWARE)


_AT = {"policy": "reset", "operating_point": HEADLINE_FMR}
_RULES: dict[str, _Rule] = {
    LEAK: _Rule("leak", per_attribute=True, where={"threat": WORST}),
    **{f"leak_{rung}": _Rule("leak", per_attribute=True, where={"threat": rung}) for rung in RUNGS},
    "reduction": _Rule("reduction", per_attribute=True, prefer=_papers),
    YEARS: _Rule("mae", prefer=_hardest, where={"attribute": AGE.name}),
    "tmr": _Rule("tmr", prefer=_condition, where=_AT),
    "tmr_kept": _Rule("tmr_kept"),
}
_ORDER = [*_RULES, KEPT_CAC, *QUALITY]
"""In which figures are shown, those of plug-ins last; the names are columns of the leaderboard."""


def _order(key: tuple[str, str]) -> tuple[bool, str, int, str]:
    """By attribute, whole images last."""
    attribute, name = key
    return not attribute, attribute, _ORDER.index(name) if name in _ORDER else len(_ORDER), name


def _is_quality(row: Any) -> bool:
    return _text(row.component_kind) == "quality"


def _absent(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _text(value: Any) -> str:
    return "" if _absent(value) else str(value)
