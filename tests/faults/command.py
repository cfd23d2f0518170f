"""The command that the faults are done to, its results, and what must be true of its store afterwards."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.record import RECORD, lasting
from bench.store import Store

HOOK = Path(__file__).parent / "hook"
ORPHAN_SECONDS = 20.0
"""In which a worker must have ended after its parent was killed; it may be in a long call."""

_EVERY_RUN = ("profile.csv", ".stamp", ".lock")

SMALL = (
    *("--methods", "original,constant,blur", "--attributes", "gender", "--attackers", "knn"),
    *("--matchers", "se_resnet", "--threats", "aware"),
    *(
        f"--set=dataset_options.{pool}_{what}={count}"
        for pool, what, count in (
            ("develop", "people", 20),
            ("validation", "people", 4),
            ("attack", "people", 60),
            ("test", "people", 40),
            ("test", "images", 3),
        )
    ),
    *("--set=options.se_resnet.steps=20", "--set=resamples=100", "--set=quality_images=8"),
    "--set=adaptive_images=100",
)
"""A run of some seconds that goes through most stages."""

EMBEDDED = (
    *("--methods", "all", "--quick"),
    *(f"--set=dataset_options.{name}" for name in ("attack_people=120", "test_people=60", "test_images=4")),
    *("--set=options.se_resnet.steps=60", "--set=adaptive_images=200", "--set=learning_images=200"),
    *("--set=resamples=100", "--set=quality_images=8"),
)
"""Every method on the embedded faces, smaller than `--quick`."""


def checkout(folder: Path) -> Path:
    """A copy of the packages that `python -m bench` finds first in `folder`: nobody changes it meanwhile."""
    for package in ("bench", "methods", "attackers", "matchers"):
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).parent
        shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@dataclass(frozen=True)
class Command:
    """`python -m bench run`. code: a `checkout`. store, out: where finished work and the report go."""

    code: Path
    store: Path
    out: Path
    arguments: Sequence[str] = SMALL

    def start(self, log: Path, **environment: str) -> subprocess.Popen[bytes]:
        """In a session of its own; what it says goes to `log`."""
        with log.open("wb") as file:
            return subprocess.Popen(
                self._run(),
                cwd=self.code,
                env=self._environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def finish(self, **environment: str) -> tuple[int, str]:
        """Run it to its end; exit status and what it said."""
        return self._finished(self._run(), environment)

    def verify(self) -> tuple[int, str]:
        """The same of `bench store verify`."""
        return self._finished([sys.executable, "-m", "bench", "store", "verify", *self._store()], {})

    def _run(self) -> list[str]:
        return [sys.executable, "-m", "bench", "run", *self.arguments, *self._store(), "--out", str(self.out)]

    def _store(self) -> list[str]:
        return ["--store", str(self.store)]

    def _finished(self, line: list[str], environment: dict[str, str]) -> tuple[int, str]:
        found = subprocess.run(
            line,
            cwd=self.code,
            env=self._environment(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=3000,
            check=False,
        )
        return found.returncode, found.stdout.decode(errors="replace")

    def results(self) -> dict[str, bytes]:
        """What the report promises to be equal, by path: all of it, of the record the lasting part."""
        found = {}
        for path in sorted(self.out.rglob("*")):
            name = path.relative_to(self.out).as_posix()
            if not path.is_file() or name in _EVERY_RUN:
                continue
            data = path.read_bytes()
            if name == RECORD:
                data = json.dumps(lasting(json.loads(data)), sort_keys=True).encode()
            found[name] = data
        return found

    def _environment(self, more: dict[str, str]) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if k != "BENCH_WEIGHTS" and not k.startswith("PYTEST")}
        return {**kept, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HOOK), **more}


def different(found: dict[str, bytes], expected: dict[str, bytes]) -> list[str]:
    """Names of files that are there on one side alone, or differ."""
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))


def trouble(command: Command) -> list[str]:
    """What is wrong with store and report of a command that has ended well; nothing if all is well."""
    store = Store(command.store)
    found = []
    for key in store.stored():
        try:
            store.load(key)
        except Exception as error:  # whatever it is, it is a finding
            found.append(f"{key[:12]}: {error}")
    for name in ("new", "work"):
        found += [f"left: {path}" for path in (command.store / name).glob("*")]
    found += [f"left: {path}" for path in command.out.rglob(".new-*")]
    return found


def of_session(leader: int) -> list[psutil.Process]:
    """Living processes of the session that process `leader` began."""
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.NoSuchProcess, ProcessLookupError):
            continue
    return found


def wait_for_the_end_of(leader: int) -> float:
    """Seconds until no process of a session was left; kills those left after `ORPHAN_SECONDS`, and fails."""
    began = time.monotonic()
    while left := of_session(leader):
        if time.monotonic() - began > ORPHAN_SECONDS:
            told = [" ".join(process.cmdline()[-3:]) for process in left]
            os.killpg(leader, signal.SIGKILL)
            raise AssertionError(f"still there {ORPHAN_SECONDS:g} s after the parent was killed: {told}")
        time.sleep(0.02)
    return time.monotonic() - began
