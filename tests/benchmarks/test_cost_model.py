"""Costs foretold from two runs, beside what a third one took: `pytest tests/benchmarks/test_cost_model.py -m
benchmark -s`.

The three runs of `tests/unit/cost_runs.py`, made anew with one worker: core-seconds, peak of the worker and
storage in all, and core-seconds by stage. Goal: within 30 % in all.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import pytest

from bench.config import load_config
from bench.costs.predict import Prediction, predict
from bench.costs.samples import Sample, samples_of
from bench.planning.build import build
from bench.planning.plan import Plan
from bench.run import execute

from .conftest import Compare

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from cost_runs import FORETOLD, LEARNED, RUNS, errors

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
GOAL = 1.3


def planned(run: str, folder: Path) -> Plan:
    return build(load_config(None, {**RUNS[run], "store": folder / run, "workers": 1}))


def taken(plan: Plan) -> list[Sample]:
    """Make every cell of the plan; what each took."""
    assert not execute(plan, lambda line: None).failures
    return samples_of(plan.config.store)


def test_costs_of_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compare: Compare, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)
    learned = [sample for run in LEARNED for sample in taken(planned(run, tmp_path))]
    plan = planned(FORETOLD, tmp_path)
    foretold = predict(plan, 1, samples=learned)
    took = taken(plan)
    with capsys.disabled():
        for stage, error in sorted(errors(*by_stage(foretold, took)).items()):
            print(f"{stage:16} {error:+.0%}")
    lines = foretold.lines
    figures = {
        "core-seconds": (sum(x.cost.core_seconds.value for x in lines), sum(s.seconds for s in took)),
        "peak of a worker": (max(x.cost.memory.value for x in lines), max(s.peak or 0 for s in took)),
        "storage": (sum(x.cost.storage.value for x in lines), sum(s.stored for s in took)),
    }
    for name, (told, real) in figures.items():
        off = max(told / real, real / told)
        compare(f"cost model: {name}", "the run", off, GOAL, f"{told / real - 1:+.1%}", at_most=True)
        assert off <= GOAL, name


def by_stage(foretold: Prediction, took: list[Sample]) -> tuple[dict[str, float], dict[str, float]]:
    told, real = defaultdict[str, float](float), defaultdict[str, float](float)
    for line in foretold.lines:
        told[line.work.stage] += line.cost.core_seconds.value
    for sample in took:
        real[sample.work.stage] += sample.seconds
    return told, real
