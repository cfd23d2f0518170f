"""`bench plan --cost` as people type it."""

import csv

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.costs.fit import SECONDS
from bench.costs.table import read_table, write_table
from bench.errors import InputError, UsageError

QUICK = ["plan", "--methods", "blur", "--attackers", "svm", "--threats", "static", "--quick"]
GPU = """kind,name,path,precision,batch,device,status,per_second,preset,side,variant,accelerator
method,{method},eager,fp32,128,cuda,ok,1000,quick,64,{variant},Made-up GPU
"""


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch):
    monkeypatch.delenv("BENCH_WEIGHTS", raising=False)


@pytest.fixture
def planned(tmp_path):
    """Runs the command on an empty store and returns what it printed."""

    def run(*more):
        done = CliRunner().invoke(app, [*QUICK, "--store", str(tmp_path / "store"), *more])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        assert done.exit_code == 0
        return done.output

    return run


def test_without_cost_it_lists_cells(planned):
    text = planned()
    assert "to do  protect" in text
    assert "memory:" not in text


def test_cost_names_stages_methods_places_and_sources(planned):
    text = planned("--cost", "--workers", "2")
    for word in ("by stage", "by method", "largest cells", "on 2 workers", "memory:", "storage:", "pairs:"):
        assert word in text
    assert "reference machine" in text
    assert "no cell in the store yet" in text
    assert "measured here," not in text.partition("by stage")[2]


def test_every_cell_is_in_the_csv_with_its_basis(planned, tmp_path):
    planned("--cost-csv", str(tmp_path / "cells.csv"))
    with (tmp_path / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["state"] for row in rows} == {"to do"}
    assert {"faces", "protect", "embed", "match", "score"} <= {row["stage"] for row in rows}
    assert all(float(row["core_s"]) >= 0 and row["core_basis"] for row in rows)
    protect = next(row for row in rows if row["title"] == "protect blur")
    assert float(protect["stored_mb"]) == pytest.approx(240 * 64 * 64 * 3 / 1e6, rel=0.05)


def test_a_table_of_one_s_own_takes_the_place_of_the_one_that_ships(planned, tmp_path):
    from bench.costs.table import Table, shipped_table

    shipped = shipped_table()
    only = {k: v for k, v in shipped.rates.items() if k[0] == "faces"}
    path = write_table(tmp_path / "rates.csv", Table(only, "a machine of one's own", "v", "2026-01-02"))
    text = planned("--cost", "--rates", str(path))
    assert "a machine of one's own" in text
    assert "guess" in text.partition("by stage")[2]


def test_rates_of_an_empty_store_are_not_written(planned, tmp_path):
    with pytest.raises(InputError, match="run something there first"):
        planned("--write-rates", str(tmp_path / "rates.csv"))
    assert not (tmp_path / "rates.csv").exists()


def test_a_gpu_takes_what_its_table_measured_and_the_rest_is_said_to_be_guessed(planned, tmp_path):
    table = tmp_path / "gpu.csv"
    table.write_text(GPU.format(method="blur", variant="default"))
    given = ("--cost-csv", str(tmp_path / "cells.csv"), "--device", "cuda")
    text = planned(*given, "--throughput", str(table), "--gpus", "2")
    assert "2 x Made-up GPU" in text
    with (tmp_path / "cells.csv").open() as file:
        rows = {row["title"]: row for row in csv.DictReader(file)}
    assert float(rows["protect blur"]["gpu_s"]) == pytest.approx(0.24)
    assert rows["protect blur"]["gpu_basis"] == "throughput table"
    assert rows["blur embed se_resnet"]["gpu_basis"] == "guess"
    assert float(rows["blur match se_resnet"]["gpu_s"]) == 0
    assert "everything is counted on processors" in planned(*given)


def test_a_dataset_is_supposed_without_a_file_of_it(tmp_path):
    def run(*more):
        arguments = ["plan", "--dataset", "celeba", "--methods", "blur", "--attackers", "svm", *more]
        return CliRunner().invoke(app, [*arguments, "--threats", "static", "--store", str(tmp_path)])

    done = run("--images", "202599", "--people", "10177")
    assert done.exit_code == 0, done.output
    assert "test 19,962 images of 1,000 people" in done.output
    assert "398,481,444 comparisons" in done.output
    assert "extrapolated" in done.output
    for wrong in (
        ["--images", "202599"],
        ["--images", "202599", "--people", "10177", "--data", str(tmp_path)],
    ):
        assert isinstance(run(*wrong).exception, UsageError)


def test_the_table_that_ships_has_seconds_of_the_embedded_run(planned, tmp_path):
    """Of a default run hardly anything may be a guess, or the table was made of too little."""
    planned("--cost-csv", str(tmp_path / "cells.csv"))
    with (tmp_path / "cells.csv").open() as file:
        rows = list(csv.DictReader(file))
    guessed = sum(float(row["core_s"]) for row in rows if row["core_basis"] == "guess")
    assert guessed < 0.05 * sum(float(row["core_s"]) for row in rows)


def test_rates_say_what_a_store_s_cells_took(tmp_path):
    """A store as `run` leaves it: one cell of the stage that needs no input."""
    from bench.cells import Cell, Environment, Recent
    from bench.config import load_config
    from bench.engines.work import attempt
    from bench.machine import machine
    from bench.planning.build import build
    from bench.sources import sources
    from bench.store import Store

    given = {"dataset_options": {f"{p}_people": 4 for p in ("develop", "validation", "attack", "test")}}
    config = load_config(None, {**given, "methods": ("blur",), "attackers": ("svm",)})
    cell: Cell = next(c for c in build(config).cells.values() if c.stage == "faces")
    store = Store(tmp_path / "store")
    place = Environment(store=store.root, sources=sources(config))
    told = attempt(cell, store, Recent(10**8), place, machine(), lambda report: None)
    assert told.kind == "done"
    spent = store.card(cell.key)["provenance"]["spent"]
    assert spent["device"] == "cpu"
    assert spent["processor"] > 0
    assert spent["peak_bytes"] > 10_000_000
    done = CliRunner().invoke(
        app, ["plan", "--store", str(store.root), "--write-rates", str(tmp_path / "rates.csv")]
    )
    assert done.exit_code == 0, done.output
    found = read_table(tmp_path / "rates.csv").rates["faces", "synthetic", SECONDS]
    assert found.cells == 1
    assert sum(found.coefficients.values()) > 0
