"""Geometry of the charts in a method's section: AUC against a number of its outputs, kept attributes as bars.

Works on tidy rows without missing text, as `bench.report.sections` makes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from bench.ladder import STATIC
from bench.report.charts import Frame, Tick, share_frame, x_of_share, y_of_share
from bench.report.curve_charts import HEIGHT, WIDTH
from bench.report.steps import Series, series
from bench.report.tables import POOL, label
from bench.results import OK

_LABELS, _PITCH, _BAR = 112.0, 16.0, 10.0
_LETTERS = 17
"""Room for the names beside bars, in pixels and letters; height of a row and of its bar."""


class StepLine(NamedTuple):
    """One attacker over the series. dots: places of the markers. bars: intervals. total: the whole pool."""

    path: str
    dots: tuple[tuple[float, float], ...]
    bars: str
    total: bool
    says: str


class StepPanel(NamedTuple):
    """chance: height of AUC .5 in pixels."""

    title: str
    x_title: str
    frame: Frame
    chance: float
    lines: tuple[StepLine, ...]


class Bar(NamedTuple):
    """name: beside the bar, at `base`; says: with its figures. path: the interval."""

    name: str
    base: float
    x: float
    y: float
    width: float
    height: float
    path: str
    says: str


class BarPanel(NamedTuple):
    """zero: place of no change in pixels."""

    title: str
    frame: Frame
    zero: float
    bars: tuple[Bar, ...]


# -- AUC against n -----------------------------------------------------------------------------------


def step_panels(records: Sequence[Any], place: Callable[[Any], str]) -> tuple[StepPanel, ...]:
    """A panel for each series of variants and hidden attribute; `place` says what else tells panels apart."""
    read = [r for r in records if r.metric == "auc" and r.component_kind == "attacker" and _usable(r)]
    read = [r for r in read if r.threat == STATIC and r.role == "obfuscated" and not r.seen]
    panels = []
    for one in series({r.variant for r in read}):
        variants = {variant: n for n, variant in one.at.items()}
        groups: dict[str, list[Any]] = {}
        for record in read:
            if record.variant in variants:
                groups.setdefault(place(record), []).append(record)
        for name, members in sorted(groups.items()):
            if len({r.variant for r in members}) > 1:
                panels.append(_step_panel(" · ".join(filter(None, (one.rest, name))), one, variants, members))
    return tuple(panels)


def _step_panel(title: str, one: Series, variants: dict[str, float], members: Sequence[Any]) -> StepPanel:
    numbers = list(one.at)
    reach = numbers[-1] - numbers[0]
    frame = share_frame(WIDTH, HEIGHT)

    def x(variant: str) -> float:
        return float(x_of_share(frame, (variants[variant] - numbers[0]) / reach))

    ticks = tuple(Tick(round(x(variant), 1), f"{n:g}") for n, variant in one.at.items())
    by_name: dict[str, list[Any]] = {}
    for record in members:
        by_name.setdefault(record.component, []).append(record)
    lines = [
        _step_line(name, frame, sorted(found, key=lambda r: variants[r.variant]), x, variants)
        for name, found in sorted(by_name.items(), key=lambda item: (item[0] == POOL, item[0]))
    ]
    return StepPanel(
        title, one.name, frame._replace(x_ticks=ticks), float(y_of_share(frame, 0.5)), tuple(lines)
    )


def _step_line(
    name: str, frame: Frame, found: Sequence[Any], x: Callable[[str], float], variants: dict[str, float]
) -> StepLine:
    dots = tuple((round(x(r.variant), 1), round(float(y_of_share(frame, r.value)), 1)) for r in found)
    total = name == POOL
    bars = "".join(
        f"M{across},{float(y_of_share(frame, r.ci_low)):.1f}V{float(y_of_share(frame, r.ci_high)):.1f}"
        for (across, _), r in zip(dots, found, strict=True)
        if total and np.isfinite(r.ci_low + r.ci_high)
    )
    figures = ", ".join(f"{variants[r.variant]:g}: {r.value:.3f}" for r in found)
    says = f"{'strongest attacker' if total else name}: {figures}"
    return StepLine("M" + "L".join(f"{a},{b}" for a, b in dots), dots, bars, total, says)


# -- kept attributes ---------------------------------------------------------------------------------


def kept_panels(records: Sequence[Any], place: Callable[[Any], str]) -> tuple[BarPanel, ...]:
    """CAC of the pool, a panel an attribute with its outputs or, where there are fewer of these, the other
    way round; all on one scale. `place` says what else tells panels apart."""
    found = [
        r for r in records if r.metric == "cac" and r.component == POOL and r.role == "kept" and _usable(r)
    ]
    if not found:
        return ()
    outputs = {label(r.method, r.variant) for r in found}
    attributes = {r.attribute for r in found}
    by_output = len(outputs) < len(attributes)
    ends = [v for r in found for v in (r.value, r.ci_low, r.ci_high) if np.isfinite(v)]
    limits = min(-0.05, *ends), max(0.05, *ends)
    groups: dict[str, list[tuple[str, Any]]] = {}
    for record in found:
        names = (label(record.method, record.variant), record.attribute)
        panel, name = names if by_output else names[::-1]
        groups.setdefault(" · ".join(filter(None, (panel, place(record)))), []).append((name, record))
    return tuple(_bar_panel(title, bars, limits) for title, bars in sorted(groups.items()))


def _bar_panel(title: str, named: Iterable[tuple[str, Any]], limits: tuple[float, float]) -> BarPanel:
    ordered = sorted(named, key=lambda item: item[0])
    low, high = limits
    frame = Frame(WIDTH, int(len(ordered) * _PITCH) + 46, _LABELS, 4.0, WIDTH - 10.0, 0.0, (), ())
    frame = frame._replace(bottom=frame.height - 42.0)

    def x(value: float) -> float:
        return round(frame.left + (value - low) / (high - low) * (frame.right - frame.left), 1)

    bars = []
    for row, (name, record) in enumerate(ordered):
        y = frame.top + row * _PITCH + (_PITCH - _BAR) / 2
        middle = y + _BAR / 2
        interval = np.isfinite(record.ci_low + record.ci_high)
        path = f"M{x(record.ci_low)},{middle:g}H{x(record.ci_high)}" if interval else ""
        ends = f", {record.ci_low:.3f} to {record.ci_high:.3f}" if interval else ""
        start, end = sorted((x(0.0), x(record.value)))
        says = f"{name}: {record.value:.3f}{ends}"
        shown = name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
        bars.append(Bar(shown, middle + 4, start, y, round(end - start, 1), _BAR, path, says))
    step = _nice((high - low) / 4)
    first = int(np.ceil(low / step - 1e-9))
    shown_ticks = [i * step for i in range(first, int(np.floor(high / step + 1e-9)) + 1)]
    ticks = tuple(Tick(x(t), f"{t:g}".replace("-", "\u2212")) for t in (round(t, 6) for t in shown_ticks))
    return BarPanel(title, frame._replace(x_ticks=ticks), x(0.0), tuple(bars))


def _nice(step: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(step))
    return float(next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9)))


def _usable(record: Any) -> bool:
    return bool(record.status == OK and np.isfinite(record.value))
