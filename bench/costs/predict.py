"""The cost of a whole plan: every cell, what of it is done, and how long it takes on so many places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.cells import Cell
from bench.costs.devices import accelerator, core_seconds
from bench.costs.model import Cost, Figure, Model, estimate
from bench.costs.pools import Pools, Supposed, counted, pool_of
from bench.costs.samples import Sample, samples_of, stored_bytes
from bench.costs.schedule import Schedule, Task, schedule
from bench.costs.table import Table, read_table, shipped_table
from bench.costs.work import Made, Work, work_of
from bench.errors import InputError
from bench.planning.plan import STAGE_COSTS, Plan
from bench.report.cost import Machine
from bench.store import Store

_LEAST = 0.01
"""Seconds of the smallest cell: to be handed out and stored."""
STORED = "stored"
"""The basis of the storage of a cell that is done."""


@dataclass(frozen=True)
class Line:
    """One cell of the plan. method: whose work it is, empty for what all share."""

    key: str
    cell: Cell
    work: Work
    cost: Cost
    done: bool
    method: str


@dataclass(frozen=True)
class Prediction:
    """lines: every cell, in the plan's order. places: workers and accelerators that `ahead` is for.

    ahead: of what is left to do. notes: what the estimates rest on.
    """

    plan: Plan
    lines: Sequence[Line]
    workers: int
    gpus: int
    ahead: Schedule
    notes: Sequence[str] = field(default_factory=tuple)


def predict(
    plan: Plan,
    workers: int,
    *,
    samples: Sequence[Sample] | None = None,
    rates: Path | None = None,
    machines: Sequence[Machine] = (),
    gpus: int = 1,
) -> Prediction:
    """What the plan costs. samples: what cells took here; those of the plan's store if None. rates: a table
    in place of the one that ships. machines: tables of throughput, for the accelerator where the plan's
    device is one; gpus: how many of them.

    Raises InputError for an unreadable table, and where a pool's size is not known.
    """
    config = plan.config
    store = Store(config.store)
    done = {key for key in plan.cells if store.has(key)}
    works = plan_works(plan, store, done)
    table = read_table(rates) if rates else shipped_table()
    samples = samples_of(config.store) if samples is None else samples
    model = Model.of(samples, table, STAGE_COSTS)
    reads = {key: cell.needs for key, cell in plan.cells.items()}
    costs = estimate(works, reads, model)
    notes = [_sources(table, len(samples), rates)]
    found = None
    if config.device.startswith("cuda"):
        exact = config.inference == "exact"
        side = plan.dataset.size
        found = accelerator(machines, preset=config.preset, side=side, exact=exact, model=model)
        notes.append(_on_gpu(found.label if found else "", gpus))
    if found is not None:
        costs = _accelerated(costs, reads, found.seconds(works))
    places = gpus if found is not None else 0
    if isinstance(plan.dataset, Supposed):
        notes.append(_supposed(plan.dataset.supposed, plan.dataset.how))
    for key in done:
        stored = Figure(float(stored_bytes(config.store, key)), STORED)
        costs[key] = replace(costs[key], storage=stored)
    lines = [
        Line(key, cell, works[key], costs[key], key in done, _method(cell, works[key]))
        for key, cell in plan.cells.items()
    ]
    ahead = schedule(_tasks(lines), workers, places)
    return Prediction(plan, lines, workers, places, ahead, tuple(notes))


def elapsed_on(found: Prediction, workers: int) -> float:
    """Seconds that what is left takes on another number of workers, with as many accelerators."""
    return schedule(_tasks(found.lines), workers, found.gpus).elapsed


def _tasks(lines: Sequence[Line]) -> dict[str, Task]:
    return {
        line.key: Task(line.cost.core_seconds.value, line.cost.gpu_seconds.value, line.cell.needs)
        for line in lines
        if not line.done
    }


def priced(plan: Plan) -> Plan:
    """The plan with each cell's cost (core-seconds) and memory as the table that ships has them: for the
    order of work, the time left and what fits side by side. As it was where nobody knows how many faces
    there are."""
    try:
        works = plan_works(plan, Store(plan.config.store), set())
    except InputError:
        return plan
    model = Model.of((), shipped_table(), STAGE_COSTS)
    costs = estimate(works, {key: cell.needs for key, cell in plan.cells.items()}, model)
    cells = {
        key: replace(cell, cost=max(_LEAST, costs[key].core_seconds.value), memory=costs[key].memory.value)
        for key, cell in plan.cells.items()
    }
    return replace(plan, cells=cells)


def plan_works(plan: Plan, store: Store, done: set[str]) -> dict[str, Work]:
    """The work of every cell: sizes of pools as stored where their faces were read, else as counted."""
    pools: dict[str, Pools] = {d.id: counted(d) for d in (*plan.learning, plan.dataset)}
    works: dict[str, Work] = {}
    for key, cell in plan.cells.items():
        inputs = {role: works[k].made for role, k in {**cell.inputs, **cell.tolerated}.items() if k in works}
        faces = None
        if cell.stage == "faces" and "joined" not in cell.params:
            if key in done:
                facts = store.card(key)["facts"]
                faces = Made(facts["images"], facts["people"])
            else:
                faces = pool_of(pools, cell.params, cell.title)
        works[key] = work_of(cell.stage, cell.params, inputs, faces)
    return works


def _accelerated(
    costs: Mapping[str, Cost], reads: Mapping[str, Sequence[str]], seconds: Mapping[str, Figure]
) -> dict[str, Cost]:
    found = dict(costs)
    for key, figure in seconds.items():
        read = sum(costs[k].storage.value for k in set(reads[key]) if k in costs)
        core = core_seconds(read, costs[key].storage.value)
        found[key] = replace(costs[key], gpu_seconds=figure, core_seconds=core)
    return found


def _method(cell: Cell, work: Work) -> str:
    """Methods are named by their own stages' parameters, and by the output that others look at."""
    if "method" in cell.params:
        return str(cell.params["method"])
    return work.made.output.partition(":")[0]


def _sources(table: Table, own: int, path: Path | None) -> str:
    here = f"{own} cells in the store" if own else "no cell in the store yet says what it took"
    where = f"{path}" if path else "the table that ships"
    return (
        f"measured here: {here}; reference machine: {table.machine}, {table.date}, {table.versions} ({where})"
    )


def _on_gpu(label: str, gpus: int) -> str:
    if not label:
        return (
            "no table of a GPU: everything is counted on processors; give --throughput a table that "
            "`bench throughput --device cuda` wrote"
        )
    return (
        f"accelerator: {gpus} x {label}; protecting, embedding, training and the generator rung run there, "
        "all else on processors"
    )


def _supposed(pools: Pools, how: str) -> str:
    told = ", ".join(f"{p} {m.images:,} images of {m.people:,} people" for p, m in pools.items())
    return f"supposed: {told}; {how}"
