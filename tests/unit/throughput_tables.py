"""Tables as `bench throughput` writes them, made up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from bench.throughput.table import FAILED, LEFT_OUT, UNAVAILABLE, Row, Table

GPU = {
    "accelerator": "A made-up GPU",
    "driver": "1.2",
    "tf32_convolutions": True,
    "processor": "A made-up CPU",
    "threads": 4,
    "torch": "2.0",
}
CPU = {"accelerator": "", "driver": "", "tf32_convolutions": "", "processor": "A made-up CPU", "threads": 4}
CEILINGS = {"gemm_fp32_tflops": "1", "gemm_bf16_tflops": "8", "copy_gb_per_second": "50"}


def measured(name: str, path: str, rate: float, *, kind: str = "method", **others: object) -> Row:
    """A valid row of a network at 64 px with counts that lie below the ceilings."""
    row = Row(kind, name, path, "fp32", 1 if path == "peer" else 16, "cuda", preset="quick", side=64)
    row = replace(row, per_second=rate, per_second_low=rate / 2, per_second_high=2 * rate)
    row = replace(row, latency_p50_ms=2.0, latency_p95_ms=3.0, calls=9, weights="untrained", peak_mb=321.5)
    row = replace(
        row,
        parameters=4321,
        gflop=2.0,
        moved_mb=100.0,
        unit="fp32",
        tflops=round(rate / 500, 6),
        share_gemm=0.25,
    )
    return replace(row, **others)  # type: ignore[arg-type]


def san(path: str, rate: float, **others: object) -> Row:
    return measured("san", path, rate, **{"variant": "op", **others})


def gpu_rows() -> list[Row]:
    """Of every kind and status, one kind that nobody knows among them."""
    return [
        san("peer", 20.0, speedup=1.0, reason="the network alone"),
        san("eager", 40.0, speedup=2.0, deviation=0.001, deviation_unit="grey levels"),
        san("flat", 100.0, speedup=5.0, deviation=0.2, deviation_unit="grey levels", precision="bf16"),
        san("aligned", 400.0, status=FAILED, reason="does not compute the same", deviation=99.0),
        san("compiled", 0.0, per_second=None, status=LEFT_OUT, reason="the time was spent", weights=""),
        measured(
            "blur", "eager", 900.0, variant="default", weights="", gflop=None, moved_mb=None, tflops=None
        ),
        measured("big", "eager", 30.0, preset="paper", side=224),
        measured("template_noise", "eager", 7e6, side=0, item="template"),
        measured("slow_one", "eager", 3.0, settings="iterations=20 of 200"),
        measured("arcface", "eager", 60.0, kind="matcher", preset=""),
        Row("matcher", "onnx_one", "", "", 0, "cuda", UNAVAILABLE, "it runs on the processor"),
        measured("ssim", "library", 70.0, kind="metric", preset="", weights="", device="cpu"),
        measured("privacynet", "eager", 11.0, kind="training", item="step", deviation_unit="relative"),
    ]


def write_table(
    folder: Path,
    rows: Iterable[Row],
    environment: Mapping[str, object] = GPU,
    ceilings: Mapping[str, str] = CEILINGS,
) -> Path:
    """The file, by the table's own writer."""
    table = Table(folder, {**environment, **ceilings})
    table.add(list(rows))
    return table.path
