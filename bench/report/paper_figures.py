"""Figures in the papers' own layout: bars an output, curves against the stages, ROC and CMC bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.curves import SMALLEST_FMR
from bench.report.paper_tables import Quantity, frame, usual
from bench.report.print_style import figure_style

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, QUIET = "#23272e", "#8a9099"
BLUE, ORANGE, RED, GREEN, PURPLE = "#009ce4", "#e46c0c", "#cc0030", "#24783c", "#8448c0"
"""Distinct under the common forms of colour blindness; blue and orange, blue and red as in the papers."""
ROC, CMC = "roc", "cmc"
Dashes = tuple[float, ...]
"""Lengths of dashes and gaps; none for a solid line."""

Look = tuple[str, Dashes | None]
"""Colour and dashes of a legend entry; None in place of dashes for a bar."""

_PANEL, _WIDE = (2.6, 1.9), 3.2
_LEFT, _BETWEEN, _LEAST_WIDTH, _ENTRY = 0.62, 0.52, 4.8, 1.65
"""Inches: left margin, between rows of panels, least width of a figure, width of a legend entry."""


_DODGE = 0.05
"""How far curves stand aside from each other, as a share of a stage."""


class Drawing(NamedTuple):
    """A figure and the numbers that it shows, a line each."""

    figure: Figure
    table: pd.DataFrame


class Bar(NamedTuple):
    """label: under the bar (or group of bars). series: its legend entry. colour: `#rrggbb`."""

    label: str
    series: str
    colour: str
    quantity: Quantity


class Line(NamedTuple):
    """A curve over whole numbers x; one without x is a level, drawn across."""

    name: str
    colour: str
    dashes: Dashes
    x: tuple[int, ...]
    quantities: tuple[Quantity, ...]


def bars(
    panels: Mapping[str, Sequence[Bar]], *, title: str, ylabel: str, level: float | None = None
) -> Drawing | None:
    """Bars with their intervals, a panel a key, grouped by label and coloured by series; None without any.

    level: a dashed line across, such as chance. A bar without a value leaves its place empty; a panel
    without any value is left out.
    """
    panels = {name: found for name, found in panels.items() if any(bar.quantity.known for bar in found)}
    if not panels:
        return None
    with figure_style():
        most = max(len({bar.label for bar in found}) for found in panels.values())
        series = max(len({bar.series for bar in found}) for found in panels.values())
        wide = most * max(1, series if _grouped(panels) else 1)
        entries: dict[str, Look] = {b.series: (b.colour, None) for found in panels.values() for b in found}
        size = (max(_PANEL[0], 0.4 + 0.19 * wide), _PANEL[1])
        slanted = any(_long([bar.label for bar in found]) for found in panels.values())
        figure, grid = _sheet(list(panels), title, entries, panel=size, below="", slanted=slanted)
        for axes, found in zip(grid, panels.values(), strict=True):
            _bar_panel(axes, found, grouped=_grouped(panels))
            if level is not None:
                axes.axhline(level, color=QUIET, lw=0.9, ls=(0, (4, 2)), zorder=1)
        figure.supylabel(ylabel, fontsize=8.5, x=0.08 / figure.get_figwidth())
        lines = [
            {"panel": name, "bar": bar.label, "series": bar.series, **bar.quantity.columns("value")}
            for name, found in panels.items()
            for bar in found
        ]
        return Drawing(figure, frame(lines))


def _grouped(panels: Mapping[str, Sequence[Bar]]) -> bool:
    """Whether any label carries bars of several series."""
    return any(len(found) > len({bar.label for bar in found}) for found in panels.values())


def _long(labels: Sequence[str]) -> bool:
    """Whether the labels of one panel are too wide to stand upright beside each other."""
    return sum(map(len, set(labels))) > 30


def _bar_panel(axes: Axes, found: Sequence[Bar], *, grouped: bool) -> None:
    labels = list(dict.fromkeys(bar.label for bar in found))
    series = list(dict.fromkeys(bar.series for bar in found)) if grouped else [""]
    width = 0.8 / len(series)
    for bar in found:
        if not bar.quantity.known:
            continue
        offset = (series.index(bar.series) - (len(series) - 1) / 2) * width if grouped else 0.0
        x = labels.index(bar.label) + offset
        axes.bar(x, bar.quantity.value, 0.94 * width, color=bar.colour, lw=0, zorder=2)
        axes.vlines(x, bar.quantity.low, bar.quantity.high, colors=INK, lw=0.8, zorder=3)
    long = _long(labels)
    axes.set_xticks(
        range(len(labels)),
        labels,
        rotation=60 if long else 0,
        ha="right" if long else "center",
        rotation_mode="anchor",
        fontsize=6,
    )
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.grid(visible=False, axis="x")


def against_stages(
    panels: Mapping[str, Sequence[Line]], *, title: str, ylabel: str, level: float | None = None
) -> Drawing | None:
    """Values against the number of stages or members, a panel a key, with intervals; levels run across.

    None without any curve; a panel without any is left out.
    """
    panels = {name: found for name, found in panels.items() if any(line.x for line in found)}
    if not panels:
        return None
    with figure_style():
        entries: dict[str, Look] = {c.name: (c.colour, c.dashes) for found in panels.values() for c in found}
        figure, grid = _sheet(list(panels), title, entries, panel=_PANEL, below="n")
        for axes, found in zip(grid, panels.values(), strict=True):
            curves = [line for line in found if line.x]
            for line in found:
                place = curves.index(line) - (len(curves) - 1) / 2 if line.x else 0.0
                _stage_line(axes, line, _DODGE * place)
            if level is not None:
                axes.axhline(level, color=QUIET, lw=0.6, zorder=1)
            stages = sorted({n for line in found for n in line.x})
            axes.set_xticks(stages)
            axes.set_xlim(stages[0] - 0.3, stages[-1] + 0.3)
            axes.set_ylim(-0.03, 1.03)
        figure.supylabel(ylabel, fontsize=8.5, x=0.08 / figure.get_figwidth())
        lines = [
            {"panel": name, "curve": line.name, "n": n, **quantity.columns("value")}
            for name, found in panels.items()
            for line in found
            for n, quantity in zip(line.x or (None,), line.quantities, strict=True)
        ]
        return Drawing(figure, frame(lines))


def _stage_line(axes: Axes, line: Line, shift: float) -> None:
    """A level, or a curve with its intervals as bars, moved aside so that those of others stay visible."""
    style = _style(line.dashes)
    if not line.x:
        axes.axhline(line.quantities[0].value, color=line.colour, lw=1.1, ls=style, zorder=2)
        return
    x = np.array(line.x) + shift
    y = np.array([[q.value, q.low, q.high] for q in line.quantities])
    axes.vlines(x, y[:, 1], y[:, 2], colors=line.colour, lw=0.8, zorder=2.5)
    axes.plot(x, y[:, 0], color=line.colour, lw=1.2, ls=style, marker="o", ms=3, zorder=3)


# -- curves ------------------------------------------------------------------------------------------


Entry = tuple[str, str, Dashes, Any]
"""Name, colour, dashes, and which curves belong to it: a bool series over the table of curves."""


class CurveBand(NamedTuple):
    """One entry of a figure's legend: the smallest and largest value over its outputs at each x.

    x: FMR from `SMALLEST_FMR`, or ranks from 1; float (G,). low, high: (G,), NaN where no output has a value.
    """

    name: str
    colour: str
    dashes: Dashes
    outputs: int
    x: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def curve_bands(curves: pd.DataFrame, kind: str, entries: Sequence[Entry]) -> dict[str, list[CurveBand]]:
    """Matcher -> the band of every entry that has a curve there.

    curves: the columns method, variant, matcher, condition, fmr, tmr, and kind (`roc` where it is missing);
    a `cmc` curve has ranks in fmr and identification rates in tmr. Where the table tells label sources and
    seeds apart, one of each is shown (`bench.report.paper_tables.usual`).
    """
    given = curves["tmr"].notna()
    given &= curves["kind"] == kind if "kind" in curves.columns else kind == ROC
    if {"label_source", "seed"} <= set(curves.columns):
        given &= usual(curves)
    found: dict[str, list[CurveBand]] = {}
    for matcher in sorted(curves.loc[given, "matcher"].unique()):
        here = given & (curves["matcher"] == matcher)
        grid = _grid(curves.loc[here, "fmr"].to_numpy(np.float64), kind)
        for name, colour, dashes, mine in entries:
            own = curves[here & mine]
            if len(own):
                found.setdefault(matcher, []).append(_band(own, grid, name, colour, dashes))
    return found


def _grid(x: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    return np.geomspace(SMALLEST_FMR, 1.0, 161) if kind == ROC else np.unique(x)


def _band(
    curves: pd.DataFrame, grid: NDArray[np.float64], name: str, colour: str, dashes: Dashes
) -> CurveBand:
    stack = np.stack([_held(c, grid) for _, c in curves.groupby(["method", "variant"], sort=True)])
    seen = np.isfinite(stack).any(axis=0)
    low, high = np.full(len(grid), np.nan), np.full(len(grid), np.nan)
    low[seen], high[seen] = np.nanmin(stack[:, seen], axis=0), np.nanmax(stack[:, seen], axis=0)
    return CurveBand(name, colour, dashes, len(stack), grid, low, high)


def _held(curve: pd.DataFrame, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rate at the largest x of the curve that a grid point reaches: never interpolated upwards."""
    x, y = curve["fmr"].to_numpy(np.float64), curve["tmr"].to_numpy(np.float64)
    order = np.lexsort((y, x))
    at = np.searchsorted(x[order], grid * (1 + 1e-12), side="right") - 1
    return np.where(at >= 0, y[order][np.maximum(at, 0)], np.nan)


def curve_figure(bands: Mapping[str, Sequence[CurveBand]], kind: str, *, title: str) -> Drawing | None:
    """ROC (FMR on a log axis) or CMC, a panel a matcher; an entry with several outputs is a band.

    None where nothing but one entry, the originals, has a curve.
    """
    if len({band.name for found in bands.values() for band in found}) < 2:
        return None
    with figure_style():
        entries: dict[str, Look] = {b.name: (b.colour, b.dashes) for found in bands.values() for b in found}
        below = "FMR" if kind == ROC else "rank"
        figure, grid = _sheet(list(bands), title, entries, panel=_PANEL, below=below)
        for axes, found in zip(grid, bands.values(), strict=True):
            for band in found:
                _curve(axes, band)
            if kind == ROC:
                axes.set_xscale("log")
                axes.xaxis.set_major_formatter(lambda rate, _: f"{100 * rate:g} %")
                axes.tick_params(axis="x", which="minor", bottom=False)
            axes.set_ylim(-0.02, 1.03)
        ylabel = "TMR" if kind == ROC else "identification rate"
        figure.supylabel(ylabel, fontsize=8.5, x=0.08 / figure.get_figwidth())
        return Drawing(figure, _curve_table(bands, below.lower()))


def _curve_table(bands: Mapping[str, Sequence[CurveBand]], x: str) -> pd.DataFrame:
    return frame(
        [
            {"panel": matcher, "curve": b.name, "outputs": b.outputs, x: at, "low": low, "high": high}
            for matcher, found in bands.items()
            for b in found
            for at, low, high in zip(b.x, b.low, b.high, strict=True)
            if np.isfinite(low)
        ]
    )


def _curve(axes: Axes, band: CurveBand) -> None:
    style = _style(band.dashes)
    if band.outputs > 1:
        axes.fill_between(band.x, band.low, band.high, color=band.colour, alpha=0.18, lw=0, zorder=2)
        axes.plot(band.x, band.low, color=band.colour, lw=0.6, ls=style, zorder=3)
    axes.plot(band.x, band.high, color=band.colour, lw=1.2, ls=style, zorder=3)


# -- the sheet ---------------------------------------------------------------------------------------


def _sheet(
    names: Sequence[str],
    title: str,
    entries: Mapping[str, Look],
    *,
    panel: tuple[float, float],
    below: str,
    slanted: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Panels with headings; above them the title and, if it has more than one entry, the legend.

    panel: width and height of one in inches. below: name of the x axis, empty for none. slanted: labels
    under the panels stand at an angle and take more room.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = _columns(len(names), most=3 if panel[0] > _WIDE else 4)
    between = _BETWEEN + 0.15 * slanted
    rows = -(-len(names) // columns)
    width = max(_LEAST_WIDTH, _LEFT + columns * panel[0])
    legend = -(-len(entries) // int(width // _ENTRY)) if len(entries) > 1 else 0
    top, bottom = 0.55 + 0.2 * legend, 0.55 if below or slanted else 0.35
    height = top + bottom + rows * panel[1] + (rows - 1) * between
    figure = Figure(figsize=(width, height), dpi=100)
    FigureCanvasAgg(figure)
    figure.text(0.1 / width, 1 - 0.08 / height, title, va="top", fontsize=9, fontweight="bold")
    figure.subplots_adjust(
        left=_LEFT / width,
        right=1 - 0.1 / width,
        top=1 - top / height,
        bottom=bottom / height,
        wspace=0.1,
        hspace=between / panel[1],
    )
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, name in zip(grid, names, strict=False):
        axes.set_title(name.replace("@", " @ "), fontsize=7.5)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    if below:
        figure.supxlabel(below, fontsize=8.5, y=0.06 / height)
    if legend:
        _legend(figure, entries, y=1 - 0.27 / height, columns=-(-len(entries) // legend))
    return figure, list(grid[: len(names)])


def _columns(count: int, *, most: int) -> int:
    """As many columns as leave the fewest places empty, at most `most`, the widest such."""
    if count <= most:
        return count
    return min(range(most, max(1, most - 2), -1), key=lambda c: (-count % c, -c))


def _legend(figure: Figure, entries: Mapping[str, Look], *, y: float, columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=colour, lw=2 if dashes is not None else 5, ls=_style(dashes), label=name)
        for name, (colour, dashes) in entries.items()
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.0, y),
        ncols=columns,
        frameon=False,
        handlelength=2.2,
        borderpad=0.2,
        columnspacing=1.4,
    )


def _style(dashes: Dashes | None) -> Any:
    return (0, dashes) if dashes else "-"
