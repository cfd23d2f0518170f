"""`python -m bench protect`: a folder of anybody's photographs in, protected faces and a table out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.config import RunConfig
from bench.errors import UsageError
from bench.files import sweep
from bench.shown import readable
from bench.user_photos.journal import FOLDER, Journal
from bench.user_photos.labels import read_table
from bench.user_photos.meter import Meter
from bench.user_photos.photo import FACES, PHOTOS, Result, Task
from bench.user_photos.processes import Processes
from bench.user_photos.recipe import Recipe, prepare
from bench.user_photos.record import FAILED, SKIPPED, STATUSES, UNREADABLE, Record
from bench.user_photos.table import write_table
from bench.user_photos.walk import Entry, check_folders, entries

Say = Callable[[str], None]
Protect = Callable[[Iterable[Task]], Generator[Result, None, None]]
"""Protects photographs; a result a task, in any order."""


def protect_folder(
    config: RunConfig,
    source: Path,
    target: Path,
    *,
    method: str,
    paste: bool,
    labels: Path | None,
    say: Say,
) -> int:
    """Protect every face in the photographs below `source`; returns how many files the method failed on.

    method: a name, or method:variant. paste: put faces back into their photographs, instead of writing each
    by itself. labels: a CSV, see `labels.read_table`. Writes `target`/faces or `target`/photos and
    `target`/protected.csv, a row for everything in `source`, whose files are only read. Repeating the call
    does what is missing. Raises UsageError or InputError for folders, methods and tables that cannot be used.
    """
    check_folders(source, target)
    recipe = prepare(config, method, say, paste=paste)
    workers = config.workers or _cores()
    processes = Processes(recipe, source.resolve(), target.resolve(), workers)
    return protect_with(recipe, processes.run, source, target, labels=labels, say=say)


def protect_with(
    recipe: Recipe, protect: Protect, source: Path, target: Path, *, labels: Path | None, say: Say
) -> int:
    """As `protect_folder`, with what protects."""
    check_folders(source, target)
    given = read_table(labels, recipe.attributes) if labels else {}
    journal = Journal(target)
    with _alone(target, journal.folder), journal:
        _sweep(target)
        found = entries(source)
        files = [e for e in found if not e.skipped]
        _say_unused(given, files, say)
        earlier = len(journal.records.keys() & {e.path for e in files})
        say(f"{len(found)} entries in {source}, {len(files)} to look at" + _again(earlier))
        tasks = [Task(e.path, _given(given, e), journal.records.get(e.path)) for e in files]
        done: dict[str, Record] = {}
        kept = 0
        with Meter(len(tasks), say) as meter, closing(protect(tasks)) as results:
            for result in results:
                kept += result.kept
                journal.add(result.record)
                done[result.record.path] = result.record
                meter.step()
        records = [done[e.path] if not e.skipped else _skipped(e) for e in found]
        _say_result(records, kept, write_table(target, records), say)
        _say_left_over(target, records, say)
    return sum(record.status == FAILED for record in records)


def _again(earlier: int) -> str:
    return f"; {earlier} of them known from an earlier run" if earlier else ""


@contextmanager
def _alone(target: Path, folder: Path) -> Iterator[None]:
    """Raises UsageError when another run has `target`."""
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise UsageError(f"another run is at work on {target}; wait for it or give another one") from error
    try:
        yield
    finally:
        lock.release()


def _sweep(target: Path) -> None:
    """Remove what a killed run left half written: files under a temporary name, as no output begins with a
    dot."""
    sweep(target)
    sweep(target / FOLDER)
    for folder in (FACES, PHOTOS):
        for place, _, names in os.walk(target / folder):
            for name in names:
                if name.startswith("."):
                    (Path(place) / name).unlink()


def _given(given: Mapping[str, Mapping[str, float]], entry: Entry) -> Mapping[str, float]:
    return given.get(entry.path) or given.get(readable(entry.path)) or {}


def _skipped(entry: Entry) -> Record:
    status = UNREADABLE if entry.unlisted else SKIPPED
    return Record(entry.path, status=status, reason=entry.skipped)


def _say_unused(given: Mapping[str, object], files: Iterable[Entry], say: Say) -> None:
    known = {name for e in files for name in (e.path, readable(e.path))}
    if unused := sorted(given.keys() - known):
        say(f"note: {len(unused)} rows of --labels name no file, such as {unused[0]}")


def _say_result(records: list[Record], kept: int, table: Path, say: Say) -> None:
    counts = Counter(record.status for record in records)
    for status, meaning in STATUSES.items():
        if counts[status]:
            say(f"{counts[status]:6} {status:12} {meaning}")
    faces = sum(record.faces_protected for record in records)
    say(f"{faces} faces protected; {kept} files taken from an earlier run; table: {table}")
    for record in records:
        if record.status == FAILED:
            say(f"failed: {readable(record.path)}: {readable(record.reason)}")


def _say_left_over(target: Path, records: Iterable[Record], say: Say) -> None:
    named = {output.path for record in records for output in record.outputs}
    there = {
        (Path(place) / name).relative_to(target).as_posix()
        for folder in (FACES, PHOTOS)
        for place, _, names in os.walk(target / folder)
        for name in names
    }
    if left := sorted(there - named):
        say(
            f"note: {len(left)} files in {target} are of photographs that are gone, or of another run, such "
            f"as {readable(left[0])}; no row of the table names them"
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
