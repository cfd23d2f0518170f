"""A run on a real Ray cluster of a head and two nodes: lost machines, Ctrl-C, machines that do not fit."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from test_run import checkout
from tutorial import text_of

pytest.importorskip("ray", reason="Ray is not installed")

from ray_cluster import Cluster, end_group, free_port, two_machines

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
def alone(here):
    """The report of the same run in processes of this machine."""
    local = ["--store", "store_local", "--out", "local", "--workers", "2"]
    subprocess.run([sys.executable, "-m", "bench", *RUN, *local], cwd=here, check=True, capture_output=True)
    return here / "local"


@pytest.fixture(scope="module")
def cluster():
    with two_machines() as found:
        yield found


def started(folder: Path, cluster: Cluster, name: str, *, told: bool = True) -> subprocess.Popen:
    """The run on the cluster, with a store and a report of its own. told: where it is; else it is found."""
    engine = ["--engine", "ray", *(("--address", cluster.address) if told else ())]
    found = {} if told else {"RAY_ADDRESS": cluster.address}
    return subprocess.Popen(
        [sys.executable, "-m", "bench", *RUN, "--store", f"store_{name}", "--out", name, *engine],
        cwd=folder, env={**cluster.environment, "OMP_NUM_THREADS": "1", **found},
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
def test_a_machine_and_a_worker_are_lost_one_joins_and_the_bytes_are_those_of_one_machine(
    here, alone, cluster
):
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
    for name in SAME:
        assert (here / "ray" / name).read_bytes() == (alone / name).read_bytes()


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind_on_the_cluster(here, cluster):
    process = started(here, cluster, "stopped", told=False)
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


def script(folder: Path) -> Path:
    """The Slurm script of the documentation, and what stands in for Slurm on one machine, first in PATH."""
    (text,) = re.findall(r"^```bash bench.sbatch\n(.*?)^```$", text_of("cluster.md"), re.M | re.S)
    (folder / "bench.sbatch").write_text(text)
    places = {
        "srun": 'while [[ $1 == --* ]]; do shift; done; exec "$@"',
        "scontrol": f'echo "$@" >> {folder}/scontrol; [ "$1" = requeue ] || printf "localhost\\n%.0s" 1 2',
    }
    (folder / "slurm").mkdir()
    for name, does in places.items():
        (folder / "slurm" / name).write_text(f"#!/usr/bin/env bash\n{does}\n")
        (folder / "slurm" / name).chmod(0o755)
    return folder / "bench.sbatch"


def submitted(script: Path, folder: Path, *arguments: str, first: str = "") -> subprocess.Popen:
    """The script on two nodes of one CPU. first: a folder to look for commands in before all others."""
    bin_ = Path(sys.executable).parent
    path = f"{first}:{script.parent / 'slurm'}:{bin_}:{os.environ['PATH']}"
    number = next(p for p in (free_port() for _ in range(1000)) if 20000 <= p < 40000) - 20000
    return subprocess.Popen(
        ["bash", script, *arguments],
        cwd=folder,
        env={
            **os.environ, "PATH": path, "TMPDIR": tempfile.gettempdir(), "OMP_NUM_THREADS": "1",
            "SLURM_JOB_ID": str(number), "SLURM_JOB_NODELIST": "two", "SLURM_CPUS_PER_TASK": "1",
        },
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


@pytest.mark.slow
def test_the_script_for_slurm_runs_a_cluster_of_its_own_to_the_end(here, alone, tmp_path):
    process = submitted(script(tmp_path), here, *RUN[1:], "--store", "store_ray", "--out", "slurm")
    try:
        said = process.communicate(timeout=200)[0]
    finally:
        end_group(process)
    assert process.returncode == 0, said[-3000:]
    for name in SAME:
        assert (here / "slurm" / name).read_bytes() == (alone / name).read_bytes()
    assert "requeue" not in (tmp_path / "scontrol").read_text()


@pytest.mark.parametrize(("stopped", "status"), [(True, 130), (False, 7)])
def test_the_script_for_slurm_stops_the_run_in_order_and_is_queued_again(tmp_path, stopped, status):
    commands = {
        "ray": "exec python3 -c 'import sys, socket, time\n"
        'port = next((a[7:] for a in sys.argv if a.startswith("--port=")), "0")\n'
        'listening = socket.create_server(("localhost", int(port)))\ntime.sleep(60)\' "$@"',
        "python": 'if [ "$1" = -c ]; then echo secret; exit; fi\n'
        "trap 'echo told to stop >> said; exit 130' TERM\n"
        'echo "$@" > said; [ -e go ] && exit 7; while true; do sleep 0.05; done',
    }
    (tmp_path / "first").mkdir()
    for name, does in commands.items():
        (tmp_path / "first" / name).write_text(f"#!/usr/bin/env bash\n{does}\n")
        (tmp_path / "first" / name).chmod(0o755)
    if not stopped:
        (tmp_path / "go").touch()
    process = submitted(script(tmp_path), tmp_path, "--methods", "all", first=str(tmp_path / "first"))
    try:
        while not (tmp_path / "said").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        if stopped:
            os.kill(process.pid, signal.SIGTERM)
        said = process.communicate(timeout=60)[0]
    finally:
        end_group(process)
    assert process.returncode == status, said
    command, *more = (tmp_path / "said").read_text().splitlines()
    assert re.fullmatch(r"-m bench run --engine ray --address localhost:\d+ --methods all", command)
    assert more == (["told to stop"] if stopped else [])
    assert ("requeue" in (tmp_path / "scontrol").read_text()) == stopped


def test_the_commands_of_the_documentation_have_options_that_are_there():
    import typer

    from bench.cli import app

    text = text_of("cluster.md")
    run = typer.main.get_command(app).commands["run"]
    known = {name for option in run.params for name in option.opts}
    typed = re.findall(r"^(?:\$ python -m bench run|    sbatch bench.sbatch) (.*)$", text, re.M)
    said = re.findall(r"`(--[^`]*)`", text)
    assert len(typed) >= 3
    used = {word for line in [*typed, *said] for word in re.findall(r"--[a-z][a-z-]*", line)}
    assert used - known <= {"--signal", "--no-kill", "--requeue"}
    assert {"--engine", "--address", "--workers", "--seeds", "--datasets", "--device"} <= used
