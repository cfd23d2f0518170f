"""`bench plan`: what a run would do, what of it is done, and what the rest costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.errors import UsageError
from bench.shown import one_line

if TYPE_CHECKING:
    from bench.config import RunConfig
    from bench.costs.predict import Prediction
    from bench.planning.plan import Plan


def plan(
    config: RunConfig,
    cost: Annotated[
        bool,
        typer.Option("--cost", help="time, memory and storage, and what each figure is based on"),
    ] = False,
    cost_csv: Annotated[Path | None, typer.Option(help="file for the costs of every cell, as CSV")] = None,
    images: Annotated[
        int | None, typer.Option(help="suppose the dataset had so many images, none of which need be there")
    ] = None,
    people: Annotated[int | None, typer.Option(help="and that they show so many people")] = None,
    gpus: Annotated[
        int, typer.Option(min=1, help="accelerators of a run with --device cuda, rates from --throughput")
    ] = 1,
    rates: Annotated[
        Path | None, typer.Option(help="table of rates in place of the reference machine's that ships")
    ] = None,
    write_rates: Annotated[
        Path | None, typer.Option(help="write what the store's cells took as such a table, and stop")
    ] = None,
) -> None:
    """Show what a run would do and what is already done, without doing anything.

    With --cost also what the rest takes: time on so many workers, memory and storage.
    """
    if write_rates is not None:
        print(one_line(f"wrote {_write_rates(config, write_rates)}"))
        return
    if (images is None) != (people is None):
        raise UsageError("--images and --people go together: write how many images of how many people")
    wanted = cost or cost_csv is not None or images is not None
    predictions = []
    for part, planned in _plans(config, images, people):
        if not wanted:
            _show(planned)
            continue
        predictions.append(_predicted(part, planned, rates, gpus))
        for line in _lines(predictions[-1]):
            print(one_line(line))
    if cost_csv is not None:
        from bench.costs.show import write_csv

        print(one_line(f"every cell: {write_csv(cost_csv, predictions)}"))


def _plans(config: RunConfig, images: int | None, people: int | None) -> Iterator[tuple[RunConfig, Plan]]:
    from bench.planning.build import build
    from bench.sources import evaluations

    if images is None or people is None:
        for part in evaluations(config):
            yield part, build(part)
        return
    from bench.costs.pools import suppose

    if config.test_on or config.data:
        raise UsageError("--images supposes a dataset: leave out --test-on and --data")
    yield config, build(config, suppose(config, images, people))


def _show(planned: Plan) -> None:
    from bench.store import Store

    kept, to_do = Store(planned.config.store), 0.0
    for key, cell in planned.cells.items():
        done = kept.has(key)
        to_do += 0 if done else cell.cost
        print(one_line(f"{'done' if done else 'to do':6} {cell.stage:13} {key[:12]}  {cell.title}"))
    for missing in planned.missing:
        print(one_line(f"unavailable: {missing.kind} {missing.name}: {missing.reason}; {missing.remedy}"))
    dataset = planned.dataset.id
    print(f"{dataset}: {len(planned.cells)} cells, very roughly {to_do:.0f} core-seconds to do; see --cost")


def _predicted(config: RunConfig, planned: Plan, rates: Path | None, gpus: int) -> Prediction:
    from bench.costs.predict import predict
    from bench.machine import cores
    from bench.report.cost_tables import read_machines

    machines = read_machines(config.throughput)
    return predict(planned, config.workers or cores(), rates=rates, machines=machines, gpus=gpus)


def _lines(found: Prediction) -> Iterator[str]:
    from bench.costs.show import lines_of

    yield from lines_of(found)
    yield from found.plan.unavailable()


def _write_rates(config: RunConfig, path: Path) -> Path:
    from bench.costs.calibrate import calibrate

    return calibrate(config.store, path)
