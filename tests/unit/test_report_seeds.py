"""The spread over seeds, from leaderboard lines."""

import pandas as pd
import pytest

from bench.report.seeds import COLUMNS, seed_table


def board(*leaks: float) -> pd.DataFrame:
    shared = {
        "dataset": "d", "level": "image", "attribute": "gender", "label_source": "truth",
        "method": "san", "variant": "op", "leak_static": 0.5, "leak_aware": float("nan"),
        "reduction": 0.9, "tmr": 0.8, "tmr_kept": 0.9,
    }  # fmt: skip
    return pd.DataFrame([{**shared, "seed": n, "leak": leak} for n, leak in enumerate(leaks)])


def test_mean_and_spread_over_seeds_by_hand() -> None:
    table = seed_table(board(0.1, 0.2, 0.3))
    assert tuple(table.columns) == COLUMNS
    leak = table[table["figure"] == "leak"].iloc[0]
    assert (leak["seeds"], leak["mean"], leak["sd"]) == (3, pytest.approx(0.2), pytest.approx(0.1))
    half = 4.302653 * 0.1 / 3**0.5
    assert (leak["low"], leak["high"]) == (pytest.approx(0.2 - half), pytest.approx(0.2 + half))
    constant = table[table["figure"] == "tmr"].iloc[0]
    assert constant["sd"] == pytest.approx(0, abs=1e-12)


def test_what_fewer_than_two_seeds_have_is_left_out() -> None:
    assert set(seed_table(board(0.1, 0.2))["figure"]) == {
        "leak",
        "leak_static",
        "reduction",
        "tmr",
        "tmr_kept",
    }
    assert seed_table(board(0.1)).empty
