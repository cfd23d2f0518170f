"""Look-ups behind the papers' tables."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from paper_rows import attacked, matched, quality

from bench.report.paper_tables import BEFORE, Quantity, Sheet
from bench.results import Row, to_frame


def sheet(*rows: Row | list[Row]) -> Sheet:
    return Sheet(to_frame([r for found in rows for r in (found if isinstance(found, list) else [found])]))


def test_a_figure_is_found_by_all_of_its_keys_with_the_papers_beside_it() -> None:
    found = sheet(attacked("gender_an:GAttrAM", 0.6)).get(
        "accuracy", ("gender_an", "GAttrAM"), component="svm@se_resnet", attribute="gender"
    )
    assert found == Quantity(0.6, 0.58, 0.62, 0.508, "")


def test_what_was_not_measured_is_unknown_and_never_zero() -> None:
    found = sheet(attacked("gender_an:GAttrAM", 0.6)).get("accuracy", ("gender_an", "G"))
    assert not found.known
    assert all(math.isnan(v) for v in found.columns("x").values())
    assert not found.complement().known


def test_an_error_rate_changes_the_ends_of_its_interval_over() -> None:
    found = Quantity(0.6, 0.5, 0.9, 0.7).complement()
    assert found[:4] == pytest.approx((0.4, 0.1, 0.5, 0.3))


def test_only_the_papers_setting_is_looked_at() -> None:
    (row,) = attacked("san:op", 0.6, attackers=("svm@x",))
    others = [
        replace(row, value=0.1, threat="aware"),
        replace(row, value=0.2, label_source="random"),
        replace(row, value=0.3, seed=1),
        replace(row, value=0.4, seen=True),
        replace(row, value=0.5, policy="fixed"),
        replace(row, value=0.7, level="template"),
        replace(row, value=None, status="failed"),
    ]
    for order in ([row, *others], [*others, row]):
        found = sheet(order).get("accuracy", ("san", "op"), component="svm@x", attribute="gender")
        assert found.value == 0.6


def test_without_true_labels_the_first_label_source_is_shown() -> None:
    (row,) = attacked("san:op", 0.6, attackers=("svm@x",))
    rows = [replace(row, label_source="random", value=0.1), replace(row, label_source="predicted")]
    run = sheet(rows, attacked("original", 0.9, attackers=("svm@x",)))  # the original is told nothing
    found = [run.get("accuracy", s, component="svm@x", attribute="gender") for s in (("san", "op"), BEFORE)]
    assert [q.value for q in found] == [0.6, 0.9]


def test_the_original_is_its_own_probe_and_reference() -> None:
    rows = matched("original", 0.9, "fmr=0.01", condition="original-original")
    found = sheet(rows).get(
        "tmr", BEFORE, component="arcface", condition="original-protected", point="fmr=0.01"
    )
    assert found.value == 0.9


def test_attackers_come_in_the_order_asked_for_and_weak_ones_are_left_out() -> None:
    reads = attacked("original", 0.9, "auc", attackers=("svm@b", "svm@a", "knn@a"))
    weak = [replace(r, flags="weak_attacker") for r in attacked("original", 0.6, "auc", attackers=("mlp@a",))]
    untried = attacked("san:op", 0.5, attackers=("cnn_light", "pool"))
    run = sheet(reads, weak, untried)
    assert run.attackers(("knn", "svm", "xgboost")) == ["knn@a", "svm@a", "svm@b"]
    assert run.attackers() == ["cnn_light", "knn@a", "mlp@a", "svm@a", "svm@b"]
    assert run.attackers(attribute="gender") == ["knn@a", "svm@a", "svm@b"]
    assert run.attackers(attribute="young") == []


def test_matchers_and_variants_are_those_of_the_run() -> None:
    run = sheet(matched("san:op", 0.5, "fmr=0.01"), matched("san:nt", 0.5, "fmr=0.01", matchers=("pool",)))
    assert run.matchers() == ["arcface", "cosface", "se_resnet"]
    assert run.matchers(("se_resnet", "facenet", "arcface")) == ["se_resnet", "arcface"]
    assert run.variants("san") == ["nt", "op"]


def test_a_quality_figure_is_found_whatever_its_recipe() -> None:
    run = sheet(quality("san:op", 0.2), quality("san:op", 5.0, "niqe", "niqe:size=224,bicubic"))
    assert run.quality("lpips", ("san", "op")).value == 0.2
    assert run.quality("niqe", ("san", "op")).value == 5.0
    assert not run.quality("fid", ("san", "op")).known
