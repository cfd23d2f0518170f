"""Writes finished results to their place: the whole folder is there, or none of it."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import InputError, UsageError
from bench.files import sweep, temporary_prefix
from bench.publishing.readme import write_readme
from bench.publishing.results import (
    CURVES,
    LEADERBOARD,
    PUBLISHED,
    ROWS,
    Results,
    join,
    misfit,
    read_published,
    read_run,
    refuse_mixed_rows,
    refuse_unfinished,
    told_apart,
)
from bench.publishing.safety import unsafe
from bench.record import FORMAT, as_json, read
from bench.report.dictionary import entries
from bench.report.page import write_report
from bench.report.style import slug
from bench.report.tables import write_csv
from bench.results import SCHEMA_VERSION
from bench.weights import sha256_of_file

if TYPE_CHECKING:
    import pandas as pd

PAGE, COLUMNS = "index.html", "columns.csv"
_ALSO = ("throughput.csv", "seeds.csv", "beside.csv", "claims.csv", "cmc.csv")
"""Tables of a report that are published where it has them."""
_NAMED = 5


def publish_runs(
    runs: Sequence[Path],
    to: Path,
    *,
    name: str = "",
    add: bool = False,
    with_failures: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write the results of `runs` to `to`/<name or dataset> and a new `to`/README.md; returns the folder.

    add: to the rows published there, those of the same outputs aside. One run keeps its page and figures; of
    several they are drawn anew, without sample faces. Raises UsageError for runs that are not finished, for
    rows that do not belong in one table, and where published outputs would get lost; InputError for what
    cannot be read or must not be seen by others.
    """
    parts = [read_run(Path(run)) for run in runs]
    for part in parts:
        refuse_unfinished(part, with_failures=with_failures)
        refuse_mixed_rows(part)
    called = name or parts[0].dataset
    if slug(called) != called or called.startswith("."):
        raise UsageError(f"--name {called}: write ASCII letters, digits and any of _ - ., no . in front")
    target = to / called
    _mend(target)
    before = _published_before(target)
    if before is not None and add:
        parts = [before, *parts]
    whole = join(parts)
    if before is not None:
        _refuse_loss(before, whole, target)
    to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=to, prefix=temporary_prefix()) as staging:
        made = Path(staging) / target.name
        made.mkdir()
        if len(parts) == 1:
            _copy(parts[0].folder, made)
        else:
            _draw(whole, made)
        _describe(whole, made)
        _refuse_unsafe(whole, made)
        _swap(made, target)
    write_readme(to)
    say(f"{len(whole.outputs)} outputs of {len(whole.runs)} {'run' if len(whole.runs) == 1 else 'runs'}")
    return target


def _published_before(target: Path) -> Results | None:
    """What is published at `target`, where this may be replaced. Raises UsageError if others left files."""
    if not target.exists():
        return None
    if not (target / PUBLISHED).is_file():
        raise UsageError(f"{target} is there and was not published; choose another --name or move it away")
    ours = {PUBLISHED, *read(target / PUBLISHED)["files"]}
    files = (p.relative_to(target).as_posix() for p in sorted(target.rglob("*")) if p.is_file())
    if foreign := [name for name in files if name not in ours]:
        raise UsageError(f"{target} holds {', '.join(foreign)}, which publishing would delete; move it away")
    return read_published(target)


def _refuse_loss(before: Results, whole: Results, target: Path) -> None:
    if lost := sorted(set(before.outputs) - set(whole.outputs)):
        more = f" and {len(lost) - _NAMED} more" if len(lost) > _NAMED else ""
        raise UsageError(
            f"{target} has results of {', '.join(lost[:_NAMED])}{more}, which would get lost; --add puts the "
            "new ones beside them, or delete the folder first"
        )


def _copy(run: Path, made: Path) -> None:
    """The files of a run's report that are published."""
    for name in (LEADERBOARD, PAGE):
        if not (run / name).is_file():
            raise InputError(f"{run / name} is missing; repeat the run's command")
    for name in (LEADERBOARD, PAGE, ROWS, *_ALSO):
        if (run / name).is_file():
            shutil.copyfile(run / name, made / name)
    figures = [p for p in sorted((run / "plots").glob("*")) if p.suffix in (".png", ".svg")]
    (made / "plots").mkdir()
    for figure in figures:
        shutil.copyfile(figure, made / "plots" / figure.name)


def _draw(whole: Results, made: Path) -> None:
    """The same of joined rows."""
    first = whole.runs[0]
    write_report(
        made,
        rows=whole.rows,
        curves=whole.curves,
        samples=None,
        provenance={
            "dataset": whole.dataset,
            "dataset_title": first["title"],
            "size": first["size"],
            "pools": first["pools"],
            "seed": first["config"]["seed"],
            "resamples": first["config"]["resamples"],
            "preset": first["config"]["preset"],
            "command": "\n".join(run["command"] for run in whole.runs),
            "unavailable": first["unavailable"],
            **({"notes": [note]} if (note := told_apart(whole.runs)) else {}),
        },
    )
    for name in ("rows.csv", "curves.csv"):
        (made / name).unlink()


def _describe(whole: Results, made: Path) -> None:
    """The curves behind the figures, the dictionary of columns, and what all of it is."""
    import pandas as pd

    if why := misfit(made / LEADERBOARD, made / ROWS):
        raise InputError(f"{whole.folder}: {why}; repeat the run's command")
    (made / CURVES).write_bytes(_parquet(whole.curves))
    columns = list(pd.read_csv(made / LEADERBOARD, nrows=0).columns)
    dictionary = pd.DataFrame(entries(columns, whole.rows["metric"].dropna().unique()))
    write_csv(dictionary, made / COLUMNS)
    written = [path for path in sorted(made.rglob("*")) if path.is_file()]
    files = {path.relative_to(made).as_posix(): sha256_of_file(path) for path in written}
    about: dict[str, Any] = {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "dataset": whole.dataset,
        "title": whole.runs[0]["title"],
        "photographs": whole.photographs,
        "runs": list(whole.runs),
        "files": files,
    }
    (made / PUBLISHED).write_bytes(as_json(about))


def _parquet(curves: pd.DataFrame) -> bytes:
    buffer = io.BytesIO()
    small = curves.astype({"fmr": "float32", "tmr": "float32"})
    small.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def _refuse_unsafe(whole: Results, made: Path) -> None:
    found = list(unsafe(made, photographs=whole.photographs))
    if found:
        more = f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        raise InputError(f"{whole.folder} is not published: {'; '.join(found[:_NAMED])}{more}")


def _swap(made: Path, target: Path) -> None:
    """Put `made` in the place of `target`, which comes back if that fails."""
    aside = _aside(target)
    if target.exists():
        os.rename(target, aside)
    try:
        os.rename(made, target)
    except OSError:
        if aside.exists():
            os.rename(aside, target)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _mend(target: Path) -> None:
    """Finish or take back the swap of a command that was killed, and remove what it left half written."""
    aside = _aside(target)
    if aside.exists() and not target.exists():
        os.rename(aside, target)
    shutil.rmtree(aside, ignore_errors=True)
    sweep(target.parent)


def _aside(target: Path) -> Path:
    """Where what was published lies while it is replaced: a name that a later command finds again."""
    return target.with_name(f".{target.name}.before")
