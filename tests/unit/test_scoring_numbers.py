"""Rows on numbers from made-up estimates whose figures are known beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bench.faces import AGE
from bench.ladder import AWARE, STATIC, WORST
from bench.metrics.uncertainty import identity_weights
from bench.results import OK, UNDEFINED, Row, to_frame
from bench.scoring.numbers import READS_BELOW, number_rows
from bench.scoring.privacy import WEAK, Reading
from bench.scoring.rows import Population, RowMaker

PEOPLE, IMAGES = 50, 4
IDENTITIES = np.repeat(np.arange(PEOPLE), IMAGES)
N = len(IDENTITIES)
RNG = np.random.default_rng(0)
AGES = (RNG.uniform(16, 80, PEOPLE)[IDENTITIES] + RNG.normal(0, 1, N)).astype(np.float32)
CHANCE = float(np.mean(np.abs(AGES - np.median(AGES))))
DRAW = identity_weights(IDENTITIES, 200, 1)
POPULATION = Population(IDENTITIES, DRAW)
HIDDEN = RowMaker(Row("m", "v", "method", "d", "", None, role="obfuscated", threat=STATIC), PEOPLE)
KEPT = RowMaker(Row("m", "v", "method", "d", "", None, role="kept", threat=STATIC), PEOPLE)


def off_by(spread: float, seed: int = 0, offset: float = 0.0) -> NDArray[np.float32]:
    """Estimates (N, 1) with normal errors."""
    noise = np.random.default_rng(seed).normal(offset, spread, N) if spread else np.full(N, offset)
    return (AGES + noise)[:, None].astype(np.float32)


def answer(years: float) -> NDArray[np.float32]:
    return np.full((N, 1), years, np.float32)


def table(
    rungs: dict[str, list[Reading]], make: RowMaker = HIDDEN, labels: Any = AGES, people: Any = POPULATION
) -> pd.DataFrame:
    rows = to_frame(number_rows(make, AGE, labels, rungs, people))
    assert set(rows["attribute"]) == {"age"}
    assert set(rows["component_kind"]) == {"attacker"}
    assert not rows.duplicated(["threat", "component", "metric"]).any()
    return rows.set_index(["threat", "component", "metric"])


def test_of_nothing_changed_the_error_is_that_on_the_originals():
    clean = off_by(4)
    found = table({STATIC: [Reading("a", clean, clean)]})
    error = float(np.mean(np.abs(clean[:, 0].astype(np.float64) - AGES)))
    for rung, component in ((STATIC, "a"), (STATIC, "pool"), (WORST, "pool")):
        row = found.loc[(rung, component, "mae")]
        assert row["value"] == pytest.approx(error)
        assert row["ci_low"] < error < row["ci_high"]
        assert row["unit"] == "years"
    assert found.loc[(STATIC, "a", "mae_shift"), "value"] == 0
    assert found.loc[(STATIC, "pool", "mae_shift"), "value"] == 0
    assert found.loc[(STATIC, "pool", "mae_chance"), "value"] == pytest.approx(CHANCE)
    assert f"{error:.4g} on originals" in found.loc[(STATIC, "a", "mae"), "reason"]


def test_of_one_answer_for_everybody_the_pool_is_at_chance():
    found = table({STATIC: [Reading("a", answer(90), off_by(4)), Reading("b", answer(10), off_by(5))]})
    for rung in (STATIC, WORST):
        row = found.loc[(rung, "pool", "mae")]
        assert row["value"] == pytest.approx(CHANCE)
        assert row["reason"].startswith("strongest attacker: the constant guess")
    own = found.loc[(STATIC, "a", "mae"), "value"]
    assert own == pytest.approx(np.mean(np.abs(90 - AGES.astype(float))))
    assert own > CHANCE
    assert found.loc[(STATIC, "a", "error_bias"), "value"] == pytest.approx(90 - AGES.mean(), rel=1e-4)
    assert found.loc[(STATIC, "a", "error_spread"), "value"] == pytest.approx(AGES.std(), rel=1e-4)


def test_an_offset_shows_in_the_bias_and_not_in_the_spread():
    found = table({STATIC: [Reading("a", off_by(3, offset=12), off_by(3))]})
    assert found.loc[(STATIC, "a", "error_bias"), "value"] == pytest.approx(12, abs=0.1)
    assert found.loc[(STATIC, "a", "error_spread"), "value"] == pytest.approx(3, abs=0.4)
    assert found.loc[(STATIC, "a", "mae_shift"), "value"] == pytest.approx(12, abs=0.01)


def test_more_error_is_better_where_age_should_be_hidden_and_worse_where_it_should_survive():
    said = {STATIC: [Reading("a", off_by(8), off_by(4))]}
    hidden, kept = table(said), table(said, KEPT)
    for metric in ("mae", "mae_shift"):
        for component in ("a", "pool"):
            assert hidden.loc[(STATIC, component, metric), "higher_is"] == "better"
            assert kept.loc[(STATIC, component, metric), "higher_is"] == "worse"
    assert WORST in hidden.index.get_level_values("threat")
    assert WORST not in kept.index.get_level_values("threat")


def test_an_attacker_no_better_than_the_constant_guess_is_flagged_and_counts_in_no_pool():
    rng = np.random.default_rng(5)
    blind = (np.median(AGES) + rng.normal(0, 3, N))[:, None].astype(np.float32)
    sharp, blurred = off_by(3), off_by(6, seed=7)
    found = table({STATIC: [Reading("blind", sharp, blind), Reading("sees", blurred, sharp)]})
    assert found.loc[(STATIC, "blind", "mae"), "flags"] == WEAK
    assert found.loc[(STATIC, "blind", "mae_shift"), "flags"] == WEAK
    assert found.loc[(STATIC, "sees", "mae"), "flags"] == ""
    pool = found.loc[(STATIC, "pool", "mae")]
    assert pool["value"] == found.loc[(STATIC, "sees", "mae"), "value"]
    assert pool["reason"] == "strongest attacker: sees"
    assert (
        found.loc[(STATIC, "pool", "mae_shift"), "value"] == found.loc[(STATIC, "sees", "mae_shift"), "value"]
    )


@pytest.mark.parametrize(("share", "able"), [(READS_BELOW - 0.01, True), (READS_BELOW + 0.01, False)])
def test_the_margin_is_a_share_of_the_constant_guess(share: float, able: bool):
    exact = (AGES + share * CHANCE)[:, None].astype(np.float32)  # off by that on every face
    found = table({STATIC: [Reading("a", exact, exact)]})
    assert (found.loc[(STATIC, "a", "mae"), "flags"] == "") == able


def test_without_an_able_attacker_the_pool_is_undefined_with_the_reason():
    blind = answer(40)
    found = table({STATIC: [Reading("blind", blind, blind)]})
    row = found.loc[(STATIC, "pool", "mae")]
    assert row["status"] == UNDEFINED
    assert pd.isna(row["value"])
    assert "no attacker reads age off the originals" in row["reason"]


def test_the_pool_is_the_least_error_with_the_minimum_inside_each_resample():
    first, second = off_by(5, seed=1), off_by(5.2, seed=2)
    make = replace(HIDDEN, resampled={})
    found = table({STATIC: [Reading("a", first, first), Reading("b", second, second)]}, make)
    one, other = (found.loc[(STATIC, c, "mae"), "value"] for c in "ab")
    assert found.loc[(STATIC, "pool", "mae"), "value"] == min(one, other)
    sums = {
        name: np.bincount(IDENTITIES, weights=np.abs(said[:, 0].astype(float) - AGES))
        for name, said in (("a", first), ("b", second))
    }
    expected = [
        min(float(w @ sums[name]) / (IMAGES * w.sum()) for name in sums) for w in DRAW.weights.astype(float)
    ]
    (drawn,) = [v for k, v in make.resampled.items() if "|mae|" in k and f"|{STATIC}|" in k]
    assert drawn == pytest.approx(expected)
    assert len({np.argmin([w @ sums["a"], w @ sums["b"]]) for w in DRAW.weights}) == 2  # the winner changes


def test_over_the_rungs_whoever_relearned_counts_and_is_named():
    said = {
        STATIC: [Reading("a", off_by(30, seed=3), off_by(4))],
        AWARE: [Reading("a", off_by(6, seed=4), off_by(4))],
    }
    found = table(said)
    assert found.loc[(STATIC, "pool", "mae"), "value"] == pytest.approx(CHANCE)
    assert found.loc[(WORST, "pool", "mae"), "value"] == found.loc[(AWARE, "a", "mae"), "value"] < CHANCE
    assert found.loc[(WORST, "pool", "mae"), "reason"] == "strongest attacker: a, aware"
    assert not any(threat == AWARE and metric == "mae_shift" for threat, _, metric in found.index)


def test_failed_faces_are_counted_and_unlabelled_ones_left_out():
    labels = AGES.copy()
    labels[:10] = np.nan
    protected = off_by(4)
    protected[5:25] = np.nan  # five of them without a label
    found = table({STATIC: [Reading("a", protected, off_by(4))]}, labels=labels)
    truth, shift = found.loc[(STATIC, "a", "mae")], found.loc[(STATIC, "a", "mae_shift")]
    assert (truth["n"], truth["n_failed"]) == (N - 25, 15)
    assert (shift["n"], shift["n_failed"]) == (N - 20, 20)
    assert found.loc[(STATIC, "pool", "mae"), "n"] == N - 25
    assert found.loc[(STATIC, "pool", "mae_chance"), "n"] == N - 10


def test_an_attacker_that_failed_everywhere_costs_the_others_nothing():
    gone = np.full((N, 1), np.nan, np.float32)
    found = table({STATIC: [Reading("gone", gone, off_by(4)), Reading("a", off_by(5), off_by(4))]})
    assert found.loc[(STATIC, "gone", "mae"), "status"] == UNDEFINED
    assert f"{N} failures" in found.loc[(STATIC, "gone", "mae"), "reason"]
    assert found.loc[(STATIC, "pool", "mae"), "status"] == OK


def test_without_known_ages_answers_are_held_against_those_on_the_originals():
    first, second = off_by(4), off_by(9, seed=3)
    said = [Reading("a", first + 3, first), Reading("b", second - 5, second)]
    found = table({STATIC: said}, labels=None)
    assert {metric for _, _, metric in found.index} == {"mae_shift"}
    assert found.loc[(STATIC, "a", "mae_shift"), "value"] == pytest.approx(3, abs=1e-4)
    assert found.loc[(STATIC, "pool", "mae_shift"), "value"] == pytest.approx(4, abs=1e-4)
    middle = np.median(first)
    reach = np.mean(np.abs(first - middle))
    assert f"{reach:.4g}" in found.loc[(STATIC, "a", "mae_shift"), "reason"]


def test_a_number_that_nobody_estimates_is_said_to_be_so():
    found = table({STATIC: []})
    assert found.loc[(STATIC, "pool", "mae"), "reason"] == "no attacker of this run estimates age"
    assert list(table({STATIC: []}, labels=None).index) == [(STATIC, "pool", "mae_shift")]


def test_a_dataset_whose_test_faces_have_no_known_number_has_no_error():
    found = table({STATIC: [Reading("a", off_by(4), off_by(4))]}, labels=np.full(N, np.nan, np.float32))
    assert found.loc[(STATIC, "pool", "mae"), "status"] == UNDEFINED
