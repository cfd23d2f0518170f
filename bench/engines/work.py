"""One attempt at one cell, wherever it is made, and what is reported of it."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.cells import Cell, Environment, Job, Recent, run_cell
from bench.components.base import Context
from bench.costs.meter import Meter
from bench.errors import BenchError
from bench.files import no_room
from bench.store import FLUSHED_SECONDS, DamagedArtefactError, Store, StoreError

CACHE_BYTES = 500_000_000
"""Of objects that a worker keeps at hand."""

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Variables that hold a worker to one thread; read when the libraries are imported."""

_NEWS_SECONDS = 0.25


@dataclass(frozen=True)
class Report:
    """What became of an attempt, or how far it is.

    kind: `progress` (share of the cell, text), `done` (processor: seconds; peak_bytes: of memory), `failed`
    (text, details: the traceback), `damaged` (text, key of the stored artefact that could not be read),
    `unwritable` (text: that the store or another disk is full or closed, which is no cell's fault), `lost`
    (text; of_node: whether the machine went and not the process alone).
    """

    kind: str
    text: str = ""
    share: float = 0.0
    processor: float = 0.0
    peak_bytes: int = 0
    details: str = ""
    key: str = ""
    of_node: bool = False


def attempt(
    cell: Cell,
    store: Store,
    recent: Recent,
    environment: Environment,
    provenance: Mapping[str, Any],
    tell: Callable[[Report], None],
) -> Report:
    """Do the work of `cell` and store what it leaves; `tell` hears how far it is, a few times a second."""
    meter, used = Meter(environment.device), time.process_time()
    try:
        job = make_job(cell, store, environment, recent, _reporter(tell))
        artefact = run_cell(job)
        spent = meter.spent()
        facts = {"stage": cell.stage, "title": cell.title, "seconds": spent["elapsed"], "spent": spent}
        read = {"params": dict(cell.params), "inputs": dict(cell.inputs)}
        flush = spent["elapsed"] > FLUSHED_SECONDS
        store.save(cell.key, artefact, {**provenance, **facts, **read}, flush=flush)
    except DamagedArtefactError as error:
        return Report("damaged", str(error), key=error.key)
    except StoreError as error:
        return Report("unwritable", str(error))
    except BenchError as error:
        return Report("failed", str(error), details=traceback.format_exc())
    except (Exception, SystemExit) as error:  # a bug in a component is its cell's failure, not the run's
        if isinstance(error, OSError) and (told := no_room(error)):
            return Report("unwritable", told)
        return Report("failed", f"{type(error).__name__}: {error}", details=traceback.format_exc())
    return Report("done", processor=time.process_time() - used, peak_bytes=spent["peak_bytes"])


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


def _reporter(tell: Callable[[Report], None]) -> Callable[[float, float, str], None]:
    last = 0.0

    def report(done: float, total: float, text: str) -> None:
        nonlocal last
        if time.monotonic() - last > _NEWS_SECONDS:
            last = time.monotonic()
            tell(Report("progress", text, share=done / total if total else 0.0))

    return report
