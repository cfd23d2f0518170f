"""Colours, markers, names and labels that figures and page share; ROC bands."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from report_rows import make_curves

from bench.errors import InputError
from bench.report.charts import interval_bar, outline
from bench.report.curve_charts import roc_chart
from bench.report.curves import SMALLEST_FMR, all_bands, check_curves, roc_bands
from bench.report.style import CONTROL_COLOUR, MARKERS, looks, place_labels, slug

PAGE_GROUNDS = ("#ffffff", "#14171c")
"""Background of the page, light and dark."""

# Machado, Oliveira, Fernandes 2009, severity 1.
VISIONS = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colour: str) -> NDArray[np.float64]:
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def luminance(colour: str) -> float:
    return float(linear(colour) @ [0.2126, 0.7152, 0.0722])


def lab(light: NDArray[np.float64]) -> NDArray[np.float64]:
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    xyz = to_xyz @ np.clip(light, 0, 1) / [0.9505, 1.0, 1.0888]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


NAMES = [f"method{i:02d}" for i in range(16)]


@pytest.mark.parametrize("vision", VISIONS)
def test_the_first_eight_methods_differ_for_every_eye(vision: str) -> None:
    seen = [
        lab(np.array(VISIONS[vision]) @ linear(look.colour)) for look in looks(NAMES[:8], ["grey"]).values()
    ]
    methods = [np.linalg.norm(a - b) for a, b in combinations(seen[:8], 2)]
    assert min(methods) > 15


@pytest.mark.parametrize("ground", PAGE_GROUNDS)
def test_every_colour_stands_out_on_light_and_dark(ground: str) -> None:
    for look in looks(NAMES, ["grey"]).values():
        pair = sorted([luminance(look.colour), luminance(ground)])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 3


def test_a_method_keeps_colour_and_marker_and_shares_both_with_nobody() -> None:
    names = [f"m{i:03d}" for i in range(100)]
    table = looks(reversed(names), ["blur", "grey"])
    assert table == looks(names, ["grey", "blur"])
    assert len(set(table.values())) == 102
    assert {table[c].colour for c in ("blur", "grey")} == {CONTROL_COLOUR}
    assert CONTROL_COLOUR not in {table[n].colour for n in names}


def test_slugs_are_safe_and_do_not_collide() -> None:
    assert slug("big_nose") == "big_nose"
    names = ["../../etc", "a/b", "a_b", "a b", "ü", "é", "", "<script>", "con:1", "." * 5]
    made = [slug(n) for n in names]
    assert len(set(made)) == len(names)
    for text in made:
        assert text
        assert all(c.isascii() and (c.isalnum() or c in "._-") for c in text)
        assert not text.startswith(".")


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 400), st.floats(0, 300), st.floats(10, 90)), min_size=1, max_size=30))
def test_labels_cover_neither_each_other_nor_a_point_nor_an_obstacle(
    drawn: list[tuple[float, float, float]],
) -> None:
    points = np.array([(x, y) for x, y, _ in drawn])
    sizes = np.array([(w, 12.0) for _, _, w in drawn])
    obstacles = np.array([[150.0, 100.0, 250.0, 200.0]])
    bounds = (0.0, 0.0, 400.0, 300.0)
    places = place_labels(points, sizes, bounds, gap=8.0, obstacles=obstacles)
    boxes = [(*p, p[0] + w, p[1] + h) for p, (w, h) in zip(places, sizes, strict=True) if p is not None]
    solid = [(x - 4, y - 4, x + 4, y + 4) for x, y in points] + [tuple(obstacles[0])]
    pairs = [*combinations(boxes, 2), *((b, s) for b in boxes for s in solid)]
    for a, b in pairs:
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart
    for box in boxes:
        assert box[0] >= 0
        assert box[1] >= 0
        assert box[2] <= 400
        assert box[3] <= 300


def test_a_lone_point_always_gets_its_label_on_the_right() -> None:
    places = place_labels(np.array([[50.0, 50.0]]), np.array([[30.0, 10.0]]), (0, 0, 100, 100), gap=8.0)
    assert places == [(58.0, 45.0)]


@pytest.mark.parametrize("marker", MARKERS)
def test_every_marker_has_an_outline_that_grows_with_its_radius(marker: str) -> None:
    small, large = outline(marker, 1.0), outline(marker, 2.0)
    assert small.startswith("M")
    assert small.endswith("z")
    assert small != large
    assert "{" not in small


def test_interval_bars_stay_in_their_cell() -> None:
    assert interval_bar(float("nan"), 0.1, 0.2) is None
    assert interval_bar(0.5, float("nan"), float("nan")) == ("", 30.0)
    assert interval_bar(0.0, -0.3, 1.8) == ("M2.0,5H58.0", 2.0)


# -- ROC bands ---------------------------------------------------------------------------------------


def curve(method: str, variant: str, points: dict[float, float], condition: str) -> pd.DataFrame:
    named = {"method": method, "variant": variant, "matcher": "arcface", "condition": condition}
    return pd.DataFrame({**named, "fmr": list(points), "tmr": list(points.values())})


OP = "original-protected"


def test_a_band_spans_the_worst_and_the_best_output() -> None:
    a = curve("san", "op", {0.001: 0.2, 0.01: 0.5, 1.0: 1.0}, OP)
    b = curve("san", "nt", {0.001: 0.3, 0.1: 0.4, 1.0: 1.0}, OP)
    (band,) = roc_bands(pd.concat([b, a]), OP)
    assert (band.matcher, band.method, band.outputs) == ("arcface", "san", 2)
    assert band.x.tolist() == [0.001, 0.01, 0.1, 1.0]
    # Between its points a curve holds the TMR of the next smaller FMR.
    assert band.low.tolist() == [0.2, 0.3, 0.4, 1.0]
    assert band.high.tolist() == [0.3, 0.5, 0.5, 1.0]


def test_a_curve_says_nothing_below_its_smallest_fmr() -> None:
    a = curve("san", "op", {0.001: 0.2, 1.0: 1.0}, OP)
    b = curve("flow", "1", {0.1: 0.4, 1.0: 1.0}, OP)
    flow = roc_bands(pd.concat([a, b]), OP)[0]
    np.testing.assert_array_equal(flow.low, [np.nan, 0.4, 1.0])


def test_points_below_the_smallest_fmr_count_at_it() -> None:
    (band,) = roc_bands(curve("san", "op", {0.0: 0.1, 2e-6: 0.2, 0.01: 0.5}, OP), OP)
    assert band.x.tolist() == [SMALLEST_FMR, 0.01]
    assert band.high.tolist() == [0.2, 0.5]


def test_the_original_stands_under_every_condition_and_alone_makes_no_figure() -> None:
    own = curve("original", "default", {0.01: 0.9}, "original-original")
    san = curve("san", "op", {0.01: 0.8}, OP)
    assert all_bands(own) == {}
    bands = all_bands(pd.concat([own, san]))
    assert {c: [b.method for b in found] for c, found in bands.items()} == {OP: ["original", "san"]}


def test_long_curves_are_thinned() -> None:
    fmr = np.geomspace(1e-4, 1, 5000)
    (band,) = roc_bands(curve("san", "op", dict(zip(fmr, np.sqrt(fmr), strict=True)), OP), OP)
    assert len(band.x) <= 256
    assert np.all(band.high <= np.sqrt(band.x) + 1e-9)
    assert np.all(band.high >= np.sqrt(band.x) * 0.99)


def test_bad_curves_are_refused() -> None:
    good = make_curves(3, matchers=1)
    check_curves(good)
    with pytest.raises(InputError, match="lacks matcher"):
        check_curves(good.drop(columns="matcher"))
    with pytest.raises(InputError, match="tmr that is not in"):
        check_curves(good.assign(tmr=1.2))
    with pytest.raises(InputError, match="fmr that is not in"):
        check_curves(good.assign(fmr=np.nan))


def test_roc_axes_reach_from_the_smallest_fmr_to_one() -> None:
    bands = roc_bands(make_curves(3, matchers=1), OP)
    chart = roc_chart("se_resnet", bands)
    assert [t.text for t in chart.frame.x_ticks] == ["0.01 %", "0.1 %", "1 %", "10 %", "100 %"]
    places = [t.at for t in chart.frame.x_ticks]
    assert places == sorted(places)
    assert places[-1] <= chart.frame.right
    bundled = next(c for c in chart.curves if c.method == "san")
    single = next(c for c in chart.curves if c.method == "grey")
    assert bundled.area.endswith("z")
    assert single.area == ""
