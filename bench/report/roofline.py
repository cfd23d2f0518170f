"""Geometry of the page's roofline charts: what components reach, under what products and copies reach.

Both axes are logarithmic. Across: operations for each byte that convolutions and products must move. Up:
10^12 operations a second (Williams, Waterman, Patterson, CACM 2009). Coordinates are pixels, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.report.charts import LINE, Frame, Tick, leader_path, outline, text_width
from bench.report.cost import METHOD, Component, way
from bench.report.style import Look, place_labels
from bench.report.tables import label
from bench.throughput.table import Row

OTHER_MARKER = "o"
"""Of what is no method, and so has no colour of its own."""

_TICKS, _NAMES = 6, 0.35
_RADIUS, _PEER_RADIUS = 4.4, 3.2


class RoofMark(NamedTuple):
    """A component: its fastest path at (x, y), and `travel`, the line there from the papers' style at
    (peer_x, peer_y), empty where that is the fastest or not known. The rest is as in `charts.Mark`."""

    method: str
    anchor: str
    x: float
    y: float
    shape: str
    peer_x: float
    peer_y: float
    peer_shape: str
    travel: str
    says: str
    name: str
    name_x: float
    name_y: float
    leader: str


class Roof(NamedTuple):
    """The ceiling of one unit of arithmetic, with its name at (x, y)."""

    path: str
    text: str
    x: float
    y: float


class Roofline(NamedTuple):
    frame: Frame
    roofs: tuple[Roof, ...]
    marks: tuple[RoofMark, ...]


def on_roofline(component: Component) -> bool:
    """Whether the counts are known that place it."""
    return _place(component.row) is not None


def roofline_chart(
    shown: Sequence[Component],
    looks: Mapping[str, Look],
    anchor: Callable[[Component], str],
    width: int,
    height: int,
) -> Roofline:
    """Components of one kind, each on its fastest path; `anchor` names the table row that a mark leads to."""
    placed = [(c, place) for c in shown if (place := _place(c.row)) is not None]
    peers = [None if c.peer is None or c.peer is c.best else _place(c.peer.row) for c, _ in placed]
    values = _roof_values([c for c, _ in placed])
    scale = _Scale.over([p for _, p in placed] + [p for p in peers if p], values)
    frame = scale.frame(width, height)
    roofs = _roofs(values, scale, frame)
    points = np.array([scale.pixels(frame, *p) for _, p in placed])
    names = [label(c.row.name, c.row.variant) for c, _ in placed]
    sizes = np.array([[text_width(n), LINE] for n in names])
    taken = [(r.x - text_width(r.text), r.y - 10, r.x, r.y + 3) for r in roofs]
    taken += [(x - 4, y - 4, x + 4, y + 4) for p in peers if p for x, y in [scale.pixels(frame, *p)]]
    bounds = (frame.left + 2, frame.top, frame.width - 2.0, frame.bottom - 2)
    order = np.argsort([-c.row.tflops if c.row.tflops else 0.0 for c, _ in placed], kind="stable")
    corners = place_labels(points[order], sizes[order], bounds, gap=8.0, obstacles=np.array(taken))
    found = dict(zip(order.tolist(), corners, strict=True))
    marks = [
        _mark(c, looks, anchor(c), scale, frame, peer, names[i], found[i])
        for i, ((c, _), peer) in enumerate(zip(placed, peers, strict=True))
    ]
    return Roofline(frame, roofs, tuple(marks))


def _place(row: Row) -> tuple[float, float] | None:
    """Operations a byte and 10^12 operations a second."""
    if not row.gflop or not row.moved_mb or not row.tflops:
        return None
    return row.gflop * 1e3 / row.moved_mb, row.tflops


def _mark(
    component: Component,
    looks: Mapping[str, Look],
    anchor: str,
    scale: _Scale,
    frame: Frame,
    peer: tuple[float, float] | None,
    name: str,
    corner: tuple[float, float] | None,
) -> RoofMark:
    row = component.row
    here = _place(row)
    assert here is not None
    x, y = scale.pixels(frame, *here)
    own = row.name if row.kind == METHOD and row.name in looks else ""
    marker = looks[own].marker if own else OTHER_MARKER
    from_x, from_y = scale.pixels(frame, *peer) if peer else (x, y)
    at, shown = (corner, name) if corner is not None else ((0.0, 0.0), "")
    return RoofMark(
        method=own,
        anchor=anchor,
        x=round(x, 1),
        y=round(y, 1),
        shape=outline(marker, _RADIUS),
        peer_x=round(from_x, 1),
        peer_y=round(from_y, 1),
        peer_shape=outline(marker, _PEER_RADIUS),
        travel=f"M{from_x:.1f},{from_y:.1f}L{x:.1f},{y:.1f}" if peer else "",
        says=_sentence(row, name, here, peer),
        name=shown,
        name_x=round(at[0], 1),
        name_y=round(at[1] + 0.8 * LINE, 1),
        leader=leader_path(x, y, at, shown),
    )


def _sentence(row: Row, name: str, here: tuple[float, float], peer: tuple[float, float] | None) -> str:
    share = f", {row.share_gemm:.3g} of the {row.unit} product" if row.share_gemm else ""
    start = f"{name}, {way(row)}: {here[1]:.3g} TFLOP/s at {here[0]:.3g} FLOP a byte{share}"
    return f"{start}; papers' style {peer[1]:.3g} TFLOP/s" if peer else start


# -- ceilings ----------------------------------------------------------------------------------------


def _roof_values(shown: Sequence[Component]) -> list[tuple[str, float, float]]:
    """(unit, 10^12 operations a second, 10^12 bytes a second) that the rows are held against, highest first.

    Only of the runs that the rows are of: another run on the machine measured other ceilings.
    """
    held = [m for c in shown for m in (c.best, c.peer) if m is not None]
    found = set()
    for measured in held:
        ceilings, unit = dict(measured.ceilings), measured.row.unit
        if unit in ceilings and "copy" in ceilings:
            found.add((unit, ceilings[unit], ceilings["copy"] / 1e3))
    return sorted(found, key=lambda roof: (-roof[1], roof))


def _roofs(values: Sequence[tuple[str, float, float]], scale: _Scale, frame: Frame) -> tuple[Roof, ...]:
    found = []
    left, right = 10.0**scale.left, 10.0**scale.right
    for index, (unit, rate, copied) in enumerate(values):
        bend = min(max(rate / copied, left), right)
        corners = [(left, copied * left)] if bend > left else []
        corners += [(bend, min(rate, copied * bend)), (right, min(rate, copied * right))]
        line = [scale.pixels(frame, *corner) for corner in dict.fromkeys(corners)]
        path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in line)
        # The highest is named above its line, lower ones below, where the next one leaves room.
        y = line[-1][1] - 4 if index == 0 else line[-1][1] + 12
        found.append(Roof(path, f"{unit}: {rate:.3g}", round(frame.right, 1), round(y, 1)))
    return tuple(found)


class _Scale(NamedTuple):
    """Decades of both axes."""

    left: int
    right: int
    low: int
    high: float

    @classmethod
    def over(cls, points: Sequence[tuple[float, float]], roofs: Sequence[tuple[str, float, float]]) -> _Scale:
        across = [math.log10(x) for x, _ in points]
        left = math.floor(min(across))
        up = [math.log10(y) for _, y in points] + [math.log10(rate) for _, rate, _ in roofs]
        up += [math.log10(copied) + left for _, rate, copied in roofs if copied * 10.0**left < rate]
        # Room on the right for the names of the roofs, and above for that of the highest.
        right = max(math.ceil(max(across) + _NAMES), left + 1)
        return cls(left, right, math.floor(min(up)), max(up) + 0.6)

    def frame(self, width: int, height: int) -> Frame:
        frame = Frame(width, height, 54.0, 8.0, width - 18.0, height - 42.0, (), ())
        across = [Tick(round(self._x(frame, e), 1), f"{10.0**e:g}") for e in _decades(self.left, self.right)]
        up = [Tick(round(self._y(frame, e), 1), f"{10.0**e:g}") for e in _decades(self.low, int(self.high))]
        return frame._replace(x_ticks=tuple(across), y_ticks=tuple(up))

    def pixels(self, frame: Frame, across: float, up: float) -> tuple[float, float]:
        return self._x(frame, math.log10(across)), self._y(frame, math.log10(up))

    def _x(self, frame: Frame, exponent: float) -> float:
        return frame.left + (exponent - self.left) / (self.right - self.left) * (frame.right - frame.left)

    def _y(self, frame: Frame, exponent: float) -> float:
        return frame.bottom - (exponent - self.low) / (self.high - self.low) * (frame.bottom - frame.top)


def _decades(low: int, high: int) -> range:
    return range(low, high + 1, max(1, math.ceil((high - low) / _TICKS)))
