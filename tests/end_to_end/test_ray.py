"""A run on a real Ray cluster of a head and two nodes: lost machines, Ctrl-C, machines that do not fit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_run import checkout

pytest.importorskip("ray", reason="Ray is not installed")

from ray_cluster import Cluster

RUN = [
    "run", "--methods", "original,blur", "--dataset", "synthetic", "--attackers", "knn,svm",
    "--matchers", "se_resnet", "--attributes", "gender", "--threats", "folded,aware",
    *(f"--set=dataset_options.{pool}_{what}={count}" for pool, what, count in (
        ("develop", "people", 10), ("validation", "people", 10), ("attack", "people", 40),
        ("test", "people", 30), ("test", "images", 2),
    )),
    "--set=options.se_resnet.steps=20", "--set=resamples=100", "--set=quality_images=0",
]  # fmt: skip
SAME = ("leaderboard.csv", "rows.parquet", "run.json")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A checkout that only the command is told of: nodes must run its code and not what is installed."""
    return checkout(tmp_path_factory.mktemp("ray"))


@pytest.fixture(scope="module")
def cluster():
    found = Cluster()
    try:
        found.wait_for(0)
        for number in (1, 2):
            found.join()
            found.wait_for(number)
        yield found
    finally:
        found.stop()


def started(folder: Path, cluster: Cluster, name: str, *arguments: str) -> subprocess.Popen:
    """The run on the cluster, with a store and a report of its own."""
    engine = ["--engine", "ray", "--address", cluster.address]
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *RUN, "--store", f"store_{name}", "--out", name, *engine, *arguments],
        cwd=folder, env={**cluster.environment, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def wait_for_cells(folder: Path, name: str, number: int, process: subprocess.Popen) -> None:
    cells = folder / f"store_{name}" / "cells"
    while len(list(cells.glob("*/*/card.json"))) < number:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)


def wait_for_no_workers(cluster: Cluster) -> None:
    deadline = time.monotonic() + 20
    while cluster.workers():
        assert time.monotonic() < deadline, cluster.workers()
        time.sleep(0.1)


@pytest.mark.slow
def test_a_machine_and_a_worker_are_lost_one_joins_and_the_bytes_are_those_of_one_machine(here, cluster):
    process = started(here, cluster, "ray")
    wait_for_cells(here, "ray", 3, process)
    cluster.lose(cluster.started[1])
    cluster.join()
    wait_for_cells(here, "ray", 6, process)
    cluster.workers()[0].kill()
    said = process.communicate(timeout=300)[1]
    assert process.returncode == 0, said[-3000:]
    assert "0 taken from" in said
    assert re.search("has left the cluster", said)
    assert re.search("has joined", said)
    wait_for_no_workers(cluster)
    local = ["--store", "store_local", "--out", "local", "--workers", "2"]
    subprocess.run([sys.executable, "-m", "bench", *RUN, *local], cwd=here, check=True, capture_output=True)
    for name in SAME:
        assert (here / "ray" / name).read_bytes() == (here / "local" / name).read_bytes()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind_on_the_cluster(here, cluster):
    process = started(here, cluster, "stopped")
    wait_for_cells(here, "stopped", 1, process)
    assert cluster.workers()
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=60)[1]
    assert process.returncode == 130, said[-3000:]
    assert "repeat the command" in said
    assert "Traceback" not in said
    wait_for_no_workers(cluster)
    assert not list((here / "store_stopped").glob(".new-*"))


def hiding(folder: Path) -> list[str]:
    """What starts a command for which `folder` is empty, as for a machine without the shared disk."""
    inside = f"mount -t tmpfs none '{folder}' && exec \"$@\""
    return ["unshare", "--map-root-user", "--mount", "sh", "-c", inside, "sh"]


@pytest.mark.slow
def test_a_machine_that_does_not_see_the_store_is_named_before_anything_is_done(here, cluster):
    store = here / "store_blind"
    store.mkdir()
    if not shutil.which("unshare") or subprocess.run([*hiding(store), "true"], check=False).returncode:
        pytest.skip("this machine lets nobody hide a folder from a process (unshare)")
    blind = cluster.join(before=hiding(store))
    cluster.wait_for(3)
    process = started(here, cluster, "blind")
    said = process.communicate(timeout=120)[1]
    cluster.lose(blind)
    assert process.returncode == 2, said[-3000:]
    assert re.search(r"error: a machine of the cluster does not fit this run: \S+: it does not see", said)
    assert said.count("it does not see") == 1  # of three machines
    assert "Traceback" not in said
    assert not list(store.iterdir())
