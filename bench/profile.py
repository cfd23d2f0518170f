"""Where the time of a run went, from what each cell took: `run --profile`."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.cells import Cell
from bench.engines.outcome import Outcome, Spent
from bench.files import write_atomically
from bench.spreadsheet import harmless

_DEAREST = 12


def profile_lines(planned: Mapping[str, Cell], outcome: Outcome, workers: int) -> Iterator[str]:
    """Lines of text: workers' use, seconds by stage, the dearest cells, the chain of cells that decided when
    the run ended. Processor seconds beside elapsed ones tell work from waiting."""
    spent = outcome.spent
    if not spent:
        yield "profile: nothing was computed, every cell came from the store"
        return
    elapsed = sum(s.ended - s.started for s in spent.values())
    room = outcome.elapsed * workers
    yield f"profile: {len(spent)} cells in {outcome.elapsed:.1f} s on {workers} workers"
    yield (
        f"  workers: {elapsed / room:.1%} of {room:.0f} s in cells, "
        f"{sum(s.processor for s in spent.values()) / room:.1%} computing"
    )
    yield from _by_stage(planned, spent, elapsed)
    yield "  dearest cells:"
    dearest = sorted(spent, key=lambda key: spent[key].started - spent[key].ended)[:_DEAREST]
    for key in dearest:
        yield f"  {_seconds(spent[key])}  {planned[key].title}"
    chain = _last_chain(planned, spent)
    yield f"  chain of cells that ended the run, each waiting for the one above ({len(chain)}):"
    for key in chain:
        took = spent[key]
        yield f"  {took.started:8.1f} +{took.ended - took.started:.1f} s  {planned[key].title}"


def _by_stage(planned: Mapping[str, Cell], spent: Mapping[str, Spent], elapsed: float) -> Iterator[str]:
    stages: dict[str, list[Spent]] = defaultdict(list)
    for key, took in spent.items():
        stages[planned[key].stage].append(took)
    total = {stage: sum(s.ended - s.started for s in took) for stage, took in stages.items()}
    yield f"  {'stage':16} {'cells':>6} {'elapsed s':>10} {'processor s':>12} {'share':>7}"
    for stage in sorted(total, key=lambda name: -total[name]):
        processor = sum(s.processor for s in stages[stage])
        yield (
            f"  {stage:16} {len(stages[stage]):6} {total[stage]:10.1f} {processor:12.1f} "
            f"{total[stage] / elapsed:7.1%}"
        )


def _last_chain(planned: Mapping[str, Cell], spent: Mapping[str, Spent]) -> list[str]:
    """From the cell that ended last back over the input of each that ended last."""
    chain = [max(spent, key=lambda key: spent[key].ended)]
    while True:
        cell = planned[chain[-1]]
        inputs = [key for key in cell.needs if key in spent]
        if not inputs:
            return chain[::-1]
        chain.append(max(inputs, key=lambda key: spent[key].ended))


def _megabytes(spent: Spent) -> str:
    return f"{spent.peak_bytes / 1e6:.0f}" if spent.peak_bytes else ""


def _seconds(spent: Spent) -> str:
    return f"{spent.ended - spent.started:8.1f} s ({spent.processor:.1f} s computing)"


def write_profile(path: Path, planned: Mapping[str, Cell], outcome: Outcome) -> Path:
    """One row a computed cell, in the order of their ends: stage, title, worker, started_s, ended_s,
    processor_s, peak_mb (most memory of the worker during the cell; empty where it is not known)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("stage", "title", "worker", "started_s", "ended_s", "processor_s", "peak_mb"))
    for key, took in sorted(outcome.spent.items(), key=lambda item: item[1].ended):
        figures = [f"{value:.3f}" for value in (took.started, took.ended, took.processor)]
        figures.append(_megabytes(took))
        writer.writerow((planned[key].stage, harmless(planned[key].title), took.worker, *figures))
    return write_atomically(path, text.getvalue().encode())
