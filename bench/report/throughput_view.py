"""What the page says of `bench throughput` runs: a machine's tables, its rooflines, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from markupsafe import Markup

from bench.report.cost import METHOD, Component, Costs, Machine, Measured, components, way
from bench.report.roofline import Roofline, on_roofline, roofline_chart
from bench.report.sections import ABSENT, Grid, GridRow, Head, Notice
from bench.report.style import Look
from bench.report.tables import label
from bench.throughput.table import OK, Row

WIDE, NARROW = (860, 440), (358, 400)
"""Sizes in pixels of a roofline on a desk and on a phone."""

_KINDS = {
    METHOD: "Methods",
    "matcher": "Matchers",
    "attacker": "Attackers",
    "metric": "Metrics",
    "training": "Training",
}
_OF_METHODS = (METHOD, "training")
"""Kinds whose rows are named by a method."""

_NOTE = (
    "The fastest path whose outputs agree with the component's own code, beside its peer in the same run. "
    "Small print: quartiles, units."
)
_ONE = "Every path that was measured, the fastest valid one in bold. Small print: quartiles, units."


_Of = TypeVar("_Of")


class Chart(NamedTuple):
    """The roofline of one kind of component, on a desk and on a phone."""

    title: str
    wide: Roofline
    narrow: Roofline


class MachineView(NamedTuple):
    """ceilings: sentences. beside: why figures are not in the leaderboard. lost: what has no valid figure."""

    label: str
    anchor: str
    facts: tuple[tuple[str, str], ...]
    ceilings: tuple[str, ...]
    placed: tuple[str, ...]
    beside: tuple[Notice, ...]
    charts: tuple[Chart, ...]
    grids: tuple[Grid, ...]
    lost: tuple[Notice, ...]


def machine_views(
    costs: Costs, outputs: Sequence[tuple[str, str]], looks: Mapping[str, Look]
) -> list[MachineView]:
    """One view a machine. outputs: (method, variant) of the run."""
    placed = costs.placed(outputs)
    return [
        MachineView(
            label=machine.label,
            anchor=f"h-machine-{index}",
            facts=tuple((name.replace("_", " "), _SWITCH.get(text, text)) for name, text in machine.facts),
            ceilings=tuple(_ceilings(dict(found)) for found in machine.ceilings if found),
            placed=tuple(placed.get(machine.label, {})),
            beside=_beside(costs, machine, outputs),
            charts=_charts(machine, index, looks),
            grids=_grids(machine, index, looks),
            lost=_lost(machine),
        )
        for index, machine in enumerate(costs.machines)
    ]


def method_grid(costs: Costs, method: str, outputs: Sequence[tuple[str, str]]) -> Grid | None:
    """Every path of one method, and of its training, on every machine; None where nothing was measured."""
    groups: dict[str, list[Measured]] = {}
    best = set()
    for machine in costs.machines:
        best |= {id(c.best) for c in components(machine)}
        for measured in machine.measured:
            row = measured.row
            if row.kind in _OF_METHODS and row.name == method:
                why = costs.beside(row, outputs) if row.status == OK and row.kind == METHOD else ""
                what = [] if row.kind == METHOD else [row.kind]
                words = [machine.label, *what, label(row.name, row.variant), *_group(row)]
                words += [f"not in the leaderboard: {why}"] if why else []
                groups.setdefault(" · ".join(words), []).append(measured)
    if not groups:
        return None
    found = [
        (name, [(m, GridRow(_way(m.row), "", (), id(m) in best)) for m in sorted(rows, key=_fastest_first)])
        for name, rows in groups.items()
    ]
    return _table("Throughput", _ONE, _OF_ROWS, found)


# -- tables ------------------------------------------------------------------------------------------


def _grids(machine: Machine, index: int, looks: Mapping[str, Look]) -> tuple[Grid, ...]:
    """One table a kind, known kinds first; groups by what was counted, preset, size and weights."""
    by_kind: dict[str, dict[str, list[tuple[Component, GridRow]]]] = {k: {} for k in _KINDS}
    numbered = enumerate(components(machine))
    for number, component in sorted(numbered, key=lambda item: (item[1].row.name, item[1].row.variant)):
        row = component.row
        here = "" if machine.ran_here(row) else "on the processor"
        head = GridRow(
            label(row.name, row.variant),
            ", ".join(n for n in (row.settings, here) if n),
            (),
            anchor=_anchor(index, number),
            method=row.name if row.kind in _OF_METHODS and row.name in looks else "",
        )
        group = by_kind.setdefault(row.kind, {})
        group.setdefault(" · ".join(_group(row)), []).append((component, head))
    return tuple(
        _table(_title(kind), _NOTE, _OF_COMPONENTS, sorted(groups.items()))
        for kind, groups in by_kind.items()
        if groups
    )


def _table(
    title: str,
    note: str,
    columns: Mapping[Head, Callable[[_Of], Markup]],
    groups: Iterable[tuple[str, Sequence[tuple[_Of, GridRow]]]],
) -> Grid:
    """Rows under their headings, without the columns in which nothing stands."""
    made = [
        (name, [(start, [show(of) for show in columns.values()]) for of, start in rows])
        for name, rows in groups
    ]
    used = [any(cells[i] != ABSENT for _, rows in made for _, cells in rows) for i in range(len(columns))]
    heads = tuple(head for head, keep in zip(columns, used, strict=True) if keep)

    def filled(start: GridRow, cells: Sequence[Markup]) -> GridRow:
        return start._replace(cells=tuple(c for c, keep in zip(cells, used, strict=True) if keep))

    return Grid(title, note, heads, tuple((name, tuple(filled(*row) for row in rows)) for name, rows in made))


def _title(kind: str) -> str:
    return _KINDS.get(kind, kind[:1].upper() + kind[1:])


def _group(row: Row) -> list[str]:
    """What rows must share to stand under each other."""
    preset, side = f"preset {row.preset}" if row.preset else "", f"{row.side} px" if row.side else ""
    weights = f"{row.weights} weights" if row.weights in ("untrained", "pretrained") else row.weights
    return [word for word in (f"{row.item}s", preset, side, weights) if word]


def _way(row: Row) -> str:
    return f"{row.path}, {row.precision}, batch {row.batch}" if row.path else "not begun"


def _fastest_first(measured: Measured) -> tuple[bool, float]:
    row = measured.row
    return row.status != OK, -(row.per_second or 0.0)


def figure(value: float | None, small: str = "") -> Markup:
    """Three digits, whole numbers from 1000 on; `small`: unit or quartiles."""
    if value is None:
        return ABSENT
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}".replace("e-0", "e-")
    return Markup("{} <small>{}</small>").format(text, small) if small else Markup("{}").format(text)


def _speed(row: Row | None) -> Markup:
    if row is None or (row.per_second is None and row.status == OK):
        return ABSENT
    if row.status != OK:
        return Markup('<abbr title="{}">{}</abbr>').format(row.reason, row.status)
    low, high = row.per_second_low, row.per_second_high
    ends = f"{figure(low)} to {figure(high)}" if low is not None and high is not None else ""
    return figure(row.per_second, ends)


def _share(row: Row) -> Markup:
    return figure(row.share_gemm, row.unit)


def _path(row: Row) -> Markup:
    if not row.reason:
        return Markup("{}").format(row.path)
    return Markup('<span title="{}">{}</span>').format(row.reason, row.path)


_SPEED = Head("Items/s", "Median over blocks of calls; what an item is stands in the heading of the group.")
_P50 = Head("p50 (ms)", "Median latency of single calls.")
_P95 = Head("p95 (ms)", "95 % of single calls take no longer.")
_SPEEDUP = Head("Speedup", "Over the peer, item for item, in the same run.")
_SHARE = Head("Of product", "Share of the device's own matrix product in that precision that is reached.")
_PEAK = Head("Peak (MB)", "Most memory allocated on the device, work space of libraries included.")
_DEVIATION = Head("Deviation", "From the component's own code in strict fp32, on other inputs.")

_OF_ROWS: dict[Head, Callable[[Measured], Markup]] = {
    _SPEED: lambda m: _speed(m.row),
    _P50: lambda m: figure(m.row.latency_p50_ms),
    _P95: lambda m: figure(m.row.latency_p95_ms),
    _SPEEDUP: lambda m: figure(m.row.speedup),
    _SHARE: lambda m: _share(m.row),
    _PEAK: lambda m: figure(m.row.peak_mb),
    _DEVIATION: lambda m: figure(m.row.deviation, m.row.deviation_unit),
}


def _of_best(show: Callable[[Measured], Markup]) -> Callable[[Component], Markup]:
    return lambda component: show(component.best)


_OF_COMPONENTS: dict[Head, Callable[[Component], Markup]] = {
    Head("Peer, items/s", "The papers' style: fp32 and eager, for images one a call."): (
        lambda c: _speed(c.peer.row if c.peer else None)
    ),
    Head("Fastest path", "Of those whose outputs agree with the component's own code.", text=True): (
        lambda c: _path(c.row)
    ),
    Head("Precision", text=True): lambda c: Markup("{}").format(c.row.precision),
    Head("Batch", "Items a call."): lambda c: figure(c.row.batch),
    **{head: _of_best(show) for head, show in _OF_ROWS.items()},
    Head("Parameters"): lambda c: figure(c.row.parameters),
    Head("GFLOP", "10^9 operations of convolutions and products for one item."): (
        lambda c: figure(c.row.gflop)
    ),
}


# -- machine -----------------------------------------------------------------------------------------

_SWITCH = {"True": "on", "False": "off"}


def _ceilings(found: Mapping[str, float]) -> str:
    """One run's own ceilings in words."""
    products = [f"{unit} {rate:,.4g} TFLOP/s" for unit, rate in found.items() if unit != "copy"]
    copied = [f"copy {found['copy']:,.4g} GB/s read and written"] if "copy" in found else []
    return "; ".join([f"matrix product {', '.join(products)}"] * bool(products) + copied)


def _charts(machine: Machine, index: int, looks: Mapping[str, Look]) -> tuple[Chart, ...]:
    known = list(enumerate(components(machine)))
    anchors = {id(component): _anchor(index, number) for number, component in known}
    found = []
    for kind in dict.fromkeys([*_KINDS, *(c.row.kind for _, c in known)]):
        shown = [c for _, c in known if c.row.kind == kind and machine.ran_here(c.row) and on_roofline(c)]
        if shown:
            wide, narrow = (
                roofline_chart(shown, looks, lambda c: anchors[id(c)], *size) for size in (WIDE, NARROW)
            )
            found.append(Chart(_title(kind), wide, narrow))
    return tuple(found)


def _anchor(machine: int, component: int) -> str:
    return f"c{machine}-{component}"


def _beside(costs: Costs, machine: Machine, outputs: Sequence[tuple[str, str]]) -> tuple[Notice, ...]:
    """Methods whose figures are not in the leaderboard, by reason."""
    names: dict[str, dict[str, None]] = {}
    for component in components(machine):
        row = component.row
        if row.kind == METHOD and (why := costs.beside(row, outputs)):
            names.setdefault(why, {})[label(row.name, row.variant)] = None
    return tuple(
        Notice(f"{len(found)} method{'s' if len(found) > 1 else ''}", why, tuple(sorted(found)), 0)
        for why, found in names.items()
    )


def _lost(machine: Machine) -> tuple[Notice, ...]:
    """Measurements that failed, were unavailable or left out, by component and reason."""
    ways: dict[tuple[str, str], dict[str, None]] = {}
    for measured in machine.measured:
        row = measured.row
        if row.status != OK:
            what = f"{row.kind} {label(row.name, row.variant)}"
            tried = ways.setdefault((what, f"{row.status}: {row.reason}"), {})
            if row.path:
                tried[way(row)] = None
    return tuple(Notice(what, says, tuple(tried), 0) for (what, says), tried in ways.items())
