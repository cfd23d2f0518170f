"""Works on cells in processes of this machine, one thread each; one that dies is replaced."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from bench.cells import Cell, Environment, Recent
from bench.engines import schedule
from bench.engines.outcome import Event, Outcome
from bench.engines.work import CACHE_BYTES, THREADS, Report, attempt
from bench.orphans import end_with_parent
from bench.store import Store


def execute(
    cells: Iterable[Cell],
    environment: Environment,
    workers: int,
    notify: Callable[[Event], None],
    provenance: dict[str, Any],
) -> Outcome:
    """Make every cell of the plan that the store lacks. KeyboardInterrupt stops the workers and passes on."""
    places = _Processes(environment, workers, provenance)
    return schedule.execute(cells, Store(environment.store), places, notify)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    busy: bool = False


class _Processes:
    """Places that are processes, started when they are first needed."""

    def __init__(self, environment: Environment, size: int, provenance: dict[str, Any]) -> None:
        self.environment, self.size, self.provenance = environment, size, provenance
        self.workers: dict[int, _Worker] = {}

    def need(self, cell: Cell) -> int:
        return 0

    def free(self, cell: Cell) -> int | None:
        for place in range(self.size):
            if place not in self.workers:
                self.workers[place] = _spawn(self.environment, self.provenance)
            if not self.workers[place].busy:
                return place
        return None

    def start(self, place: int, cell: Cell) -> None:
        worker = self.workers[place]
        worker.busy = True
        with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed when we listen to it
            worker.pipe.send(cell)

    def wait(self) -> Iterable[tuple[int, Report]]:
        busy = {place: worker for place, worker in self.workers.items() if worker.busy}
        heard = wait([worker.pipe for worker in busy.values()], timeout=1.0)
        return [(place, self._listen(place)) for place, worker in busy.items() if worker.pipe in heard]

    def where(self, place: int) -> str:
        return ""

    def close(self) -> None:
        for worker in self.workers.values():
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self.workers.clear()

    def _listen(self, place: int) -> Report:
        worker = self.workers[place]
        try:
            report: Report = worker.pipe.recv()
        except (EOFError, OSError):  # OSError: it died in the middle of a report
            del self.workers[place]
            worker.process.join()
            worker.pipe.close()
            return Report("lost", f"exit code {worker.process.exitcode}")
        worker.busy = report.kind == "progress"
        return report


def _spawn(environment: Environment, provenance: dict[str, Any]) -> _Worker:
    for name in THREADS:
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, environment, provenance), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, environment: Environment, provenance: dict[str, Any]) -> None:
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    import torch

    torch.set_num_threads(1)
    store, recent = Store(environment.store), Recent(CACHE_BYTES)
    # When the parent has gone, this ends without a word.
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            cell: Cell = pipe.recv()
            pipe.send(attempt(cell, store, recent, environment, provenance, pipe.send))
