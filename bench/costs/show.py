"""A prediction for people: tables by stage and by method, the largest cells, and every cell as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from bench.costs.model import FAR, GUESS, HERE, REFERENCE, SCALED, TABLE, Figure
from bench.costs.predict import Line, Prediction, elapsed_on
from bench.files import write_atomically
from bench.spreadsheet import harmless

_LARGEST = 12
_PLACES = (1, 2, 4, 8, 16, 32, 64)
_BASES = (HERE, SCALED, REFERENCE, TABLE, GUESS)
_SHARED = "shared by all"
_COLUMNS = (
    *("key", "state", "stage", "component", "method", "title"),
    *("core_s", "core_basis", "core_beyond", "gpu_s", "gpu_basis"),
    *("peak_mb", "peak_basis", "peak_beyond", "stored_mb", "stored_basis", "stored_beyond"),
)


def lines_of(found: Prediction) -> Iterator[str]:
    """Lines of text."""
    to_do = [line for line in found.lines if not line.done]
    yield (
        f"{found.plan.dataset.id}: {len(found.lines):,} cells, {len(found.lines) - len(to_do):,} done, "
        f"{len(to_do):,} to do"
    )
    yield from (f"  {note}" for note in found.notes)
    yield ""
    yield from _table("to do, by stage", to_do, lambda line: line.cell.stage)
    yield ""
    yield from _table("to do, by method", to_do, lambda line: line.method or _SHARED)
    yield ""
    yield "largest cells to do:"
    for line in sorted(to_do, key=lambda x: (-x.cost.seconds, x.key))[:_LARGEST]:
        yield f"  {_of_cell(line)}"
    yield ""
    yield from _in_all(found, to_do)


def _in_all(found: Prediction, to_do: Sequence[Line]) -> Iterator[str]:
    core = sum(line.cost.core_seconds.value for line in to_do)
    gpu = sum(line.cost.gpu_seconds.value for line in to_do)
    with_gpu = f" and {span(gpu)} of an accelerator" if found.gpus else ""
    yield f"work:     {span(core)} of a core{with_gpu}"
    yield f"based on: {_bases(to_do)}"
    where = f" and {found.gpus} accelerator{'s' if found.gpus > 1 else ''}" if found.gpus else ""
    yield (
        f"time:     {span(found.ahead.elapsed)} on {found.workers} workers{where}; the longest chain of "
        f"cells that wait for one another takes {span(found.ahead.longest)}"
    )
    others = {n: elapsed_on(found, n) for n in _PLACES if n != found.workers}
    yield f"          on other numbers of workers: {', '.join(f'{n}: {span(t)}' for n, t in others.items())}"
    if to_do:
        most = max(to_do, key=lambda line: line.cost.memory.value)
        peaks = sorted((line.cost.memory.value for line in to_do), reverse=True)[: found.workers]
        yield (
            f"memory:   {size(most.cost.memory.value)} of one worker at most ({_basis(most.cost.memory)}; "
            f"{most.cell.title}), {size(sum(peaks))} of {found.workers} at the worst moment"
        )
    left = sum(line.cost.storage.value for line in to_do)
    kept = sum(line.cost.storage.value for line in found.lines if line.done)
    yield f"storage:  {size(left)} to come, {size(kept)} stored, {size(left + kept)} in all"
    yield from _pairs(found)


def _pairs(found: Prediction) -> Iterator[str]:
    """Verification is what grows fastest with the test images; who plans a large run should know."""
    matches = [line for line in found.lines if line.work.stage == "match"]
    pairs = max((line.work.terms.get("pairs", 0.0) for line in matches), default=0.0)
    if pairs:
        yield (
            f"pairs:    {pairs:,.0f} comparisons in the largest of {len(matches):,} match cells; they grow "
            "with the square of the test images, are streamed and never stored"
        )


def _table(heading: str, lines: Iterable[Line], group: Callable[[Line], str]) -> Iterator[str]:
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(group(line), []).append(line)
    rows: list[tuple[str, ...]] = [
        ("", "cells", "core time", "GPU time", "peak memory", "stored", "time based on")
    ]
    for name in sorted(groups, key=lambda n: -sum(line.cost.seconds for line in groups[n])):
        rows.append((name, *_sums(groups[name])))
    if len(groups) > 1:
        rows.append(("in all", *_sums([line for seen in groups.values() for line in seen])))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]) - 1)]
    yield f"{heading}:"
    for row in rows:
        first, *figures, last = row
        cells = [first.ljust(widths[0]), *(f.rjust(w) for f, w in zip(figures, widths[1:], strict=True))]
        yield f"  {'  '.join([*cells, last])}".rstrip()


def _sums(lines: Sequence[Line]) -> tuple[str, ...]:
    gpu = sum(line.cost.gpu_seconds.value for line in lines)
    return (
        f"{len(lines):,}",
        span(sum(line.cost.core_seconds.value for line in lines)),
        span(gpu) if gpu else "",
        size(max(line.cost.memory.value for line in lines)),
        size(sum(line.cost.storage.value for line in lines)),
        _bases(lines),
    )


def _bases(lines: Sequence[Line]) -> str:
    """Shares of the time by where its estimates are from, and how far beyond what was measured they go."""
    figures = [figure for line in lines for figure in (line.cost.core_seconds, line.cost.gpu_seconds)]
    total = sum(figure.value for figure in figures)
    if not total:
        return "nothing to do"
    told = []
    for basis in _BASES:
        share = sum(figure.value for figure in figures if figure.basis == basis) / total
        if share >= 0.005:
            told.append(basis if share > 0.995 else f"{share:.0%} {basis}")
    far = [figure for figure in figures if figure.beyond >= FAR and figure.basis != GUESS]
    share = sum(figure.value for figure in far) / total
    if share >= 0.005:
        most = max(figure.beyond for figure in far)
        told.append(
            f"{share:.0%} extrapolated, up to {most:,.0f} times the work of the largest cell measured"
        )
    return ", ".join(told)


def _of_cell(line: Line) -> str:
    cost = line.cost
    gpu = f" + {span(cost.gpu_seconds.value)} GPU" if cost.gpu_seconds.value else ""
    figure = max(cost.core_seconds, cost.gpu_seconds, key=lambda f: f.value)
    what = f"{span(cost.core_seconds.value)}{gpu}, {size(cost.memory.value)}"
    return f"{what:>24}  {line.cell.title} ({_basis(figure)})"


def _basis(figure: Figure) -> str:
    far = f", {figure.beyond:,.0f} times the work measured" if figure.beyond >= FAR else ""
    return f"{figure.basis}{far}"


def span(seconds: float) -> str:
    """A time as people say it: the two largest units."""
    if seconds < 100:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes = seconds / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < 100 else f"{hours / 24:,.0f} d"


def size(count: float) -> str:
    """Bytes in MB (10^6), GB or TB."""
    for unit, least in (("TB", 1e12), ("GB", 1e9)):
        if count >= least:
            return f"{count / least:.1f} {unit}"
    return f"{count / 1e6:.0f} MB" if count >= 1e7 else f"{count / 1e6:.1f} MB"


def write_csv(path: Path, predictions: Sequence[Prediction]) -> Path:
    """One row a cell, in the order of the plans: seconds, MB (10^6 bytes), the basis of each figure, and
    `beyond`: times the largest cell that was measured (1: within)."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in (line for found in predictions for line in found.lines):
        cost, cell = line.cost, line.cell
        names = [harmless(name) for name in (line.work.component, line.method, cell.title)]
        writer.writerow(
            [
                *(line.key, "done" if line.done else "to do", cell.stage, *names),
                *(f"{cost.core_seconds.value:.4g}", cost.core_seconds.basis, _times(cost.core_seconds)),
                *(f"{cost.gpu_seconds.value:.4g}", cost.gpu_seconds.basis),
                *(f"{cost.memory.value / 1e6:.6g}", cost.memory.basis, _times(cost.memory)),
                *(f"{cost.storage.value / 1e6:.6g}", cost.storage.basis, _times(cost.storage)),
            ]
        )
    return write_atomically(path, text.getvalue().encode())


def _times(figure: Figure) -> str:
    return f"{figure.beyond:.3g}"
