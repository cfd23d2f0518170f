"""Figures for print, PNG and SVG: which there are, and of them the plane, Reduction per attacker and faces.

Equal inputs give equal bytes: no date and no random id goes into a file. Text in an SVG stays text.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.ladder import AWARE, STATIC
from bench.report.curve_plots import CMC, DET, ROC, curve_sheet
from bench.report.curves import Band
from bench.report.method_plots import kept, steps
from bench.report.print_style import (
    INK,
    QUIET,
    figure_style,
    legend_of,
    render,
    sheet,
    shortened,
    title_of,
)
from bench.report.style import CONTROL_COLOUR, Look, label_order, place_labels, slug
from bench.report.tables import (
    GROUP,
    POOL,
    TEMPLATE,
    groups,
    label,
)
from bench.results import OK, ORIGINAL

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_FACES = "samples"


def figures(
    board: pd.DataFrame,
    rows: pd.DataFrame,
    bands: Mapping[str, Sequence[Band]],
    samples: Mapping[str, NDArray[np.uint8]] | None,
    looks: Mapping[str, Look],
    searches: Mapping[str, Sequence[Band]] | None = None,
) -> Iterator[tuple[str, bytes]]:
    """File name and bytes of every figure that the data allow, one at a time.

    board: a leaderboard. rows: the tidy rows behind it. bands: ROC by condition; searches: CMC.
    Each figure comes as PNG and SVG, faces as PNG alone: in an SVG they would be the same pixels, only
    larger.
    """
    for stem, figure in _drawn(board, rows, bands, samples, looks, searches or {}):
        kinds = ("png",) if stem == _FACES else ("png", "svg")
        yield from ((f"{stem}.{kind}", render(figure, kind)) for kind in kinds)


def _drawn(
    board: pd.DataFrame,
    rows: pd.DataFrame,
    bands: Mapping[str, Sequence[Band]],
    samples: Mapping[str, NDArray[np.uint8]] | None,
    looks: Mapping[str, Look],
    searches: Mapping[str, Sequence[Band]],
) -> Iterator[tuple[str, Figure]]:
    for name, group in groups(board):
        if group[["leak", "tmr"]].notna().all(axis=1).any():
            yield f"plane_{slug(name)}", plane(group, name, looks)
        values = _reductions(rows, group)
        if len(values):
            yield f"reduction_{slug(name)}", reduction(values, name, looks)
        for stem, draw in (("auc", steps), ("kept", kept)):
            if figure := draw(rows, group, name, looks):
                yield f"{stem}_{slug(name)}", figure
    for condition, found in bands.items():
        yield f"roc_{condition}", curve_sheet(found, condition, looks, ROC)
        yield f"det_{condition}", curve_sheet(found, condition, looks, DET)
    for condition, found in searches.items():
        yield f"cmc_{condition}", curve_sheet(found, condition, looks, CMC)
    if samples:
        yield _FACES, sample_grid(samples)


# -- privacy-utility plane ---------------------------------------------------------------------------


def plane(group: pd.DataFrame, name: str, looks: Mapping[str, Look]) -> Figure:
    """Leak against TMR at FMR 1 % of one group of leaderboard lines, with intervals and Pareto front."""
    with figure_style():
        lines = group[group[["leak", "tmr"]].notna().all(axis=1)]
        figure, axes = sheet(7.4, 4.7, left=0.075, right=0.78, top=0.935, bottom=0.105)
        axes.set(
            xlim=(-0.03, 1.03),
            ylim=(-0.03, 1.05),
            xlabel="leak of the strongest unseen attacker  (0: nothing)",
        )
        axes.set_ylabel("TMR at FMR 1 %, protected against original")
        axes.set_title(f"{name}: what attackers still read, how well faces still match")
        _front_line(axes, lines[lines["pareto"]])
        _intervals(axes, lines, looks)
        _points(axes, lines, looks)
        axes.plot(0, 1, marker="*", ms=11, color="white", mec=INK, mew=0.8, zorder=1, ls="")
        _point_labels(figure, axes, lines, looks)
        _method_legend(figure, list(lines["method"].unique()), looks, x=0.79, y=0.945)
        return figure


def _front_line(axes: Axes, front: pd.DataFrame) -> None:
    """The attainable edge: between two front points no better mix than the lower one's TMR is known."""
    edge = front.sort_values(["leak", "tmr"])
    axes.step(edge["leak"], edge["tmr"], where="post", color=QUIET, lw=1.0, ls=(0, (4, 2)), zorder=1.5)


def _intervals(axes: Axes, lines: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    colours = [looks[m].colour for m in lines["method"]]
    for value, other, draw in (("leak", "tmr", axes.hlines), ("tmr", "leak", axes.vlines)):
        low, high = lines[f"{value}_low"].fillna(lines[value]), lines[f"{value}_high"].fillna(lines[value])
        draw(lines[other], low, high, colors=colours, lw=0.8, alpha=0.55, zorder=2)


def _points(axes: Axes, lines: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    import seaborn as sns

    present = list(dict.fromkeys(lines["method"]))
    for front, size, alpha, edge in ((False, 26, 0.75, "white"), (True, 46, 1.0, INK)):
        part = lines[lines["pareto"] == front]
        if len(part):
            sns.scatterplot(
                data=part.astype({"leak": float, "tmr": float}),
                x="leak",
                y="tmr",
                hue="method",
                style="method",
                palette={m: looks[m].colour for m in present},
                markers={m: looks[m].marker for m in present},
                hue_order=present,
                style_order=present,
                s=size,
                alpha=alpha,
                edgecolor=edge,
                linewidth=0.7,
                legend=False,
                ax=axes,
                zorder=3 + front,
            )
    axes.set(xlabel=axes.get_xlabel(), ylabel=axes.get_ylabel())


def _point_labels(figure: Figure, axes: Axes, lines: pd.DataFrame, looks: Mapping[str, Look]) -> None:
    from matplotlib.font_manager import FontProperties

    lines = label_order(lines)
    names = [label(m, v) for m, v in zip(lines["method"], lines["variant"].fillna(""), strict=True)]
    canvas: Any = figure.canvas
    renderer, font = canvas.get_renderer(), FontProperties(family="DejaVu Sans", size=6.6)
    sizes = np.array([renderer.get_text_width_height_descent(n, font, False)[:2] for n in names]).reshape(
        -1, 2
    )
    points = axes.transData.transform(lines[["leak", "tmr"]].to_numpy(np.float64))
    frame = axes.get_window_extent()
    corner = axes.transData.transform([(0, 1)])[0]
    ideal = _ideal(axes, renderer, font, corner)
    bounds = (frame.x0 + 2, frame.y0 + 2, frame.x1 + 4, frame.y1 + 4)
    obstacles = np.vstack([ideal, *_interval_boxes(axes, lines)])
    places = place_labels(points, sizes, bounds, gap=7.0, obstacles=obstacles)
    for text, method, point, size, place in zip(names, lines["method"], points, sizes, places, strict=True):
        if place is None:
            continue
        offset = (np.array(place) - point) * 72 / figure.dpi
        far = np.abs(np.array(place) + size / 2 - point) - size / 2
        arrow = {"arrowstyle": "-", "lw": 0.4, "color": QUIET, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            text,
            tuple(axes.transData.inverted().transform(point)),
            xytext=tuple(offset),
            textcoords="offset points",
            fontsize=6.6,
            color=_darker(looks[method].colour),
            ha="left",
            va="bottom",
            annotation_clip=False,
            bbox={"facecolor": "white", "alpha": 0.7, "lw": 0, "pad": 0.3},
            arrowprops=arrow if far.max() > 9 else None,
            zorder=6,
        )


def _darker(colour: str) -> tuple[float, ...]:
    """The method's colour, dark enough for small text on white."""
    from matplotlib.colors import to_rgb

    return tuple(0.68 * c for c in to_rgb(colour))


def _interval_boxes(axes: Axes, lines: pd.DataFrame) -> list[NDArray[np.float64]]:
    """The pixels that the horizontal intervals cover: (N, 4) x0, y0, x1, y1; labels keep off them."""
    low, high = lines["leak_low"].fillna(lines["leak"]), lines["leak_high"].fillna(lines["leak"])
    start = axes.transData.transform(np.stack([low, lines["tmr"]], axis=1))
    end = axes.transData.transform(np.stack([high, lines["tmr"]], axis=1))
    return [np.concatenate([start - 1.5, end + 1.5], axis=1)]


def _ideal(axes: Axes, renderer: Any, font: Any, corner: NDArray[np.float64]) -> NDArray[np.float64]:
    """Write "ideal" beside the star in the corner; return the box that both cover."""
    width, height, _ = renderer.get_text_width_height_descent("ideal", font, False)
    axes.annotate(
        "ideal",
        (0, 1),
        xytext=(7, 0),
        textcoords="offset points",
        va="center",
        fontsize=6.6,
        color=QUIET,
        style="italic",
    )
    return np.tile(corner, 2) + np.array([-9.0, -9.0, 12.0 + width, max(9.0, height)])


def _method_legend(
    figure: Figure, methods: Sequence[str], looks: Mapping[str, Look], *, x: float, y: float
) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    ordered = sorted(methods, key=lambda m: (looks[m].colour == CONTROL_COLOUR, m))
    for method in ordered:
        look = looks[method]
        handles.append(
            Line2D([], [], ls="", marker=look.marker, color=look.colour, ms=5, label=shortened(method))
        )
    handles.append(Line2D([], [], color=QUIET, ls=(0, (4, 2)), lw=1, label="Pareto front"))
    legend_of(figure, handles, x, y)


# -- Reduction per attacker --------------------------------------------------------------------------


def _reductions(rows: pd.DataFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Reduction of every attacker on the lines of `group`, in the order of the figure."""
    first = group.iloc[0]
    found = rows[
        (rows["metric"] == "reduction") & (rows["status"] == OK) & ~rows["seen"] & rows["value"].notna()
    ]
    own = (found["threat"] == AWARE) & (found["level"] == TEMPLATE)
    found = found[(found["threat"] == STATIC) | own].sort_values("threat", ascending=False)
    found = found.drop_duplicates([*GROUP, "method", "variant", "component"])
    for key in GROUP:
        same = (
            found[key].isna()
            if first[key] is None or first[key] is not first[key]
            else found[key] == first[key]
        )
        found = found[same.fillna(False).astype(bool)]
    lines = group[~group["method"].isin([ORIGINAL])][["method", "variant", "role"]]
    keyed = lines.assign(variant=lines["variant"].fillna(""))
    found = found.assign(variant=found["variant"].fillna(""))[
        ["method", "variant", "component", "value", "ci_low", "ci_high"]
    ]
    merged = found.merge(keyed, on=["method", "variant"])
    return merged.sort_values(["role", "method", "variant", "component"], ascending=[False, True, True, True])


def reduction(values: pd.DataFrame, name: str, looks: Mapping[str, Look]) -> Figure:
    """Reduction of every variant (rows, by method) under every attacker (columns, the pool's mean first).

    values: method, variant, component, value, ci_low, ci_high in the order of the rows, first on top.
    """
    with figure_style():
        names = [label(m, v) for m, v in zip(values["method"], values["variant"], strict=True)]
        lines = {line: place for place, line in enumerate(dict.fromkeys(names))}
        attackers = sorted(set(values["component"]), key=lambda c: (c != POOL, c))
        low = float(np.clip(values["value"].min(), -0.6, 0.0))
        high = float(np.clip(values["value"].max() + 0.02, 1.1, 2.2))
        pitch = (high - low) * 1.12
        width, height = 2.3 + 1.05 * len(attackers), 1.05 + 0.17 * len(lines)
        figure, axes = sheet(
            width, height, left=2.2 / width, right=1 - 0.1 / width, top=1 - 0.68 / height, bottom=0.3 / height
        )
        starts = values["component"].map({c: k * pitch for k, c in enumerate(attackers)}).to_numpy(np.float64)
        _bars(axes, values, starts, np.array([lines[n] for n in names]), (low, high), looks)
        _attacker_columns(axes, attackers, pitch, len(lines))
        axes.set_yticks(range(len(lines)), list(lines), fontsize=6.4)
        axes.set(xlim=(low, pitch * len(attackers)), ylim=(len(lines) - 0.4, -0.6))
        title = f"{name}: Reduction per attacker (0 no effect, 1 chance, beyond 1 inverted)"
        title_of(figure, title)
        return figure


def _bars(
    axes: Axes,
    values: pd.DataFrame,
    starts: NDArray[np.float64],
    places: NDArray[np.int_],
    limits: tuple[float, float],
    looks: Mapping[str, Look],
) -> None:
    """Bars from 0 with their intervals, each in its attacker's column; one beyond the limits has an arrow."""
    from matplotlib.collections import PolyCollection

    figures = values[["value", "ci_low", "ci_high"]].to_numpy(np.float64)
    ends = np.clip(figures, *limits)
    zero = np.zeros(len(values))
    x = starts[:, None] + np.stack([zero, ends[:, 0], ends[:, 0], zero], axis=1)
    y = places[:, None] + np.array([-0.39, -0.39, 0.39, 0.39])
    colours = [looks[m].colour for m in values["method"]]
    axes.add_collection(
        PolyCollection(list(np.stack([x, y], axis=2)), facecolors=colours, linewidths=0, zorder=2)
    )
    axes.hlines(places, starts + ends[:, 1], starts + ends[:, 2], colors=INK, lw=0.7)
    for side, marker in ((figures[:, 0] > limits[1], ">"), (figures[:, 0] < limits[0], "<")):
        axes.plot(
            starts[side] + ends[side, 0], places[side], marker=marker, color=INK, ms=3, ls="", clip_on=False
        )


def _attacker_columns(axes: Axes, attackers: Sequence[str], pitch: float, count: int) -> None:
    starts = np.arange(len(attackers)) * pitch
    axes.vlines(starts, -0.6, count - 0.4, colors=INK, lw=0.7)
    axes.vlines(starts + 1, -0.6, count - 0.4, colors=INK, lw=0.7, ls=(0, (3, 2)))
    axes.set_xticks(np.stack([starts, starts + 1], axis=1).ravel(), ["0", "1"] * len(attackers))
    for start, attacker in zip(starts, attackers, strict=True):
        title = "mean of the pool" if attacker == POOL else attacker.replace("@", " @ ")
        lines = textwrap.wrap(title, 15)
        axes.text(start, -0.75, "\n".join(lines[:2]), fontsize=6.8, fontweight="bold", va="bottom")
    axes.grid(visible=False)
    axes.tick_params(length=0, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


# -- sample faces ------------------------------------------------------------------------------------


def sample_grid(samples: Mapping[str, NDArray[np.uint8]], *, columns: int = 12) -> Figure:
    """Faces before and after: a row a person, a column a variant, the original first in every block.

    samples: name -> uint8 (k, H, W, 3), the same k people in the same order everywhere.
    """
    from matplotlib.figure import Figure

    with figure_style():
        names = [n for n in samples if n != ORIGINAL]
        lead = [ORIGINAL] if ORIGINAL in samples else []
        step = max(1, columns - len(lead))
        blocks = [lead + names[i : i + step] for i in range(0, max(1, len(names)), step)]
        people = len(next(iter(samples.values())))
        wide = max(len(b) for b in blocks)
        cell, head = 0.72, 0.34
        figure = Figure(figsize=(wide * cell + 0.1, len(blocks) * (people * cell + head) + 0.05), dpi=100)
        width, height = figure.get_size_inches()
        for index, block in enumerate(blocks):
            bottom = height - (index + 1) * (people * cell + head)
            box = (0.05 / width, bottom / height, len(block) * cell / width, people * cell / height)
            axes = figure.add_axes(box)
            axes.set_axis_off()
            sheet = np.concatenate([np.concatenate(list(samples[n]), axis=0) for n in block], axis=1)
            axes.imshow(sheet, aspect="auto", interpolation="antialiased")
            for column, name in enumerate(block):
                where = (box[0] + (column + 0.5) * cell / width, (bottom + people * cell + 0.04) / height)
                figure.text(*where, _two_lines(name), ha="center", va="bottom", fontsize=4.6)
        return figure


def _two_lines(name: str) -> str:
    """A heading narrow enough for its column: method above, variant below, each cut at 17 letters."""
    head, _, tail = name.partition(":")
    return "\n".join(part if len(part) <= 17 else part[:16] + "…" for part in (head, tail) if part)
