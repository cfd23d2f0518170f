"""The main job: plan, compute what is missing, write the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench import distributed
from bench.cells import Environment, Source
from bench.config import RunConfig
from bench.costs.predict import priced
from bench.engines import local
from bench.engines.outcome import Failure, Outcome
from bench.engines.schedule import MOST_DAMAGES
from bench.errors import UsageError
from bench.machine import cores, machine
from bench.planning.build import build
from bench.planning.plan import Plan
from bench.profile import profile_lines, write_profile
from bench.progress import Progress
from bench.run_report import report, training_curves
from bench.sources import evaluations, sources
from bench.store import DamagedArtefactError, Store
from bench.sweep import swept
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
    plans = [build(part) for part in parts]
    if len(plans) > 1 and (everything := swept(plans)):
        say(f"{', '.join(part.dataset for part in parts)} together")
        outcome = execute(everything, say)
        if profile:
            _profile(everything, outcome, folder_of(parts[0]).parent, say)
            profile = False  # all is done; of each dataset alone there is nothing to tell
    for plan in plans:
        if len(plans) > 1:
            say(f"testing on {plan.config.dataset}")
        failed += _evaluate(plan, say, machines, profile=profile)
    _join_reports(parts, say)
    return failed


def _evaluate(plan: Plan, say: Callable[[str], None], machines: Sequence[Machine], *, profile: bool) -> int:
    config = plan.config
    for note in plan.notes:
        say(f"note: {note}")
    for line in plan.unavailable():
        say(line)
    folder = folder_of(config)
    outcome = _execute_and_report(plan, folder, say, machines)
    if profile:
        _profile(plan, outcome, folder, say)
    failed = [f for f in outcome.failures.values() if not f.blocked]
    for message, count in Counter(f.message for f in failed).items():
        first = next(f for f in failed if f.message == message)
        more = f" (and {count - 1} more like it)" if count > 1 else ""
        say(f"failed: {first.cell.title}{more}: {message}")
    return len(failed)


def _profile(plan: Plan, outcome: Outcome, folder: Path, say: Callable[[str], None]) -> None:
    for line in profile_lines(plan.cells, outcome, _places(plan.config, outcome)):
        say(line)
    say(f"every cell: {write_profile(folder / 'profile.csv', plan.cells, outcome)}")


def _execute_and_report(
    plan: Plan, folder: Path, say: Callable[[str], None], machines: Sequence[Machine]
) -> Outcome:
    """Make what is missing and write the report; what turns out damaged is named and made again."""
    store = Store(plan.config.store)
    store.sweep()
    before = store.set_aside_so_far().keys()
    for attempt in range(MOST_DAMAGES + 1):
        outcome = execute(plan, say)
        try:
            training_curves(plan, outcome, folder, say)
            report(plan, outcome, folder, say, machines)
            break
        except DamagedArtefactError as error:
            if attempt == MOST_DAMAGES:
                raise
            say(str(error))
    store.sweep()  # once more: workers that died in this very run leave something as well
    titles = {key: plan.cells[planned].title for planned, key in outcome.done.items()}
    for name, (key, reason) in store.set_aside_so_far().items():
        if name not in before:
            kept = store.root / "aside" / name
            say(f"damaged, and made again: {titles.get(key, key)}: {reason}; the old one is in {kept}")
    return outcome


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
    plan = priced(plan) if plan.sources is None else plan
    outcome = _on_cluster(plan, say) if config.engine == "ray" else _here(plan, say)
    say(
        f"{outcome.computed} cells computed, {len(outcome.done) - outcome.computed} taken from {config.store}"
    )
    return outcome


def _places(config: RunConfig, outcome: Outcome) -> int:
    """Workers that there were; of a cluster, as many as were ever at work at a time."""
    if config.engine == "ray":
        return len({spent.worker for spent in outcome.spent.values()})
    return config.workers or cores()


def _here(plan: Plan, say: Callable[[str], None]) -> Outcome:
    config = plan.config
    if config.address:
        raise UsageError(f"--address {config.address} is of a Ray cluster: add --engine ray, or leave it out")
    workers = config.workers or cores()
    say(f"{_size(plan)} on {workers} workers")
    with Progress(plan.cells.values(), workers) as progress:
        return local.execute(
            plan.cells.values(),
            environment_of(config, config.device, plan.sources),
            workers,
            progress,
            machine(),
        )


def _on_cluster(plan: Plan, say: Callable[[str], None]) -> Outcome:
    from bench.engines import ray

    config = plan.config
    say(f"{_size(plan)} on the Ray cluster at {config.address or 'auto'}")
    cluster = ray.Cluster(config.address, config.gpu_share, config.workers)
    with Progress(plan.cells.values(), config.workers) as progress:
        return ray.execute(
            plan.cells.values(),
            environment_of(config, config.device, plan.sources),
            cluster,
            progress,
            progress.say,
            machine(),
        )


def _size(plan: Plan) -> str:
    whom = f" for {len(plan.subjects)} variants" if plan.subjects else ""
    return f"{len(plan.cells)} cells{whom}"


def environment_of(config: RunConfig, device: str, known: Mapping[str, Source] | None = None) -> Environment:
    """Where those who do the work find things. device: theirs. known: files and options of datasets; else as
    the configuration has them."""
    weights = WeightsFolder.find(config.weights)
    found = {
        name: replace(source, roots=tuple(root.resolve() for root in source.roots))
        for name, source in (known or sources(config)).items()
    }
    return Environment(
        store=config.store.resolve(),
        sources=found,
        weights=weights.root.resolve() if weights else None,
        device=device,
    )
