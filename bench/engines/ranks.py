"""Runs cells in the processes that torchrun started: trainings in all of them, the rest in the first.

The others read what the first has stored, so all need the same storage. Whatever fails in one process ends
all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from bench import distributed
from bench.cells import Cell, Environment, Recent, run_cell
from bench.engines.outcome import Event, Outcome, Spent
from bench.engines.work import CACHE_BYTES, make_job
from bench.errors import BenchError
from bench.store import Store

TOGETHER = ("auxiliary", "fit")
"""Stages whose work is a training that shares out its batches."""


def execute(
    cells: Iterable[Cell],
    environment: Environment,
    notify: Callable[[Event], None],
    provenance: dict[str, Any],
) -> Outcome:
    """Make every cell that the store lacks, one after the other, inputs before their readers.

    Raises BenchError, naming process and cell, for whatever goes wrong.
    """
    planned = list(cells)
    if len({tuple(keys) for keys in distributed.gathered([cell.key for cell in planned])}) > 1:
        raise BenchError(
            "the processes have planned different work; give all the same code, data and options"
        )
    store, recent, outcome = Store(environment.store), Recent(CACHE_BYTES), Outcome()
    provenance = {**provenance, "processes": distributed.here()[1]}
    began = time.monotonic()
    for cell in planned:
        if distributed.agreed(store.has(cell.key)):
            notify(Event("cached", cell, 1.0))
        else:
            started, used = time.monotonic(), time.process_time()
            notify(Event("start", cell))
            _make(cell, store, environment, recent, notify, provenance)
            ended, spent = time.monotonic(), time.process_time() - used
            outcome.spent[cell.key] = Spent(0, started - began, ended - began, spent)
            notify(Event("done", cell))
        outcome.done[cell.key] = cell.key
    outcome.elapsed = time.monotonic() - began
    return outcome


def _make(
    cell: Cell,
    store: Store,
    environment: Environment,
    recent: Recent,
    notify: Callable[[Event], None],
    provenance: dict[str, Any],
) -> None:
    def report(done: float, total: float, text: str) -> None:
        notify(Event("progress", cell, done / total if total else 0.0, text))

    place, count = distributed.here()
    started, artefact = time.monotonic(), None
    try:
        if place == 0 or cell.stage in TOGETHER:
            artefact = run_cell(make_job(cell, store, environment, recent, report))
        distributed.gathered(None)  # nothing is stored before all are done
        if place == 0 and artefact is not None:
            facts = {"stage": cell.stage, "title": cell.title, "seconds": time.monotonic() - started}
            store.save(cell.key, artefact, {**provenance, **facts, "params": dict(cell.params)})
        distributed.gathered(None)
    except Exception as error:  # a bug in one component as well, or a connection lost in torch's own code
        told = str(error) if isinstance(error, BenchError) else f"{type(error).__name__}: {error}"
        raise BenchError(f"rank {place} of {count}, {cell.title}: {told}") from error
