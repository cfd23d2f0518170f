"""Runs cells in worker processes of this machine, one thread each.

A worker that dies takes one cell with it, which is tried once more in a fresh worker. Cells whose inputs are
done run in the order of the longest work that still hangs on them, so that both cores end together.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from bench.cells import Cell, Environment, Job, Recent, run_cell
from bench.components.base import Context
from bench.errors import BenchError
from bench.store import DamagedArtefactError, Store

CACHE_BYTES = 500_000_000
"""Of objects that a worker keeps at hand."""

_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


@dataclass(frozen=True)
class Failure:
    """Why a cell has no result. `blocked` when an input of it failed first."""

    cell: Cell
    message: str
    details: str = ""
    blocked: bool = False


@dataclass(frozen=True)
class Spent:
    """What a cell took: from `started` to `ended` by the clock of the run, and seconds of processor time."""

    worker: int
    started: float
    ended: float
    processor: float


@dataclass
class Outcome:
    """done: planned key -> key of the artefact. failures: planned key -> why. spent: of each cell that was
    computed, by planned key. elapsed: seconds that `execute` took."""

    done: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    elapsed: float = 0.0

    @property
    def computed(self) -> int:
        """Number of cells that were not in the store yet."""
        return len(self.spent)


@dataclass(frozen=True)
class Event:
    """Something to show: `start`, `progress` (share of the cell, text), `done`, `cached`, `failed`."""

    kind: str
    cell: Cell
    share: float = 0.0
    text: str = ""
    worker: int = 0


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    planned: str = ""
    cell: Cell | None = None
    started: float = 0.0


def execute(
    cells: Iterable[Cell],
    environment: Environment,
    workers: int,
    notify: Callable[[Event], None],
    provenance: dict[str, Any],
) -> Outcome:
    """Make every cell of the plan that the store lacks. KeyboardInterrupt stops the workers and passes on."""
    run = _Run({c.key: c for c in cells}, environment, workers, notify, provenance)
    try:
        return run.finish()
    finally:
        run.close()


class _Run:
    def __init__(
        self,
        planned: dict[str, Cell],
        environment: Environment,
        workers: int,
        notify: Callable[[Event], None],
        provenance: dict[str, Any],
    ) -> None:
        self.planned, self.environment, self.size = planned, environment, workers
        self.notify, self.provenance = notify, provenance
        self.store = Store(environment.store)
        self.outcome = Outcome()
        self.began = time.monotonic()
        self.weight = _critical_path(planned)
        self.waiting = set(planned)
        self.retried: set[str] = set()
        self.missing: dict[str, Cell] = {}
        self.workers: list[_Worker] = []

    def finish(self) -> Outcome:
        changed = True
        while self.waiting or self._busy():
            if changed:
                changed = self._hand_out()
                continue
            busy = self._busy()
            ready = wait([w.pipe for w in busy], timeout=1.0)
            heard = [self._listen(worker) for worker in busy if worker.pipe in ready]
            changed = any(heard) or not busy
        self.outcome.elapsed = self._now()
        return self.outcome

    def close(self) -> None:
        for worker in self.workers:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
        self.workers.clear()

    def _now(self) -> float:
        return time.monotonic() - self.began

    def _busy(self) -> list[_Worker]:
        return [w for w in self.workers if w.cell is not None]

    # -- handing out -------------------------------------------------------------------------------

    def _hand_out(self) -> bool:
        """Settle what the store has and start what there are workers for; whether that made more ready."""
        before = len(self.outcome.done) + len(self.outcome.failures)
        for planned in self._ready():
            if planned not in self.missing:
                cell = self._resolved(self.planned[planned])
                if self.store.has(cell.key):
                    self._settle(planned, cell, "cached")
                else:
                    self.missing[planned] = cell
        for planned in sorted(self.missing, key=lambda k: (-self.weight[k], k)):
            if (worker := self._free_worker()) is None:
                break
            self._start(worker, planned, self.missing.pop(planned))
        return len(self.outcome.done) + len(self.outcome.failures) > before

    def _ready(self) -> list[str]:
        settled = self.outcome.done.keys() | self.outcome.failures.keys()
        ready = []
        for planned in list(self.waiting):
            cell = self.planned[planned]
            needs = [k for k in cell.inputs.values() if k in self.planned]
            broken = [k for k in needs if k in self.outcome.failures]
            if broken:
                self.waiting.discard(planned)
                first = self.outcome.failures[broken[0]]
                self.outcome.failures[planned] = Failure(cell, first.message, blocked=True)
            elif all(
                k in settled for k in [*needs, *(k for k in cell.tolerated.values() if k in self.planned)]
            ):
                ready.append(planned)
        return ready

    def _resolved(self, cell: Cell) -> Cell:
        cell = cell.without(set(self.outcome.failures))
        return replace(cell, inputs={r: self.outcome.done.get(k, k) for r, k in cell.inputs.items()})

    def _settle(self, planned: str, cell: Cell, kind: str) -> None:
        self.waiting.discard(planned)
        self.outcome.done[planned] = cell.key
        self.notify(Event(kind, cell, 1.0))

    def _free_worker(self) -> _Worker | None:
        for worker in self.workers:
            if worker.cell is None:
                return worker
        if len(self.workers) < self.size:
            self.workers.append(_spawn(self.environment, self.provenance))
            return self.workers[-1]
        return None

    def _start(self, worker: _Worker, planned: str, cell: Cell) -> None:
        self.waiting.discard(planned)
        worker.planned, worker.cell, worker.started = planned, cell, self._now()
        with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed when we listen to it
            worker.pipe.send(cell)
        self.notify(Event("start", cell, worker=self.workers.index(worker)))

    # -- listening ---------------------------------------------------------------------------------

    def _listen(self, worker: _Worker) -> bool:
        """Take note of what a worker says; whether it is free again."""
        assert worker.cell is not None
        try:
            kind, *rest = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._lost(worker)
            return True
        index = self.workers.index(worker)
        if kind == "progress":
            self.notify(Event("progress", worker.cell, rest[0], rest[1], index))
            return False
        planned, cell = worker.planned, worker.cell
        worker.cell = None
        if kind == "done":
            self.outcome.spent[planned] = Spent(index, worker.started, self._now(), rest[0])
            self._settle(planned, cell, "done")
        elif kind == "damaged" and rest[0] not in self.retried:
            self._make_again(planned, rest[0])
        else:
            self._fail(planned, cell, rest[0], rest[1])
        return True

    def _lost(self, worker: _Worker) -> None:
        assert worker.cell is not None
        planned, cell, code = worker.planned, worker.cell, worker.process.exitcode
        self.workers.remove(worker)
        worker.process.join()
        code = worker.process.exitcode
        if planned in self.retried:
            self._fail(planned, cell, f"its worker died twice (exit code {code}); too little memory?", "")
        else:
            self.retried.add(planned)
            self.waiting.add(planned)

    def _make_again(self, planned: str, damaged: str) -> None:
        """Put the cell back, and the one whose artefact was damaged before it."""
        self.missing.clear()
        self.retried.add(damaged)
        self.waiting.add(planned)
        for origin, key in list(self.outcome.done.items()):
            if key == damaged:
                del self.outcome.done[origin]
                self.waiting.add(origin)

    def _fail(self, planned: str, cell: Cell, message: str, details: str) -> None:
        self.waiting.discard(planned)
        self.outcome.failures[planned] = Failure(cell, message, details)
        self.notify(Event("failed", cell, text=message))


def _critical_path(planned: dict[str, Cell]) -> dict[str, float]:
    """For every cell its own cost and that of the longest chain of work that waits for it."""
    readers: dict[str, list[str]] = {k: [] for k in planned}
    for key, cell in planned.items():
        for need in [*cell.inputs.values(), *cell.tolerated.values()]:
            if need in readers:
                readers[need].append(key)
    weight: dict[str, float] = {}
    for key in reversed(list(planned)):  # plans list inputs before their readers
        weight[key] = planned[key].cost + max((weight[r] for r in readers[key]), default=0.0)
    return weight


def _spawn(environment: Environment, provenance: dict[str, Any]) -> _Worker:
    for name in _THREADS:
        os.environ[name] = "1"
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, environment, provenance), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _work(pipe: Connection, environment: Environment, provenance: dict[str, Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what Ctrl-C means
    import torch

    torch.set_num_threads(1)
    store, recent = Store(environment.store), Recent(CACHE_BYTES)
    while True:
        try:
            cell: Cell = pipe.recv()
        except EOFError:
            return
        pipe.send(_attempt(cell, store, recent, environment, provenance, pipe))


def _attempt(
    cell: Cell,
    store: Store,
    recent: Recent,
    environment: Environment,
    provenance: dict[str, Any],
    pipe: Connection,
) -> tuple[Any, ...]:
    started, used = time.monotonic(), time.process_time()
    try:
        job = make_job(cell, store, environment, recent, _reporter(pipe))
        artefact = run_cell(job)
        facts = {"stage": cell.stage, "title": cell.title, "seconds": time.monotonic() - started}
        store.save(cell.key, artefact, {**provenance, **facts, "params": dict(cell.params)})
    except DamagedArtefactError as error:
        return "damaged", error.key, str(error)
    except BenchError as error:
        return "failed", str(error), traceback.format_exc()
    except Exception as error:  # a bug in one component is that cell's failure, not the run's
        return "failed", f"{type(error).__name__}: {error}", traceback.format_exc()
    return "done", time.process_time() - used


def make_job(
    cell: Cell,
    store: Store,
    environment: Environment,
    recent: Recent,
    report: Callable[[float, float, str], None],
) -> Job:
    """The job of `cell` with a context seeded by its parameters and a folder for its checkpoints."""
    from bench.weights import WeightsFolder

    weights = WeightsFolder(environment.weights) if environment.weights else None
    context = Context(
        seed=int(cell.params.get("seed", 0)),
        device=environment.device,
        precision=cell.params.get("precision", "fp32"),
        workdir=store.workdir(cell.key),
        weights=weights,
        report=report,
    )
    return Job(cell, store, environment, context, recent)


def _reporter(pipe: Connection) -> Callable[[float, float, str], None]:
    last = 0.0

    def report(done: float, total: float, text: str) -> None:
        nonlocal last
        if time.monotonic() - last > 0.25:
            last = time.monotonic()
            pipe.send(("progress", done / total if total else 0.0, text))

    return report
