"""A whole run beside a plain script of the same evaluation: `pytest tests/benchmarks -m benchmark -s`.

The peer is `straightforward.py`; it is given the same faces, networks, attackers, pairs and resamples, and
must come to the same figures. Both sides are timed whole, in CPU seconds: the run with the start of its
processes, planning, training of the matcher and the report. The cost of the peer grows with the pairs and
with the methods, so BENCH_SPEED_PAIRS (mated; twice as many non-mated) and BENCH_SPEED_METHODS set other
numbers. Goal: at least 10 times faster.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from bench import discover, shipped
from bench.components.base import Context
from bench.config import RunConfig
from bench.metrics.pair_lists import PairCounts
from bench.planning.build import build
from bench.stages.fit import as_float, new_method

from .straightforward import Figures, Straightforward

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

METHODS = os.environ.get("BENCH_SPEED_METHODS", "blur,noise,grey,san,flowsan,gender_an,privacynet,stargan")
MATED = int(os.environ.get("BENCH_SPEED_PAIRS", "150"))
RESAMPLES, STEPS, ATTRIBUTES = 200, 100, ("gender", "smiling", "young")
SETTINGS: dict[str, Any] = {
    "dataset": "synthetic",
    "methods": tuple(METHODS.split(",")),
    "attackers": ("svm", "knn"),
    "matchers": ("se_resnet",),
    "attributes": ATTRIBUTES,
    "threats": ("aware",),
    "pairs": f"{MATED}/{2 * MATED}",
    "resamples": RESAMPLES,
    "quality_images": 0,
    "dataset_options": {"attack_people": 100, "attack_images": 3, "test_people": 40, "test_images": 4},
    "options": {"se_resnet": {"steps": STEPS}},
}
ROUNDED = {"balanced_accuracy": 0.02, "auc": 0.01, "tmr": 0.02}
"""Images protected one by one differ from those of a batch by rounding: a pixel may go the other way."""


def measured_run(folder: Path) -> tuple[float, float, pd.DataFrame]:
    """CPU seconds, elapsed seconds and rows of `python -m bench run`."""
    settings = RunConfig(**SETTINGS).model_dump(mode="json")
    (folder / "run.yaml").write_text(yaml.safe_dump(settings))
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, "-m", "bench", "run", "--config", "run.yaml"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        check=True,
        capture_output=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.monotonic() - started, pd.read_csv(folder / "runs/synthetic/rows.csv")


def measured_script() -> tuple[float, float, dict[tuple[str, str], Figures]]:
    """The same of the plain script; figures by method and variant."""
    import torch

    torch.set_num_threads(1)
    plan = build(RunConfig(**SETTINGS))
    used, started = time.process_time(), time.monotonic()
    faces = {pool: plan.dataset.load(pool) for pool in ("attack", "test")}
    matcher = discover.load_class("matcher", "se_resnet")(steps=STEPS)
    matcher.fit(faces["attack"], Context(seed=plan.config.seed))
    script = Straightforward(
        matcher, faces["attack"], faces["test"], ATTRIBUTES, PairCounts(MATED, 2 * MATED)
    )
    found = {}
    for subject in plan.subjects:
        params = plan.cells[subject.protect].params
        method = new_method(params)
        if params["weights"]:
            method.restore(as_float(shipped.load(params["weights"])))
        hidden = [a for a in ATTRIBUTES if a in plan.cells[subject.score].params["obfuscates"]]
        figures = script.evaluate(method, subject.variant, hidden, plan.config.seed, RESAMPLES)
        found[subject.method, subject.variant.name] = figures
    return time.process_time() - used, time.monotonic() - started, found


def test_a_whole_run_beside_a_plain_script(tmp_path: Path, compare: Any, capsys: Any) -> None:
    ours, elapsed, rows = measured_run(tmp_path)
    theirs, script_elapsed, figures = measured_script()
    worst = dict.fromkeys(ROUNDED, 0.0)
    for (method, variant), by_key in figures.items():
        for key, value in by_key.items():
            row = _row(rows, method, variant, key)
            worst[key[-1]] = max(worst[key[-1]], abs(row - value))
    count = sum(map(len, figures.values()))
    differing = ", ".join(f"{metric} {value:.1g}" for metric, value in worst.items())
    compare(
        f"whole run, {len(figures)} variants, {3 * MATED} pairs",
        "plain script, one image a call",
        theirs / ours,
        10,
        f"CPU s {theirs:.0f} / {ours:.0f}, elapsed {script_elapsed:.0f} / {elapsed:.0f}; "
        f"{count} figures, differing by at most {differing}",
    )
    for metric, most in ROUNDED.items():
        assert worst[metric] <= most


def _row(rows: pd.DataFrame, method: str, variant: str, key: tuple[str, ...]) -> float:
    mine = rows[(rows["method"] == method) & (rows["variant"] == variant) & (rows["metric"] == key[-1])]
    if key[0] == "match":
        mine = mine[(mine["condition"] == key[1]) & (mine["operating_point"] == key[2])]
        mine = mine[mine["component"].eq("se_resnet") & mine["policy"].eq("reset")]
    else:
        mine = mine[(mine["threat"] == key[0]) & (mine["attribute"] == key[2])]
        mine = mine[mine["component"].eq(f"{key[1]}@se_resnet")]
    assert len(mine) == 1, (method, variant, key, mine)
    return float(mine["value"].iloc[0])
