"""The attackers' ladder, from made-up scores to rows."""

from dataclasses import replace

import numpy as np
import pytest

from bench.faces import GENDER
from bench.ladder import ADAPTIVE, RUNGS, STATIC, WORST
from bench.metrics.uncertainty import identity_weights
from bench.report.tables import FLAGS
from bench.results import Row, to_frame
from bench.scoring.ladder import ADAPTIVE_GAP, ladder_rows
from bench.scoring.privacy import WEAK, Reading
from bench.scoring.rows import Population, RowMaker, sample_key, sample_name

PEOPLE, IMAGES = 60, 4
IDENTITIES = np.repeat(np.arange(PEOPLE), IMAGES)
LABELS = (IDENTITIES % 2).astype(np.float32)
TEMPLATE = Row("m", "v", "method", "d", "", None, attribute="gender", component_kind="attacker")
SURE, GUESS, FLIPPED = 4.0, 0.0, -4.0


@pytest.fixture(scope="module")
def people():
    return Population(IDENTITIES, identity_weights(IDENTITIES, 200, 1))


def reading(name, strength, seed=0, original=SURE):
    def scores(mean, at):
        odds = mean * (2 * LABELS - 1) + np.random.default_rng(at).standard_normal(len(LABELS))
        return np.stack([-odds / 2, odds / 2], axis=1).astype(np.float32)

    return Reading(name, scores(strength, seed), scores(original, 99))


def ladder(rungs, people):
    make = RowMaker(TEMPLATE, PEOPLE)
    rows = ladder_rows(make, GENDER, LABELS, rungs, people)
    return to_frame(rows).set_index(["threat", "component", "metric"]).sort_index(), make, rows


def test_the_worst_is_the_largest_leak_of_any_rung_and_says_whose(people):
    rungs = {
        STATIC: [reading("svm", GUESS, 1), reading("knn", GUESS, 2)],
        "aware": [reading("svm", 1.0, 3), reading("knn", SURE, 4)],
        "score": [reading("neighbours", GUESS, 5)],
    }
    table, _, _ = ladder(rungs, people)
    worst = table.loc[(WORST, "pool", "leak")]
    assert worst["value"] == table.loc[("aware", "knn", "leak"), "value"]
    assert worst["reason"] == "strongest attacker: knn, aware"
    assert worst["flags"] == ADAPTIVE_GAP
    assert worst["ci_low"] > 0.9
    assert table.loc[(STATIC, "pool", "leak"), "value"] < 0.4


def test_the_maximum_is_taken_inside_each_resample(people):
    rungs = {STATIC: [reading("svm", 0.3, 1)], "aware": [reading("svm", 0.3, 2)]}
    _, make, rows = ladder(rungs, people)
    leaks = {r.threat: r for r in rows if r.metric == "leak" and r.component == "pool"}
    drawn = {threat: make.resampled[sample_name(row)] for threat, row in leaks.items()}
    np.testing.assert_array_equal(drawn[WORST], np.maximum(drawn[STATIC], drawn["aware"]))
    assert (drawn[WORST] > drawn[STATIC]).any()
    assert (drawn[WORST] > drawn["aware"]).any()


def test_an_attacker_who_learned_on_protected_faces_counts_though_it_cannot_read_originals(people):
    blind = {"original": GUESS}
    static = {STATIC: [reading("svm", GUESS, 1), reading("xgboost", SURE, 2, **blind)]}
    alone, _, _ = ladder(static, people)
    assert alone.loc[(WORST, "pool", "leak"), "reason"] == "strongest attacker: svm, static"
    both, _, _ = ladder({**static, "aware": [reading("xgboost", SURE, 3, **blind)]}, people)
    assert both.loc[(WORST, "pool", "leak"), "reason"] == "strongest attacker: xgboost, aware"
    assert ("aware", "pool", "reduction") not in both.index
    assert both.loc[(STATIC, "xgboost", "leak"), "flags"] == WEAK
    assert both.loc[("aware", "xgboost", "leak"), "flags"] == ""


def test_nothing_to_read_leaves_0_in_every_interval(people):
    rungs = {rung: [reading(f"a{i}", GUESS, 10 * n + i) for i in range(4)] for n, rung in enumerate(RUNGS)}
    table, _, _ = ladder(rungs, people)
    for rung in (*RUNGS, WORST):
        assert table.loc[(rung, "pool", "leak"), "ci_low"] == 0, rung
    assert table.loc[(WORST, "pool", "leak"), "flags"] == ""


def test_constant_scores_leak_exactly_nothing(people):
    same = np.zeros((len(LABELS), 2), np.float32)
    original = reading("svm", SURE).original
    table, _, _ = ladder({rung: [Reading("svm", same, original)] for rung in RUNGS}, people)
    leaks = table.xs("leak", level="metric")
    assert (leaks["value"] == 0).all()
    assert (leaks["ci_high"] == 0).all()


def test_a_flip_leaks_as_much_as_no_change_and_has_no_gap(people):
    rungs = {STATIC: [reading("svm", FLIPPED, 1)], "folded": [reading("svm", SURE, 2)]}
    table, _, _ = ladder(rungs, people)
    assert table.loc[(STATIC, "pool", "reduction"), "value"] > 1.9
    assert table.loc[("folded", "pool", "reduction"), "value"] < 0.1
    assert table.loc[(STATIC, "pool", "folded_reduction"), "value"] < 0.1
    assert table.loc[(WORST, "pool", "leak"), "value"] > 0.99
    assert table.loc[(WORST, "pool", "leak"), "flags"] == ""


def test_every_pooled_figure_keeps_its_resamples_under_its_own_name(people):
    _, make, rows = ladder({STATIC: [reading("svm", GUESS, 1)], "aware": [reading("svm", SURE, 2)]}, people)
    pooled = [r for r in rows if r.component == "pool"]
    assert {sample_name(r) for r in pooled} == set(make.resampled)
    assert len({sample_key(r) for r in pooled}) == len(pooled)
    assert all(values.shape == (200,) for values in make.resampled.values())


def test_a_rung_that_lost_too_many_faces_is_undefined_and_the_rest_stands(people):
    lost = reading("svm", SURE, 1)
    lost = replace(lost, protected=np.full_like(lost.protected, np.nan))
    table, _, _ = ladder({STATIC: [reading("svm", GUESS, 2)], "aware": [lost]}, people)
    assert table.loc[("aware", "pool", "leak"), "status"] == "undefined"
    assert "fewer than two classes" in table.loc[("aware", "pool", "leak"), "reason"]
    assert table.loc[(WORST, "pool", "leak"), "status"] == "ok"


def test_faces_that_were_not_attacked_are_no_failures(people):
    some = np.arange(len(LABELS)) % IMAGES < 2
    partly = replace(reading("svm", GUESS, 1), attacked=some)
    partly.protected[~some] = np.nan
    table, _, _ = ladder({STATIC: [reading("svm", GUESS, 2)], "recovery": [partly]}, people)
    row = table.loc[("recovery", "svm", "leak")]
    assert (row["n"], row["n_failed"]) == (int(some.sum()), 0)


def test_the_documented_page_names_every_rung_and_flag(request):
    page = (request.config.rootpath / "docs" / "threats.md").read_text(encoding="utf-8")
    assert all(f"| `{rung}` (A{number})" in page for number, rung in enumerate(RUNGS))
    assert all(f"| `{flag}` |" in page for flag in FLAGS)
    assert page.count("\n| `") == len(RUNGS) + len(FLAGS)
    assert set(ADAPTIVE) == set(RUNGS) - {STATIC}
