"""The local engine on made-up stages: order, failures, dead workers, damage, resume."""

import sys
import textwrap

import pytest

from bench.cells import Cell, Environment
from bench.engines import local
from bench.store import DATA, Store

STAGE = """
    import os, time
    import numpy as np
    from bench.errors import InputError
    from bench.store import Artefact
    VERSION = 1

    def run(job):
        p = job.params
        log = os.path.join(p["log"], p["name"])
        with open(log, "a") as file:
            file.write("x")
        if p.get("error"):
            raise InputError("it does not work")
        if p.get("exit"):
            raise SystemExit(0)
        if p.get("die") and os.path.getsize(log) <= p["die"]:
            os._exit(9)
        value = p["value"] + sum(int(job.artefact(r).arrays["v"][0]) for r in job.cell.inputs)
        return Artefact({"v": np.array([value])}, {"inputs": sorted(job.cell.inputs)})
"""


@pytest.fixture
def bench_stage(tmp_path, monkeypatch):
    """A stage `bench.stages._made_up` that worker processes can import too."""
    import bench.stages

    folder = tmp_path / "stages"
    folder.mkdir()
    (folder / "_made_up.py").write_text(textwrap.dedent(STAGE))
    (tmp_path / "sitecustomize.py").write_text(
        f"import bench.stages; bench.stages.__path__.append({str(folder)!r})\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(bench.stages, "__path__", [*bench.stages.__path__, str(folder)])
    yield tmp_path
    sys.modules.pop("bench.stages._made_up", None)


class Work:
    """Builds cells of the made-up stage and runs them."""

    def __init__(self, folder):
        self.folder = folder
        self.store = Store(folder / "store")
        self.cells = {}
        self.log = folder / "log"
        self.log.mkdir()

    def add(self, name, value=1, *, inputs=(), tolerated=(), **params):
        cell = Cell(
            "_made_up",
            {"name": name, "value": value, "log": str(self.log), **params},
            {n: self.cells[n].key for n in inputs},
            {n: self.cells[n].key for n in tolerated},
            title=name,
        )
        self.cells[name] = cell
        return cell

    def run(self, workers=2):
        return local.execute(
            self.cells.values(), Environment(self.folder / "store"), workers, lambda event: None, {}
        )

    def value(self, outcome, name):
        return int(self.store.load(outcome.done[self.cells[name].key]).arrays["v"][0])

    def runs(self, name):
        path = self.log / name
        return path.stat().st_size if path.exists() else 0


@pytest.fixture
def work(bench_stage):
    return Work(bench_stage)


def test_cells_run_after_their_inputs_and_only_once(work):
    work.add("a", 1)
    work.add("b", 10, inputs=["a"])
    work.add("c", 100, inputs=["a", "b"])
    outcome = work.run()
    assert work.value(outcome, "c") == 112
    again = work.run()
    assert (outcome.computed, again.computed) == (3, 0)
    assert [work.runs(n) for n in "abc"] == [1, 1, 1]


def test_a_failure_blocks_its_readers_spares_the_rest_and_is_not_remembered(work):
    work.add("bad", error=True)
    work.add("reader", inputs=["bad"])
    work.add("other", 5)
    work.add("tolerant", 100, inputs=["other"], tolerated=["bad"])
    outcome = work.run()
    failures = {f.cell.title: (f.message, f.blocked) for f in outcome.failures.values()}
    assert failures == {"bad": ("it does not work", False), "reader": ("it does not work", True)}
    assert work.value(outcome, "tolerant") == 105
    work.run()
    assert work.runs("bad") == 2


def test_a_tolerant_cell_is_stored_under_the_inputs_it_really_had(work):
    work.add("bad", error=True)
    work.add("tolerant", 100, tolerated=["bad"])
    outcome = work.run()
    planned = work.cells["tolerant"].key
    assert outcome.done[planned] != planned
    assert not work.store.has(planned)


def test_a_worker_that_dies_is_replaced_and_its_cell_tried_once_more(work):
    work.add("fragile", 7, die=1)
    work.add("hopeless", 7, die=100)
    outcome = work.run()
    assert work.value(outcome, "fragile") == 7
    (failure,) = outcome.failures.values()
    assert failure.cell.title == "hopeless"
    assert "died twice (exit code 9)" in failure.message
    assert work.runs("hopeless") == 2


def test_a_component_that_exits_has_failed_and_its_worker_goes_on(work):
    work.add("leaver", exit=True)
    work.add("other")
    outcome = work.run(workers=1)
    assert "SystemExit" in outcome.failures[work.cells["leaver"].key].message
    assert work.runs("leaver") == 1
    assert work.value(outcome, "other") == 1


def test_a_damaged_input_is_made_again(work):
    first = work.add("a", 1)
    work.add("b", 10, inputs=["a"])
    work.run()
    second = work.add("c", 100, inputs=["a"])
    data = work.store.folder(first.key) / DATA
    raw = bytearray(data.read_bytes())
    raw[-1] ^= 255
    data.write_bytes(raw)
    outcome = work.run()
    assert work.value(outcome, "c") == 101
    assert second.key in outcome.done
    assert work.runs("a") == 2
    assert work.runs("b") == 1


def test_what_hangs_on_a_failure_is_given_up_without_waiting(work, monkeypatch):
    work.add("bad", error=True)
    for n in range(12):
        work.add(f"reader {n:02}", inputs=[f"reader {n - 1:02}" if n else "bad"])
    waits = []
    real = local.wait
    monkeypatch.setattr(local, "wait", lambda pipes, timeout: waits.append(pipes) or real(pipes, timeout))
    outcome = work.run()
    assert sum(f.blocked for f in outcome.failures.values()) == 12
    assert all(waits)  # nobody was ever waited for where nobody worked
