"""Two runs, or two outputs of one, side by side."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest
from published_runs import note, small_rows
from typer.testing import CliRunner

from bench.cli import app
from bench.compare import compare_outputs, compare_runs
from bench.errors import InputError, UsageError
from bench.metrics.uncertainty import paired_difference
from bench.report.contrast import Found, unpaired_difference
from bench.report.draws import DRAWS, read_draws
from bench.report.tables import leaderboard


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return other(tmp_path_factory.mktemp("first"))


def other(tmp_path, rows=None, **changes):
    """A run, of which only what `compare` reads is written."""
    rows = small_rows() if rows is None else rows
    rows.to_parquet(tmp_path / "rows.parquet", index=False)
    note(tmp_path, rows, **changes)
    return tmp_path


def changed_rows():
    """Rows in which one method leaks less and another one matches worse."""
    rows = small_rows()
    pooled = (rows["method"] == "san") & (rows["component"] == "pool")
    for metric, shift in (("leak", -0.1), ("tmr", -0.2)):
        rows.loc[pooled & (rows["metric"] == metric), ["value", "ci_low", "ci_high"]] += shift
    return rows


def line(table, first, figure, attribute=""):
    found = table[(table["first"] == first) & (table["figure"] == figure) & (table["attribute"] == attribute)]
    assert len(found) == 1
    return found.iloc[0]


def test_a_run_differs_from_itself_by_exactly_nothing(run):
    found = compare_runs(run, run)
    assert len(found.table) > 50
    assert (found.table[["difference", "low", "high"]] == 0).all(axis=None)
    assert set(found.table["verdict"]) == {"equal"}
    assert set(found.table["how"]) == {"paired"}
    assert found.changes == ()
    assert found.notes == ()


def test_values_are_those_of_the_leaderboard_and_intervals_those_of_paired_resamples(run, tmp_path):
    second = other(tmp_path, changed_rows())
    table = compare_runs(run, second).table
    boards = [leaderboard(pd.read_parquet(folder / "rows.parquet")) for folder in (run, second)]
    checked = 0
    for row in table.to_dict("records"):
        method, _, variant = row["first"].partition(":")
        for board, side in zip(boards, ("value_first", "value_second"), strict=True):
            same = (board["method"] == method) & (board["variant"] == (variant or "default"))
            if row["attribute"]:
                same &= board["attribute"] == row["attribute"]
            if same.any():
                shown = board.loc[same, row["figure"]].astype(float).unique()
                assert shown == pytest.approx([row[side]])
                checked += 1
    assert checked > 100
    leak = line(table, "san:sm", "leak", "gender")
    assert leak["difference"] == pytest.approx(0.1)
    assert leak["verdict"] == "higher"
    key = next(k for k in read_draws(run / DRAWS) if k[:2] == ("san", "sm") and k.threat == "worst")
    drawn = [read_draws(folder / DRAWS)[key] for folder in (run, second)]
    ends = paired_difference(*drawn)
    assert (leak["low"], leak["high"]) == (ends.low, ends.high)
    assert line(table, "blur", "leak", "gender")["verdict"] == "equal"


def test_swapped_sides_flip_every_sign(run, tmp_path):
    second = other(tmp_path, changed_rows())
    there, back = compare_runs(run, second).table, compare_runs(second, run).table
    assert (there["difference"].abs() > 0.05).any()
    assert np.array_equal(there["difference"], -back["difference"])
    assert np.allclose(there["low"], -back["high"], atol=1e-12)
    assert np.allclose(there["high"], -back["low"], atol=1e-12)
    swapped = {"higher": "lower", "lower": "higher"}
    assert there["verdict"].replace(swapped).tolist() == back["verdict"].tolist()


def test_what_changed_in_configuration_code_weights_data_and_machine_is_named(run, tmp_path):
    second = other(
        tmp_path,
        config={"options": {"knn": {"neighbours": 5}}},
        components={
            "attacker": {"knn": {"settings": {"neighbours": 5}}},
            "matcher": {"arcface": {"settings": {}, "pretrained": "f" * 64}},
        },
        code={"components": {"method": {"san": "0123"}}},
        data={"made-up faces": {"test": "aaaa", "attack": "cccc"}},
    )
    found = {(c.part, c.what): (c.first, c.second) for c in compare_runs(run, second).changes}
    assert found == {
        ("configuration", "options.knn.neighbours"): ("", "5"),
        ("configuration", "attacker knn.neighbours"): ("15", "5"),
        ("code", "components.method.san"): ("", "0123"),
        ("weights", "matcher arcface.pretrained"): ("", "f" * 16),
        ("data", "made-up faces.attack"): ("bbbb", "cccc"),
    }


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"data": {"made-up faces": {"test": "zzzz"}}}, "test faces differ"),
        ({"draw": {"seed": 1}}, "another seed"),
        ({"draw": {"resamples": 200}}, "another number"),
    ],
)
def test_runs_on_other_people_or_draws_are_compared_unpaired_and_that_is_said(run, tmp_path, changes, reason):
    found = compare_runs(run, other(tmp_path, changed_rows(), **changes))
    assert reason in found.notes[0]
    assert "paired" not in set(found.table["how"])
    leak = line(found.table, "san:sm", "leak", "gender")
    assert leak["how"] == "unpaired"
    assert leak["high"] - leak["low"] > 0.05


def test_runs_of_one_seed_each_are_held_against_each_other_whatever_their_seeds(run, tmp_path):
    second = other(tmp_path, changed_rows().assign(seed=1), draw={"seed": 1})
    table = compare_runs(run, second).table
    assert set(table["seed"]) == {"0 / 1"}
    assert line(table, "san:sm", "leak", "gender")["difference"] == pytest.approx(0.1)


def test_without_resamples_the_interval_is_unpaired(run, tmp_path):
    second = other(tmp_path, changed_rows())
    (second / DRAWS).unlink()
    found = compare_runs(run, second)
    assert "keeps no resamples" in found.notes[0]
    assert set(found.table["how"]) == {"unpaired", ""}


def test_unpaired_intervals_are_those_of_two_independent_figures():
    # Of two normal figures the interval of the difference has the root of the summed squares as its half.
    first = Found(0.5, 0.5 - 0.3, 0.5 + 0.3, None, "", 10)
    second = Found(0.2, 0.2 - 0.4, 0.2 + 0.4, None, "", 10)
    ends = unpaired_difference(first, second)
    assert (ends.low, ends.high) == pytest.approx((0.3 - 0.5, 0.3 + 0.5))
    # A lopsided one leans as it should: what the first may lack and the second have in excess lowers it.
    lopsided = unpaired_difference(first._replace(low=0.5), second._replace(high=0.2))
    assert lopsided.low == pytest.approx(0.3)


def test_different_datasets_are_refused_with_the_reason(run, tmp_path):
    with pytest.raises(UsageError, match=r"is on made-up faces and .* on celeba: figures of different"):
        compare_runs(run, other(tmp_path, dataset="celeba"))


def test_metrics_of_other_recipes_are_not_compared_and_say_why(run, tmp_path):
    rows = changed_rows()
    rows["component"] = rows["component"].replace({"lpips_squeeze": "lpips_other"})
    second = other(
        tmp_path, rows, attackers=["svm@se_resnet"], matchers=["arcface"], config={"quality_images": 5}
    )
    table = compare_runs(run, second).table
    for figure, attribute, reason in (
        ("leak", "gender", "attackers differ: only the first has knn@se_resnet"),
        ("reduction", "gender", "attackers differ"),
        ("tmr", "", "matchers differ: only the first has se_resnet"),
        ("lpips", "", "different recipes: lpips_squeeze and lpips_other"),
    ):
        found = line(table, "san:sm", figure, attribute)
        assert found["verdict"] == "not compared"
        assert reason in found["note"]
        assert np.isnan(found["difference"])
        assert np.isfinite(found["value_first"])
    assert line(table, "san:sm", "ssim")["verdict"] == "equal"


def test_where_the_ladders_differ_the_worst_is_taken_over_the_rungs_of_both(run, tmp_path):
    second = other(tmp_path, changed_rows(), rungs=["static", "aware"])
    found = line(compare_runs(run, second).table, "san:sm", "leak", "gender")
    assert found["note"] == "worst of static: rungs differ: only the second has aware"
    assert found["difference"] == pytest.approx(0.1)


def test_two_outputs_of_a_run_are_compared_as_in_its_own_table(run):
    found = compare_outputs(run, "san:sm", "blur")
    assert found.changes == ()
    assert set(found.table["how"]) == {"paired"}
    board = leaderboard(small_rows()).set_index(["method", "variant", "attribute"])
    gap = board.loc[("san", "sm", "gender"), "leak"] - board.loc[("blur", "default", "gender"), "leak"]
    assert line(found.table, "san:sm", "leak", "gender")["difference"] == pytest.approx(gap)
    swapped = compare_outputs(run, "blur", "san:sm").table
    assert np.array_equal(found.table["difference"], -swapped["difference"])
    with pytest.raises(UsageError, match="san has several outputs: write one of san:nt, san:sm"):
        compare_outputs(run, "san", "blur")
    with pytest.raises(UsageError, match="unknown output 'blurr'; did you mean blur"):
        compare_outputs(run, "blurr", "san:sm")


def test_whoever_a_method_was_trained_against_is_named(tmp_path):
    rows = small_rows()
    against = (rows["variant"] == "sm") & (rows["component"] == "arcface")
    found = compare_outputs(other(tmp_path, rows.assign(seen=against)), "san:sm", "blur")
    assert found.notes == ("san:sm was trained against arcface: the figures of the other count it too",)


def test_folders_that_are_no_reports_are_refused(run, tmp_path):
    with pytest.raises(InputError, match=r"run.json is missing.*no report of a run"):
        compare_runs(run, tmp_path)
    second = other(tmp_path, schema=1)
    with pytest.raises(InputError, match="have schema 1, this version reads"):
        compare_runs(run, second)
    (second / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match="is no JSON"):
        compare_runs(run, second)


def test_outputs_that_only_one_run_has_are_named(run, tmp_path):
    rows = small_rows()
    found = compare_runs(run, other(tmp_path, rows[rows["method"] != "san"].reset_index(drop=True)))
    assert found.notes == ("only in the first: san:nt, san:sm",)


def test_the_command_prints_a_table_and_writes_csv_and_markdown(run, tmp_path):
    (tmp_path / "b").mkdir()
    second = other(tmp_path / "b", changed_rows(), config={"preset": "paper"})
    done = CliRunner().invoke(app, ["compare", str(run), str(second), "--out", str(tmp_path / "d.csv")])
    assert done.exit_code == 0, done.output
    assert "configuration  preset  quick  paper" in done.output
    assert "figures differ beyond doubt" in done.output
    assert "san:sm: gender" in done.output
    text = (tmp_path / "d.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == len(pd.read_csv(tmp_path / "d.csv")) > 50
    assert {r["verdict"] for r in rows} >= {"higher", "equal"}
    done = CliRunner().invoke(
        app, ["compare", "san:sm", "blur", "--run", str(run), "--out", str(tmp_path / "d.md")]
    )
    assert done.exit_code == 0, done.output
    assert "san:sm against blur: gender" in done.output
    assert "| leak | " in (tmp_path / "d.md").read_text(encoding="utf-8")
    assert CliRunner().invoke(app, ["compare", "a", "b", "--out", "x.html"]).exit_code != 0


def test_resamples_survive_their_file_and_damage_is_named(run, tmp_path):
    drawn = read_draws(run / DRAWS)
    assert {k.metric for k in drawn} >= {"leak", "tmr", "cac", "lpips"}
    assert {k.operating_point for k in drawn if k.metric == "tmr"} == {"fmr=0.01"}
    assert all(figures.shape == (300,) for figures in drawn.values())
    (tmp_path / DRAWS).write_bytes(b"PAR1 no")
    with pytest.raises(InputError, match="holds no resamples"):
        read_draws(tmp_path / DRAWS)
    assert json.loads((run / "run.json").read_text(encoding="utf-8"))["draw"] == {"seed": 0, "resamples": 300}
