"""What figures and page share: one colour and one marker a method, and labels that do not collide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.tables import ENDS

if TYPE_CHECKING:
    import pandas as pd

_COLOURS = (
    "#009ce4",
    "#e46c0c",
    "#24783c",
    "#4860e4",
    "#b4189c",
    "#cc0030",
    "#9c5478",
    "#cc786c",
    "#fc48a8",
    "#48a824",
    "#c060cc",
    "#a85400",
    "#e46c90",
    "#789c48",
    "#8448c0",
    "#9c78fc",
)
"""Chosen by greedy search: every colour has a contrast of at least 3 with white and with the page's dark
ground, and the first eight stay at least 18 (CIE76) apart under simulated protan-, deuter- and tritanopia
(Machado, Oliveira, Fernandes, IEEE TVCG 2009)."""

CONTROL_COLOUR = "#7b8088"
"""Every control is grey, so that colour always means a method; markers tell the controls apart."""

MARKERS = ("o", "s", "^", "D", "v", "P", "h")
"""Matplotlib's letters. Seven shapes and sixteen colours repeat together only after 112 methods."""


class Look(NamedTuple):
    """colour: `#rrggbb`. marker: one of `MARKERS`."""

    colour: str
    marker: str


def looks(methods: Iterable[str], controls: Iterable[str]) -> dict[str, Look]:
    """Colour and marker of every method and control, by sorted name, the same in every figure."""
    table = {m: Look(_COLOURS[i % len(_COLOURS)], MARKERS[i % len(MARKERS)]) for i, m in _numbered(methods)}
    return table | {c: Look(CONTROL_COLOUR, MARKERS[i % len(MARKERS)]) for i, c in _numbered(controls)}


def _numbered(names: Iterable[str]) -> Iterable[tuple[int, str]]:
    return enumerate(sorted(set(names)))


def slug(text: str) -> str:
    """A name for files and anchors in ASCII letters, digits and `_-.`; a digest tells changed names apart."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._")[:60]
    if plain and plain == text:
        return plain
    return f"{plain or 'x'}-{sha256(text.encode()).hexdigest()[:6]}"


def label_order(lines: pd.DataFrame) -> pd.DataFrame:
    """Lines by how much their label matters: ends of the scale, front, other methods, other controls."""
    ends = lines["method"].isin(ENDS)
    rank = np.select([ends, lines["pareto"], lines["role"] == "method"], [0, 1, 2], 3)
    return lines.assign(_rank=rank).sort_values(["_rank", "leak", "method", "variant"]).drop(columns="_rank")


def place_labels(
    points: NDArray[np.float64],
    sizes: NDArray[np.float64],
    bounds: Sequence[float],
    *,
    gap: float,
    obstacles: NDArray[np.float64] | None = None,
) -> list[tuple[float, float] | None]:
    """Where to put the labels of points, first come first served, so that none covers another or a point.

    points: (N, 2) in pixels, most important first. sizes: (N, 2) width and height of the labels.
    bounds: x0, y0, x1, y1 that labels stay within. gap: distance from a point's centre to its label.
    obstacles: (M, 4) boxes x0, y0, x1, y1 to keep clear beside the points themselves.
    Returns the lower corner (smallest x and y) of each label, or None where no free place is near.
    """
    marker = 0.6 * gap
    taken = [np.array([x - marker, y - marker, x + marker, y + marker]) for x, y in points]
    taken += list(obstacles) if obstacles is not None else []
    corners: list[tuple[float, float] | None] = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        box = _free_box(x, y, width, height, gap, bounds, np.array(taken))
        corners.append(None if box is None else (float(box[0]), float(box[1])))
        if box is not None:
            taken.append(box)
    return corners


def _free_box(
    x: float,
    y: float,
    width: float,
    height: float,
    gap: float,
    bounds: Sequence[float],
    taken: NDArray[np.float64],
) -> NDArray[np.float64] | None:
    for distance in (1.0, 1.8, 2.8, 4.0):
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1)):
            reach = gap * distance / (np.sqrt(2) if dx and dy else 1)
            x0 = x + dx * reach + (dx - 1) * width / 2
            y0 = y + dy * reach + (dy - 1) * height / 2
            box = np.array([x0, y0, x0 + width, y0 + height])
            inside = (
                box[0] >= bounds[0] and box[1] >= bounds[1] and box[2] <= bounds[2] and box[3] <= bounds[3]
            )
            if inside and not _overlaps(box, taken).any():
                return box
    return None


def _overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    return (
        (box[0] < others[:, 2]) & (box[2] > others[:, 0]) & (box[1] < others[:, 3]) & (box[3] > others[:, 1])
    )
