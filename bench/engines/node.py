"""What runs on a machine of a cluster: the look at whether it fits a run, and the worker.

Nothing here knows of Ray: `bench.engines.ray` makes remote what it starts.
"""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.cells import Cell, Environment, Recent
from bench.discover import PACKAGES, components
from bench.engines.work import CACHE_BYTES, Report, attempt
from bench.machine import machine
from bench.store import Store

_SOURCE = {".py", ".safetensors"}


class Worker:
    """Works on one cell at a time, and keeps at hand what many cells share.

    provenance: of the run; versions and processor are those of this machine.
    """

    def __init__(self, environment: Environment, provenance: Mapping[str, Any]) -> None:
        self.environment, self.provenance = environment, {**provenance, **machine()}
        self.store, self.recent = Store(environment.store), Recent(CACHE_BYTES)
        self.news: Report | None = None

    def ready(self) -> bool:
        """Answers once the worker is there, with torch imported and held to one thread."""
        import torch

        torch.set_num_threads(1)
        return True

    def work(self, cell: Cell) -> Report:
        """One attempt at `cell`."""
        self.news = None
        return attempt(cell, self.store, self.recent, self.environment, self.provenance, self._note)

    def told(self) -> Report | None:
        """How far the work under way is, as far as known; called from another thread."""
        return self.news

    def _note(self, report: Report) -> None:
        self.news = report


def installation() -> dict[str, str]:
    """What must be alike on all machines of a run for their results to be: code and libraries."""
    here = machine()
    return {
        "veilbench": here["veilbench"],
        "python": platform.python_version(),
        **here["versions"],
        "the source of veilbench": _source()[:12],
    }


def misfits(
    wanted: Mapping[str, str], folders: Iterable[str], writable: str, token: str, content: str
) -> list[str]:
    """Why this machine cannot take part in a run; empty when it can.

    wanted: `installation()` of the machine that started the run. folders: to be read from. writable: to be
    written to. token: a file that the starting machine has just written, and its `content`.
    """
    here = installation()
    found = [
        f"{name} is {here.get(name, 'not installed')} there and {value} here"
        for name, value in wanted.items()
        if here.get(name) != value
    ]
    found += [f"it has no folder {folder}" for folder in folders if not Path(folder).is_dir()]
    try:
        sees = Path(token).read_text(encoding="utf-8") == content
    except OSError:
        sees = False
    if not sees:
        found.append(f"it does not see the store {writable}")
    elif not os.access(writable, os.R_OK | os.W_OK | os.X_OK):
        found.append(f"it may not write to the store {writable}")
    return found


def _source() -> str:
    """SHA-256 over the harness, its components and the weights that ship with them."""
    total = hashlib.sha256()
    for path, name in sorted(_files(), key=lambda item: item[1]):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name}\0{content}\n".encode())
    return total.hexdigest()


def _files() -> Iterable[tuple[Path, str]]:
    packages = sorted({package.partition(".")[0] for package in PACKAGES.values()})
    for package in packages:
        spec = find_spec(package)
        assert spec is not None
        for root in spec.submodule_search_locations or ():
            for path in Path(root).rglob("*"):
                if path.suffix in _SOURCE:
                    yield path, f"{package}/{path.relative_to(root).as_posix()}"
    for kind in PACKAGES:
        for listed in components(kind).values():
            if listed.origin and listed.path.is_file():
                yield listed.path, f"{kind} {listed.id} of {listed.origin}"
