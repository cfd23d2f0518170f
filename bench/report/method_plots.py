"""Figures for print: what methods do as one of their numbers grows, and to attributes that should survive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.ladder import STATIC
from bench.report.print_style import INK, QUIET, figure_style, legend_of, sheet, shortened, title_of
from bench.report.steps import Series, series
from bench.report.style import Look
from bench.report.tables import GROUP, POOL, label
from bench.results import OK

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES: tuple[tuple[float, ...], ...] = ((), (4, 1.5), (1, 1.2), (6, 1.5, 1, 1.5))
_MOST = 6
"""Attackers with a panel of their own in a row."""


def of_group(rows: pd.DataFrame, group: pd.DataFrame) -> pd.DataFrame:
    """The usable rows that belong to a group of leaderboard lines, its attribute aside."""
    first, keys = group.iloc[0], [key for key in GROUP if key != "attribute"]
    found = rows[(rows["status"] == OK) & ~rows["seen"] & rows["value"].notna()]
    for key in keys:
        column = found[key].astype("string").fillna("")
        found = found[column == ("" if first[key] is None or first[key] != first[key] else str(first[key]))]
    return found


def steps(rows: pd.DataFrame, group: pd.DataFrame, name: str, looks: Mapping[str, Look]) -> Figure | None:
    """AUC of static attackers against the number in which a method's outputs differ, a panel an attacker, as
    FlowSAN's figures show it; the strongest first, with its interval. None without such outputs."""
    attribute = str(group.iloc[0]["attribute"])
    found = of_group(rows, group)
    found = found[
        (found["metric"] == "auc") & (found["threat"] == STATIC) & (found["attribute"] == attribute)
    ]
    found = found[found["role"] == "obfuscated"]
    every = [
        (str(method), one)
        for method, part in found.groupby("method", sort=True)
        for one in series(part["variant"].dropna().unique())
    ]
    if not every:
        return None
    attackers = sorted(set(found["component"]), key=lambda c: (c != POOL, c))
    with figure_style():
        from matplotlib.figure import Figure

        columns = min(_MOST, len(attackers))
        count = -(-len(attackers) // columns)
        width, height = 2.2 + 1.5 * columns, 0.9 + 1.75 * count
        figure = Figure(figsize=(width, height), dpi=100)
        grid = figure.subplots(count, columns, sharex=True, sharey=True, squeeze=False).ravel()
        figure.subplots_adjust(
            left=0.55 / width, right=1 - 1.7 / width, top=1 - 0.62 / height, bottom=0.45 / height, wspace=0.1
        )
        styles = _styles(every)
        for axes, attacker in zip(grid, attackers, strict=False):
            _step_panel(axes, found[found["component"] == attacker], every, styles, looks)
            axes.set_title("strongest" if attacker == POOL else shortened(attacker, 20), fontsize=7)
        for axes in grid[len(attackers) :]:
            axes.set_axis_off()
        names = sorted({one.name for _, one in every})
        figure.supxlabel(", ".join(names), fontsize=8.5, y=0.06 / height)
        figure.supylabel("AUC", fontsize=8.5, x=0.06 / width)
        title_of(figure, f"{name}: AUC of static attackers (dashed: chance)")
        _step_legend(figure, every, styles, looks, x=1 - 1.65 / width, y=1 - 0.6 / height)
        return figure


def _styles(every: Sequence[tuple[str, Series]]) -> dict[tuple[str, str], tuple[float, ...]]:
    """Dashes that tell the series of one method apart."""
    found: dict[tuple[str, str], tuple[float, ...]] = {}
    for method, one in every:
        taken = sum(owner == method for owner, _ in found)
        found[method, one.rest] = _DASHES[taken % len(_DASHES)]
    return found


def _step_panel(
    axes: Axes,
    found: pd.DataFrame,
    every: Sequence[tuple[str, Series]],
    styles: Mapping[tuple[str, str], tuple[float, ...]],
    looks: Mapping[str, Look],
) -> None:
    axes.axhline(0.5, color=QUIET, lw=0.8, ls=(0, (4, 2)), zorder=1)
    for method, one in every:
        own = found[found["method"] == method].set_index("variant")
        at = {n: own.loc[variant] for n, variant in one.at.items() if variant in own.index}
        x, look, dashes = list(at), looks[method], styles[method, one.rest]
        y = np.array([[r["value"], r["ci_low"], r["ci_high"]] for r in at.values()], np.float64).reshape(
            -1, 3
        )
        axes.vlines(x, y[:, 1], y[:, 2], colors=look.colour, lw=0.7, alpha=0.6, zorder=2)
        axes.plot(
            x,
            y[:, 0],
            color=look.colour,
            ls=(0, dashes) if dashes else "-",
            lw=1.1,
            marker=look.marker,
            ms=3.2,
            zorder=3,
        )
    axes.set_ylim(-0.03, 1.03)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _step_legend(
    figure: Figure,
    every: Sequence[tuple[str, Series]],
    styles: Mapping[tuple[str, str], tuple[float, ...]],
    looks: Mapping[str, Look],
    *,
    x: float,
    y: float,
) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for method, one in every:
        dashes, look = styles[method, one.rest], looks[method]
        handles.append(
            Line2D(
                [],
                [],
                color=look.colour,
                marker=look.marker,
                ms=4,
                lw=1.2,
                ls=(0, dashes) if dashes else "-",
                label=shortened(" ".join(filter(None, (method, one.rest))), 24),
            )
        )
    legend_of(figure, handles, x, y)


def kept(rows: pd.DataFrame, group: pd.DataFrame, name: str, looks: Mapping[str, Look]) -> Figure | None:
    """CAC of every attribute that should survive (columns) for each output of `group` (rows); None without.

    To the right of 0 is accuracy lost; bars have their 95 % intervals.
    """
    found = of_group(rows, group)
    found = found[(found["metric"] == "cac") & (found["component"] == POOL) & (found["role"] == "kept")]
    found = found[found["method"].isin(group["method"]) & (found["attribute"] != group.iloc[0]["attribute"])]
    wanted = {label(m, v) for m, v in group[["method", "variant"]].fillna("").itertuples(index=False)}
    found = found.assign(
        output=[label(str(m), str(v)) for m, v in found[["method", "variant"]].fillna("").to_numpy()]
    )
    found = found[found["output"].isin(wanted)]
    if found.empty:
        return None
    roles = dict(zip(group["method"], group["role"], strict=True))
    order = found.assign(role=found["method"].map(roles)).sort_values(
        ["role", "method", "variant"], ascending=[False, True, True]
    )
    outputs = list(dict.fromkeys(order["output"]))
    attributes = sorted(set(found["attribute"]))
    with figure_style():
        ends = found[["value", "ci_low", "ci_high"]].to_numpy(np.float64)
        low, high = min(-0.05, float(np.nanmin(ends))), max(0.05, float(np.nanmax(ends)))
        pitch = (high - low) * 1.1
        width, height = 2.3 + 1.05 * len(attributes), 1.05 + 0.17 * len(outputs)
        figure, axes = sheet(
            width, height, left=2.2 / width, right=1 - 0.1 / width, top=1 - 0.6 / height, bottom=0.3 / height
        )
        for column, attribute in enumerate(attributes):
            own = found[found["attribute"] == attribute]
            y = [outputs.index(o) for o in own["output"]]
            start = column * pitch
            colours = [looks[m].colour for m in own["method"]]
            axes.barh(y, own["value"].to_numpy(np.float64), 0.78, left=start, color=colours, lw=0, zorder=2)
            axes.hlines(y, start + own["ci_low"], start + own["ci_high"], colors=INK, lw=0.7, zorder=3)
            axes.vlines(start, -0.6, len(outputs) - 0.4, colors=INK, lw=0.7)
            axes.text(start, -0.75, attribute, fontsize=6.8, fontweight="bold", va="bottom")
        step = float(f"{(high - low) / 3:.0e}")
        places = [
            (column * pitch + sign, f"{sign:g}".replace("-", "\u2212"))
            for column in range(len(attributes))
            for sign in (0.0, step)
        ]
        axes.set_xticks([x for x, _ in places], [text for _, text in places])
        axes.set_yticks(range(len(outputs)), outputs, fontsize=6.4)
        axes.set(xlim=(low, pitch * len(attributes)), ylim=(len(outputs) - 0.4, -0.6))
        axes.grid(visible=False)
        axes.tick_params(length=0, pad=2)
        for spine in axes.spines.values():
            spine.set_visible(False)
        title_of(figure, f"Hiding {name}: accuracy lost on attributes that should survive (CAC)")
        return figure
