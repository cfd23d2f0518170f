"""`bench publish`: results worth keeping, where a git host shows them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.shown import one_line

_NOT_WHOLE = 1


def publish(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RUN_FOLDER", help="report folders of one dataset; default runs/synthetic"),
    ] = None,
    to: Annotated[Path, typer.Option("--to", help="folder of all published results")] = Path("results"),
    name: Annotated[str, typer.Option(help="folder there; default the dataset's name")] = "",
    add: Annotated[
        bool, typer.Option("--add", help="put the rows beside those that are published, into one table")
    ] = False,
    with_failures: Annotated[
        bool, typer.Option("--with-failures", help="publish a run of which something failed, and name it")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="publish nothing; say whether what is published is whole")
    ] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="show the traceback of an error")] = False,
) -> None:
    """Write finished results to results/DATASET and a README.md that a git host shows.

    Several runs go into one table if schema, dataset and recipe of their figures are the same. No picture of
    a real face and no path of this machine is ever published.
    """
    from bench.publishing import check_published, publish_runs

    if check:
        problems = check_published(to)
        for problem in problems:
            print(one_line(problem))
        if problems:
            raise typer.Exit(_NOT_WHOLE)
        print(f"{to}: whole, and the README's figures are those of the tables")
        return
    chosen = runs or [Path("runs/synthetic")]
    written = publish_runs(chosen, to, name=name, add=add, with_failures=with_failures, say=_say)
    print(f"wrote {written} and {to / 'README.md'}")


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)
