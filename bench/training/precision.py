"""The number format in which networks are trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.components.base import Context
from bench.errors import InputError

FP32, BF16 = "fp32", "bf16"
PRECISIONS = (FP32, BF16)


@contextmanager
def precision_of(ctx: Context) -> Iterator[None]:
    """Inside, forward passes and losses are computed as `ctx.precision` says.

    `bf16`: torch's autocast, products and convolutions in bfloat16, weights, losses and optimisers in
    float32. Raises InputError for another name.
    """
    if ctx.precision not in PRECISIONS:
        raise InputError(f"cannot train in {ctx.precision}; choose {' or '.join(PRECISIONS)}")
    if ctx.precision == FP32:
        yield
        return
    import torch

    # Weights are not kept converted: within a step a critic is used again after its update.
    with torch.autocast(torch.device(ctx.device).type, torch.bfloat16, cache_enabled=False):
        yield
