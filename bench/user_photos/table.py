"""The table of what became of every file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from bench.files import write_atomically
from bench.shown import readable
from bench.spreadsheet import harmless
from bench.user_photos.record import Record

NAME = "protected.csv"
COLUMNS = (
    "file",
    "status",
    "reason",
    "faces_found",
    "faces_protected",
    "outputs",
    "width",
    "height",
    "format",
    "labels",
    "label_source",
    "note",
)


def write_table(target: Path, records: Iterable[Record]) -> Path:
    """Write `protected.csv` in UTF-8, one row a record; what is unknown is empty.

    Text that a spreadsheet would take for a formula begins with an apostrophe, see `bench.spreadsheet`;
    bytes of names that are no UTF-8, and control characters, stand as \\xNN. Several outputs are separated
    by " | ".
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in records:
        writer.writerow(_cells(record))
    return write_atomically(target / NAME, text.getvalue().encode())


def _cells(record: Record) -> list[str]:
    looked_at = bool(record.format)
    return [
        harmless(readable(record.path)),
        record.status,
        harmless(readable(record.reason)),
        str(record.faces_found) if looked_at else "",
        str(record.faces_protected) if looked_at else "",
        harmless(" | ".join(readable(o.path) for o in record.outputs)),
        str(record.width) if looked_at else "",
        str(record.height) if looked_at else "",
        record.format,
        harmless(record.labels),
        harmless(record.label_source),
        harmless(readable(record.note)),
    ]
