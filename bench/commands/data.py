"""`python -m bench data`: looks after the files of datasets."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.errors import UsageError
from bench.shown import one_line

if TYPE_CHECKING:
    from bench.components.survey import Report

app = typer.Typer(
    help="Datasets: whether their files and labels are sound.", no_args_is_help=True, rich_markup_mode=None
)

_NOT_SOUND = 1
_LINE_SECONDS = 10.0


@app.callback()
def _data() -> None:
    """Keeps `verify` a command of its own while there is no other."""


@app.command()
def verify(
    dataset: Annotated[str, typer.Option(help="dataset; see `list datasets`")],
    data: Annotated[
        list[Path] | None, typer.Option(help="folder with the dataset's files; repeat to join several")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="folder with the face detector, for --faces; else BENCH_WEIGHTS")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="an option of the dataset: key=value")
    ] = None,
    faces: Annotated[
        bool, typer.Option("--faces", help="look for the face in every photo too; takes long")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="CSV file for every problem that was found")] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="show the traceback of an error")] = False,
) -> None:
    """Look at every photo and label of a dataset; exit with 1 if anything must be mended.

    Names what cannot be decoded, what is missing, what is there twice and who is labelled in two ways, and
    counts photos and people of each pool.
    """
    from bench.data_check import check, lines, write_csv
    from bench.discover import load_class
    from bench.weights import WeightsFolder

    chosen = load_class("dataset", dataset)(
        tuple(data or ()), weights=WeightsFolder.find(weights), **_parsed(options or [])
    )
    with _progress() as report:
        found = check(chosen, report, faces=faces)
    for line in lines(found):
        print(one_line(line))
    if out is not None:
        print(f"wrote {write_csv(found, out)}")
    if not found.is_sound:
        raise typer.Exit(_NOT_SOUND)


def _parsed(entries: list[str]) -> dict[str, Any]:
    """`limit=100` as YAML would read it; `dataset_options.limit=100`, as a run has it, means the same."""
    from bench.outside import parse_yaml

    options: dict[str, Any] = {}
    for entry in entries:
        key, equals, text = entry.partition("=")
        if not equals:
            raise UsageError(f"--set {entry}: write key=value")
        try:
            options[key.strip().removeprefix("dataset_options.")] = parse_yaml(text)
        except ValueError as error:
            raise UsageError(f"--set {entry}: the value is not YAML; put it in quotes") from error
    return options


@contextmanager
def _progress() -> Iterator[Report]:
    """A bar on a terminal, a line every ten seconds elsewhere."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("looking", total=None)
            yield lambda done, total, text: bar.update(task, completed=done, total=total)
        return
    printed = time.monotonic()

    def report(done: float, total: float, text: str) -> None:
        nonlocal printed
        if time.monotonic() - printed > _LINE_SECONDS:
            printed = time.monotonic()
            print(f"{done:.0f} of {total:.0f}", file=sys.stderr, flush=True)

    yield report
