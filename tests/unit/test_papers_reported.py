"""The papers' figures: the copy is sound, and it is joined to equal quantities only."""

from __future__ import annotations

import math
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from paper_rows import attacked, matched, quality

from bench import discover
from bench.errors import InputError
from bench.metrics.privacy import reduction
from bench.papers.reported import BESIDE, DIFFERS, SAME, STAND_IN, beside, published, with_reported
from bench.report.tables import METRICS
from bench.results import UNDEFINED, Row, to_frame

GENDER_AN = "gender_an:GAttrAM"


def table(*rows: Row | list[Row]) -> pd.DataFrame:
    return to_frame([r for found in rows for r in (found if isinstance(found, list) else [found])])


# -- the copy of the facts ---------------------------------------------------------------------------


def test_every_printed_figure_is_there_and_is_a_number() -> None:
    facts = published()
    assert len(facts) == 343
    assert np.isfinite(facts["value"]).all()
    assert set(facts["paper"]) == {
        "SAN ICB 2018",
        "FlowSAN Access 2019",
        "PrivacyNet TIP 2020",
        "Gender-AN IoT-J 2022",
        "Li et al. MM'21",
    }
    assert facts["source"].ne("").all()


def test_printed_reductions_that_contradict_equation_9_are_exactly_the_marked_misprints() -> None:
    facts = published()
    facts = facts[facts["source"].isin(["Table III", "Table V"])]
    wrong = []
    for _, triple in facts.groupby(["source", "method", "attribute", "component"]):
        value = triple.set_index("metric")["value"]
        found = reduction(value["accuracy_original"], value["accuracy_perturbed"], 0.5)
        if abs(found - value["Reduction"]) > 0.0006:
            line = triple[triple["metric"] == "Reduction"].iloc[0]
            wrong.append((line["component"], line["value"]))
            assert f"{found:.3f}" in line["misprint"]
    assert sorted(wrong) == [("KNN", 1.312), ("RF", 0.865)]
    assert (facts["misprint"] != "").sum() == 2


def test_every_mapped_figure_names_components_and_metrics_that_exist() -> None:
    facts = published()
    mapped = facts[facts["agreement"] != ""]
    assert set(mapped["agreement"]) == {SAME, STAND_IN, DIFFERS}
    unmapped = facts[facts["agreement"] == ""]
    assert unmapped[[c for c in facts.columns if c.startswith("our_")]].isin([""]).all(axis=None)
    assert set(mapped["our_metric"]) - set(METRICS) <= {"fid", "pi"}
    known = set(discover.components("attacker")) | set(discover.components("matcher")) | {"pool"}
    families = {c.partition("@")[0] for c in mapped["our_component"] if ":" not in c}
    assert families <= known
    assert set(mapped["our_method"]) <= set(discover.components("method"))
    assert mapped.loc[mapped["agreement"] != SAME, "remark"].ne("").all()


def test_no_quantity_has_two_printed_values() -> None:
    facts = published()
    same = facts[facts["agreement"] == SAME]
    keys = [c for c in facts.columns if c.startswith("our_")]
    assert not any(len(set(v)) > 1 for _, v in same.groupby(keys)["value"])


def test_approximate_figures_and_those_over_several_datasets_are_never_called_the_same() -> None:
    facts = published()
    doubtful = facts["source"].str.contains("approx") | facts["our_dataset"].str.contains("+", regex=False)
    doubtful |= facts["operating_point"].str.contains("approx")
    assert set(facts.loc[doubtful, "agreement"]) <= {DIFFERS, ""}


# -- joining -----------------------------------------------------------------------------------------


def test_a_measured_row_gets_the_figure_of_its_own_classifier() -> None:
    rows = table(
        attacked(GENDER_AN, 0.6, attackers=("svm@se_resnet", "knn@intel_reid", "cnn_light")),
        attacked(GENDER_AN, 0.8, "reduction", attackers=("random_forest@se_resnet",)),
        attacked("original", 0.97, attackers=("mlp@x",)),
    )
    given = rows.copy()
    found = with_reported(rows)["reported"].tolist()
    assert found[:2] == [0.508, 0.584]
    assert math.isnan(found[2])
    assert found[3:] == [0.865, 0.982]  # the misprint as printed; `beside` says that it is one
    pd.testing.assert_frame_equal(rows, given)


def test_joining_changes_nothing_else() -> None:
    rows = table(attacked(GENDER_AN, 0.6))
    pd.testing.assert_frame_equal(with_reported(rows).drop(columns="reported"), rows.drop(columns="reported"))


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "synthetic"},
        {"dataset": "utkface"},
        {"variant": "G"},
        {"attribute": "smiling"},
        {"metric": "balanced_accuracy"},
        {"component": "quadratic@se_resnet"},
        {"component": "pool"},
        {"threat": "aware"},
        {"threat": "worst"},
        {"label_source": "predicted"},
        {"label_source": "random"},
        {"level": "template"},
        {"policy": "fixed"},
        {"value": None, "status": UNDEFINED},
    ],
)
def test_another_quantity_is_never_joined(change: dict[str, str]) -> None:
    (row,) = attacked(GENDER_AN, 0.6, attackers=("svm@se_resnet",))
    assert with_reported(table(row))["reported"].tolist() == [0.508]
    assert with_reported(table(replace(row, **change)))["reported"].isna().all()  # type: ignore[arg-type]


def test_matching_is_joined_at_its_own_operating_point_and_condition() -> None:
    pool = partial(matched, value=0.8, matchers=("pool",), dataset="lfw")
    rows = table(
        pool("san:op", point="fmr=0.01"),
        pool("san:op", point="fmr=0.1"),
        pool("san:op", point="fmr=0.01", condition="protected-protected"),
        pool("original", point="fmr=0.01", condition="original-original"),
    )
    found = with_reported(rows)["reported"]
    assert found[[0, 3]].tolist() == [0.8345, 0.9029]
    assert found[[1, 2]].isna().all()


def test_an_error_rate_is_joined_as_accuracy_and_only_to_its_stand_in() -> None:
    rows = table(attacked("san:op", 0.9, attackers=("intel_age_gender", "dlib_gender", "cnn_resnet")))
    assert with_reported(rows)["reported"].isna().all()
    found = with_reported(rows, stand_ins=True)["reported"]
    assert found[:2].tolist() == pytest.approx([1 - 0.136, 1 - 0.393], abs=1e-12)
    assert math.isnan(found[2])


def test_made_up_faces_have_no_published_counterpart() -> None:
    matches = matched("san:op", 0.9, "fmr=0.01", matchers=("pool",), dataset="synthetic")
    rows = table(attacked(GENDER_AN, 0.6, dataset="synthetic"), matches)
    assert with_reported(rows, stand_ins=True)["reported"].isna().all()
    assert not len(beside(rows))


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(InputError, match="label_source"):
        with_reported(table(attacked(GENDER_AN, 0.6)).drop(columns="label_source"))


# -- beside ------------------------------------------------------------------------------------------


def test_beside_shows_both_figures_and_what_to_know() -> None:
    rows = table(attacked(GENDER_AN, 0.8, "reduction", attackers=("random_forest@se_resnet", "svm@x")))
    found = beside(rows)
    assert list(found.columns) == list(BESIDE)
    assert found["reported"].tolist() == [0.984, 0.865]
    assert found["measured"].tolist() == [0.8, 0.8]
    assert found["ci_low"].tolist() == pytest.approx([0.78, 0.78])
    assert found["source"].tolist() == ["Table III", "Table III"]
    assert found["note"].str.startswith("misprint: eq. 9 gives 0.907").tolist() == [False, True]


def test_beside_shows_what_must_not_be_joined_and_says_why() -> None:
    rows = table(
        matched("li_mm21:k=1", 0.7, "fmr=0.01", matchers=("arcface",)),
        quality(GENDER_AN, 0.1),
        attacked("gender_an:GAttrAM-age", 0.4, "reduction", attribute="young", attackers=("svm@x",)),
    )
    assert with_reported(rows, stand_ins=True)["reported"].isna().all()
    found: Any = beside(rows).set_index("method", drop=False)
    assert set(found["agreement"]) == {DIFFERS}
    assert found.loc["li_mm21", "reported"] == 0.8304
    assert "its own edited copy" in found.loc["li_mm21", "note"]
    assert found["note"].str.contains("backbone").any()
    assert found["note"].str.contains("77 %").any()


def test_a_figure_that_a_table_prints_for_each_method_is_shown_once() -> None:
    rows = table(attacked("original", 0.97, attackers=("svm@x",)))
    assert beside(rows)["source"].tolist() == ["Table III", "Table V"]


@pytest.mark.slow
def test_every_mapped_variant_exists() -> None:
    """Slow: imports every method."""
    from bench.faces import AGE_GROUP, GENDER, YOUNG, Attribute, yes_no

    names = ("attractive", "heavy_makeup", "receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose")
    attributes = [GENDER, AGE_GROUP, YOUNG, Attribute("race", ("African descent", "Caucasian"))]
    attributes += [yes_no(n) for n in (*names, "big_lips")]
    facts = published()
    mapped = facts.loc[facts["agreement"] != "", ["our_method", "our_variant"]].drop_duplicates()
    for name, group in mapped.groupby("our_method"):
        method = discover.load_class("method", str(name))(tuple(attributes))
        variants = [v.name for v in method.variants()]
        for pattern in group["our_variant"]:
            assert any(fnmatchcase(v, pattern) for v in variants), f"{name}:{pattern}"
