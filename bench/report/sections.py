"""What the page says of one method: every attacker, matcher, kept attribute, quality figure and face."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.ladder import AWARE, RUNGS, STATIC, WORST
from bench.report.added import described
from bench.report.curve_charts import Panel
from bench.report.method_charts import BarPanel, StepPanel, kept_panels, step_panels
from bench.report.tables import METRICS, NUMBERS, POOL, QUALITY, TEMPLATE, label
from bench.results import FAILED, OK, ORIGINAL, UNAVAILABLE

if TYPE_CHECKING:
    import pandas as pd

ABSENT = Markup('<i aria-label="absent">·</i>')

_YEARS = (*NUMBERS, "mae_years", "mae_years_shift")
_TWO_DIGITS = (*_YEARS, "psnr", "niqe", "niqe_fitted", "pi", "fid")
_DIGITS = {"images_per_second": 1, "parameters": 0, **dict.fromkeys(_TWO_DIGITS, 2)}
_KEPT = ("cac", "attribute_mse", "attribute_cross_entropy")
_ATTACK = ("leak", "reduction", "balanced_accuracy", "accuracy", "auc", "eer")
_MATCH = ("tmr", "tmr_kept", "fmr", "eer", "auc")

_NOTES = {
    "Attackers": "pool: the worst leak, the mean Reduction and balanced accuracy of the attackers that can "
    "read originals, AUC and EER of the strongest. An attacker marked seen was trained against and counts in "
    "no total.",
    "Attackers' ladder": "Leak by attacker and rung; pool: the worst of the rung; worst: of all rungs.",
    "Matchers": "pool: the mean over the matchers.",
    "Numbers": "pool: the least error of the attackers that can read originals and of the constant guess; "
    "against the original the mean over the attackers.",
    "Attributes that should survive": "Changes against the originals, first those of the pool.",
}

THUMBNAIL, PEOPLE = 96, 6
"""Largest side in pixels and largest number of the faces shown; figures are measured on the full images."""


class Notice(NamedTuple):
    """One thing a reader must know before believing a figure: a flag, a failure, a missing component."""

    what: str
    says: str
    where: tuple[str, ...]
    more: int
    remedy: str = ""


class Head(NamedTuple):
    """text: the column holds words, not figures."""

    title: str
    says: str = ""
    text: bool = False


class GridRow(NamedTuple):
    """anchor: what links lead to. method: whose mark stands before the head; both may be empty."""

    head: str
    note: str
    cells: tuple[Markup, ...]
    total: bool = False
    anchor: str = ""
    method: str = ""


class Grid(NamedTuple):
    """A table: headings, then groups of rows under a title; `note` says how to read it."""

    title: str
    note: str
    columns: tuple[Head, ...]
    groups: tuple[tuple[str, tuple[GridRow, ...]], ...]


class Strip(NamedTuple):
    """Faces side by side: `source` is a data URI."""

    name: str
    source: str
    width: int
    height: int


class Section(NamedTuple):
    """dets, cmcs: curves of this method and of the originals, whom `sections` does not know."""

    method: str
    control: bool
    faces: tuple[Strip, ...]
    problems: tuple[str, ...]
    grids: tuple[Grid, ...]
    steps: tuple[StepPanel, ...] = ()
    kept: tuple[BarPanel, ...] = ()
    dets: tuple[tuple[str, tuple[Panel, ...]], ...] = ()
    cmcs: tuple[tuple[str, tuple[Panel, ...]], ...] = ()


def number(metric: str, value: float) -> str:
    """A figure as people read it; a minus is a minus sign."""
    return f"{value:,.{_DIGITS.get(metric, 3)}f}".replace("-", "\u2212")


def cell(metric: str, row: Any) -> Markup:
    """Value, interval and the paper's figure of one tidy row; what failed says why."""
    if row is None:
        return ABSENT
    if row.status != OK or not np.isfinite(row.value):
        return Markup('<abbr title="{}">{}</abbr>').format(row.reason, row.status)
    text = f"{number(metric, row.value)}{span(metric, row.ci_low, row.ci_high)}"
    if np.isfinite(row.reported):
        text += f" <small>paper: {number(metric, row.reported)}</small>"
    return (
        Markup('<span title="{}">{}</span>').format(row.reason, Markup(text)) if row.reason else Markup(text)
    )


def span(metric: str, low: float, high: float) -> str:
    """The interval as small print, empty when there is none."""
    if not (np.isfinite(low) and np.isfinite(high)):
        return ""
    return f" <small>{number(metric, low)} to {number(metric, high)}</small>"


def sections(
    rows: pd.DataFrame, samples: Mapping[str, NDArray[np.uint8]] | None, telling: Sequence[str]
) -> list[Section]:
    """One section a method, controls last. `telling`: keys beside the attribute that tell groups apart."""
    text = rows.select_dtypes(exclude=["number", "bool"]).columns
    plain = rows.assign(**{c: rows[c].astype("string").fillna("").astype(object) for c in text})
    plain = plain[plain["method"] != ""].assign(control=plain["method_role"] == "control")
    plain["control"] = plain.groupby("method")["control"].transform("any")
    numbers = ["value", "ci_low", "ci_high", "reported"]
    plain[numbers] = plain[numbers].astype("float64")
    found = []
    for (control, method), part in plain.groupby(["control", "method"], sort=True):
        records = list(part.itertuples(index=False))
        grids = [
            _quality(records, telling),
            _attackers(records, telling),
            _ladder(records, telling),
            _numbers(records, telling),
            _matchers(records, telling),
            _kept(records, telling),
        ]
        shown = tuple(g for g in grids if g is not None)
        strips = faces(str(method), samples or {})
        found.append(
            Section(
                str(method),
                bool(control),
                strips,
                _problems(records),
                shown,
                step_panels(records, lambda r: _place(r, telling, r.attribute)),
                kept_panels(records, lambda r: _place(r, telling)),
            )
        )
    return found


def _problems(records: Sequence[Any]) -> tuple[str, ...]:
    """Why figures of this method are missing, each reason once."""
    lost = {f"{_name(r)} {r.status}: {r.reason}" for r in records if r.status in (FAILED, UNAVAILABLE)}
    return tuple(sorted(lost))


# -- tables ------------------------------------------------------------------------------------------


def _grid(
    title: str,
    records: Iterable[Any],
    group: Callable[[Any], str],
    head: Callable[[Any], str],
    column: Callable[[Any], Head],
    order: Sequence[str],
    ordered_by: str = "metric",
) -> Grid | None:
    """A pivot: rows by `group` and `head`, columns by `column`, in `order` of what `ordered_by` names.

    What `order` lacks comes last, by title.
    """
    table: dict[str, dict[str, dict[Head, Any]]] = {}
    columns: dict[Head, int] = {}
    for record in records:
        at = column(record)
        name = getattr(record, ordered_by)
        known = order.index(name) if name in order else len(order)
        columns.setdefault(at, known)
        table.setdefault(group(record), {}).setdefault(head(record), {})[at] = record
    if not table:
        return None
    heads = sorted(columns, key=lambda c: (columns[c], c.title))
    groups = tuple(
        (name, tuple(_grid_row(h, found, heads) for h, found in sorted(lines.items(), key=_pool_first)))
        for name, lines in sorted(table.items())
    )
    return Grid(title, _NOTES.get(title, ""), tuple(heads), groups)


def _pool_first(item: tuple[str, Any]) -> tuple[bool, str]:
    return item[0] != POOL, item[0]


def _grid_row(head: str, found: Mapping[Head, Any], heads: Sequence[Head]) -> GridRow:
    notes = {flag for record in found.values() for flag in record.flags.split()}
    if any(record.seen for record in found.values()):
        notes.add("seen")
    cells = tuple(cell(found[h].metric, found[h]) if h in found else ABSENT for h in heads)
    return GridRow(head or "all", " ".join(sorted(notes)), cells, head == POOL)


def _metric_head(record: Any) -> Head:
    known = METRICS.get(record.metric)
    if known is None and record.component_kind == "quality":
        known = described([record.metric])[record.metric]
    return Head(known.title, f"{known.what} Best: {known.best}.") if known else Head(record.metric)


def _place(record: Any, telling: Sequence[str], *names: str) -> str:
    """Heading of a group of rows: `names`, then what else tells it from others."""
    others = [f"{key} {getattr(record, key)}" for key in telling if getattr(record, key) not in ("", None)]
    return " · ".join([*names, *others])


def _name(record: Any) -> str:
    return label(record.method, record.variant)


def _attackers(records: Sequence[Any], telling: Sequence[str]) -> Grid | None:
    """The papers' setting; for templates that static attackers cannot read, those that learned anew."""
    mine = [r for r in _hidden(records) if r.threat == STATIC]
    static = {(r.variant, r.attribute) for r in mine if r.metric == "leak" and r.value is not None}
    mine += [
        r
        for r in _hidden(records)
        if r.threat == AWARE and r.level == TEMPLATE and (r.variant, r.attribute) not in static
    ]
    return _grid(
        "Attackers",
        mine,
        lambda r: _place(r, telling, _name(r), r.attribute),
        lambda r: r.component,
        _metric_head,
        _ATTACK,
    )


def _ladder(records: Sequence[Any], telling: Sequence[str]) -> Grid | None:
    """Leak by attacker and rung."""
    mine = [r for r in _hidden(records) if r.metric == "leak" and (r.threat in RUNGS or r.threat == WORST)]
    if {r.threat for r in mine} <= {STATIC, WORST}:
        return None
    return _grid(
        "Attackers' ladder",
        mine,
        lambda r: _place(r, telling, _name(r), r.attribute),
        lambda r: r.component,
        lambda r: Head(r.threat, RUNGS.get(r.threat, "the largest of all rungs and attackers")),
        (*RUNGS, WORST),
        "threat",
    )


def _hidden(records: Iterable[Any]) -> list[Any]:
    return [
        r
        for r in records
        if r.component_kind == "attacker"
        and r.metric not in (*_KEPT, *NUMBERS)
        and (r.role != "kept" or r.method_role == "control")
    ]


def _numbers(records: Sequence[Any], telling: Sequence[str]) -> Grid | None:
    """Errors of estimates such as age."""

    def column(record: Any) -> Head:
        head = _metric_head(record)
        unit = f" ({record.unit})" if record.unit else ""
        rung = f", {record.threat}" if record.metric == "mae" and record.threat != STATIC else ""
        return Head(f"{head.title}{rung}{unit}", head.says)

    # All figures of the papers' setting, of the other rungs how far off they are.
    mine = [r for r in records if r.metric == "mae" or (r.metric in NUMBERS and r.threat in (STATIC, AWARE))]
    mine = [r for r in mine if r.threat == STATIC or r.metric == "mae" or r.level == TEMPLATE]
    return _grid(
        "Numbers",
        mine,
        lambda r: _place(r, telling, _name(r), r.attribute, r.role),
        lambda r: r.component,
        column,
        NUMBERS,
    )


def _kept(records: Sequence[Any], telling: Sequence[str]) -> Grid | None:
    def column(record: Any) -> Head:
        head = _metric_head(record)
        if record.component == POOL:
            return head
        return Head(f"{head.title}, {record.component}", head.says)

    mine = [r for r in records if r.metric in _KEPT and (r.metric == "cac" or r.component == POOL)]
    return _grid(
        "Attributes that should survive",
        mine,
        lambda r: _place(r, telling, _name(r)),
        lambda r: r.attribute,
        column,
        _KEPT,
    )


def _matchers(records: Sequence[Any], telling: Sequence[str]) -> Grid | None:
    def column(record: Any) -> Head:
        head = _metric_head(record)
        point = record.operating_point.removeprefix("fmr=")
        at = f" at FMR {float(point):.4g}" if record.metric == "tmr" and point else ""
        intended = f", {float(point):.4g} intended" if record.metric == "fmr" and point else ""
        fixed = ", fixed threshold" if record.metric == "tmr" and record.policy == "fixed" else ""
        return Head(f"{head.title}{at}{intended}{fixed}", head.says)

    mine = [r for r in records if r.component_kind == "matcher"]
    return _grid(
        "Matchers",
        mine,
        lambda r: _place(r, telling, _name(r), r.condition.replace("-", " against ")),
        lambda r: r.component,
        column,
        _MATCH,
    )


def _quality(records: Sequence[Any], telling: Sequence[str]) -> Grid | None:
    def column(record: Any) -> Head:
        head = _metric_head(record)
        unit = METRICS[record.metric].unit if record.metric in METRICS else record.unit
        unit = f" ({unit})" if unit else ""
        if record.component_kind == "quality":
            return Head(f"{head.title}{unit}", f"{head.says} Recipe: {record.component}.")
        recipe = f", {record.component}" if record.component else ""
        return Head(f"{head.title}{recipe}{unit}", head.says)

    mine = [r for r in records if r.component_kind in ("quality", "cost")]
    order = (*QUALITY, "parameters", "images_per_second")
    return _grid("Quality and cost", mine, lambda r: _place(r, telling), _name, column, order)


# -- faces -------------------------------------------------------------------------------------------


def faces(method: str, samples: Mapping[str, NDArray[np.uint8]]) -> tuple[Strip, ...]:
    """The method's outputs as strips of faces, the originals first; nothing without samples of it."""
    own = [n for n in samples if n.partition(":")[0] == method]
    first = [ORIGINAL] if own and method != ORIGINAL and ORIGINAL in samples else []
    return tuple(_strip(n, samples[n]) for n in first + own)


def _strip(name: str, images: NDArray[np.uint8]) -> Strip:
    from PIL import Image

    sheet = Image.fromarray(np.concatenate(list(images[:PEOPLE]), axis=1))
    side = images.shape[1]
    if side > THUMBNAIL:
        sheet = sheet.resize((round(sheet.width * THUMBNAIL / side), THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    sheet.save(buffer, format="JPEG", quality=88, subsampling=0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Strip(name, f"data:image/jpeg;base64,{data}", sheet.width, sheet.height)
