"""The cost of a run foretold from two other runs, beside what it took: recorded on a machine once."""

from collections import defaultdict

import pytest
from cost_runs import FORETOLD, LEARNED, RUNS, errors, recorded

from bench.config import load_config
from bench.costs.predict import predict
from bench.planning.build import build

DEAREST = 0.05
"""Stages that take at least this share of the run's time are held to its goal one by one."""


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """What is foretold of the plan, cell by cell, and what the cells of the run took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BENCH_WEIGHTS", raising=False)
        plan = build(load_config(None, {**RUNS[FORETOLD], "store": tmp_path_factory.mktemp("store")}))
    learned = [sample for run in LEARNED for sample in recorded(run)]
    return predict(plan, 1, samples=learned).lines, recorded(FORETOLD)


def test_the_plan_has_the_cells_that_were_run(beside):
    lines, taken = beside
    assert sorted(line.work.stage for line in lines) == sorted(sample.work.stage for sample in taken)


def test_time_in_all_is_within_thirty_percent(beside):
    lines, taken = beside
    foretold = sum(line.cost.core_seconds.value for line in lines)
    assert foretold == pytest.approx(sum(sample.seconds for sample in taken), rel=0.3)


def test_time_of_the_dear_stages_is_near(beside):
    lines, taken = beside
    foretold, took = defaultdict(float), defaultdict(float)
    for line in lines:
        foretold[line.work.stage] += line.cost.core_seconds.value
    for sample in taken:
        took[sample.work.stage] += sample.seconds
    dear = {stage: s for stage, s in took.items() if s > DEAREST * sum(took.values())}
    assert dear
    assert all(abs(error) < 0.5 for error in errors(foretold, dear).values()), errors(foretold, dear)


def test_storage_is_within_five_percent(beside):
    lines, taken = beside
    foretold = sum(line.cost.storage.value for line in lines)
    assert foretold == pytest.approx(sum(sample.stored for sample in taken), rel=0.05)


def test_the_peak_of_a_worker_is_within_thirty_percent(beside):
    lines, taken = beside
    foretold = max(line.cost.memory.value for line in lines)
    assert foretold == pytest.approx(max(sample.peak for sample in taken), rel=0.3)


def test_what_the_two_runs_did_not_do_is_not_said_to_be_measured_here(beside):
    lines, _ = beside
    bases = {line.cell.title: line.cost.core_seconds.basis for line in lines}
    assert bases["blur embed se_resnet"] == "measured here"
    assert bases["protect mmda:gender"] != "measured here"
