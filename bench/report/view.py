"""Everything the template shows, as plain values: verdict, planes, leaderboard, definitions, environment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from bench.ladder import ADAPTIVE, RUNGS
from bench.report.added import added_columns, described
from bench.report.charts import Frame, Plane, interval_bar, outline, plane_chart
from bench.report.cost import FIGURES, Component, Costs, outputs_of, value, way
from bench.report.curve_charts import Panel, cmc_chart, det_chart, matchers, roc_chart
from bench.report.curves import Band
from bench.report.evidence import Evidence, beside_grid, claims_view
from bench.report.sections import ABSENT, Notice, Section, number, sections, span
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
from bench.report.throughput_view import figure, machine_views, method_grid
from bench.results import FAILED, OK, ORIGINAL, UNAVAILABLE, UNDEFINED

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
_COSTS = {
    "images_per_second": "images/s",
    "speedup": "Speedup",
    "parameters": "Parameters",
    "gflop": "GFLOP/image",
    "peak_mb": "Peak MB",
}
"""Figures of `bench throughput`, one column a machine; the first says below it which path it is of."""
_INTERVALS = ("leak", "tmr", "reduction", "mae_years")
_ALWAYS = ("leak", "tmr")
"""Columns that a narrow screen shows without being asked."""
_TRUTH = "truth"


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
    """One row of the leaderboard, by `number`. dims: values of the filters. point: it has one in the plane.
    leaks: as `_rung_leaks` writes them. cells: one per column."""

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
    point: bool
    leaks: str
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


def view(
    board: pd.DataFrame,
    rows: pd.DataFrame,
    bands: Mapping[str, Sequence[Band]],
    samples: Mapping[str, NDArray[np.uint8]] | None,
    provenance: Mapping[str, Any],
    looks: Mapping[str, Look],
    costs: Costs | None = None,
    evidence: Evidence | None = None,
) -> dict[str, Any]:
    """The context of `template.html`; nothing in it but figures and `Markup` made here is trusted as HTML."""
    telling = _telling(board)
    outputs, added = outputs_of(board), described(added_columns(board))
    placed = costs.placed(outputs) if costs else {}
    evidence = evidence or Evidence()
    tones = _tones(board, rows, looks)
    per_method = [_with_curves(s, bands, evidence.searches) for s in sections(rows, samples, telling)]
    rungs = _rung_leaks(rows)
    dims = ("attribute", *telling)
    said = {int(i): _sentence(row) for i, row in zip(board.index, board.itertuples(index=False), strict=True)}
    curves = _curves(bands, evidence.searches)
    rest = {k: v for k, v in provenance.items() if k not in ("command", "unavailable", "flags")}
    return {
        "title": str(provenance.get("dataset_title") or provenance.get("dataset") or "report"),
        "facts": _facts(provenance),
        "static_only": board[[f"leak_{rung}" for rung in ADAPTIVE]].isna().all(axis=None),
        "private": evidence.private,
        "tones": tones,
        "dims": [(k, k.replace("_", " "), _values(board, k)) for k in dims],
        "threats": _threats(board),
        "verdicts": _verdicts(board, said),
        "flags": _flag_notices(rows, {**FLAGS, **(provenance.get("flags") or {})}),
        "missing": _missing(rows, provenance.get("unavailable") or ()),
        "failed": _by_reason(rows[rows["status"] == FAILED]),
        "undefined": _undefined(rows[rows["status"] == UNDEFINED]),
        "planes": _planes(board, dims, said, looks),
        "columns": _columns(board, dims) + _cost_columns(placed),
        "lines": _lines(board, dims, placed, rungs),
        "curves": curves,
        "axis_of": _axes(curves, per_method),
        "has_searches": bool(evidence.searches),
        "claims": claims_view(evidence.claims, tones),
        "beside": beside_grid(evidence.beside),
        "machines": machine_views(costs, outputs, looks) if costs else [],
        "sections": [_with_costs(s, costs, outputs) for s in per_method] if costs else per_method,
        "metrics": METRICS | added,
        "definitions": LEADERBOARD
        | {name: metric.what for name, metric in added.items()}
        | (costs.definitions(board) if costs else {}),
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
    """Those over most outputs first, of equal ones those of methods that were told the true labels."""
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
        told_wrong = str(group["label_source"].iloc[0]) != _TRUTH
        found.append((told_wrong, Verdict(name, total, front, tuple(worse), ends)))
    return [v for _, v in sorted(found, key=lambda item: (-item[1].total, item[0]))]


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
    """What could not run here; what lacks the same thing and has the same remedy is one notice."""
    together: dict[tuple[str, str], dict[str, str]] = {}
    for u in unavailable:
        kind, remedy = str(u.get("kind", "")), str(u.get("remedy") or "")
        together.setdefault((kind, remedy), {})[str(u.get("name", ""))] = str(u.get("reason", ""))
    notices = [
        Notice(f"{kind} {', '.join(why)}".strip(), "; ".join(dict.fromkeys(why.values())), (), 0, remedy)
        for (kind, remedy), why in together.items()
    ]
    said = {name for why in together.values() for name in why}
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


_CHARTS: dict[str, Callable[[str, Sequence[Band]], Panel]] = {
    "ROC": roc_chart,
    "DET": det_chart,
    "CMC": cmc_chart,
}


def _curves(
    bands: Mapping[str, Sequence[Band]], searches: Mapping[str, Sequence[Band]]
) -> list[tuple[str, list[tuple[str, list[Panel]]]]]:
    """By condition, ROC, DET and CMC of all methods, a panel a matcher."""
    given = {"ROC": bands, "DET": bands, "CMC": searches}
    return [
        (_against(c), [(kind, _panels(kind, found[c])) for kind, found in given.items() if c in found])
        for c in dict.fromkeys([*bands, *searches])
    ]


def _axes(
    curves: Sequence[tuple[str, Sequence[tuple[str, Sequence[Panel]]]]], per_method: Sequence[Section]
) -> dict[tuple[Frame, str, str], int]:
    """The axes that panels share, numbered: the page has each once."""
    panels = [panel for _, kinds in curves for _, found in kinds for panel in found]
    panels += [panel for s in per_method for _, found in (*s.dets, *s.cmcs) for panel in found]
    return {axes: i for i, axes in enumerate(dict.fromkeys((p.frame, p.x_title, p.y_title) for p in panels))}


def _panels(kind: str, bands: Sequence[Band]) -> list[Panel]:
    return [_CHARTS[kind](matcher, found) for matcher, found in matchers(bands)]


def _with_curves(
    section: Section, bands: Mapping[str, Sequence[Band]], searches: Mapping[str, Sequence[Band]]
) -> Section:
    """The section with its method's DET and CMC, each beside that of the originals."""

    def own(kind: str, found: Mapping[str, Sequence[Band]]) -> tuple[tuple[str, tuple[Panel, ...]], ...]:
        mine = {c: [b for b in some if b.method in (section.method, ORIGINAL)] for c, some in found.items()}
        return tuple(
            (_against(c), tuple(_panels(kind, some)))
            for c, some in mine.items()
            if any(b.method == section.method for b in some)
        )

    if section.method == ORIGINAL:
        return section
    return section._replace(dets=own("DET", bands), cmcs=own("CMC", searches))


def _against(condition: str) -> str:
    return condition.replace("-", " against ")


# -- rungs -------------------------------------------------------------------------------------------

_LINE = ("dataset", "level", "method", "variant", "label_source", "seed", "attribute")


def _threats(board: pd.DataFrame) -> list[tuple[str, str]]:
    """Rungs that plane and leaderboard can show beside the worst of all, with what their attackers know."""
    found = [(rung, says) for rung, says in RUNGS.items() if board[f"leak_{rung}"].notna().any()]
    return found if len(found) > 1 else []


def _rung_leaks(rows: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """Line of the leaderboard -> the pool's leak on each rung with its interval, `static .5 .4 .6;...`."""
    mine = rows[(rows["metric"] == "leak") & (rows["component"] == POOL) & (rows["status"] == OK)]
    mine = mine[mine["threat"].isin(RUNGS) & ~mine["seen"] & mine["value"].notna()]
    found: dict[tuple[str, ...], list[str]] = {}
    columns = [*_LINE, "threat", "value", "ci_low", "ci_high"]
    for *key, threat, leak, low, high in mine[columns].itertuples(index=False):
        ends = [f"{v:.4g}" for v in (leak, low, high) if math.isfinite(v)]
        found.setdefault(_line_key(key), []).append(" ".join([str(threat), *ends]))
    return {key: ";".join(parts) for key, parts in found.items()}


def _line_key(values: Iterable[Any]) -> tuple[str, ...]:
    return tuple("" if _absent(v) else str(v) for v in values)


# -- leaderboard -------------------------------------------------------------------------------------


def _columns(board: pd.DataFrame, dims: Sequence[str]) -> list[Column]:
    heads = [Column(k, k.replace("_", " "), LEADERBOARD[k], True) for k in dims]
    says = LEADERBOARD | {k: metric.what for k, metric in described(added_columns(board)).items()}
    return heads + [Column(k, title, says[k], k not in _ALWAYS) for k, title in _shown(board).items()]


def _shown(board: pd.DataFrame) -> dict[str, str]:
    """Columns that have a figure, and their titles; those of plug-ins behind the rest."""
    added = {
        name: f"{metric.title} ({metric.unit})" if metric.unit else metric.title
        for name, metric in described(added_columns(board)).items()
    }
    return {k: title for k, title in (_SHOWN | added).items() if board[k].notna().any()}


def _cost_columns(placed: Mapping[str, Mapping[str, Component]]) -> list[Column]:
    return [
        Column(f"{key}@{machine}", f"{title}, {machine}", f"{FIGURES[key]}; on {machine}.", True)
        for machine, costs in placed.items()
        for key, title in _cost_figures(costs).items()
    ]


def _cost_figures(costs: Mapping[str, Component]) -> dict[str, str]:
    """Those that a machine has: a processor tells no peak of memory."""
    return {k: t for k, t in _COSTS.items() if any(value(c, k) is not None for c in costs.values())}


def _cost_cells(name: str, placed: Mapping[str, Mapping[str, Component]]) -> list[Markup]:
    cells = []
    for costs in placed.values():
        found = costs.get(name)
        path = way(found.row) if found else ""
        shown = _cost_figures(costs)
        cells += [figure(value(found, key), path if key == "images_per_second" else "") for key in shown]
    return cells


def _with_costs(section: Section, costs: Costs, outputs: Sequence[tuple[str, str]]) -> Section:
    grid = method_grid(costs, section.method, outputs)
    return section._replace(grids=(*section.grids, grid)) if grid else section


def _lines(
    board: pd.DataFrame,
    dims: Sequence[str],
    placed: Mapping[str, Mapping[str, Component]],
    rungs: Mapping[tuple[str, ...], str],
) -> list[Line]:
    shown = list(_shown(board))
    lines = []
    rows: list[Any] = list(board.itertuples())
    for row in rows:
        here = tuple("" if _absent(getattr(row, k)) else str(getattr(row, k)) for k in dims)
        cells = [Markup("{}").format(told) for told in here] + [_figure_cell(row, k) for k in shown]
        cells += _cost_cells(_name(row), placed)
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
                point=not (_absent(row.leak) or _absent(row.tmr)),
                leaks=rungs.get(_line_key(getattr(row, k) for k in _LINE), ""),
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
