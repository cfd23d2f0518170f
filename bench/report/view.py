"""Everything the template shows, as plain values: verdict, planes, leaderboard, definitions, environment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.ladder import ADAPTIVE, RUNGS
from bench.report.charts import Plane, Roc, interval_bar, outline, plane_chart, roc_chart
from bench.report.curves import Band
from bench.report.sections import ABSENT, number, sections, span
from bench.report.style import CONTROL_COLOUR, Look, slug
from bench.report.tables import (
    ENDS,
    FLAGS,
    GROUP,
    LEADERBOARD,
    METRICS,
    POOL,
    beaten,
    groups,
    intervals,
    label,
)
from bench.results import FAILED, UNAVAILABLE, UNDEFINED

if TYPE_CHECKING:
    import pandas as pd

WIDE, NARROW = (860, 520), (358, 400)
"""Sizes in pixels of a plane on a desk and on a phone; each has its own labels."""

_SHOWN = {
    "leak": "Leak",
    "tmr": "TMR at FMR\u00a01\u00a0%",
    **{f"leak_{rung}": f"Leak, {rung}" for rung in RUNGS},
    "worst_by": "Read best by",
    "reduction": "Reduction",
    "balanced_accuracy": "Bal. acc.",
    "auc": "AUC",
    "eer": "EER",
    "tmr_protected": "TMR, both protected",
    "tmr_kept": "TMR kept",
    "kept_cac": "Kept |CAC|",
    "mae_years": "Age MAE (years)",
    "mae_years_shift": "Age moved (years)",
    "lpips": "LPIPS",
    "lpips_alex": "LPIPS (Alex)",
    "lpips_vgg": "LPIPS (VGG)",
    "niqe": "NIQE",
    "niqe_fitted": "NIQE, fitted here",
    "pi": "PI",
    "fid": "FID",
    "kid": "KID",
    "fd_squeeze": "FD (SqueezeNet)",
    "kd_squeeze": "KD (SqueezeNet)",
    "ssim": "SSIM",
    "psnr": "PSNR (dB)",
    "images_per_second": "images/s",
    "parameters": "Parameters",
    "n": "Faces",
    "n_failed": "Failed",
}
_INTERVALS = ("leak", "tmr", "reduction", "mae_years")
_ALWAYS = ("leak", "tmr")
"""Columns that a narrow screen shows without being asked."""


class Tone(NamedTuple):
    """A method's place in the style sheet and its marker."""

    number: int
    colour: str
    path: str
    anchor: str
    role: str


class Column(NamedTuple):
    key: str
    title: str
    says: str
    extra: bool


class Line(NamedTuple):
    """One row of the leaderboard, by `number`. dims: values of the filters. cells: one per column."""

    number: int
    dims: tuple[str, ...]
    role: str
    method: str
    name: str
    front: bool
    rank: str
    status: str
    reason: str
    flags: str
    cells: tuple[Markup, ...]


class Chip(NamedTuple):
    line: int
    method: str
    name: str
    says: str


class Verdict(NamedTuple):
    """What one group of lines says. worse: methods that a control clearly beats, with the control's name."""

    name: str
    total: int
    front: tuple[Chip, ...]
    worse: tuple[Chip, ...]
    ends: tuple[Chip, ...]


class PlaneView(NamedTuple):
    """wide, narrow: the plane on a desk and on a phone; None where no line has both figures."""

    name: str
    dims: tuple[str, ...]
    wide: Plane | None
    narrow: Plane | None


class Notice(NamedTuple):
    """One thing a reader must know before believing a figure: a flag, a failure, a missing component."""

    what: str
    says: str
    where: tuple[str, ...]
    more: int
    remedy: str = ""


def view(
    board: pd.DataFrame,
    rows: pd.DataFrame,
    bands: Mapping[str, Sequence[Band]],
    samples: Mapping[str, NDArray[np.uint8]] | None,
    provenance: Mapping[str, Any],
    looks: Mapping[str, Look],
) -> dict[str, Any]:
    """The context of `template.html`; nothing in it but figures and `Markup` made here is trusted as HTML."""
    telling = _telling(board)
    dims = ("attribute", *telling)
    said = {int(i): _sentence(row) for i, row in zip(board.index, board.itertuples(index=False), strict=True)}
    rest = {k: v for k, v in provenance.items() if k not in ("command", "unavailable", "flags")}
    return {
        "title": str(provenance.get("dataset_title") or provenance.get("dataset") or "report"),
        "facts": _facts(provenance),
        "static_only": board[[f"leak_{rung}" for rung in ADAPTIVE]].isna().all(axis=None),
        "tones": _tones(board, rows, looks),
        "dims": [(k, k.replace("_", " "), _values(board, k)) for k in dims],
        "verdicts": _verdicts(board, said),
        "flags": _flag_notices(rows, {**FLAGS, **(provenance.get("flags") or {})}),
        "missing": _missing(rows, provenance.get("unavailable") or ()),
        "failed": _by_reason(rows[rows["status"] == FAILED]),
        "undefined": _undefined(rows[rows["status"] == UNDEFINED]),
        "planes": _planes(board, dims, said, looks),
        "columns": _columns(board, dims),
        "lines": _lines(board, dims),
        "rocs": [(c.replace("-", " against "), _rocs(found)) for c, found in bands.items()],
        "sections": sections(rows, samples, telling),
        "metrics": METRICS,
        "definitions": LEADERBOARD,
        "command": str(provenance.get("command", "")),
        "environment": rest,
    }


def _telling(board: pd.DataFrame) -> tuple[str, ...]:
    """Keys beside the attribute in which lines of this table differ."""
    complete = board[board["attribute"].notna()]
    return tuple(k for k in GROUP if k != "attribute" and complete[k].nunique() > 1)


def _values(board: pd.DataFrame, key: str) -> list[str]:
    """What a filter offers, the value with most figures first, those of methods before those of controls."""
    measured = board[board["leak"].notna()]
    ours = measured.loc[measured["role"] == "method", key].value_counts()
    every = measured[key].value_counts()
    known = [str(v) for v in board[key].dropna().unique()]
    return sorted(known, key=lambda v: (-int(ours.get(v, 0)), -int(every.get(v, 0)), v))


def _tones(board: pd.DataFrame, rows: pd.DataFrame, looks: Mapping[str, Look]) -> dict[str, Tone]:
    ordered = sorted(looks, key=lambda m: (looks[m].colour == CONTROL_COLOUR, m))
    return {
        method: Tone(
            number=i,
            colour=looks[method].colour,
            path=outline(looks[method].marker, 5.0),
            anchor=f"m-{slug(method)}",
            role="control" if looks[method].colour == CONTROL_COLOUR else "method",
        )
        for i, method in enumerate(ordered)
    }


def _facts(provenance: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The line under the title: size, pools, seed."""
    facts = []
    if provenance.get("size"):
        facts.append(("image size", f"{provenance['size']} px"))
    for name, pool in (provenance.get("pools") or {}).items():
        sizes = pool.items() if isinstance(pool, Mapping) else [("images", pool)]
        facts.append((f"{name} pool", ", ".join(f"{_plain(n)} {what}" for what, n in sizes)))
    if provenance.get("seed") is not None:
        facts.append(("seed", str(provenance["seed"])))
    return facts


def _plain(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


# -- sentences ---------------------------------------------------------------------------------------


def _name(row: Any) -> str:
    return label(str(row.method), "" if _absent(row.variant) else str(row.variant))


def _absent(value: Any) -> bool:
    from pandas import isna

    return bool(isna(value))


def _with_ends(row: Any, name: str) -> str:
    value, low, high = (float(getattr(row, n)) for n in (name, f"{name}_low", f"{name}_high"))
    if not math.isfinite(value):
        return "not measured"
    ends = f" ({number(name, low)} to {number(name, high)})" if math.isfinite(low + high) else ""
    return f"{number(name, value)}{ends}"


def _figures(row: Any) -> str:
    return f"leak {_with_ends(row, 'leak')}, TMR {_with_ends(row, 'tmr')}"


def _sentence(row: Any) -> str:
    place = "" if _absent(row.rank) else f", rank {row.rank}"
    front = ", on the Pareto front" if row.pareto else ""
    flags = "" if _absent(row.flags) else f", flags: {row.flags}"
    return f"{_name(row)}: {_figures(row)}{place}{front}{flags}"


# -- verdict -----------------------------------------------------------------------------------------


def _verdicts(board: pd.DataFrame, said: Mapping[int, str]) -> list[Verdict]:
    found = []
    for name, group in groups(board):
        lines: list[Any] = list(group.itertuples())
        wins = beaten(intervals(group, "leak"), intervals(group, "tmr"))
        worse = []
        for i, line in enumerate(lines):
            by = [_name(lines[j]) for j in np.flatnonzero(wins[i]) if lines[j].role == "control"]
            if line.role == "method" and by:
                worse.append(Chip(int(line.Index), str(line.method), _name(line), f"by {', '.join(by)}"))
        front = tuple(_chip(line) for line in lines if line.pareto and line.role == "method")
        ends = tuple(_chip(line) for end in ENDS for line in lines if line.method == end)
        total = sum(line.role == "method" for line in lines)
        found.append(Verdict(name, total, front, tuple(worse), ends))
    return sorted(found, key=lambda v: -v.total)


def _chip(line: Any) -> Chip:
    return Chip(int(line.Index), str(line.method), _name(line), _figures(line))


_LISTED = 6


def _flag_notices(rows: pd.DataFrame, meanings: Mapping[str, str]) -> list[Notice]:
    """Every flag of any row, the widest spread first, with what it means and where it was raised.

    What concerns one attacker or matcher is said once an attribute, with the number of outputs it was on.
    """
    where: dict[str, dict[str, set[str]]] = {}
    flagged = rows[rows["flags"].fillna("") != ""]
    keys = ["method", "variant", "attribute", "component", "flags"]
    for method, variant, attribute, component, flags in flagged[keys].fillna("").itertuples(index=False):
        output = label(method, variant)
        subject = output if component in ("", POOL) else component
        place = f"{subject} on {attribute}" if attribute else subject
        for flag in flags.split():
            where.setdefault(flag, {}).setdefault(place, set()).add("" if subject == output else output)
    spread = sorted(where.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        _notice(
            flag,
            str(meanings.get(flag, "")),
            [_counted(p, outputs - {""}) for p, outputs in sorted(places.items())],
        )
        for flag, places in spread
    ]


def _counted(place: str, outputs: set[str]) -> str:
    if not outputs:
        return place
    return f"{place} ({len(outputs)} output{'s' if len(outputs) > 1 else ''})"


def _notice(what: str, says: str, where: Sequence[str], remedy: str = "") -> Notice:
    return Notice(what, says, tuple(where[:_LISTED]), max(0, len(where) - _LISTED), remedy)


def _missing(rows: pd.DataFrame, unavailable: Sequence[Mapping[str, Any]]) -> list[Notice]:
    notices = [
        Notice(
            f"{u.get('kind', '')} {u.get('name', '')}".strip(),
            str(u.get("reason", "")),
            (),
            0,
            str(u.get("remedy") or ""),
        )
        for u in unavailable
    ]
    said = {n.what.rpartition(" ")[2] for n in notices}
    return notices + [n for n in _by_reason(rows[rows["status"] == UNAVAILABLE]) if n.what not in said]


def _by_reason(rows: pd.DataFrame) -> list[Notice]:
    """Rows without a value, gathered by what failed and why."""
    where: dict[tuple[str, str], dict[str, None]] = {}
    keys = ["method", "variant", "component", "attribute", "metric", "reason"]
    for method, variant, component, attribute, metric, reason in (
        rows[keys].fillna("").itertuples(index=False)
    ):
        what = label(method, variant) if method else component
        parts = [component if method else "", attribute, metric]
        where.setdefault((what, reason), {})[" · ".join(p for p in parts if p)] = None
    return [_notice(what, reason, sorted(p for p in at if p)) for (what, reason), at in sorted(where.items())]


def _undefined(rows: pd.DataFrame) -> list[Notice]:
    """Figures that have no value on these data, by figure and reason, with the outputs they concern."""
    where: dict[tuple[str, str], dict[str, None]] = {}
    keys = ["metric", "operating_point", "reason", "method", "variant"]
    for metric, point, reason, method, variant in rows[keys].fillna("").itertuples(index=False):
        title = METRICS[metric].title if metric in METRICS else metric
        what = f"{title} at {point.replace('=', ' ').upper()}" if point else title
        where.setdefault((what, reason), {})[label(method, variant)] = None
    return [_notice(what, reason, sorted(at)) for (what, reason), at in sorted(where.items())]


# -- planes and curves -------------------------------------------------------------------------------


def _planes(
    board: pd.DataFrame, dims: Sequence[str], said: Mapping[int, str], looks: Mapping[str, Look]
) -> list[PlaneView]:
    found = []
    for name, group in groups(board):
        first = group.iloc[0]
        here = tuple("" if _absent(first[k]) else str(first[k]) for k in dims)
        drawn = group[["leak", "tmr"]].notna().all(axis=1).any()
        wide, narrow = (plane_chart(group, said, looks, *s) if drawn else None for s in (WIDE, NARROW))
        found.append(PlaneView(name, here, wide, narrow))
    return found


def _rocs(bands: Sequence[Band]) -> list[Roc]:
    return [roc_chart(m, [b for b in bands if b.matcher == m]) for m in sorted({b.matcher for b in bands})]


# -- leaderboard -------------------------------------------------------------------------------------


def _columns(board: pd.DataFrame, dims: Sequence[str]) -> list[Column]:
    heads = [Column(k, k.replace("_", " "), LEADERBOARD[k], True) for k in dims]
    shown = [(k, title) for k, title in _SHOWN.items() if board[k].notna().any()]
    return heads + [Column(k, title, LEADERBOARD[k], k not in _ALWAYS) for k, title in shown]


def _lines(board: pd.DataFrame, dims: Sequence[str]) -> list[Line]:
    shown = [k for k in _SHOWN if board[k].notna().any()]
    lines = []
    rows: list[Any] = list(board.itertuples())
    for row in rows:
        here = tuple("" if _absent(getattr(row, k)) else str(getattr(row, k)) for k in dims)
        cells = [Markup("{}").format(value) for value in here] + [_figure_cell(row, k) for k in shown]
        lines.append(
            Line(
                number=int(row.Index),
                dims=here,
                role="" if _absent(row.role) else str(row.role),
                method=str(row.method),
                name=_name(row),
                front=bool(row.pareto),
                rank="" if _absent(row.rank) else str(row.rank),
                status=str(row.status),
                reason="" if _absent(row.reason) else str(row.reason),
                flags="" if _absent(row.flags) else str(row.flags),
                cells=tuple(cells),
            )
        )
    return lines


def _figure_cell(row: Any, key: str) -> Markup:
    value = getattr(row, key)
    if _absent(value):
        return ABSENT
    if key in ("n", "n_failed", "parameters"):
        return Markup(f"{int(value):,}")
    if key == "worst_by":
        return Markup("{}").format(value)
    text = number(key, float(value))
    if key not in _INTERVALS:
        return Markup(text)
    low, high = float(getattr(row, f"{key}_low")), float(getattr(row, f"{key}_high"))
    drawn = interval_bar(float(value), low, high) if key in ("leak", "tmr") else None
    return Markup((_bar(drawn) if drawn else "") + text + span(key, low, high))


def _bar(drawn: tuple[str, float]) -> str:
    path, at = drawn
    return (
        '<svg class="iv" viewBox="0 0 60 10" aria-hidden="true"><path class="scale" d="M2,5H58"/>'
        f'<path d="{path}"/><circle cx="{at}" cy="5" r="2.4"/></svg>'
    )
