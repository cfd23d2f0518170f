"""What planning, store and engine cost a cell: `pytest tests/benchmarks -m benchmark -s -k engine_overhead`.

Cells that do nothing but read two inputs and leave one number, ten layers deep, on two workers. CPU seconds
of all processes together; what does not grow with the cells, as the start of the workers, cancels in the
differences of runs on 200, 1,000 and 3,000 cells. Planning is that of a real run. Goal: together at most 5 ms
a cell. The cost of a cell must not grow with their number.
"""

from __future__ import annotations

import importlib.util
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import bench.stages
from bench.cells import Cell, Environment
from bench.config import RunConfig
from bench.engines import local
from bench.machine import machine
from bench.planning.build import build

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(900)]

FEW, MANY, MORE = 200, 1000, 3000
GOAL_MS, MOST_GROWTH = 5.0, 1.5
STAGE = """
import numpy as np
from bench.store import Artefact
VERSION = 1

def run(job):
    values = [job.artefact(role).arrays["value"] for role in job.cell.inputs]
    return Artefact({"value": np.ones(1) + sum(values)}, {"number": job.params["number"]})
"""


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stage `bench.stages._nothing` that workers can import too."""
    folder = tmp_path / "stages"
    folder.mkdir()
    (folder / "_nothing.py").write_text(STAGE)
    added = f"import bench.stages; bench.stages.__path__.append({str(folder)!r})\n"
    (tmp_path / "sitecustomize.py").write_text(added)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[2]}")
    monkeypatch.setattr(bench.stages, "__path__", [*bench.stages.__path__, str(folder)])


def layers(number: int) -> list[Cell]:
    """So many cells in ten layers, each but the first reading two of the layer before."""
    cells: list[Cell] = []
    width = max(1, number // 10)
    for n in range(number):
        inputs = (
            {"a": n - width, "b": n - width + (1 if (n + 1) % width else 1 - width)} if n >= width else {}
        )
        keys = {role: cells[i].key for role, i in inputs.items()}
        cells.append(Cell("_nothing", {"number": n}, keys, title=f"nothing {n}"))
    return cells


def used() -> float:
    """CPU seconds of this process and of those that it has seen end."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def measured(number: int, execute: Callable[[list[Cell], Environment], Any], folder: Path) -> Any:
    """CPU and elapsed seconds of a run on so many cells, from an empty store."""
    cells, environment = layers(number), Environment(folder / f"store {number}")
    before, started = used(), time.monotonic()
    outcome = execute(cells, environment)
    assert outcome.computed == number
    return used() - before, time.monotonic() - started


def here(cells: list[Cell], environment: Environment) -> Any:
    return local.execute(cells, environment, 2, lambda event: None, machine())


def a_cell(runs: dict[int, Any], first: int, second: int, what: int) -> float:
    """Milliseconds of each cell that the second run has more than the first. what: 0 CPU, 1 elapsed."""
    return 1e3 * (runs[second][what] - runs[first][what]) / (second - first)


def planning() -> tuple[float, int]:
    """CPU milliseconds a cell of planning, with all that is read once already at hand; number of cells."""
    build(RunConfig())
    started = time.process_time()
    plan = build(RunConfig(seeds=2))
    return 1e3 * (time.process_time() - started) / len(plan.cells), len(plan.cells)


def test_the_cost_of_a_cell_is_small_and_does_not_grow(stage: None, tmp_path: Path, compare: Any) -> None:
    plan_ms, planned = planning()
    runs = {number: measured(number, here, tmp_path) for number in (FEW, MANY, MORE)}
    cost, later = a_cell(runs, FEW, MANY, 0), a_cell(runs, MANY, MORE, 0)
    elapsed = a_cell(runs, FEW, MANY, 1)
    start = runs[FEW][0] - FEW * cost / 1e3
    compare(
        f"overhead of {MANY} cells (ms CPU each)",
        "-",
        cost + plan_ms,
        GOAL_MS,
        f"store and engine {cost:.2f}, planning {plan_ms:.2f} (of {planned} cells); {elapsed:.2f} elapsed on "
        f"2 workers; the workers' start {start:.1f} s of CPU once",
        at_most=True,
    )
    growth = later / cost
    compare(f"a cell of the next {MORE - MANY}", "a cell of these", growth, MOST_GROWTH, at_most=True)
    assert growth < MOST_GROWTH


@pytest.fixture
def cluster(stage: None) -> Iterator[Any]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed")
    sys.path.append(str(Path(__file__).parents[1] / "end_to_end"))
    from ray_cluster import two_machines

    with two_machines() as found:
        yield found


def test_the_same_on_a_ray_cluster(
    cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compare: Any
) -> None:
    from bench.engines import ray

    for name, value in cluster.environment.items():
        if name.startswith("RAY_"):
            monkeypatch.setenv(name, value)

    def there(cells: list[Cell], environment: Environment) -> Any:
        known = ray.Cluster(cluster.address)
        return ray.execute(cells, environment, known, lambda event: None, print, machine())

    runs = {number: measured(number, there, tmp_path) for number in (FEW, MANY)}
    elapsed = a_cell(runs, FEW, MANY, 1)
    compare(
        f"elapsed of {MANY} cells on Ray (ms each)",
        "-",
        elapsed,
        None,
        f"2 nodes of 1 CPU; CPU of the command {a_cell(runs, FEW, MANY, 0):.2f} ms each; to connect, look at "
        f"the machines and start the workers {runs[FEW][1] - FEW * elapsed / 1e3:.1f} s once",
    )
