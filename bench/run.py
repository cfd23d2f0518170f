"""The main job: plan, compute what is missing, write the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench import distributed
from bench.cells import Environment
from bench.config import RunConfig
from bench.engines import local
from bench.engines.local import Failure, Outcome
from bench.errors import UsageError
from bench.machine import cores, machine
from bench.planning.build import build
from bench.planning.plan import Plan
from bench.profile import profile_lines, write_profile
from bench.progress import Progress
from bench.run_report import report, training_curves
from bench.sources import evaluations, sources
from bench.store import Store
from bench.weights import WeightsFolder

if TYPE_CHECKING:
    from bench.report.cost import Machine

_MEASURED = Path("runs/throughput/throughput.csv")
"""Where `bench throughput` leaves its table unless told otherwise."""


def run(config: RunConfig, say: Callable[[str], None], *, profile: bool = False) -> int:
    """Run the benchmark and write its report; returns the number of failed cells. `say` prints a line.

    With several datasets to test on, one report each and one table over all. profile: say where the time
    went, and write `profile.csv` beside the report.
    """
    parts, failed = evaluations(config), 0
    machines = measured_machines(config, parts, say)
    for part in parts:
        if len(parts) > 1:
            say(f"testing on {part.dataset}")
        failed += _evaluate(part, say, machines, profile=profile)
    _join_reports(parts, say)
    return failed


def _evaluate(
    config: RunConfig, say: Callable[[str], None], machines: Sequence[Machine], *, profile: bool
) -> int:
    plan = build(config)
    for note in plan.notes:
        say(f"note: {note}")
    for line in plan.unavailable():
        say(line)
    outcome = execute(plan, say)
    folder = folder_of(config)
    training_curves(plan, outcome, folder, say)
    report(plan, outcome, folder, say, machines)
    if profile:
        for line in profile_lines(plan.cells, outcome, config.workers or cores()):
            say(line)
        say(f"every cell: {write_profile(folder / 'profile.csv', plan.cells, outcome)}")
    failed = [f for f in outcome.failures.values() if not f.blocked]
    for message, count in Counter(f.message for f in failed).items():
        first = next(f for f in failed if f.message == message)
        more = f" (and {count - 1} more like it)" if count > 1 else ""
        say(f"failed: {first.cell.title}{more}: {message}")
    return len(failed)


def collect_only(config: RunConfig, say: Callable[[str], None]) -> None:
    """Write the report of what the store already holds."""
    parts = evaluations(config)
    machines = measured_machines(config, parts, say)
    for part in parts:
        plan = build(part)
        outcome = finished(plan)
        training_curves(plan, outcome, folder_of(part), say)
        report(plan, outcome, folder_of(part), say, machines)
    _join_reports(parts, say)


def measured_machines(
    config: RunConfig, parts: Sequence[RunConfig], say: Callable[[str], None]
) -> tuple[Machine, ...]:
    """The machines in the tables of `bench throughput` that a run was given, read before anything is done.

    Without any, a table where that command leaves its own is pointed out and not used: nobody said that it
    belongs to this run. Raises InputError for what is no such table, or would be replaced by the report.
    """
    from bench.report.cost_tables import read_machines, refuse_measured

    for part in parts:
        refuse_measured(folder_of(part))
    if not config.throughput and _MEASURED.is_file():
        say(f"note: {_MEASURED} is not in the report; --throughput {_MEASURED} puts it there")
    return read_machines(config.throughput)


def _join_reports(parts: Sequence[RunConfig], say: Callable[[str], None]) -> None:
    if len(parts) > 1:
        from bench.report.joint import write_joint

        folders = [folder_of(part) for part in parts]
        joint = write_joint(folders[0].parent, folders)
        say(f"leaderboard of all datasets: {joint}   page: {joint.with_name('index.html')}")


def finished(plan: Plan) -> Outcome:
    """What the store already holds of a plan, as `execute` would have left it."""
    store, outcome = Store(plan.config.store), Outcome()
    for planned, cell in plan.cells.items():
        there = cell.without(set(outcome.failures))
        there = replace(there, inputs={r: outcome.done.get(k, k) for r, k in there.inputs.items()})
        if store.has(there.key):
            outcome.done[planned] = there.key
        else:
            outcome.failures[planned] = Failure(cell, "not computed yet; run the same command with `run`")
    return outcome


def folder_of(config: RunConfig) -> Path:
    """Where the files for people go."""
    return config.out or Path("runs") / config.dataset


def execute(plan: Plan, say: Callable[[str], None]) -> Outcome:
    """Make every cell of the plan that the store lacks. Raises UsageError under torchrun."""
    if distributed.launched():
        raise UsageError(
            "torchrun starts processes that share a training: use it for `train` alone, and start this "
            "command without it"
        )
    config = plan.config
    workers = config.workers or cores()
    whom = f" for {len(plan.subjects)} variants" if plan.subjects else ""
    say(f"{len(plan.cells)} cells{whom} on {workers} workers")
    with Progress(plan.cells.values(), workers) as progress:
        outcome = local.execute(
            plan.cells.values(), environment_of(config, config.device), workers, progress, machine()
        )
    say(
        f"{outcome.computed} cells computed, {len(outcome.done) - outcome.computed} taken from {config.store}"
    )
    return outcome


def environment_of(config: RunConfig, device: str) -> Environment:
    """Where those who do the work find things; device: theirs."""
    weights = WeightsFolder.find(config.weights)
    found = {
        name: replace(source, roots=tuple(root.resolve() for root in source.roots))
        for name, source in sources(config).items()
    }
    return Environment(
        store=config.store.resolve(),
        sources=found,
        weights=weights.root.resolve() if weights else None,
        device=device,
    )
