"""Figures: same bytes for same data, honest text, labels that can be read."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from itertools import combinations
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from report_rows import make_curves, make_rows, make_samples, make_searches

from bench.report import curve_plots, method_plots, plots
from bench.report.curves import all_bands, all_search_bands, lowest_miss
from bench.report.page import everyone
from bench.report.style import Look, looks
from bench.report.tables import groups, leaderboard
from bench.results import to_frame

COUNT = 6
CONDITIONS = ("original-protected", "protected-protected")


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return make_rows(COUNT, attackers=3, attributes=2, matchers=2)


@pytest.fixture(scope="module")
def curves() -> pd.DataFrame:
    return make_curves(COUNT, matchers=2)


@pytest.fixture(scope="module")
def searches() -> pd.DataFrame:
    return make_searches(COUNT, matchers=2)


@pytest.fixture(scope="module")
def board(rows: pd.DataFrame) -> pd.DataFrame:
    return leaderboard(rows)


@pytest.fixture(scope="module")
def table(rows: pd.DataFrame, curves: pd.DataFrame) -> Mapping[str, Look]:
    return looks(*everyone(rows, curves))


def gender(board: pd.DataFrame) -> pd.DataFrame:
    return dict(groups(board))["gender"]


def test_every_figure_comes_as_png_and_svg_and_is_the_same_twice(
    board: pd.DataFrame,
    rows: pd.DataFrame,
    curves: pd.DataFrame,
    searches: pd.DataFrame,
    table: Mapping[str, Look],
) -> None:
    def draw() -> dict[str, bytes]:
        samples = make_samples(COUNT, size=16)
        return dict(plots.figures(board, rows, all_bands(curves), samples, table, all_search_bands(searches)))

    first = draw()
    stems = [f"{kind}_{name}" for kind in ("plane", "reduction", "kept") for name in ("gender", "race")]
    stems += [f"{kind}_{c}" for kind in ("roc", "det", "cmc") for c in CONDITIONS]
    expected = {f"{s}.{ending}" for s in stems for ending in ("png", "svg")} | {"samples.png"}
    assert set(first) == expected
    assert draw() == first
    for name, data in first.items():
        assert data.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        assert b"<dc:date>" not in data


def test_labels_in_the_plane_do_not_overlap(board: pd.DataFrame, table: Mapping[str, Look]) -> None:
    lines = gender(board)
    figure = plots.plane(lines, "gender", table)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    texts = [t for t in figure.axes[0].texts if t.get_text() != "ideal"]
    boxes = [t.get_window_extent(renderer) for t in texts]
    assert {"original", "constant"} <= {t.get_text() for t in texts}
    assert len(texts) >= 0.6 * lines["leak"].notna().sum()
    for a, b in combinations(boxes, 2):
        assert min(a.x1, b.x1) - max(a.x0, b.x0) <= 1 or min(a.y1, b.y1) - max(a.y0, b.y0) <= 1


def test_points_stand_where_the_figures_say_in_the_colour_of_their_method(
    board: pd.DataFrame, table: Mapping[str, Look]
) -> None:
    from matplotlib.collections import PathCollection
    from matplotlib.colors import to_hex

    figure = plots.plane(gender(board), "gender", table)
    found = set()
    for dots in figure.axes[0].collections:
        if isinstance(dots, PathCollection):
            colours = [to_hex(c) for c in np.asarray(dots.get_facecolor())]
            found |= {
                (*np.round(p, 6), c) for p, c in zip(np.asarray(dots.get_offsets()), colours, strict=True)
            }
    lines = gender(board).dropna(subset=["leak", "tmr"])
    figures = zip(lines["leak"], lines["tmr"], lines["method"], strict=True)
    expected = {(round(leak, 6), round(tmr, 6), table[method].colour) for leak, tmr, method in figures}
    assert found == expected


def test_bars_are_as_long_as_the_reduction_and_cut_ones_are_marked(
    board: pd.DataFrame, rows: pd.DataFrame, table: Mapping[str, Look]
) -> None:
    values = plots._reductions(rows, gender(board))
    assert set(values["component"]) == {"pool", "svm@se_resnet", "knn@se_resnet", "mlp@arcface"}
    assert "original" not in set(values["method"])
    values.loc[values.index[0], "value"] = 9.0
    figure = plots.reduction(values, "gender", table)
    bars = figure.axes[0].collections[0].get_paths()
    widths = [np.ptp(np.asarray(b.vertices)[:, 0]) for b in bars]
    np.testing.assert_allclose(widths[1:], np.abs(values["value"].clip(-0.6, 2.2))[1:], atol=1e-9)
    assert widths[0] == pytest.approx(2.2)
    arrows = [line for line in figure.axes[0].lines if line.get_marker() == ">"]
    assert [len(a.get_xdata()) for a in arrows] == [1]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stages() -> pd.DataFrame:
    rows = make_rows(36, attackers=2, attributes=2, matchers=1)
    return rows[rows["method"].isin(["san", "flowsan", "original"])]


def test_auc_is_drawn_against_the_number_in_which_outputs_differ(stages: pd.DataFrame) -> None:
    table = looks(*everyone(stages, make_curves(3, matchers=1)))
    figure = method_plots.steps(stages, gender(leaderboard(stages)), "gender", table)
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["strongest", "knn@se_resnet", "svm@se_resnet"]
    (curve,) = [line for line in figure.axes[1].lines if len(line.get_xdata()) == 5]
    chosen = (stages["method"] == "flowsan") & (stages["metric"] == "auc")
    own = stages[chosen & (stages["component"] == "knn@se_resnet") & (stages["attribute"] == "gender")]
    assert list(curve.get_xdata()) == [1, 2, 3, 4, 5]
    np.testing.assert_allclose(curve.get_ydata(), own.sort_values("variant")["value"])
    assert curve.get_color() == table["flowsan"].colour
    alone = stages[stages["method"] != "flowsan"]
    assert method_plots.steps(alone, gender(leaderboard(alone)), "gender", table) is None


def test_kept_bars_are_as_long_as_the_accuracy_lost(stages: pd.DataFrame) -> None:
    table = looks(*everyone(stages, make_curves(3, matchers=1)))
    lines = gender(leaderboard(stages))
    figure = method_plots.kept(stages, lines, "gender", table)
    assert figure is not None
    cac = stages[(stages["metric"] == "cac") & (stages["component"] == "pool") & (stages["role"] == "kept")]
    cac = cac[(cac["attribute"] == "race") & cac["method"].isin(["san", "flowsan"])]
    widths = [patch.get_width() for patch in figure.axes[0].patches]
    np.testing.assert_allclose(sorted(widths), sorted(cac["value"]))
    assert method_plots.kept(stages[stages["metric"] != "cac"], lines, "gender", table) is None


def test_det_shows_errors_on_log_axes(curves: pd.DataFrame, table: Mapping[str, Look]) -> None:
    bands = all_bands(curves)["original-protected"]
    figure = curve_plots.curve_sheet(bands, "original-protected", table, curve_plots.DET)
    assert {axes.get_yscale() for axes in figure.axes} == {"log"}
    (grey,) = [b for b in bands if b.method == "grey" and b.matcher == "arcface"]
    drawn = [np.asarray(line.get_ydata()) for line in figure.axes[0].lines]
    assert any(
        len(y) == len(grey.high) and np.allclose(y, np.maximum(1 - grey.high, 10.0 ** lowest_miss(bands)))
        for y in drawn
    )


def test_names_are_text_and_never_markup_or_mathematics() -> None:
    evil = "<script>$x_1$ ü"
    rows = make_rows(3, attackers=2, attributes=2, matchers=1)
    rows["method"] = rows["method"].replace("san", evil)
    curves = make_curves(3, matchers=1)
    curves["method"] = curves["method"].replace("san", evil)
    table = looks(*everyone(rows, curves))
    files = dict(plots.figures(leaderboard(rows), rows, all_bands(curves), None, table))
    for name, data in files.items():
        if name.endswith(".svg"):
            root = ElementTree.fromstring(data)
            assert not [e for e in root.iter() if e.tag.endswith("script")]
            assert any(evil in (e.text or "") for e in root.iter())


def test_nothing_is_drawn_from_nothing() -> None:
    empty = to_frame([])
    assert list(plots.figures(leaderboard(empty), empty, {}, None, {})) == []


def test_the_sample_grid_shows_every_variant_beside_the_original() -> None:
    figure = plots.sample_grid(make_samples(20, people=2, size=8), columns=6)
    titles = [t.get_text().replace("\n", ":") for t in figure.texts]
    names = set(make_samples(20, people=2, size=8))
    assert titles.count("original") == len(figure.axes)
    assert {t.removesuffix("…") for t in titles} >= {n for n in names if len(n.partition(":")[2]) <= 17}
    assert len(titles) == len(names) - 1 + len(figure.axes)


def test_the_report_imports_no_torch() -> None:
    code = (
        "import sys, bench.report.page, bench.report.plots, bench.report.view\n"
        "heavy = {'torch', 'sklearn', 'xgboost', 'cv2'} & set(sys.modules)\n"
        "late = {'pandas', 'seaborn', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'{heavy} {late}' if heavy or late else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
