"""The device's own ceilings, measured in the run whose rows are held against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench.inference.clock import Clock, measure

GEMM_SIDES = {"cpu": 1024, "cuda": 8192}
COPY_BYTES = {"cpu": 1 << 27, "cuda": 1 << 30}
"""Larger than any cache, so that memory is measured."""


@dataclass(frozen=True)
class Anchors:
    """gemm: FLOP/s of a square product of random matrices, by unit: `fp32`, `bf16` and, on a GPU, `tf32`.

    copy: bytes read and written a second by a copy within the device's memory.
    """

    gemm: Mapping[str, float]
    copy: float

    def floor(self, unit: str, flop: float, moved: float) -> float:
        """Seconds below which no version that does `flop` operations and moves `moved` bytes can get."""
        return max(flop / self.gemm[unit], moved / self.copy)


def measure_anchors(
    device: str, clock: Clock, *, side: int = 0, copied: int = 0, seconds: float = 0.5
) -> Anchors:
    """Ceilings of `device`; side of the matrices and bytes of the copy: see `GEMM_SIDES`, `COPY_BYTES`."""
    kind = device.partition(":")[0]
    side = side or GEMM_SIDES.get(kind, GEMM_SIDES["cpu"])
    copied = copied or COPY_BYTES.get(kind, COPY_BYTES["cpu"])
    units = ("fp32", "tf32", "bf16") if kind == "cuda" else ("fp32", "bf16")
    gemm = {unit: 2 * side**3 / _product_seconds(device, clock, unit, side, seconds) for unit in units}
    return Anchors(gemm, 2 * copied / _copy_seconds(device, clock, copied, seconds))


def _product_seconds(device: str, clock: Clock, unit: str, side: int, seconds: float) -> float:
    import torch

    dtype = torch.bfloat16 if unit == "bf16" else torch.float32
    # Random, because zeros are multiplied faster than any real data on some processors.
    generator = torch.Generator(device).manual_seed(0)
    left, right = (torch.randn(side, side, generator=generator, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    with _product_precision("high" if unit == "tf32" else "highest"):
        return measure(lambda: torch.mm(left, right, out=out), clock, seconds=seconds).seconds


def _copy_seconds(device: str, clock: Clock, copied: int, seconds: float) -> float:
    import torch

    source = torch.rand(copied // 4, device=device)
    target = torch.empty_like(source)

    def call() -> Any:
        return target.copy_(source)

    return measure(call, clock, seconds=seconds).seconds


@contextmanager
def _product_precision(wanted: str) -> Iterator[None]:
    """Torch's precision of float32 products inside: `high` allows TF32, `highest` does not."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(wanted)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
