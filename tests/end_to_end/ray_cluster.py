"""A Ray cluster of several machines on this one: each node has processes and a CPU of its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

_NO_WORKER = ("ray::IDLE", "ray::DashboardAgent", "ray::RuntimeEnvAgent")


class Cluster:
    """A head that takes no work, and the nodes that `join`; private to this user, on ports of its own."""

    def __init__(self) -> None:
        # Not in a test's own folder: the names of Ray's sockets are limited to about 100 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="ray"))
        self.environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            # A lost node is noticed after 4 seconds and not after 15.
            "RAY_health_check_period_ms": "1000",
            "RAY_health_check_failure_threshold": "4",
            "RAY_health_check_initial_delay_ms": "1000",
        }
        self.started: list[psutil.Process] = []
        self.address = f"127.0.0.1:{free_port()}"
        port = self.address.partition(":")[2]
        self._start(
            "--head", f"--port={port}", f"--temp-dir={self.folder}", "--num-cpus=0",
            f"--ray-client-server-port={free_port()}", "--include-dashboard=false",
        )  # fmt: skip

    def join(self, *, before: Sequence[str] = ()) -> psutil.Process:
        """Start a node with one CPU. before: a command that starts it."""
        return self._start(f"--address={self.address}", "--num-cpus=1", before=before)

    def _start(self, *options: str, before: Sequence[str] = ()) -> psutil.Process:
        ray = Path(sys.executable).with_name("ray")
        with (self.folder / f"said-{len(self.started)}").open("wb") as said:
            process = subprocess.Popen(
                [*before, ray, "start", "--block", "--object-store-memory=80000000", *options],
                env=self.environment, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        self.started.append(psutil.Process(process.pid))
        return self.started[-1]

    def wait_for(self, nodes: int) -> None:
        """Until so many nodes are there beside the head."""
        deadline = time.monotonic() + 90
        while True:
            said = [path.read_text() for path in self.folder.glob("said-*")]
            if sum("Ray runtime started" in text for text in said) > nodes:
                return
            assert time.monotonic() < deadline, said
            time.sleep(0.2)

    def workers(self) -> list[psutil.Process]:
        """The processes that work on something, or have done so and keep what they know of it."""
        family = [process for node in self.started for process in _family(node)]
        named = [(process, _command(process)) for process in family]
        return [p for p, name in named if name.startswith("ray::") and not name.startswith(_NO_WORKER)]

    @staticmethod
    def lose(node: psutil.Process) -> None:
        """What a power cut does to a node."""
        for process in _family(node):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def stop(self) -> None:
        for node in reversed(self.started):
            self.lose(node)
        shutil.rmtree(self.folder, ignore_errors=True)


def _family(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [*process.children(recursive=True), process]
    except psutil.NoSuchProcess:
        return []


def _command(process: psutil.Process) -> str:
    """Empty for one that has ended."""
    try:
        return " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""


def end_group(process: subprocess.Popen) -> None:
    """Whatever is left of a command that was started in a session of its own, and of what it started."""
    for left in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getsid(left.pid) == process.pid:
                left.kill()


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def two_machines() -> Iterator[Cluster]:
    """A cluster with two nodes that are there, stopped at the end."""
    found = Cluster()
    try:
        found.wait_for(0)
        for number in (1, 2):
            found.join()
            found.wait_for(number)
        yield found
    finally:
        found.stop()
