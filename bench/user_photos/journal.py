"""What a run has done so far, one line a file, so that a repeated run does only what is missing."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO

from bench.errors import InputError
from bench.files import write_atomically
from bench.outside import parse_json
from bench.user_photos.photo import FACES, PHOTOS
from bench.user_photos.record import Record

FOLDER = ".protect"
_FILE = "journal.jsonl"


class Journal:
    """Records by path, under `target`/.protect; a line torn by a crash is passed over.

    Raises InputError for a target that holds other things than an earlier run's.
    """

    def __init__(self, target: Path) -> None:
        self.folder = target / FOLDER
        if target.is_dir() and any(target.iterdir()) and not self.folder.is_dir():
            raise InputError(
                f"{target} holds files that are not of an earlier run; give a new or an empty folder"
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.records: dict[str, Record] = {}
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        path = self.folder / _FILE
        lines = path.read_bytes().splitlines() if path.is_file() else []
        for line in lines:
            if (record := _parsed(line)) is not None:
                self.records[record.path] = record
        # Whole lines only, so that the next one begins on its own.
        write_atomically(path, b"".join(_line(r).encode() for r in self.records.values()))
        self._file = path.open("a", encoding="ascii")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, record: Record) -> None:
        """Remember `record`; on disk when this returns."""
        assert self._file is not None
        self.records[record.path] = record
        self._file.write(_line(record))
        self._file.flush()


def _line(record: Record) -> str:
    return json.dumps(record.to_json(), separators=(",", ":")) + "\n"


def _parsed(line: bytes) -> Record | None:
    try:
        record = Record.from_json(parse_json(line))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    typed = all(type(getattr(record, f.name)) is type(f.default) for f in fields(record) if f.name != "path")
    return record if typed and all(_is_ours(output.path) for output in record.outputs) else None


def _is_ours(path: str) -> bool:
    """Whether a path is one that a run writes; nothing else is ever removed."""
    parts = PurePosixPath(path).parts
    return len(parts) > 1 and parts[0] in (FACES, PHOTOS) and ".." not in parts
