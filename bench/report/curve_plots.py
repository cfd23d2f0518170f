"""Curves for print: ROC, DET and CMC, a panel a matcher, a band a method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.report.curves import Band, lowest_miss
from bench.report.print_style import figure_style, legend_of, shortened, title_of
from bench.report.style import CONTROL_COLOUR, Look
from bench.results import ORIGINAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_RANKS = (1, 2, 5, 10, 20, 50)


class Kind(NamedTuple):
    """x, y: titles of the axes. error: 1 - y is drawn, on a log axis."""

    name: str
    x: str
    y: str
    error: bool = False


ROC = Kind("roc", "FMR", "TMR")
DET = Kind("det", "FMR", "FNMR", error=True)
CMC = Kind("cmc", "rank", "identification rate")


def curve_sheet(bands: Sequence[Band], condition: str, looks: Mapping[str, Look], kind: Kind) -> Figure:
    """The curves of one condition, a panel a matcher; a band spans the worst and best output of a method."""
    from matplotlib.figure import Figure

    with figure_style():
        matchers = sorted({b.matcher for b in bands})
        columns = 2 if len(matchers) in (2, 4) else min(3, len(matchers))
        count = -(-len(matchers) // columns)
        width, height = 1.9 + 2.6 * columns, 0.9 + 2.3 * count
        figure = Figure(figsize=(width, height), dpi=100)
        grid = figure.subplots(count, columns, sharex=True, sharey=True, squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.55 / width,
            right=1 - 1.45 / width,
            top=1 - 0.72 / height,
            bottom=0.5 / height,
            wspace=0.08,
            hspace=0.2,
        )
        floor = 10.0 ** lowest_miss(bands)
        for axes, matcher in zip(grid, matchers, strict=False):
            _panel(axes, [b for b in bands if b.matcher == matcher], looks, kind, floor)
            axes.set_title(matcher, fontsize=8)
        for axes in grid[len(matchers) :]:
            axes.set_axis_off()
        for axes in grid[max(0, len(matchers) - columns) : len(matchers)]:
            axes.tick_params(axis="x", labelbottom=True)
        figure.supxlabel(kind.x, fontsize=8.5, y=0.08 / height)
        figure.supylabel(kind.y, fontsize=8.5, x=0.06 / width)
        title_of(figure, f"{condition.replace('-', ' against ')}: band over each method's outputs")
        _legend(figure, bands, looks, x=1 - 1.4 / width, y=1 - 0.7 / height)
        return figure


def _panel(axes: Axes, bands: Sequence[Band], looks: Mapping[str, Look], kind: Kind, floor: float) -> None:
    """floor: where an FNMR of nothing is drawn, which a log axis lacks."""
    axes.set_xscale("log")
    if kind == CMC:
        last = max(band.x[-1] for band in bands)
        axes.set_xticks([r for r in _RANKS if r <= last])
    axes.xaxis.set_major_formatter(_rank if kind == CMC else _percent)
    if kind.error:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(_percent)
        axes.tick_params(axis="y", which="minor", left=False)
    else:
        axes.set_ylim(-0.02, 1.03)
    for band in bands:
        colour, dashes, weight = curve_look(band.method, looks)
        low, high = band.low, band.high
        if kind.error:
            low, high = np.maximum(1 - low, floor), np.maximum(1 - high, floor)
        if band.outputs > 1:
            axes.fill_between(band.x, low, high, color=colour, alpha=0.12, lw=0, zorder=2)
            axes.plot(band.x, low, color=colour, lw=0.5, zorder=2.5)
        axes.plot(band.x, high, color=colour, lw=weight, ls=(0, dashes) if dashes else "-", zorder=3)
    axes.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _percent(rate: float, _: float) -> str:
    return f"{100 * rate:g} %"


def _rank(rank: float, _: float) -> str:
    return f"{rank:g}"


def curve_look(method: str, looks: Mapping[str, Look]) -> tuple[str, tuple[float, ...], float]:
    """Colour, dash pattern and width of a method's curve; `original` stands out among the grey controls."""
    if method == ORIGINAL:
        return CONTROL_COLOUR, (), 1.6
    if looks[method].colour == CONTROL_COLOUR:
        return CONTROL_COLOUR, (1.0, 1.5), 0.8
    return looks[method].colour, (), 1.0


def _legend(figure: Figure, bands: Sequence[Band], looks: Mapping[str, Look], *, x: float, y: float) -> None:
    from matplotlib.lines import Line2D

    handles = []
    names = sorted(
        {b.method for b in bands}, key=lambda m: (looks[m].colour == CONTROL_COLOUR, m != ORIGINAL, m)
    )
    for method in names:
        colour, dashes, weight = curve_look(method, looks)
        grey = colour == CONTROL_COLOUR and method != ORIGINAL
        handles.append(
            Line2D(
                [],
                [],
                color=colour,
                lw=weight if grey else 2,
                ls=(0, dashes) if dashes else "-",
                label="other controls" if grey else shortened(method, 20),
            )
        )
        if grey:
            break
    legend_of(figure, handles, x, y)
