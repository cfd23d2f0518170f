"""Age of real faces: pretrained networks against the true ages, and which of them a run sets on whom."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from bench import discover
from bench.api import TEST, Context, Faces
from bench.config import load_config
from bench.datasets.utkface import UTKFace
from bench.metrics.privacy import age_errors, constant_guess
from bench.planning.build import build
from bench.planning.plan import Plan
from bench.weights import WeightsFolder

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("BENCH_DATA" not in os.environ, reason="set BENCH_DATA to the folder of face packs"),
    pytest.mark.skipif(
        "BENCH_WEIGHTS" not in os.environ, reason="set BENCH_WEIGHTS to the folder of weights"
    ),
]
ESTIMATORS = ("insightface_genderage", "intel_age_gender", "ssrnet_age_imdb", "ssrnet_age_wiki")


@cache
def faces() -> Faces:
    return UTKFace([Path(os.environ["BENCH_DATA"]) / "utkface_subset"]).load(TEST)


def test_the_constant_guess() -> None:
    middle, error = constant_guess(faces().labels["age"])
    assert (middle, error) == (28, pytest.approx(13.374, abs=0.001))


@pytest.mark.parametrize(
    ("name", "years"), [("insightface_genderage", 6.42), ("intel_age_gender", 9.29)], ids=lambda x: str(x)
)
def test_pretrained_estimators_err_as_measured(name: str, years: float) -> None:
    attacker = discover.load_class("attacker", name)()
    said = attacker.scores(faces(), Context(weights=WeightsFolder(Path(os.environ["BENCH_WEIGHTS"]))))
    found = age_errors(faces().labels["age"], said["age"][:, 0])
    assert found.mae == pytest.approx(years, abs=0.1)
    assert np.abs(found.bias) < 3


def planned(dataset: str, **options: object) -> Plan:
    data = (Path(os.environ["BENCH_DATA"]) / f"{dataset}_subset",)
    weights = Path(os.environ["BENCH_WEIGHTS"])
    attackers = ("svm", "kernel_ridge", *ESTIMATORS)
    settings = {"dataset": dataset, "data": data, "weights": weights, "attackers": attackers}
    return build(
        load_config(None, {**settings, "methods": ("blur",), "matchers": ("intel_reid",), **options})
    )


def test_without_a_label_of_age_who_predicts_it_is_asked_and_nobody_learns_it() -> None:
    plan = planned("celeba", dataset_options={"limit": 50})
    (score,) = [c.params for c in plan.cells.values() if c.title == "score blur"]
    assert [a[0] for a in score["numbers"]] == ["age"]
    assert score["numbers_rungs"] == []
    assert sorted(score["estimators"]) == sorted(ESTIMATORS)
    assert "kernel_ridge" not in {c.params.get("attacker") for c in plan.cells.values()}


def test_with_a_label_of_age_somebody_learns_it() -> None:
    plan = planned("utkface")
    (score,) = [c.params for c in plan.cells.values() if c.title == "score blur"]
    assert score["numbers_rungs"] == ["folded", "aware"]
    assert sorted(score["estimators"]) == sorted([*ESTIMATORS, "kernel_ridge@intel_reid"])
    assert sorted(score["classifiers"]) == sorted([*ESTIMATORS[:2], "svm@intel_reid"])


def test_who_predicts_nothing_else_stays_out_of_a_run_on_gender() -> None:
    plan = planned("utkface", attributes=("gender",))
    units = {name for c in plan.cells.values() for name in c.params.get("units", {})}
    assert units == {"svm@intel_reid", *ESTIMATORS[:2]}
