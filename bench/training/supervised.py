"""The supervised loop for every network the harness trains: attackers, matchers, auxiliaries.

Everything random in it (order of the data, augmentation, dropout) is a function of the seed and the
step, so an interrupted training that is taken up again ends with the same bytes as an unbroken one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context
from bench.distributed import average_buffers, here
from bench.errors import InputError
from bench.training.augment import PLAIN, Augment
from bench.training.batches import Pixels, own_rows
from bench.training.checkpoint import Checkpoint
from bench.training.optimisers import decayed
from bench.training.precision import precision_of
from bench.training.record import LossRecord, means

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Loss = Callable[["nn.Module", "Tensor", "Tensor"], "Tensor"]
"""(module, images float32 (B, 3, H, W) in [0, 1], rows int64 (B,)) -> scalar loss of the batch."""

_CURVE_POINTS = 32


def fit_network(
    module: nn.Module,
    images: NDArray[np.uint8],
    loss: Loss,
    *,
    steps: int,
    batch: int,
    rate: float,
    weight_decay: float = 0.0,
    seed: int,
    ctx: Context,
    augment: Augment = PLAIN,
    optimiser: Literal["adamw", "sgd"] = "adamw",
    warm_up: float = 0.2,
    clip: float = 5.0,
    name: str = "network",
    save_seconds: float | None = None,
    population: NDArray[np.int64] | None = None,
) -> dict[str, Any]:
    """Train `module` in place on `ctx.device` and leave it there in evaluation mode.

    images: uint8 (N, H, W, 3); they stay uint8 on the device and are converted batch by batch.
    loss: told the rows of `images` in the batch, so labels can be indexed with them. Parameters that the loss
        needs (a margin head) must belong to `module`. The caller seeds the initial weights (`seeded`).
    rate: peak of a one-cycle schedule (Smith and Topin, arXiv:1708.07120): linear rise over the share
        `warm_up` of the steps, then a half cosine to zero. weight_decay: on matrices and kernels only,
        decoupled with `adamw`.
    clip: largest norm of the gradient.
    name: of the checkpoint in `ctx.workdir`, which is written every `save_seconds` (None: 20) and at the end;
        a call with the same arguments continues from it. Give each network of a unit of work its own name.
    population: rows of `images` that make up an epoch, some perhaps repeated; None: each row once.
    Precision is as `ctx` says; several processes share out every batch (`bench.distributed`).

    Returns `steps`, `final_loss` (mean of the last tenth) and `loss_curve` (at most 32 means in order).
    Raises InputError without images or steps, BenchError when the loss is no longer finite.
    """
    if population is None:
        population = np.arange(len(images))
    if not len(population) or steps < 1 or batch < 2:
        raise InputError(
            f"cannot train {name} on {len(images)} images in {steps} steps of {batch}; "
            "it needs images, at least 1 step and a batch of at least 2"
        )
    import torch
    from torch.nn.utils import clip_grad_norm_

    numbers = [steps, batch, rate, weight_decay, seed, optimiser, warm_up, clip, ctx.precision]
    recipe = [*numbers, asdict(augment), images.shape, len(population)]
    device = torch.device(ctx.device)
    module.to(device).train()
    updater = decayed(module, optimiser, weight_decay)
    checkpoint = Checkpoint(
        ctx.workdir, name, recipe, {"network": module}, {"updater": updater}, save_seconds
    )
    record = LossRecord(ctx, steps, name, every=checkpoint.save_seconds)
    record.restore(checkpoint.restore())
    pixels, loss_of = Pixels(images, ctx.device), _shared(module, loss)
    with _repeatable(device):
        for step in range(record.done, steps):
            generator = _seed_step(seed, step, device)
            rows = torch.from_numpy(population[own_rows(len(population), batch, seed, step)]).to(device)
            shown = pixels.batch(rows)
            with precision_of(ctx):
                value = loss_of(augment(shown, generator) if augment != PLAIN else shown, rows)
            updater.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(module.parameters(), clip)
            for group in updater.param_groups:
                group["lr"] = rate * one_cycle(step / steps, warm_up)
            updater.step()
            average_buffers([module])
            record.add({"loss": value})
            if record.due():
                record.read()
                checkpoint.save_if_due(record.arrays)
    checkpoint.save(record.arrays)
    module.eval()
    losses = record.column("loss")
    tail = losses[-max(1, len(losses) // 10) :]
    return {
        "steps": steps,
        "final_loss": float(tail.mean()),
        "loss_curve": means(losses, _CURVE_POINTS),
    }


def _shared(module: nn.Module, loss: Loss) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of images and rows; where several processes train together, gradients are averaged behind it.

    One forward and one backward pass a step is what DistributedDataParallel is made for: what it wraps is
    the loss, whose forward pass goes through the networks in `module` as it likes.
    """
    if here()[1] == 1:
        return lambda images, rows: loss(module, images, rows)
    from torch import nn

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = module

        def forward(self, images: Tensor, rows: Tensor) -> Tensor:
            return loss(self.module, images, rows)

    return nn.parallel.DistributedDataParallel(Whole())


def one_cycle(progress: float, warm_up: float) -> float:
    """Share of the peak learning rate at `progress` in [0, 1)."""
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def _seed_step(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Seed torch (dropout) for one step; returns a generator of its own for the augmentation.

    Of several processes each has its own dropout, and all the same generator.
    """
    import torch

    first, second = np.random.SeedSequence([seed, 1, step]).generate_state(2)
    torch.manual_seed(int(first) + here()[0])
    return torch.Generator(device).manual_seed(int(second))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch draws from `seed` inside, for initial weights; the caller's random state comes back after."""
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        yield


def channels_last(module: nn.Module) -> nn.Module:
    """`module` in the memory layout in which a CPU trains convolutions faster.

    Results differ in the last digits between layouts: use it for a fitted network and its restored twin
    alike.
    """
    import torch

    return module.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


@contextmanager
def _repeatable(device: torch.device) -> Iterator[None]:
    """Deterministic kernels, and the caller's random state as it was afterwards."""
    import torch

    devices = [device] if device.type == "cuda" else []
    with (
        torch.random.fork_rng(devices),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        yield
