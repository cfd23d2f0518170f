"""The one loop that trains every method: data, learning-rate decay, averaged weights, snapshots, resume.

Everything random in a step is a function of (seed, step), so a training that was interrupted and is taken up
again from its checkpoint ends with the same bytes as an unbroken one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.api import Context, Faces, InputError, State
from bench.training import (
    Checkpoint,
    LossRecord,
    Pixels,
    average_buffers,
    averaging,
    own_rows,
    precision_of,
    rand,
    start_alike,
)

_CURVE_POINTS = 48


@dataclass(frozen=True)
class Plan:
    """How long and how a generator is trained.

    steps: calls of `Task.step`. batch: images a step. seed: of everything random.
    decay_from: share of the steps after which learning rates fall linearly to zero.
    drop_to: share of the learning rates that is left from there on instead, at once, where it is not 0.
    average: decay of the exponential moving average of the product's weights; 0 keeps the raw weights.
    snapshots: how many candidates to keep, evenly spaced up to the last step, none before `snapshots_from`.
    """

    steps: int
    batch: int
    seed: int
    decay_from: float = 0.5
    average: float = 0.0
    snapshots: int = 1
    snapshots_from: float = 0.5
    drop_to: float = 0.0

    def snapshot_steps(self) -> set[int]:
        """Numbers of steps done (1..steps) after which a snapshot is taken."""
        shares = np.linspace(1.0, self.snapshots_from, self.snapshots, endpoint=self.snapshots > 1)
        return {max(1, round(float(share) * self.steps)) for share in shares}

    def rate(self, step: int) -> float:
        """Factor of the learning rates in step number `step` (0-based)."""
        if self.drop_to:
            return self.drop_to if step >= self.decay_from * self.steps else 1.0
        left = 1 - step / self.steps
        return min(1.0, left / (1 - self.decay_from)) if self.decay_from < 1 else 1.0


@dataclass(frozen=True)
class Batch:
    """images: float32 (B, 3, S, S) in [0, 1]. labels: attribute -> int64 (B,), -1 where unknown.

    generator: on the images' device; the step's only source of randomness.
    """

    images: Tensor
    labels: Mapping[str, Tensor]
    generator: torch.Generator

    def uniform(self, *shape: int) -> Tensor:
        """Uniform [0, 1) draws (B, *shape)."""
        return rand((len(self.images), *shape), self.generator)


B = TypeVar("B")


class AnyTask(ABC, Generic[B]):
    """A problem to train on batches of one kind: its networks, their optimisers, and one step.

    product: the network that is wanted in the end, one of `modules`.
    """

    modules: Mapping[str, nn.Module]
    optimisers: Mapping[str, Optimizer]
    product: nn.Module

    @abstractmethod
    def step(self, number: int, batch: B) -> Mapping[str, Tensor]:
        """Update the networks once; return scalar losses for the curves. `number` counts from 0."""


class Task(AnyTask[Batch]):
    """A problem to train on images."""


@dataclass(frozen=True)
class Snapshot:
    """Weights of the product after `step` steps, rounded to float16 as they would be shipped."""

    step: int
    state: State


Trained = tuple[list[Snapshot], dict[str, list[float]]]
"""Snapshots in order and, by loss name, at most 48 means in order."""

Loop = Callable[[Task, Faces, Plan, Context, int], Trained]
"""(task, faces, plan, context, size) -> what `train` returns."""

_instead: ContextVar[Loop | None] = ContextVar("_instead", default=None)


@contextmanager
def trained_by(loop: Loop) -> Iterator[None]:
    """Inside, `train` leaves the work to `loop`, so that a method's own training can be measured."""
    token = _instead.set(loop)
    try:
        yield
    finally:
        _instead.reset(token)


def train(
    task: Task, faces: Faces, plan: Plan, ctx: Context, *, size: int = 0, name: str = "generator"
) -> Trained:
    """Run `plan` on images.

    faces: DEVELOP; mirrored at random, brought to `size` px where that is not 0. Checkpoints go to
    `ctx.workdir`. Raises as `run_plan`.
    """
    if (loop := _instead.get()) is not None:
        return loop(task, faces, plan, ctx, size)
    data = FaceBatches(faces, ctx.device, size)
    recipe = [size, faces.images.shape]
    return run_plan(task, partial(data.batch, plan), plan, ctx, count=len(faces), name=name, recipe=recipe)


def run_plan(
    task: AnyTask[B],
    batch_of: Callable[[int], B],
    plan: Plan,
    ctx: Context,
    *,
    count: int,
    name: str,
    recipe: Sequence[Any] = (),
) -> Trained:
    """Run `plan` on the batches that `batch_of(step)` makes of `count` samples; returns what `train` does.

    recipe: what beside the plan decides the result; a checkpoint of another recipe is not taken up. Leaves
    the networks in evaluation mode. Raises InputError for a plan that cannot be run, BenchError when a loss
    is no longer finite.
    """
    if plan.steps < 1 or plan.batch < 2 or not count:
        raise InputError(
            f"cannot train {name} on {count} samples in {plan.steps} steps of {plan.batch}; "
            "it needs samples, at least 1 step and a batch of at least 2"
        )
    run = Run(task, plan, ctx, name, [asdict(plan), ctx.precision, *recipe])
    with (
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
        averaging(task.optimisers.values()),
    ):
        for step in range(run.record.done, plan.steps):
            run.advance(step, batch_of(step))
    run.finish()
    return run.snapshots, run.record.curves(_CURVE_POINTS)


class FaceBatches:
    """Batches of the faces; pixels stay uint8 on the device until they are used."""

    def __init__(self, faces: Faces, device: str, size: int) -> None:
        self._count, self._device = len(faces), device
        self._pixels = Pixels(faces.images, device, size)
        self._labels = {
            a.name: torch.from_numpy(np.nan_to_num(faces.labels[a.name], nan=-1).astype(np.int64)).to(device)
            for a in faces.attributes
            if not a.is_number
        }

    def batch(self, plan: Plan, step: int) -> Batch:
        """Of a step: this process's share, mirrored at random."""
        rows = torch.from_numpy(own_rows(self._count, plan.batch, plan.seed, step)).to(self._device)
        entropy = np.random.SeedSequence([plan.seed, 2, step]).generate_state(1)
        generator = torch.Generator(self._device).manual_seed(int(entropy[0]))
        images = self._pixels.batch(rows)
        labels = {name: values[rows] for name, values in self._labels.items()}
        batch = Batch(images, labels, generator)
        mirrored = batch.uniform(1, 1, 1) < 0.5
        return Batch(torch.where(mirrored, images.flip(-1), images), labels, generator)


class Run:
    """What changes while a task is trained, and how it is taken up. record: of the losses."""

    def __init__(self, task: AnyTask[Any], plan: Plan, ctx: Context, name: str, recipe: Any) -> None:
        self.task, self.plan, self.ctx = task, plan, ctx
        self.snapshots: list[Snapshot] = []
        self._snapshot_steps = plan.snapshot_steps()
        for module in task.modules.values():
            module.to(ctx.device).train()
        self.average = {k: v.detach().clone() for k, v in task.product.state_dict().items()}
        self._base_rates = {k: [g["lr"] for g in o.param_groups] for k, o in task.optimisers.items()}
        self._checkpoint = Checkpoint(ctx.workdir, name, recipe, task.modules, task.optimisers)
        self.record = LossRecord(ctx, plan.steps, name, every=self._checkpoint.save_seconds)
        self._take_up(self._checkpoint.restore())
        start_alike(task.modules.values())

    def advance(self, step: int, batch: Any) -> None:
        """Do step number `step`, and whatever is due after it."""
        for name, optimiser in self.task.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self._base_rates[name], strict=True):
                group["lr"] = rate * self.plan.rate(step)
        with precision_of(self.ctx):
            losses = self.task.step(step, batch)
        average_buffers(self.task.modules.values())
        self.record.add(losses)
        self._average(step)
        wanted = step + 1 in self._snapshot_steps
        if wanted or self.record.due():
            self.record.read()
            if wanted:
                arrays = {k: v.cpu().numpy().astype(np.float16) for k, v in self.average.items()}
                self.snapshots.append(Snapshot(step + 1, arrays))
            self._checkpoint.save_if_due(self._further)

    def finish(self) -> None:
        """Save the last state, and put the networks into evaluation mode."""
        self._checkpoint.save(self._further)
        for module in self.task.modules.values():
            module.eval()

    def _average(self, step: int) -> None:
        # A plain average at first, or the random start would linger.
        decay = min(self.plan.average, (1 + step) / (10 + step))
        for key, value in self.task.product.state_dict().items():
            self.average[key].lerp_(value.detach(), 1 - decay)

    def _further(self) -> State:
        arrays = {f"average/{k}": v.cpu().numpy() for k, v in self.average.items()}
        for snapshot in self.snapshots:
            arrays |= {f"snapshot/{snapshot.step}/{k}": v for k, v in snapshot.state.items()}
        return arrays | self.record.arrays()

    def _take_up(self, stored: State) -> None:
        self.record.restore(stored)
        snapshots: dict[int, State] = {}
        for key, value in stored.items():
            kind, _, rest = key.partition("/")
            if kind == "average":
                self.average[rest] = torch.from_numpy(value).to(self.ctx.device)
            elif kind == "snapshot":
                step, _, name = rest.partition("/")
                snapshots.setdefault(int(step), {})[name] = value
        self.snapshots = [Snapshot(step, snapshots[step]) for step in sorted(snapshots)]
