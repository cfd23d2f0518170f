"""`python -m bench weights`: the pretrained networks at hand, and how to get the others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bench.weights_command import Checked, Report

app = typer.Typer(
    help="Pretrained networks: which there are, whether they are intact, and how to get them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

_SOME_WRONG = 1
_Folder = Annotated[Path | None, typer.Option("--weights", help="the weights folder; else BENCH_WEIGHTS")]


@app.command("list")
def list_files(weights: _Folder = None) -> None:
    """List every known file: what it is for, what it reads, licence, source, and whether it is ready."""
    from rich.console import Console
    from rich.table import Table

    from bench.weights import WeightsFolder
    from bench.weights_command import check_all

    titles = ("name", "file", "use", "size", "licence", "source", "input", "state")
    table = Table(*titles, box=None, pad_edge=False)
    for checked in check_all(WeightsFolder.find(weights)):
        entry, size = checked.entry, checked.entry.size
        table.add_row(
            checked.name,
            entry.pretrained.file,
            entry.use,
            f"{size:,}" if size else "",
            entry.pretrained.licence,
            entry.pretrained.source,
            entry.geometry,
            checked.state + (f": {checked.detail}" if checked.detail else ""),
        )
    # Not on a terminal, a line stays a line, however long.
    Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 2000).print(table)


@app.command()
def verify(weights: _Folder = None) -> None:
    """Compare the SHA-256 of every known file with the expected one; exit with 1 if any is wrong."""
    from bench.weights import WeightsFolder
    from bench.weights_command import check_all

    checked = check_all(WeightsFolder.find(weights))
    for one in checked:
        print(_verdict(one))
    counts = {state: sum(one.state == state for one in checked) for state in ("ready", "missing", "wrong")}
    print(f"{counts['ready']} ok, {counts['missing']} missing, {counts['wrong']} wrong")
    if counts["wrong"]:
        raise typer.Exit(_SOME_WRONG)


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="names as in `weights list`; default: all")
    ] = None,
    origin: Annotated[
        str,
        typer.Option(
            "--from",
            help="folder or address that holds the files under their names; else BENCH_WEIGHTS_MIRROR, "
            "else where their publishers keep them",
        ),
    ] = "",
    weights: _Folder = None,
) -> None:
    """Fetch files into the weights folder; what is verified already is not fetched again."""
    from bench.weights_command import MIRROR_VARIABLE, writable_folder
    from bench.weights_command import fetch as fetch_files

    failed = False
    with _progress() as report:
        origin = origin or os.environ.get(MIRROR_VARIABLE, "")
        for one in fetch_files(names or [], writable_folder(weights), origin, report):
            print(f"{one.state:8} {one.name}: {one.text}")
            failed |= one.state == "failed" or bool(names and one.state == "not here")
    if failed:
        raise typer.Exit(_SOME_WRONG)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="name as in `weights list`")],
    file: Annotated[Path, typer.Argument(help="the file; safetensors for a checkpoint you converted")],
    weights: _Folder = None,
) -> None:
    """Copy a file of yours into the weights folder and pin its SHA-256.

    A converted checkpoint must have the published names and shapes. Pickles (.pth, .pt, .pkl) are refused,
    with how to convert them.
    """
    from bench.weights import sha256_of_file
    from bench.weights_command import add as add_file
    from bench.weights_command import writable_folder

    path = add_file(name, file, writable_folder(weights))
    print(f"{name} is ready: {path}, SHA-256 {sha256_of_file(path)}")


def _verdict(one: Checked) -> str:
    expected = one.expected or "whatever `weights add` pins"
    if one.state == "missing":
        return f"missing {one.name}: {one.entry.pretrained.file}, expected {expected}"
    what = "ok     " if one.state == "ready" else "wrong  "
    line = f"{what} {one.name}: found {one.found or 'nothing readable'}, expected {expected}"
    return line if one.state == "ready" else f"{line}; {one.detail}"


@contextmanager
def _progress() -> Iterator[Report]:
    """Reports on what is coming in: bars on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda file, received, expected: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def report(file: str, received: int, expected: int) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=expected)
            bars.update(tasks[file], completed=received)

        yield report
