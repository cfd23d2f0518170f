"""Geometry of the page's curves: ROC, DET and CMC, a panel a matcher, a band a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.report.charts import Frame, Tick, share_frame, x_of_share, y_of_share
from bench.report.curves import Band, lowest_miss

Float = NDArray[np.float64]

WIDTH, HEIGHT = 300, 230
_PERCENTS = 62.0
"""Left margin in pixels that has room for an axis of percentages."""
_RANKS = (1, 2, 5, 10, 20, 50)


class Curve(NamedTuple):
    """area: between worst and best output, empty for a single one. high: the outline of the best."""

    method: str
    area: str
    high: str
    says: str


class Panel(NamedTuple):
    """Curves of one matcher. x_title, y_title: of the axes."""

    matcher: str
    frame: Frame
    x_title: str
    y_title: str
    curves: tuple[Curve, ...]


def matchers(bands: Sequence[Band]) -> list[tuple[str, list[Band]]]:
    """The bands of each matcher, by name."""
    return [(m, [b for b in bands if b.matcher == m]) for m in sorted({b.matcher for b in bands})]


def roc_chart(matcher: str, bands: Sequence[Band], width: int = WIDTH, height: int = HEIGHT) -> Panel:
    """TMR against FMR on a log axis for one matcher; all its bands share the grid that `roc_bands` made."""
    decade = _lowest_decade(bands)
    frame = share_frame(width, height)
    frame = frame._replace(x_ticks=_rates(frame, decade))
    curves = tuple(_curve(frame, b, _across(frame, b, decade), (b.low, b.high)) for b in bands)
    return Panel(matcher, frame, "FMR", "TMR", curves)


def det_chart(matcher: str, bands: Sequence[Band], width: int = WIDTH, height: int = HEIGHT) -> Panel:
    """FNMR against FMR, both on log axes (ISO/IEC 19795-1): errors, so low is good."""
    decade = _lowest_decade(bands)
    floor = lowest_miss(bands)
    frame = share_frame(width, height)._replace(left=_PERCENTS)
    ticks = tuple(
        Tick(round(float(y_of_share(frame, 1 - e / floor)), 1), _percent(e)) for e in range(floor, 1)
    )
    frame = frame._replace(x_ticks=_rates(frame, decade), y_ticks=ticks)
    curves = []
    for band in bands:
        shares = [1 - np.log10(np.maximum(1 - ends, 10.0**floor)) / floor for ends in (band.low, band.high)]
        curves.append(_curve(frame, band, _across(frame, band, decade), (shares[0], shares[1])))
    return Panel(matcher, frame, "FMR", "FNMR", tuple(curves))


def cmc_chart(matcher: str, bands: Sequence[Band], width: int = WIDTH, height: int = HEIGHT) -> Panel:
    """Identification rate against rank, from 1, on a log axis."""
    last = max(2.0, *(float(b.x[-1]) for b in bands))
    frame = share_frame(width, height)
    ticks = [r for r in _RANKS if r <= last]
    frame = frame._replace(
        x_ticks=tuple(
            Tick(round(float(x_of_share(frame, float(np.log(r) / np.log(last)))), 1), str(r)) for r in ticks
        )
    )
    curves = tuple(
        _curve(frame, b, x_of_share(frame, np.log(b.x) / np.log(last)), (b.low, b.high)) for b in bands
    )
    return Panel(matcher, frame, "rank", "identification rate", curves)


def _lowest_decade(bands: Sequence[Band]) -> int:
    lowest = min(float(b.x[np.isfinite(b.high)][0]) for b in bands)
    return min(-1, int(np.floor(np.log10(lowest) + 1e-9)))


def _rates(frame: Frame, decade: int) -> tuple[Tick, ...]:
    exponents = range(decade, 1, 1 if decade >= -4 else 2)
    return tuple(Tick(round(float(x_of_share(frame, 1 - e / decade)), 1), _percent(e)) for e in exponents)


def _percent(exponent: int) -> str:
    return f"{100 * 10.0**exponent:g} %"


def _across(frame: Frame, band: Band, decade: int) -> Float:
    return x_of_share(frame, 1 - np.log10(band.x) / decade)


def _curve(frame: Frame, band: Band, across: Float, shares: tuple[Float, Float]) -> Curve:
    """shares: worst and best output on the vertical axis, as shares of it."""
    known = np.isfinite(band.high)
    x = across[known]
    low, high = (y_of_share(frame, ends[known]) for ends in shares)
    both = np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]])
    area = f"{line(*both)}z" if band.outputs > 1 else ""
    says = f"{band.method}: {band.outputs} outputs" if band.outputs > 1 else band.method
    return Curve(band.method, area, line(x, high), says)


def line(x: Float, y: Float) -> str:
    """A polyline in tenths of a pixel, without points that move the pen less than a pixel."""
    kept = [0]
    for i in range(1, len(x)):
        if abs(x[i] - x[kept[-1]]) >= 1 or abs(y[i] - y[kept[-1]]) >= 1 or i == len(x) - 1:
            kept.append(i)
    tenths = np.rint(10 * np.stack([x[kept], y[kept]], axis=1)).astype(int)
    moves = np.diff(tenths, axis=0, prepend=0).tolist()
    pairs = [f"{_tenths(right)}{_tenths(down, joined=True)}" for right, down in moves]
    # Steps from one point to the next are shorter than places; the first is a place.
    return f"M{pairs[0]}" + (f"l{' '.join(pairs[1:])}" if len(pairs) > 1 else "")


def _tenths(value: int, *, joined: bool = False) -> str:
    """The tenths as the shortest number of a path; joined: to the one before, by its sign or a comma."""
    text = f"{value / 10:g}".replace("0.", ".", 1) if abs(value) < 10 and value else f"{value / 10:g}"
    return text if not joined or text.startswith("-") else f",{text}"
