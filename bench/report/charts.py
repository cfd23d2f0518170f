"""Geometry of the page's own charts. The template turns it into inline SVG that follows the reader's theme.

Coordinates are pixels of the chart, y downwards. Nothing here is text from data but names and labels, which
the template escapes.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.style import Look, label_order, place_labels
from bench.report.tables import label

if TYPE_CHECKING:
    import pandas as pd

_SHAPES = {
    "o": "M{-1},0a{1},{1} 0 1 0 {2},0a{1},{1} 0 1 0 {-2},0z",
    "s": "M{-.88},{-.88}h{1.76}v{1.76}h{-1.76}z",
    "^": "M0,{-1.1}L{1.05},{.8}H{-1.05}z",
    "D": "M0,{-1.2}L{1.2},0L0,{1.2}L{-1.2},0z",
    "v": "M0,{1.1}L{1.05},{-.8}H{-1.05}z",
    "P": "M{-.4},{-1.1}h{.8}v{.7}h{.7}v{.8}h{-.7}v{.7}h{-.8}v{-.7}h{-.7}v{-.8}h{.7}z",
    "h": "M0,{-1.1}L{.95},{-.55}V{.55}L0,{1.1}L{-.95},{.55}V{-.55}z",
}
"""Outlines of `style.MARKERS`; numbers in braces are multiples of the marker's radius."""


class Tick(NamedTuple):
    at: float
    text: str


class Frame(NamedTuple):
    """The plotting area and its ticks; `width`, `height` include the margins for the labels of the axes."""

    width: int
    height: int
    left: float
    top: float
    right: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


class Mark(NamedTuple):
    """One line of the leaderboard in the plane.

    line: its index. method: for the colour. shape, bars: outlines of marker and intervals. says: what a
    reader hears. name: the text beside it at (name_x, name_y), empty where there is no room. leader: from
    name to marker.
    """

    line: int
    method: str
    x: float
    y: float
    shape: str
    bars: str
    front: bool
    says: str
    name: str
    name_x: float
    name_y: float
    leader: str


class Plane(NamedTuple):
    """edge: the Pareto front's staircase. star: the mark at the ideal corner, (ideal_x, ideal_y)."""

    frame: Frame
    edge: str
    star: str
    ideal_x: float
    ideal_y: float
    marks: tuple[Mark, ...]


def outline(marker: str, radius: float) -> str:
    """The SVG path of a marker about the origin."""
    pieces = _SHAPES[marker].replace("}", "{").split("{")
    return "".join(p if i % 2 == 0 else f"{float(p) * radius:g}" for i, p in enumerate(pieces))


def plane_chart(
    group: pd.DataFrame, sentences: Mapping[int, str], looks: Mapping[str, Look], width: int, height: int
) -> Plane:
    """Leak (x) against TMR (y) of one group of lines; `sentences` by line say what each point is."""
    frame = share_frame(width, height)
    lines = label_order(group[group[["leak", "tmr"]].notna().all(axis=1)])
    points = np.stack([x_of_share(frame, lines["leak"]), y_of_share(frame, lines["tmr"])], axis=1)
    names = [label(m, v) for m, v in zip(lines["method"], lines["variant"].fillna(""), strict=True)]
    spans = _spans(frame, lines)
    places = _places(frame, points, names, spans)
    marks = []
    every = zip(lines.index.tolist(), lines.itertuples(), points, names, spans, places, strict=True)
    for index, row, point, name, span, place in every:
        x, y = float(point[0]), float(point[1])
        shown, at = (name, place) if place is not None else ("", (0.0, 0.0))
        marks.append(
            Mark(
                line=index,
                method=str(row.method),
                x=round(x, 1),
                y=round(y, 1),
                shape=outline(looks[str(row.method)].marker, 6.0 if row.pareto else 4.4),
                bars=f"M{span[0]:.1f},{y:.1f}H{span[1]:.1f}M{x:.1f},{span[2]:.1f}V{span[3]:.1f}",
                front=bool(row.pareto),
                says=sentences[index],
                name=shown,
                name_x=round(at[0], 1),
                name_y=round(at[1] + 0.8 * LINE, 1),
                leader=leader_path(x, y, at, shown),
            )
        )
    # Front points are drawn last, on top of the others.
    ordered = tuple(sorted(marks, key=lambda m: m.front))
    ideal = float(x_of_share(frame, 0.0)), float(y_of_share(frame, 1.0))
    return Plane(frame, _staircase(frame, lines), _star(*ideal, 8.0), *ideal, ordered)


LINE, _LETTER = 13.0, 6.4
_ROOM = 0.025


def text_width(text: str) -> float:
    """Pixels of a label at 11 px in the page's font, rounded up: wide scripts take two letters."""
    return sum(1.75 * _LETTER if unicodedata.east_asian_width(c) in "WF" else _LETTER for c in text) + 2


def share_frame(width: int, height: int) -> Frame:
    """Both axes of shares from 0 to 1."""
    shares = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
    frame = Frame(width, height, 46.0, 8.0, width - 16.0, height - 42.0, (), ())
    return frame._replace(
        x_ticks=tuple(Tick(round(float(x_of_share(frame, s)), 1), f"{s:g}") for s in shares),
        y_ticks=tuple(Tick(round(float(y_of_share(frame, s)), 1), f"{s:g}") for s in shares),
    )


def x_of_share(frame: Frame, share: pd.Series[float] | NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Pixels of a share from 0 to 1, with room on both sides for the marks at the ends."""
    return frame.left + (np.asarray(share, np.float64) + _ROOM) / (1 + 2 * _ROOM) * (frame.right - frame.left)


def y_of_share(frame: Frame, share: pd.Series[float] | NDArray[np.float64] | float) -> NDArray[np.float64]:
    return frame.bottom - (np.asarray(share, np.float64) + _ROOM) / (1 + 2 * _ROOM) * (
        frame.bottom - frame.top
    )


def _spans(frame: Frame, lines: pd.DataFrame) -> NDArray[np.float64]:
    """(N, 4): left and right end of the leak's interval, lower and upper end of the TMR's, in pixels."""
    columns = []
    for name, scale in (("leak", x_of_share), ("tmr", y_of_share)):
        columns += [scale(frame, lines[f"{name}_{end}"].fillna(lines[name])) for end in ("low", "high")]
    return np.stack(columns, axis=1)


def _places(
    frame: Frame, points: NDArray[np.float64], names: Sequence[str], spans: NDArray[np.float64]
) -> list[tuple[float, float] | None]:
    sizes = np.array([[text_width(n), LINE] for n in names]).reshape(-1, 2)
    level = points[:, 1]
    bars = np.stack([spans[:, 0] - 1, level - 1, spans[:, 1] + 1, level + 1], axis=1)
    x, y = float(x_of_share(frame, 0.0)), float(y_of_share(frame, 1.0))
    ideal = [[x - 9, y - 9, x + 42, y + 9]]
    bounds = (frame.left + 2, 0.0, frame.width - 2.0, frame.bottom - 2)
    return place_labels(points, sizes, bounds, gap=8.0, obstacles=np.vstack([ideal, bars]))


def leader_path(x: float, y: float, corner: tuple[float, float], name: str) -> str:
    """A line from the nearest edge of the label to the point, when they are not side by side."""
    if not name:
        return ""
    near_x = min(max(x, corner[0]), corner[0] + text_width(name))
    near_y = min(max(y, corner[1]), corner[1] + LINE)
    if max(abs(near_x - x), abs(near_y - y)) < 12:
        return ""
    return f"M{near_x:.1f},{near_y:.1f}L{x:.1f},{y:.1f}"


def _staircase(frame: Frame, lines: pd.DataFrame) -> str:
    front = lines[lines["pareto"]].sort_values(["leak", "tmr"])
    steps = zip(x_of_share(frame, front["leak"]), y_of_share(frame, front["tmr"]), strict=True)
    return "".join(f"{'H' if i else 'M'}{x:.1f}{'V' if i else ','}{y:.1f}" for i, (x, y) in enumerate(steps))


def _star(x: float, y: float, radius: float) -> str:
    corners = []
    for i in range(10):
        reach, angle = radius * (0.42 if i % 2 else 1.0), np.pi * i / 5
        corners.append(f"{x + reach * np.sin(angle):.1f},{y - reach * np.cos(angle):.1f}")
    return f"M{'L'.join(corners)}z"


def interval_bar(value: float, low: float, high: float) -> tuple[str, float] | None:
    """For a 60 x 10 cell: the interval's path on a scale from 0 to 1 and the value's x; None if absent."""
    if not np.isfinite(value):
        return None
    ends = [min(max(v, 0.0), 1.0) * 56 + 2 for v in (low, high, value)]
    bar = f"M{ends[0]:.1f},5H{ends[1]:.1f}" if np.isfinite(low) and np.isfinite(high) else ""
    return bar, round(ends[2], 1)
