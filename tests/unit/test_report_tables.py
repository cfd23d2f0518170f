"""Leaderboard, Pareto front, ranks and CSV files against hand-made rows and slow obvious code."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_rows import make_rows

from bench.errors import InputError
from bench.report.tables import (
    LEADERBOARD,
    METRICS,
    beaten,
    csv_text,
    groups,
    leaderboard,
    pareto_front,
    sorted_rows,
    trade_off_rank,
    write_csv,
)
from bench.results import FAILED, UNAVAILABLE, UNDEFINED, Row, to_frame

SHARE = st.floats(0, 1).map(lambda x: round(x, 2))


# -- Pareto front and ranks --------------------------------------------------------------------------


@given(st.lists(st.tuples(SHARE, SHARE), min_size=1, max_size=25))
def test_pareto_front_is_what_two_loops_find(points: list[tuple[float, float]]) -> None:
    expected = [
        not any(a <= leak and b >= tmr and (a < leak or b > tmr) for a, b in points) for leak, tmr in points
    ]
    assert pareto_front(np.array(points)).tolist() == expected


def test_pareto_front_leaves_out_missing_figures_and_keeps_equal_points() -> None:
    points = np.array([[0.2, 0.8], [0.2, 0.8], [np.nan, 1.0], [0.0, np.nan], [0.3, 0.7]])
    assert pareto_front(points).tolist() == [True, True, False, False, False]


def test_overlapping_intervals_cannot_tell_and_share_a_rank() -> None:
    leak = np.array([[0.30, 0.25, 0.35], [0.33, 0.28, 0.38], [0.60, 0.55, 0.65]])
    tmr = np.array([[0.80, 0.78, 0.82], [0.81, 0.79, 0.83], [0.80, 0.78, 0.82]])
    assert trade_off_rank(leak, tmr).tolist() == [1, 1, 3]


def test_a_trade_off_is_not_a_defeat() -> None:
    leak = np.array([[0.0, 0.0, 0.02], [0.95, 0.93, 0.97]])
    tmr = np.array([[0.0, 0.0, 0.01], [0.94, 0.92, 0.95]])
    assert trade_off_rank(leak, tmr).tolist() == [1, 1]


def test_lines_without_intervals_are_compared_by_value_and_missing_ones_have_no_rank() -> None:
    nan = np.nan
    leak = np.array([[0.2, nan, nan], [0.3, nan, nan], [nan, nan, nan]])
    tmr = np.array([[0.9, nan, nan], [0.9, nan, nan], [0.9, nan, nan]])
    np.testing.assert_array_equal(trade_off_rank(leak, tmr), [1, 2, nan])


_INTERVAL = st.tuples(SHARE, SHARE, SHARE).map(lambda t: (sorted(t)[1], sorted(t)[0], sorted(t)[2]))


@given(st.lists(st.tuples(_INTERVAL, _INTERVAL), min_size=2, max_size=12))
def test_no_two_lines_beat_each_other(pairs: list[Any]) -> None:
    wins = beaten(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
    assert not (wins & wins.T).any()


# -- leaderboard -------------------------------------------------------------------------------------

GENDER = Row(
    "san",
    "op",
    "method",
    "faces",
    "leak",
    0.41,
    attribute="gender",
    role="obfuscated",
    threat="worst",
    component_kind="attacker",
    component="pool",
    reason="strongest attacker: svm@arcface, aware",
    ci_low=0.36,
    ci_high=0.46,
    n=1741,
    n_failed=3,
)
TMR = Row(
    "san",
    "op",
    "method",
    "faces",
    "tmr",
    0.88,
    component_kind="matcher",
    component="pool",
    condition="original-protected",
    policy="reset",
    operating_point="fmr=0.01",
    ci_low=0.86,
    ci_high=0.90,
)


def san_rows() -> list[Row]:
    """Everything a leaderboard line can hold, for one variant."""
    static = replace(GENDER, threat="static", reason=None)
    kept = replace(static, metric="cac", role="kept", ci_low=None, ci_high=None)
    image = replace(TMR, condition=None, policy=None, operating_point=None, ci_low=None, ci_high=None)
    quality = replace(image, component_kind="quality", component="recipe")
    return [
        GENDER,
        replace(static, value=0.2),
        replace(static, threat="folded", value=0.21),
        replace(static, threat="aware", value=0.41),
        replace(static, metric="reduction", value=0.9, ci_low=0.8, ci_high=1.0),
        replace(static, metric="reduction", threat="aware", value=0.3),
        replace(static, metric="folded_reduction", value=0.89),
        replace(static, metric="balanced_accuracy", value=0.55),
        replace(static, metric="auc", value=0.705),
        replace(static, metric="auc", threat="aware", value=0.9),
        replace(static, metric="eer", value=0.3),
        replace(static, component="svm@arcface", value=0.99),
        TMR,
        replace(TMR, condition="protected-protected", value=0.81),
        replace(TMR, operating_point="fmr=0.001", value=0.7),
        replace(TMR, policy="fixed", value=0.95),
        replace(TMR, component="arcface", value=0.1),
        replace(image, metric="tmr_kept", value=0.93),
        replace(kept, attribute="race", value=0.02),
        replace(kept, attribute="young", value=-0.04),
        replace(kept, attribute="smiling", component="svm@arcface", value=0.5),
        replace(kept, attribute="gender", value=0.9),
        replace(quality, metric="lpips", value=0.1),
        replace(quality, metric="niqe", value=5.5),
        replace(quality, metric="ssim", value=0.9),
        replace(quality, metric="psnr", value=31.5),
        replace(image, component_kind="cost", component=None, metric="parameters", value=324248.0),
        replace(image, component_kind="cost", component=None, metric="images_per_second", value=21.0),
    ]


def line_of(rows: list[Row]) -> pd.Series:
    board = leaderboard(to_frame(rows))
    assert len(board) == 1
    return board.iloc[0]


def test_every_column_comes_from_its_own_row() -> None:
    line = line_of(san_rows())
    expected = {
        "dataset": "faces",
        "attribute": "gender",
        "label_source": "truth",
        "seed": 0,
        "method": "san",
        "variant": "op",
        "role": "method",
        "status": "ok",
        "pareto": True,
        "rank": 1,
        "leak": 0.41,
        "leak_low": 0.36,
        "leak_high": 0.46,
        "worst_by": "svm@arcface, aware",
        "leak_static": 0.2,
        "leak_folded": 0.21,
        "leak_aware": 0.41,
        "reduction": 0.9,
        "folded_reduction": 0.89,
        "reduction_low": 0.8,
        "reduction_high": 1.0,
        "balanced_accuracy": 0.55,
        "auc": 0.705,
        "eer": 0.3,
        "tmr": 0.88,
        "tmr_low": 0.86,
        "tmr_high": 0.90,
        "tmr_protected": 0.81,
        "tmr_kept": 0.93,
        "lpips": 0.1,
        "niqe": 5.5,
        "ssim": 0.9,
        "psnr": 31.5,
        "parameters": 324248,
        "images_per_second": 21.0,
        "n": 1741,
        "n_failed": 3,
    }
    assert {name: line[name] for name in expected} == expected
    assert line["kept_cac"] == pytest.approx(0.03)
    assert list(line.index) == list(LEADERBOARD)
    assert pd.isna(line["flags"])
    assert pd.isna(line["reason"])


def years(role: str, **threats: float) -> list[Row]:
    """Pooled errors of age by rung, beside what chance and the shift say."""
    base = replace(GENDER, attribute="age", role=role, unit="years", reason=None, ci_low=None, ci_high=None)
    rows = [
        replace(base, metric="mae", threat=t, value=v, ci_low=v - 1, ci_high=v + 1)
        for t, v in threats.items()
    ]
    static = replace(base, threat="static")
    return [
        *rows,
        replace(static, metric="mae_chance", value=14.0),
        replace(static, metric="mae_shift", value=6.0),
    ]


def test_lines_carry_the_error_of_age_whether_hidden_or_kept() -> None:
    hidden = line_of([*san_rows(), *years("obfuscated", static=13.0, aware=9.0, worst=9.0)])
    kept = line_of([*san_rows(), *years("kept", static=5.0)])
    names = ("mae_years", "mae_years_low", "mae_years_high", "mae_years_static")
    assert hidden[list(names)].tolist() == [9.0, 8.0, 10.0, 13.0]
    assert kept[list(names)].tolist() == [5.0, 4.0, 6.0, 5.0]
    assert (hidden["mae_years_chance"], hidden["mae_years_shift"]) == (14.0, 6.0)
    assert hidden["attribute"] == kept["attribute"] == "gender"


def test_a_number_makes_no_line_of_its_own_nor_does_a_missing_one() -> None:
    lost = replace(GENDER, attribute="age", metric="mae", value=None, status=UNDEFINED, reason="no attacker")
    for rows in (years("obfuscated", static=13.0), [lost]):
        board = leaderboard(to_frame([*san_rows(), *rows]))
        assert list(board["attribute"]) == ["gender"]
        assert list(board["status"]) == ["ok"]


def test_absent_is_missing_and_never_zero() -> None:
    line = line_of([GENDER])
    assert line["status"] == "incomplete"
    assert "missing" in line["reason"]
    absent = [n for n in LEADERBOARD if n.startswith(("tmr", "lpips", "kept", "param", "rank", "images"))]
    assert line[absent].isna().all()


def test_components_that_were_trained_against_count_nowhere() -> None:
    rows = [replace(r, seen=r.metric in ("leak", "lpips")) for r in san_rows()]
    line = line_of(rows)
    assert pd.isna(line["leak"])
    assert pd.isna(line["lpips"])
    assert line["tmr"] == 0.88


def test_recipes_are_never_mixed_the_most_used_one_is_taken() -> None:
    lpips = next(r for r in san_rows() if r.metric == "lpips")
    other = replace(lpips, component="alex", value=0.7)
    rows = [*san_rows(), other, replace(lpips, method="flow", variant="1", value=0.3)]
    board = leaderboard(to_frame([*rows, replace(GENDER, method="flow", variant="1")]))
    assert board.set_index("method")["lpips"].to_dict() == {"san": 0.1, "flow": 0.3}


def test_controls_are_listed_for_the_attributes_that_methods_hide() -> None:
    blur = replace(GENDER, method="blur", variant="default", method_role="control", value=0.2)
    rows = [GENDER, blur, replace(blur, attribute="race"), replace(GENDER, attribute="race", role="kept")]
    board = leaderboard(to_frame(rows))
    assert sorted(zip(board["method"], board["attribute"], strict=True)) == [
        ("blur", "gender"),
        ("san", "gender"),
    ]


def test_controls_alone_are_listed_for_everything_they_were_scored_on() -> None:
    blur = replace(GENDER, method="blur", variant="default", method_role="control")
    board = leaderboard(to_frame([blur, replace(blur, attribute="race")]))
    assert board["attribute"].tolist() == ["gender", "race"]


def test_the_original_stands_with_its_own_comparison_under_every_condition() -> None:
    read = replace(GENDER, method="original", variant="default", method_role="control")
    match = replace(TMR, method="original", variant="default", method_role="control")
    rows = [read, replace(match, condition="original-original", value=0.94)]
    line = line_of(rows)
    assert (line["tmr"], line["tmr_protected"]) == (0.94, 0.94)
    blur = [replace(r, method="blur") for r in rows]
    assert pd.isna(line_of(blur)["tmr"])


def test_flags_of_a_line_are_those_of_its_aggregates() -> None:
    rows = [
        replace(GENDER, flags="over_flipped"),
        replace(GENDER, component="knn@arcface", flags="weak_attacker"),
        replace(GENDER, attribute="race", flags="elsewhere"),
        replace(TMR, flags="few_pairs over_flipped"),
    ]
    board = leaderboard(to_frame(rows)).set_index("attribute")
    assert board.loc["gender", "flags"] == "few_pairs over_flipped"
    assert board.loc["race", "flags"] == "elsewhere few_pairs over_flipped"


@pytest.mark.parametrize("status", [FAILED, UNAVAILABLE, UNDEFINED])
def test_what_could_not_be_measured_keeps_a_line_with_the_reason(status: str) -> None:
    lost = replace(GENDER, method="gan", variant="a", value=None, status=status, reason="it blew up")
    board = leaderboard(to_frame([*san_rows(), lost])).set_index("method")
    assert board.loc["gan", "status"] == status
    assert board.loc["gan", "reason"] == "it blew up"
    assert board["leak"].isna()["gan"]
    assert board.loc["san", "status"] == "ok"


def test_a_method_that_failed_before_any_attribute_keeps_one_line() -> None:
    lost = Row("gan", "a", "method", "faces", "", None, status=FAILED, reason="no memory")
    board = leaderboard(to_frame([*san_rows(), lost, replace(lost, metric="tmr")]))
    gan = board[board["method"] == "gan"]
    assert len(gan) == 1
    assert pd.isna(gan.iloc[0]["attribute"])
    assert [name for name, _ in groups(board)] == ["gender"]


def test_one_lost_attacker_does_not_make_a_measured_variant_look_failed() -> None:
    lost = replace(GENDER, component="knn@arcface", value=None, status=FAILED, reason="no memory")
    line = line_of([*san_rows(), lost])
    assert (line["status"], line["leak"]) == ("ok", 0.41)


def test_a_second_value_for_one_quantity_is_refused() -> None:
    with pytest.raises(InputError, match=r"second value.*san"):
        leaderboard(to_frame([GENDER, replace(GENDER, value=0.5)]))


def test_label_sources_are_lines_of_their_own_and_rungs_columns_of_one() -> None:
    rows = [GENDER, replace(GENDER, threat="aware", value=0.9), replace(GENDER, label_source="predicted")]
    board = leaderboard(to_frame(rows))
    assert sorted(name for name, _ in groups(board)) == ["gender, predicted", "gender, truth"]
    truth = board[board["label_source"] == "truth"].iloc[0]
    assert (truth["leak"], truth["leak_aware"]) == (0.41, 0.9)


def test_where_static_attackers_cannot_read_the_papers_columns_are_those_of_aware_ones() -> None:
    aware = replace(GENDER, level="template", threat="aware", metric="auc", value=0.8, reason=None)
    board = leaderboard(to_frame([replace(GENDER, level="template"), aware]))
    assert board["auc"].tolist() == [0.8]
    assert board["leak_static"].isna().all()


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    return make_rows(8, attackers=3, attributes=4, matchers=2)


def test_order_is_front_first_then_leak(rows: pd.DataFrame) -> None:
    board = leaderboard(rows)
    assert board["attribute"].dropna().is_monotonic_increasing
    for _, group in groups(board):
        complete = group[group["leak"].notna()]
        front, rest = complete[complete["pareto"]], complete[~complete["pareto"]]
        assert complete["pareto"].is_monotonic_decreasing
        assert front["leak"].is_monotonic_increasing
        assert rest["leak"].is_monotonic_increasing
        assert group.index[-1] == complete.index[-1] or group.iloc[-1]["status"] != "ok"


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_the_rows_does_not_matter(rows: pd.DataFrame, seed: int) -> None:
    shuffled = rows.sample(frac=1, random_state=seed)
    assert csv_text(leaderboard(shuffled)) == csv_text(leaderboard(rows))
    assert csv_text(sorted_rows(shuffled), digits=None) == csv_text(sorted_rows(rows), digits=None)


def test_no_rows_give_an_empty_leaderboard() -> None:
    board = leaderboard(to_frame([]))
    assert len(board) == 0
    assert list(board.columns) == list(LEADERBOARD)


def test_the_dictionary_covers_every_metric_of_a_run(rows: pd.DataFrame) -> None:
    assert set(rows["metric"]) <= set(METRICS)
    for metric in METRICS.values():
        assert metric.what.endswith(".")
        assert metric.title
        assert metric.best


# -- CSV ---------------------------------------------------------------------------------------------


def test_cells_that_a_spreadsheet_would_run_are_defused_and_numbers_are_not() -> None:
    risky = ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "safe=1", 'é, "q"\nnew']
    table = pd.DataFrame({"text": pd.array(risky, "string"), "number": [-1.5] * len(risky)})
    back = pd.read_csv(io.StringIO(csv_text(table), newline=""), keep_default_na=False)
    assert back["text"].tolist() == [f"'{t}" if i < 6 else t for i, t in enumerate(risky)]
    assert back["number"].tolist() == [-1.5] * len(risky)


def test_csv_is_plain_and_absent_is_empty(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "a": [0.1 + 0.2, -0.0, np.nan],
            "b": pd.array([8430528, None, 0], "Int64"),
            "c": pd.array(["ü", None, ""], "string"),
            "d": [True, False, True],
        }
    )
    path = write_csv(table, tmp_path / "deep" / "t.csv")
    assert path.read_bytes() == "a,b,c,d\n0.3,8430528,ü,True\n0,,,False\n,0,,True\n".encode()
    assert csv_text(table, digits=None).splitlines()[1].startswith("0.30000000000000004,")


def test_the_leaderboard_survives_a_round_trip(rows: pd.DataFrame, tmp_path: Path) -> None:
    board = leaderboard(rows)
    back = pd.read_csv(write_csv(board, tmp_path / "leaderboard.csv"))
    assert list(back.columns) == list(LEADERBOARD)
    np.testing.assert_allclose(back["leak"], board["leak"], rtol=1e-5)
    assert back["method"].tolist() == board["method"].tolist()
