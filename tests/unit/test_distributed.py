"""Several processes that train together: the same data, draws and weights as one, to rounding."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import distributed_work
import numpy as np
import pytest
import torch

from bench import distributed
from bench.errors import InputError, UsageError
from bench.store import Store
from bench.training import own_rows, rows_of_step

HERE = Path(__file__).parent


def together(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What two processes on this machine say of a script, or of a module after `-m`."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=240)


@pytest.fixture
def second_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "here", lambda: (1, 4))


def test_alone_nothing_changes() -> None:
    draws = distributed.rand((5, 2), torch.Generator().manual_seed(3))
    assert torch.equal(draws, torch.rand((5, 2), generator=torch.Generator().manual_seed(3)))
    assert distributed.here() == (0, 1)
    assert distributed.share_of(7) == slice(0, 7)
    assert distributed.gathered("all") == ["all"]


@pytest.mark.usefixtures("second_of_four")
def test_a_share_is_a_quarter_of_rows_and_of_draws() -> None:
    np.testing.assert_array_equal(own_rows(20, 8, 1, 3), rows_of_step(20, 8, 1, 3)[2:4])
    for mine, whole in ((distributed.rand, torch.rand), (distributed.randn, torch.randn)):
        expected = whole((8, 3), generator=torch.Generator().manual_seed(3))[2:4]
        assert torch.equal(mine((2, 3), torch.Generator().manual_seed(3)), expected)


@pytest.mark.usefixtures("second_of_four")
@pytest.mark.parametrize("batch", [4, 10])
def test_batches_that_cannot_be_shared_out_are_refused(batch: int) -> None:
    with pytest.raises(InputError, match=f"batch of {batch} cannot be shared out among 4"):
        distributed.share_of(batch)


def test_only_training_runs_under_torchrun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from bench.config import RunConfig
    from bench.planning.plan import Plan
    from bench.run import execute

    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    plan = Plan(RunConfig(store=tmp_path), dataset=None)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="use it for `train` alone"):
        execute(plan, print)


def test_a_device_that_processes_cannot_share_is_refused() -> None:
    with pytest.raises(InputError, match="cuda for one GPU a process"), distributed.session("cuda:3"):
        pass


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("together")
    done = together(str(HERE / "distributed_work.py"), str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["supervised", "adversarial"])
def test_two_processes_train_what_one_does(found: Path, name: str) -> None:
    """Shares are as large as each other, so only the order of additions differs."""
    alone, shared = distributed_work.WORKS[name](), np.load(found / f"{name}.npz")
    assert {k.replace("/", "|") for k in alone} == set(shared.files)
    for key, value in alone.items():
        np.testing.assert_allclose(shared[key.replace("/", "|")], value, rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.slow
def test_running_statistics_are_the_mean_of_the_shares(found: Path) -> None:
    alone, shared = distributed_work.normalised(), np.load(found / "normalised.npz")
    np.testing.assert_allclose(shared["1.running_mean"], alone["1.running_mean"], atol=5e-3)
    np.testing.assert_allclose(shared["1.running_var"], alone["1.running_var"], rtol=0.05)


@pytest.mark.slow
def test_a_process_without_labels_keeps_in_step(found: Path) -> None:
    shared = np.load(found / "semi_adversarial.npz")
    assert all(np.isfinite(shared[k]).all() for k in shared.files)
    assert len(shared["curve|gender"]) >= 4


def train(store: Path) -> subprocess.CompletedProcess[str]:
    """`bench train` of SAN, shared by two processes."""
    people = {"develop": 30, "validation": 15, "attack": 5, "test": 5}
    sizes = [f"--set=dataset_options.{pool}_people={count}" for pool, count in people.items()]
    options = ["--methods", "san", "--preset", "check", "--store", str(store), "--out", str(store / "out")]
    return together(str(HERE / "distributed_train.py"), "train", *options, *sizes)


def told(store: Path) -> list[dict[str, Any]]:
    """How everything in a store came about."""
    return [Store(store).card(path.name)["provenance"] for path in (store / "cells").glob("*/*")]


@pytest.mark.slow
@pytest.mark.usefixtures("no_weights")
def test_train_works_under_torchrun(tmp_path: Path) -> None:
    done = train(tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("san: step") == 1, "only the first process speaks"
    cards = told(tmp_path)
    assert [c["processes"] for c in cards if c["stage"] == "fit"] == [2]
    assert sum(c["stage"] == "auxiliary" for c in cards) == 5
    assert not list((tmp_path / "work").glob("*/*")), "no checkpoint is left"
    again = train(tmp_path)
    assert again.returncode == 0, again.stderr
    assert "san: step" in again.stderr


@pytest.mark.slow
@pytest.mark.usefixtures("no_weights")
def test_a_process_that_fails_in_its_work_ends_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "1")
    done = train(tmp_path)
    assert done.returncode != 0
    assert "rank 1 of 2, auxiliary" in done.stderr
    assert "RuntimeError: out of luck" in done.stderr
    assert {c["stage"] for c in told(tmp_path)} == {"faces"}, "what was trained by half is not stored"


@pytest.mark.slow
def test_a_process_that_fails_ends_all(tmp_path: Path) -> None:
    done = together(str(HERE / "distributed_work.py"), str(tmp_path), "fails")
    assert done.returncode != 0
    assert "the second process has had enough" in done.stderr
    assert not list(tmp_path.iterdir())
