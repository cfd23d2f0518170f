"""Rows from made-up scores whose figures are known beforehand."""

import numpy as np
import pytest

from bench.faces import GENDER, Attribute, kept
from bench.metrics.uncertainty import identity_weights
from bench.results import OK, UNDEFINED, Row, to_frame
from bench.scoring.matching import Matched, matching_rows
from bench.scoring.privacy import OVER_FLIPPED, WEAK, Reading, judge, kept_rows, obfuscated_rows
from bench.scoring.quality import quality_rows
from bench.scoring.rows import Population, RowMaker

PEOPLE, IMAGES = 60, 4
IDENTITIES = np.repeat(np.arange(PEOPLE), IMAGES)
LABELS = (IDENTITIES % 2).astype(np.float32)
MAKE = RowMaker(Row("m", "v", "method", "d", "", None, attribute="gender", component_kind="attacker"), 60)
SURE, GUESS, FLIPPED = 4.0, 0.0, -4.0


@pytest.fixture(scope="module")
def people():
    return Population(IDENTITIES, identity_weights(IDENTITIES, 200, 1))


def scores(strength, noise=1.0, seed=0):
    """Scores (N, 2) of an attacker whose log-odds for the true class are `strength` on average."""
    odds = strength * (2 * LABELS - 1) + noise * np.random.default_rng(seed).standard_normal(len(LABELS))
    return np.stack([-odds / 2, odds / 2], axis=1).astype(np.float32)


def hidden(attribute, labels, readings, people, **options):
    return obfuscated_rows(MAKE, attribute, [judge(r, labels, people) for r in readings], people, **options)


def table(rows):
    return to_frame(rows).set_index(["component", "metric"])


def test_a_method_that_changes_nothing_has_reduction_0_and_leaks_everything(people):
    reading = Reading("a", scores(SURE), scores(SURE))
    found = table(hidden(GENDER, LABELS, [reading], people))
    assert found.loc[("pool", "reduction"), "value"] == 0
    assert found.loc[("a", "leak"), "value"] > 0.99
    assert found.loc[("pool", "leak"), "ci_low"] > 0.95


def test_a_hidden_attribute_has_reduction_near_1_and_a_leak_interval_that_starts_at_0(people):
    reading = Reading("a", scores(GUESS, seed=3), scores(SURE))
    found = table(hidden(GENDER, LABELS, [reading], people))
    assert found.loc[("pool", "reduction"), "value"] == pytest.approx(1, abs=0.2)
    assert found.loc[("pool", "leak"), "ci_low"] == 0


def test_a_flip_is_flagged_and_leaks_as_much_as_no_change(people):
    reading = Reading("a", scores(FLIPPED), scores(SURE))
    found = table(hidden(GENDER, LABELS, [reading], people))
    assert found.loc[("pool", "reduction"), "value"] > 1.9
    assert found.loc[("pool", "leak"), "value"] > 0.99
    assert found.loc[("pool", "reduction"), "flags"] == OVER_FLIPPED


def test_an_attacker_that_cannot_read_originals_is_flagged_and_not_averaged(people):
    strong = Reading("strong", scores(GUESS, seed=3), scores(SURE))
    weak = Reading("weak", scores(SURE), scores(GUESS, seed=4))
    both = table(hidden(GENDER, LABELS, [strong, weak], people))
    alone = table(hidden(GENDER, LABELS, [strong], people))
    assert both.loc[("weak", "leak"), "flags"] == WEAK
    assert both.loc[("pool", "leak"), "value"] == alone.loc[("pool", "leak"), "value"]
    assert both.loc[("pool", "reduction"), "value"] == alone.loc[("pool", "reduction"), "value"]


def test_the_pool_leaks_as_its_worst_attacker_and_averages_reduction(people):
    blind, sharp = Reading("b", scores(GUESS, seed=3), scores(SURE)), Reading("s", scores(SURE), scores(SURE))
    found = table(hidden(GENDER, LABELS, [blind, sharp], people))
    assert found.loc[("pool", "leak"), "value"] == found.loc[("s", "leak"), "value"]
    assert "strongest attacker: s" in found.loc[("pool", "leak"), "reason"]
    mean = (found.loc[("b", "reduction"), "value"] + found.loc[("s", "reduction"), "value"]) / 2
    assert found.loc[("pool", "reduction"), "value"] == pytest.approx(mean)


def test_an_attacker_that_ranks_originals_but_decides_them_at_chance_has_no_reduction(people):
    shifted = scores(SURE) + np.array([100.0, 0.0], np.float32)
    ranks, reads = Reading("r", scores(GUESS, seed=3), shifted), Reading("s", scores(GUESS), scores(SURE))
    found = table(hidden(GENDER, LABELS, [ranks, reads], people))
    alone = table(hidden(GENDER, LABELS, [reads], people))
    assert found.loc[("r", "reduction"), "status"] == UNDEFINED
    assert found.loc[("pool", "reduction"), "value"] == alone.loc[("pool", "reduction"), "value"]


def test_without_a_reader_the_pool_is_undefined_with_the_reason(people):
    reading = Reading("weak", scores(GUESS, seed=5), scores(GUESS, seed=4))
    found = table(hidden(GENDER, LABELS, [reading], people))
    pool = found.loc["pool"]
    assert set(pool["status"]) == {UNDEFINED}
    assert pool["value"].isna().all()
    assert "no attacker reads gender" in pool.loc["leak", "reason"]


def test_an_attribute_of_too_few_people_has_figures_without_interval_not_a_failed_score():
    rare = (IDENTITIES < 2).astype(np.float32)  # missing from one resample in seven
    odds = 2 * rare - 1 + np.random.default_rng(0).standard_normal(len(rare)) / 4
    said = np.stack([-odds, odds], axis=1).astype(np.float32)
    drawn = Population(IDENTITIES, identity_weights(IDENTITIES, 200, 1))
    found = table(hidden(GENDER, rare, [Reading("a", said, said)], drawn))
    leak = found.loc[("pool", "leak")]
    assert leak["value"] > 0.9
    assert np.isnan(leak["ci_low"])
    assert leak["reason"].startswith("strongest attacker: a; no interval: undefined in ")


def test_failed_faces_are_counted_and_unlabelled_ones_left_out(people):
    protected = scores(SURE)
    protected[:10] = np.nan
    labels = LABELS.copy()
    labels[-6:] = np.nan
    found = table(hidden(GENDER, labels, [Reading("a", protected, scores(SURE))], people))
    assert found.loc[("a", "auc"), "n"] == len(LABELS) - 16
    assert found.loc[("a", "auc"), "n_failed"] == 10


def test_three_classes_are_scored_against_a_third(people):
    race = Attribute("race", ("a", "b", "c"))
    labels = (IDENTITIES % 3).astype(np.float32)
    sure = 6 * np.eye(3, dtype=np.float32)[labels.astype(int)]
    blind = np.random.default_rng(0).standard_normal((len(labels), 3)).astype(np.float32)
    found = table(hidden(race, labels, [Reading("a", blind, sure)], people))
    assert found.loc[("a", "reduction"), "value"] == pytest.approx(1, abs=0.15)


def test_kept_attributes_report_loss_and_drift(people):
    same = table(kept_rows(MAKE, GENDER, LABELS, [Reading("a", scores(SURE), scores(SURE))], people))
    worse = table(kept_rows(MAKE, GENDER, LABELS, [Reading("a", scores(GUESS), scores(SURE))], people))
    assert same.loc[("pool", "cac"), "value"] == 0
    assert same.loc[("a", "attribute_mse"), "value"] == 0
    assert worse.loc[("pool", "cac"), "value"] > 0.3
    assert worse.loc[("a", "attribute_mse"), "value"] > 0.1
    assert (
        worse.loc[("a", "attribute_cross_entropy"), "value"]
        > same.loc[("a", "attribute_cross_entropy"), "value"]
    )


def test_young_is_no_kept_attribute_of_a_method_that_hides_age_groups():
    assert kept(("gender", "young", "smiling"), ("age_group",)) == ("gender", "smiling")
    assert kept(("gender", "young", "smiling"), ("gender",)) == ("young", "smiling")


def matched(name, value, seen=False, prefix="original-protected"):
    samples = np.full(200, value)
    counts = {"mated": 100, "non_mated": 9000, "mated_failed": 0}
    return Matched(
        name,
        seen,
        {f"{prefix} tmr reset fmr=0.01": (value, samples)},
        {f"{prefix} tmr reset fmr=0.001": "too few"},
        {prefix: counts},
    )


def test_matching_averages_unseen_matchers_and_compares_with_originals():
    found = [matched("a", 0.6), matched("b", 0.4), matched("c", 0.0, seen=True)]
    originals = [matched(n, 0.8, prefix="original-original") for n in ("a", "b", "c")]
    rows = table(matching_rows(MAKE, found, originals))
    assert rows[rows["status"] == OK].loc[("pool", "tmr"), "value"].item() == pytest.approx(0.5)
    assert rows.loc[("pool", "tmr_kept"), "value"] == pytest.approx(0.625)
    assert rows.loc["c"]["seen"].all()
    refused = rows[rows["status"] != OK]
    assert set(refused["reason"]) == {"too few"}


def test_quality_of_equal_images_has_no_mean_psnr(people):
    chosen = np.arange(0, len(LABELS), 4)
    arrays = {"value:psnr": np.full(len(chosen), np.inf), "value:ssim": np.ones(len(chosen))}
    arrays |= {"rows:psnr": chosen, "rows:ssim": chosen}
    recipes = {"psnr": "rgb", "ssim": "gaussian11"}
    facts = {"recipes": recipes, "failed": dict.fromkeys(recipes, 2), "sets": {}, "refused": {}}
    rows = table(quality_rows(MAKE, arrays, facts, people))
    assert rows.loc[("gaussian11", "ssim"), "value"] == 1
    assert rows.loc[("rgb", "psnr"), "status"] == UNDEFINED
    assert rows.loc[("gaussian11", "ssim"), "n_failed"] == 2
