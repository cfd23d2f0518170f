"""The rows of a throughput run, one measurement a row, and the file they are in."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from bench.files import write_atomically
from bench.spreadsheet import harmless

OK, FAILED, UNAVAILABLE, LEFT_OUT = "ok", "failed", "unavailable", "left out"
FILE = "throughput.csv"


@dataclass(frozen=True)
class Row:
    """One component, on one path, in one precision, at one batch. What is not known is None, never 0.

    kind, name, variant, preset, side, item, settings, weights: see `workloads.Named`.
    path: see `paths.PATHS`. status: `ok`, `failed`, `unavailable` or `left out`, then with a `reason`.
    per_second: items a second, median over blocks of calls; per_second_low, _high: quartiles.
    latency_p50_ms, latency_p95_ms: of single calls. calls: timed ones. speedup: over the run's peer.
    deviation: from fp32 (without TF32) on other inputs, in `deviation_unit`.
    peak_mb: most memory allocated on the device, libraries' work space included. prepare_s: seconds to trace,
    compile and record. replayed: as a CUDA graph.
    gflop, moved_mb: of one item, see `counts`. unit: which of the device's ceilings its products are held
    against. tflops: reached. share_gemm, share_copy: of the ceilings. share_floor: least possible time over
    the time taken.
    """

    kind: str
    name: str
    path: str
    precision: str
    batch: int
    device: str
    status: str = OK
    reason: str = ""
    variant: str = ""
    preset: str = ""
    side: int = 0
    item: str = "image"
    settings: str = ""
    weights: str = ""
    per_second: float | None = None
    per_second_low: float | None = None
    per_second_high: float | None = None
    latency_p50_ms: float | None = None
    latency_p95_ms: float | None = None
    calls: int | None = None
    speedup: float | None = None
    deviation: float | None = None
    deviation_unit: str = ""
    peak_mb: float | None = None
    prepare_s: float | None = None
    replayed: bool | None = None
    parameters: int | None = None
    gflop: float | None = None
    moved_mb: float | None = None
    unit: str = ""
    tflops: float | None = None
    share_gemm: float | None = None
    share_copy: float | None = None
    share_floor: float | None = None


class Table:
    """Rows, written whole after each new one: a run that is stopped leaves all it has measured."""

    def __init__(self, folder: Path, environment: Mapping[str, Any]) -> None:
        self.path, self._environment = folder / FILE, dict(environment)
        self.rows: list[Row] = []

    def add(self, rows: Sequence[Row]) -> None:
        self.rows += rows
        text = io.StringIO()
        names = [*(f.name for f in fields(Row)), *self._environment]
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        for row in self.rows:
            told = {k: _short(v) for k, v in asdict(row).items()}
            writer.writerow({**told, **{k: _short(v) for k, v in self._environment.items()}})
        write_atomically(self.path, text.getvalue().encode())


def line(row: Row) -> str:
    """A row as a line of text."""
    name = f"{row.name}:{row.variant}" if row.variant not in ("", "default") else row.name
    start = f"{name:34} {row.path:13} {row.precision:4} x{row.batch:<4}"
    if row.status != OK or row.per_second is None:
        return f"{start} {row.status}: {row.reason}"
    words = [f"{row.per_second:10.4g} {row.item}s/s", f"p50 {row.latency_p50_ms:.3g} ms"]
    words += [f"{row.speedup:.2f}x peer"] if row.speedup is not None else []
    words += [f"{row.share_gemm:.3f} of {row.unit} product"] if row.share_gemm else []
    words += [f"deviation {row.deviation:.3g} {row.deviation_unit}"] if row.deviation is not None else []
    return f"{start} {', '.join(words)}"


def _short(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}"
    return harmless(value) if isinstance(value, str) else value
