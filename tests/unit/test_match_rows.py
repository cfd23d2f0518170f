"""Rows of matching: what is counted, left out, refused and averaged."""

import numpy as np
import pytest

from bench.results import OK, UNDEFINED, Row, to_frame
from bench.scoring.matching import TOO_FEW_PAIRS, Matched, matching_rows
from bench.scoring.rows import RowMaker

CONDITION = "original-protected"
COUNTS = {
    "mated": 90,
    "mated_failed": 10,
    "non_mated": 1900,
    "non_mated_failed": 50,
    "same_photo": 60,
    "searches": 58,
    "searches_failed": 2,
}
FIGURES = {
    "auc reset ": 0.9,
    "tmr reset fmr=0.01": 0.6,
    "fmr fixed fmr=0.01": 0.02,
    "identification_rate  rank=1": 0.5,
    "tpir reset fpir=0.1": 0.4,
}
REFUSED = {"tmr reset fmr=0.001": "needs more", "tpir reset fpir=0.01": "needs many more"}


def make(flags=""):
    return RowMaker(Row("m", "v", "method", "d", "", None, flags=flags), 60)


def matched(name="a", *, seen=False, counts=COUNTS, figures=FIGURES, refused=REFUSED):
    return Matched(
        name,
        seen,
        {f"{CONDITION} {k}": (v, np.full(100, v)) for k, v in figures.items()},
        {f"{CONDITION} {k}": reason for k, reason in refused.items()},
        {CONDITION: counts},
    )


def table(rows):
    return to_frame(rows).set_index(["component", "metric", "operating_point"]).sort_index()


def test_each_figure_counts_what_decides_it():
    rows = to_frame(matching_rows(make(), [matched()], []))
    own = rows[(rows["component"] == "a") & (rows["status"] == OK)].set_index("metric")
    assert own["n"].to_dict() == {
        "auc": 90,
        "tmr": 90,
        "fmr": 1900,
        "identification_rate": 58,
        "tpir": 58,
    }
    assert own["n_failed"].to_dict() == {
        "auc": 10,
        "tmr": 10,
        "fmr": 50,
        "identification_rate": 2,
        "tpir": 2,
    }
    assert own["higher_is"].to_dict() == {
        "auc": "better",
        "tmr": "better",
        "fmr": "worse",
        "identification_rate": "better",
        "tpir": "better",
    }
    assert own["operating_point"].to_dict()["tpir"] == "fpir=0.1"
    assert own["operating_point"].to_dict()["identification_rate"] == "rank=1"
    assert own["policy"].isna().to_dict()["identification_rate"]
    assert own["policy"].to_dict()["tpir"] == "reset"


def test_pairs_of_one_photo_are_stated_on_every_row_they_are_left_out_of():
    rows = to_frame(matching_rows(make(), [matched()], []))
    rows = rows[(rows["status"] == OK) & rows["condition"].eq(CONDITION)]
    compared = rows["metric"].isin(["auc", "tmr", "fmr"])
    assert set(rows[compared]["component"]) == {"a", "pool"}
    assert all("60 pairs of a photo with its own" in reason for reason in rows[compared]["reason"])
    assert rows[~compared]["reason"].isna().all()


def test_a_drawn_list_that_is_too_short_says_so():
    wanted = {"mated_wanted": 1000, "non_mated_wanted": 1950}
    counts = {**COUNTS, **wanted, "same_photo": 0}
    row = table(matching_rows(make(), [matched(counts=counts)], [])).loc[("a", "tmr", "fmr=0.01")]
    assert row["reason"] == "the photos make 100 of 1,000 mated pairs"
    full = table(matching_rows(make(), [matched(counts={**counts, "mated_wanted": 100})], []))
    assert full.loc[[("a", "tmr", "fmr=0.01")], "reason"].isna().all()


@pytest.mark.parametrize(("flags", "expected"), [("", TOO_FEW_PAIRS), ("seen_x", f"seen_x {TOO_FEW_PAIRS}")])
def test_refused_figures_are_flagged_for_the_matcher_and_the_pool(flags, expected):
    found = table(matching_rows(make(flags), [matched()], []))
    for component in ("a", "pool"):
        row = found.loc[(component, "tmr", "fmr=0.001")]
        assert (row["status"], row["flags"], row["reason"]) == (UNDEFINED, expected, "needs more")
    given = found[found["status"] == OK]
    assert not given["flags"].str.contains(TOO_FEW_PAIRS).any()


def test_the_pool_is_the_mean_of_unseen_matchers_and_needs_all_of_them():
    second = matched(
        "b",
        figures={"auc reset ": 0.7, "tpir reset fpir=0.1": 0.2},
        refused={"tmr reset fmr=0.01": "lost", "identification_rate  rank=1": "lost"},
    )
    seen = matched("s", seen=True, figures={"auc reset ": 0.1}, refused={"eer reset ": "seen only"})
    rows = to_frame(matching_rows(make(), [matched(), second, seen], []))
    pool = rows[rows["component"].eq("pool") & rows["condition"].eq(CONDITION)]
    values = pool[pool["status"] == OK].set_index("metric")["value"]
    assert values.to_dict() == pytest.approx({"auc": 0.8, "tpir": 0.3})
    reasons = pool[pool["status"] == UNDEFINED].set_index(["metric", "operating_point"])["reason"].to_dict()
    assert reasons == {
        ("tmr", "fmr=0.01"): "lost",
        ("identification_rate", "rank=1"): "lost",
        ("tmr", "fmr=0.001"): "needs more",
        ("tpir", "fpir=0.01"): "needs many more",
    }
