"""The folder of a report: one command at a time writes there, and what it holds is what was written."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from bench.files import sweep, write_atomically

_STAMP, _LOCK = ".stamp", ".lock"
_KINDS = (".csv", ".html", ".json", ".parquet", ".png", ".svg")
_EVERY_RUN = "profile.csv"
"""Written whether the report changes or not."""


@contextmanager
def alone(folder: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keeps other commands from writing a report to `folder`, and removes what killed ones left half written.

    Waits for a command that is at it; one that was killed holds nobody up. On a file system without locks
    nobody waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / _LOCK)
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(lock.acquire(timeout=0))
        except Timeout:
            say(f"another command is writing to {folder}; waiting for it")
            held.enter_context(lock.acquire())
        except NotImplementedError:
            say(f"note: {folder} is on a file system without locks; let one command at a time write there")
        for place in (folder, folder / "plots", folder / "training"):
            sweep(place)
        yield


def sealed(folder: Path, stamp: str) -> dict[str, str] | None:
    """Path -> SHA-256 of the files that the report of `stamp` had; None where `folder` has no whole one."""
    try:
        found = json.loads((folder / _STAMP).read_bytes())
        return dict(found["files"]) if found["stamp"] == stamp else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def changed(folder: Path, files: Mapping[str, str]) -> list[str]:
    """Those of `files` that are missing or are no longer what they were; every one is read."""
    there = _digests(folder)
    return [name for name in sorted(files) if files[name] != there.get(name)]


def unseal(folder: Path) -> None:
    """What is in `folder` is being replaced."""
    (folder / _STAMP).unlink(missing_ok=True)


def seal(folder: Path, stamp: str) -> None:
    """What is in `folder` is the whole report of `stamp`."""
    text = json.dumps({"stamp": stamp, "files": _digests(folder)}, sort_keys=True, indent=1)
    write_atomically(folder / _STAMP, text.encode())


def _digests(folder: Path) -> dict[str, str]:
    """Path -> SHA-256 of the files that a report consists of, which may be among others."""
    found = {}
    for path in (*sorted(folder.glob("*")), *sorted((folder / "plots").glob("*"))):
        if path.suffix in _KINDS and path.name != _EVERY_RUN and path.is_file():
            with path.open("rb") as file:
                found[path.relative_to(folder).as_posix()] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
