"""A metric that is a plug-in: planned, measured, scored, a column of the table and of the page by itself."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from report_rows import make_provenance, make_rows
from test_quality_stage import NOISY, ORIGINALS, PEOPLE, Bench

from bench import discover
from bench.config import load_config
from bench.errors import ContractError, UsageError
from bench.metrics.uncertainty import identity_weights
from bench.planning.build import build
from bench.report.page import render_page
from bench.report.style import looks
from bench.report.tables import LEADERBOARD, leaderboard
from bench.results import Row, to_frame
from bench.scoring.quality import quality_rows
from bench.scoring.rows import Population, RowMaker
from bench.stages import metric

CHANGE = """
import numpy as np
from bench.api import Metric

class Change(Metric):
    title = "Change <b>"
    what = "Mean absolute change of a pixel."
    unit = "levels"
    higher_is = "worse"
    most = 12
    options = {"scale": 1.0}

    def _measure(self, originals, protected, ctx):
        change = self.settings["scale"] * np.abs(originals.astype(float) - protected).mean(axis=(1, 2, 3))
        return np.where(protected.max(axis=(1, 2, 3)) == 0, np.nan, change)
"""


@pytest.fixture
def plugin(tmp_path, monkeypatch, no_weights):
    """Writes a metric called `name` where plug-ins are looked for."""
    package = tmp_path / "added_metrics"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(discover.PACKAGES, "metric", package.name)

    def write(name="change", text=CHANGE):
        (package / f"{name}.py").write_text(text)
        discover.components.cache_clear()

    discover.components.cache_clear()
    yield write
    discover.components.cache_clear()
    for name in [m for m in sys.modules if m.startswith("added_metrics")]:
        del sys.modules[name]


def plan(**options):
    usual = {"methods": ("blur",), "attackers": ("svm",), "matchers": ("se_resnet",), "threats": ("aware",)}
    return build(load_config(None, usual | options))


def test_it_is_planned_for_every_output_and_moves_no_other_cell(plugin):
    before = plan().cells
    plugin()
    after = plan(options={"change": {"scale": 2.0}}).cells
    assert {c.stage for k, c in before.items() if k not in after} == {"score"}
    added = [c for k, c in after.items() if k not in before and c.stage != "score"]
    assert [(c.stage, c.title) for c in added] == [
        ("metric", "original quality change"),
        ("metric", "blur quality change"),
    ]
    assert (added[0].params["settings"], added[0].params["images"]) == ({"scale": 2.0}, 12)
    # A metric that fails takes no other figure with it.
    scores = [c for c in after.values() if c.stage == "score"]
    assert all("metric:change" in c.tolerated for c in scores)
    assert not [c for c in plan(quality_images=0).cells.values() if c.stage == "metric"]


def test_a_name_that_is_taken_and_an_option_that_is_not_there_are_refused(plugin):
    plugin("tmr")
    with pytest.raises(UsageError, match="a metric cannot be called tmr"):
        plan()


def test_an_unknown_option_is_refused(plugin):
    plugin()
    with pytest.raises(UsageError, match="unknown option of change 'scal'; did you mean scale"):
        plan(options={"change": {"scal": 1.0}})


def _artefact(tmp_path, images, failed=(), **settings):
    bench = Bench(tmp_path / "store", tmp_path)
    protected = bench.protected("noisy", images, failed)
    params = {"metric": "change", "settings": {"scale": 1.0} | settings, "images": 20}
    inputs = {"faces": bench.faces, "images": protected, "originals": bench.originals}
    return bench.run(metric, params, inputs)


def _rows(artefact):
    people = Population(PEOPLE, identity_weights(PEOPLE, 100, 0))
    template = Row(method="m", variant="", method_role="method", dataset="d", metric="", value=None)
    return quality_rows(RowMaker(template, people=len(set(PEOPLE))), artefact.arrays, artefact.facts, people)


def test_its_mean_has_an_interval_a_recipe_a_unit_and_a_direction(plugin, tmp_path):
    plugin()
    artefact = _artefact(tmp_path, NOISY, scale=0.5)
    (row,) = _rows(artefact)
    chosen = artefact.arrays["rows:change"]
    wanted = 0.5 * np.abs(ORIGINALS[chosen].astype(float) - NOISY[chosen]).mean()
    assert row.value == pytest.approx(wanted, rel=1e-6)
    assert row.ci_low < row.value < row.ci_high
    assert (row.component_kind, row.component) == ("quality", "change:size=64x64,scale=0.5")
    assert (row.unit, row.higher_is, row.n, row.n_failed) == ("levels", "worse", 20, 0)


def test_faces_that_failed_and_images_without_a_value_are_counted(plugin, tmp_path):
    plugin()
    images = NOISY.copy()
    images[[0, -1]] = 0
    (row,) = _rows(_artefact(tmp_path, images, failed=(0,)))
    assert (row.n, row.n_failed) == (18, 2)
    assert row.reason == "1 of 19 images have no change"


def test_what_the_contract_forbids_stops_the_cell(plugin, tmp_path):
    plugin(text=CHANGE.replace("return np.where", "return 1 / 0.0 if False else np.inf + np.where"))
    with pytest.raises(ContractError, match="_measure of change is infinite for an image that differs"):
        _artefact(tmp_path, NOISY)


def _with_metric(rows):
    """Rows of a report, with one more figure of every output."""
    psnr = rows[rows["metric"] == "psnr"]
    assert len(psnr)
    added = psnr.assign(metric="change", component="change:size=64x64", unit="levels", value=3.25)
    missing = Row("", "", "", "d", "", None, component_kind="quality", component="niqe", status="unavailable")
    both = [*rows.to_dict("records"), *added.to_dict("records"), replace(missing)]
    return to_frame(both)


def test_it_is_a_column_behind_the_built_in_ones(plugin):
    plugin()
    board = leaderboard(_with_metric(make_rows(2)))
    place = list(LEADERBOARD).index("psnr") + 1
    assert list(board.columns) == [*list(LEADERBOARD)[:place], "change", *list(LEADERBOARD)[place:]]
    assert set(board["change"].dropna()) == {3.25}
    assert list(leaderboard(make_rows(2)).columns) == list(LEADERBOARD)


@pytest.mark.parametrize("installed", [True, False])
def test_the_page_says_what_it_is(plugin, installed):
    if installed:
        plugin()
    rows = _with_metric(make_rows(2))
    tones = looks(set(rows["method"]) - {"original", ""}, {"original"})
    page = render_page(leaderboard(rows), rows, {}, None, make_provenance(), tones)
    assert ("Change &lt;b&gt; (levels)" in page) == installed
    assert ("Mean absolute change of a pixel." in page) == installed
    assert ("A metric of image quality that is not installed here." in page) == (not installed)
    assert "Change <b>" not in page
