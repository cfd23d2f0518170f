"""Curves, bars and tables of evidence in the page: figures stand where they belong and nowhere else."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from report_rows import make_beside, make_claims, make_rows, make_searches

from bench.errors import InputError
from bench.report.charts import y_of_share
from bench.report.curve_charts import cmc_chart, det_chart, line, matchers
from bench.report.curves import all_search_bands, check_searches, cmc_bands, lowest_miss, roc_bands
from bench.report.evidence import beside_grid, claims_view
from bench.report.method_charts import kept_panels, step_panels
from bench.report.sections import sections
from bench.report.steps import Series, series

OP = "original-protected"


def places(path: str) -> np.ndarray:
    """The (N, 2) places of a polyline whose steps are relative."""
    numbers = [float(n) for n in re.findall(r"-?\d*\.?\d+(?:e-?\d+)?", path)]
    return np.cumsum(np.array(numbers).reshape(-1, 2), axis=0)


# -- curves ------------------------------------------------------------------------------------------


def test_a_polyline_keeps_its_places_to_a_tenth_of_a_pixel() -> None:
    rng = np.random.default_rng(0)
    x, y = np.arange(0, 300, 1.5), rng.uniform(0, 200, 200)
    drawn = places(line(x, y))
    np.testing.assert_allclose(drawn, np.stack([x, y], axis=1), atol=0.0501)
    few = places(line(np.linspace(0, 3, 300), np.zeros(300)))
    assert len(few) == 4, "steps of less than a pixel are left out"


def test_cmc_bands_span_the_outputs_of_a_method_at_each_rank() -> None:
    searches = make_searches(4, matchers=1)
    band = next(b for b in cmc_bands(searches, OP) if b.method == "san")
    own = searches[(searches["method"] == "san") & (searches["condition"] == OP)]
    assert band.outputs == own["variant"].nunique() == 3
    assert band.x.tolist() == list(range(1, 21))
    np.testing.assert_array_equal(band.low, own.groupby("rank")["rate"].min())
    np.testing.assert_array_equal(band.high, own.groupby("rank")["rate"].max())
    assert set(all_search_bands(searches)) == {OP, "protected-protected"}
    assert cmc_bands(searches.head(0), OP) == []


def test_searches_that_are_none_are_refused() -> None:
    searches = make_searches(3, matchers=1)
    check_searches(searches)
    with pytest.raises(InputError, match="lacks rank"):
        check_searches(searches.drop(columns="rank"))
    with pytest.raises(InputError, match="rate that is not in"):
        check_searches(searches.assign(rate=-0.1))


def test_det_puts_errors_on_log_axes_and_none_at_the_edge() -> None:
    named = {"method": "san", "variant": "op", "matcher": "arcface", "condition": OP}
    curves = pd.DataFrame({**named, "fmr": [0.001, 0.01, 0.1, 1.0], "tmr": [0.0, 0.9, 0.98, 1.0]})
    bands = roc_bands(curves, OP)
    assert lowest_miss(bands) == -2
    chart = det_chart("arcface", bands)
    assert [t.text for t in chart.frame.y_ticks] == ["1 %", "10 %", "100 %"]
    heights = places(chart.curves[0].high)[:, 1]
    shares = [1.0, 0.5, 1 - np.log10(0.02) / -2, 0.0]
    np.testing.assert_allclose(heights, [float(y_of_share(chart.frame, s)) for s in shares], atol=0.06)


def test_cmc_reaches_from_rank_one_to_the_last() -> None:
    ((matcher, bands),) = matchers(cmc_bands(make_searches(3, matchers=1), OP))
    chart = cmc_chart(matcher, bands)
    assert [t.text for t in chart.frame.x_ticks] == ["1", "2", "5", "10", "20"]
    for curve in chart.curves:
        x = places(curve.high)[:, 0]
        assert x[0] == pytest.approx(chart.frame.x_ticks[0].at, abs=0.11)
        assert x[-1] == pytest.approx(chart.frame.x_ticks[-1].at, abs=0.11)


# -- series and bars ---------------------------------------------------------------------------------


def test_outputs_that_differ_in_one_number_are_a_series() -> None:
    variants = ["n=10", "n=2", "avg-n=2", "avg-n=3", "best-n=3", "op", "w=.5;gender", "gender+age2", "xn=1b"]
    assert series(variants) == [
        Series("n", "", {2.0: "n=2", 10.0: "n=10"}),
        Series("n", "avg", {2.0: "avg-n=2", 3.0: "avg-n=3"}),
    ]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rows = make_rows(36, attackers=2, attributes=3, matchers=1)
    return rows[rows["method"].isin(["san", "flowsan", "original"])]


def test_a_section_has_auc_against_n_and_bars_of_what_should_survive(rows: pd.DataFrame) -> None:
    found = {s.method: s for s in sections(rows, None, ())}
    assert found["san"].steps == ()
    (panel,) = found["flowsan"].steps
    assert (panel.title, panel.x_title) == ("gender", "n")
    assert [t.text for t in panel.frame.x_ticks] == ["1", "2", "3", "4", "5"]
    assert [one.total for one in panel.lines] == [False, False, True]
    assert panel.chance == pytest.approx(float(y_of_share(panel.frame, 0.5)))
    pool = rows[(rows["method"] == "flowsan") & (rows["metric"] == "auc") & (rows["component"] == "pool")]
    pool = pool[pool["threat"] == "static"].sort_values("variant")
    heights = [y for _, y in panel.lines[-1].dots]
    np.testing.assert_allclose(heights, y_of_share(panel.frame, pool["value"].to_numpy()), atol=0.06)
    assert [p.title for p in found["flowsan"].kept] == ["age_group", "race"]
    (bars,) = {len(p.bars) for p in found["flowsan"].kept}
    assert bars == 5
    first = found["flowsan"].kept[0]
    assert all(b.x >= first.zero - 0.1 or b.x + b.width <= first.zero + 0.1 for b in first.bars)


def test_bars_of_few_outputs_stand_side_by_side_and_figures_without_a_value_nowhere(
    rows: pd.DataFrame,
) -> None:
    records = list(rows.fillna({"component": "", "attribute": ""}).itertuples(index=False))
    one = [r for r in records if (r.method, r.variant) == ("san", "op")]
    assert [p.title for p in kept_panels(one, lambda _: "")] == ["san:op"]
    lost = [r._replace(status="undefined") for r in one]
    assert kept_panels(lost, lambda _: "") == ()
    assert step_panels(lost, lambda _: "") == ()


# -- evidence ----------------------------------------------------------------------------------------


def test_claims_are_counted_and_tell_what_decides_them() -> None:
    seen = claims_view(make_claims(), {"san": None})
    assert seen is not None
    assert seen.says == "1 held, 1 not held, 1 cannot be told"
    ((method, lines),) = seen.grid.groups
    assert method == "san"
    told = {line.head: [str(c) for c in line.cells] for line in lines}
    assert told["san-hides"][0] == "<b>held</b>"
    assert told["san-hides"][3] == "0.120 <small>0.050 to 0.200</small>"
    assert told["san-survives"][4] == "none"
    assert {line.method for line in lines} == {"san"}
    assert {line.method for line in claims_view(make_claims(), {}).grid.groups[0][1]} == {""}
    assert claims_view(make_claims().head(0), {}) is None


def test_claims_of_several_seeds_name_theirs() -> None:
    both = pd.concat([make_claims(), make_claims().assign(seed=1)])
    seen = claims_view(both, {})
    assert seen is not None
    heads = [line.head for _, lines in seen.grid.groups for line in lines]
    assert {"san-hides, seed 0", "san-hides, seed 1"} <= set(heads)


def test_the_papers_figure_stands_beside_the_measured_one() -> None:
    grid = beside_grid(make_beside())
    assert grid is not None
    ((paper, (line,)),) = grid.groups
    assert paper == "A made-up paper 2020"
    assert line.head == "san:op"
    assert [str(c) for c in line.cells[1:3]] == ["0.875", "0.812 <small>0.750 to 0.860</small>"]
    assert beside_grid(None) is None
