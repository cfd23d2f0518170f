"""Figures in the papers' layout: the numbers that they show, and that they can be drawn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from paper_rows import curve

from bench.report.curves import SMALLEST_FMR
from bench.report.paper_figures import (
    CMC,
    ROC,
    Bar,
    Line,
    against_stages,
    bars,
    curve_bands,
    curve_figure,
)
from bench.report.paper_tables import UNKNOWN, Quantity
from bench.report.print_style import render

GREY, BLUE = "#8a9099", "#009ce4"


def quantity(value: float) -> Quantity:
    return Quantity(value, value - 0.1, value + 0.1)


def test_bars_stand_at_their_values_and_a_missing_one_leaves_its_place() -> None:
    found = bars(
        {
            "svm": [Bar("G", "before", GREY, quantity(0.9)), Bar("R", "after", BLUE, UNKNOWN)],
            "knn": [Bar("G", "before", GREY, UNKNOWN)],
        },
        title="EER",
        ylabel="EER",
        level=0.5,
    )
    assert found is not None
    (axes,) = found.figure.axes  # the panel without a value is left out
    assert [round(p.get_height(), 6) for p in axes.patches] == [0.9]  # type: ignore[attr-defined]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["G", "R"]
    assert found.table["value"].tolist()[0] == 0.9
    assert math.isnan(found.table["value"].tolist()[1])


def test_bars_of_several_series_stand_beside_each_other() -> None:
    pairs = [Bar(k, s, c, quantity(0.5)) for k in ("SVM", "RF") for s, c in (("a", GREY), ("b", BLUE))]
    found = bars({"gender": pairs}, title="", ylabel="")
    assert found is not None
    places = [p.get_x() for p in found.figure.axes[0].patches]  # type: ignore[attr-defined]
    widths = [p.get_width() for p in found.figure.axes[0].patches]  # type: ignore[attr-defined]
    assert len(places) == 4
    assert all(a + w <= b + 1e-9 for a, w, b in zip(places, widths, places[1:], strict=False))


def test_nothing_to_show_is_no_figure() -> None:
    assert bars({"svm": [Bar("G", "a", GREY, UNKNOWN)]}, title="", ylabel="") is None
    level = Line("Original", GREY, (), (), (quantity(0.9),))
    assert against_stages({"svm": [level]}, title="", ylabel="") is None
    assert against_stages({}, title="", ylabel="") is None
    assert curve_figure({}, ROC, title="") is None


def test_stages_are_drawn_near_their_number_and_levels_across() -> None:
    line = Line("FlowSAN", BLUE, (), (1, 3), (quantity(0.8), quantity(0.5)))
    level = Line("Original", GREY, (4.0, 2.0), (), (quantity(0.95),))
    found = against_stages({"svm": [level, line]}, title="AUC", ylabel="AUC", level=0.5)
    assert found is not None
    drawn = [line for line in found.figure.axes[0].lines if line.get_marker() == "o"]
    assert np.allclose(drawn[0].get_xdata(), [1, 3], atol=0.2)
    assert drawn[0].get_ydata() == pytest.approx([0.8, 0.5])
    assert found.table["value"].tolist() == [0.95, 0.8, 0.5]
    assert found.table["n"].isna().tolist() == [True, False, False]


# -- curves ------------------------------------------------------------------------------------------


def test_a_band_is_the_smallest_and_largest_output_at_every_fmr() -> None:
    """Against the obvious code: the rate of the largest FMR that does not exceed the one at hand."""
    rng = np.random.default_rng(3)
    outputs = []
    for name in ("gender", "race", "age0"):
        fmr = np.sort(10 ** rng.uniform(-5, 0, 20))
        outputs.append(curve(f"privacynet:{name}", np.sort(rng.uniform(0, 1, 20)), x=fmr))
    curves = pd.concat(outputs, ignore_index=True)
    everything = curves["method"].notna()
    (band,) = curve_bands(curves, ROC, [("PrivacyNet", BLUE, (), everything)])["arcface"]
    assert band.outputs == 3
    assert band.x[0] == pytest.approx(SMALLEST_FMR)
    for x, low, high in zip(band.x, band.low, band.high, strict=True):
        rates = [o.loc[o["fmr"] <= x * (1 + 1e-12), "tmr"] for o in outputs]
        reached = [r.iloc[-1] for r in rates if len(r)]
        assert low == (pytest.approx(min(reached)) if reached else pytest.approx(math.nan, nan_ok=True))
        assert high == (pytest.approx(max(reached)) if reached else pytest.approx(math.nan, nan_ok=True))


def test_cmc_points_are_not_taken_for_roc_points() -> None:
    curves = pd.concat(
        [
            curve("san:op", (0.1, 0.2, 0.3, 0.4)),
            curve("san:op", (0.7, 0.8), kind=CMC, x=(1, 2)),
            curve("original", (0.9, 0.95), kind=CMC, x=(1, 2), condition="original-original"),
        ],
        ignore_index=True,
    )
    mine, original = curves["method"] == "san", curves["method"] == "original"
    entries = [("Original", GREY, (), original), ("SAN", BLUE, (), mine)]
    bands = curve_bands(curves, CMC, entries)
    assert [b.high.tolist() for b in bands["arcface"]] == [[0.9, 0.95], [0.7, 0.8]]
    found = curve_figure(bands, CMC, title="CMC")
    assert found is not None
    assert found.table["rank"].tolist() == [1, 2, 1, 2]
    (roc,) = curve_bands(curves, ROC, entries)["arcface"]
    assert np.nanmax(roc.high) == 0.4


def test_a_table_without_kinds_holds_roc_curves() -> None:
    curves = curve("san:op", (0.1, 0.2, 0.3, 0.4)).drop(columns="kind")
    entries = [("SAN", BLUE, (), curves["method"] == "san")]
    assert list(curve_bands(curves, ROC, entries)) == ["arcface"]
    assert curve_bands(curves, CMC, entries) == {}


def test_of_several_seeds_and_label_sources_one_is_drawn() -> None:
    first = curve("san:op", (0.1, 0.2, 0.3, 0.4)).assign(seed=0, label_source="truth")
    curves = pd.concat(
        [first, first.assign(seed=1, tmr=0.9), first.assign(label_source="random", tmr=0.8)],
        ignore_index=True,
    )
    entries = [("SAN", BLUE, (), curves["method"] == "san")]
    (band,) = curve_bands(curves, ROC, entries)["arcface"]
    assert (band.outputs, np.nanmax(band.high)) == (1, 0.4)
    (band,) = curve_bands(curves.replace("truth", "shown"), ROC, entries)["arcface"]
    assert np.nanmax(band.high) == 0.8  # `random` comes first by name


def test_originals_alone_are_no_comparison() -> None:
    curves = curve("original", (0.1, 0.2, 0.3, 0.4), condition="original-original")
    entries = [("Original", GREY, (), curves["method"] == "original")]
    assert curve_figure(curve_bands(curves, ROC, entries), ROC, title="") is None


def test_equal_inputs_give_equal_bytes() -> None:
    def draw(kind: str) -> bytes:
        found = bars({"a": [Bar("G", "s", BLUE, quantity(0.5))]}, title="t", ylabel="y")
        assert found is not None
        return render(found.figure, kind)

    for kind in ("png", "svg"):
        assert draw(kind) == draw(kind)
