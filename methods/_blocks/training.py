"""The one loop that trains every method: data, learning-rate decay, averaged weights, snapshots, resume.

Everything random in a step is a function of (seed, step), so a training that was interrupted and is taken up
again from its checkpoint ends with the same bytes as an unbroken one.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from bench.api import BenchError, Context, Faces, InputError, State, load_module, resize, to_tensor
from bench.training import rows_of_step

_SAVE_SECONDS = 20.0
_REPORT_SECONDS = 0.5
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
        size = (len(self.images), *shape)
        return torch.rand(size, generator=self.generator, device=self.images.device)


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


def train(
    task: Task, faces: Faces, plan: Plan, ctx: Context, *, size: int = 0, name: str = "generator"
) -> tuple[list[Snapshot], dict[str, list[float]]]:
    """Run `plan` on images; returns the snapshots in order and, by loss name, at most 48 means in order.

    faces: DEVELOP; mirrored at random, brought to `size` px where that is not 0. Checkpoints go to
    `ctx.workdir`. Raises as `run_plan`.
    """
    data = _Data(faces, ctx.device, size)
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
) -> tuple[list[Snapshot], dict[str, list[float]]]:
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
    run = _Run(task, plan, ctx, name, [asdict(plan), *recipe])
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        for step in range(run.done, plan.steps):
            run.advance(step, batch_of(step))
    run.finish()
    return run.snapshots, _curves(run.losses)


class _Data:
    """Batches of the faces; pixels stay uint8 on the device until they are used."""

    def __init__(self, faces: Faces, device: str, size: int) -> None:
        self._images = torch.from_numpy(np.ascontiguousarray(faces.images))
        self._size = size or faces.size
        self._device = device
        self._labels = {
            a.name: torch.from_numpy(np.nan_to_num(faces.labels[a.name], nan=-1).astype(np.int64))
            for a in faces.attributes
            if not a.is_number
        }

    def batch(self, plan: Plan, step: int) -> Batch:
        rows = torch.from_numpy(rows_of_step(len(self._images), plan.batch, plan.seed, step))
        entropy = np.random.SeedSequence([plan.seed, 2, step]).generate_state(1)
        generator = torch.Generator(self._device).manual_seed(int(entropy[0]))
        images = resize(to_tensor(self._images[rows].numpy(), self._device), self._size)
        labels = {name: values[rows].to(self._device) for name, values in self._labels.items()}
        batch = Batch(images, labels, generator)
        mirrored = batch.uniform(1, 1, 1) < 0.5
        return Batch(torch.where(mirrored, images.flip(-1), images), labels, generator)


class _Run:
    """What changes while a task is trained, and how it is written down and taken up."""

    def __init__(self, task: AnyTask[Any], plan: Plan, ctx: Context, name: str, recipe: Any) -> None:
        self.task, self.plan, self.ctx, self.name = task, plan, ctx, name
        self.losses: list[dict[str, float]] = []
        self.snapshots: list[Snapshot] = []
        for module in task.modules.values():
            module.to(ctx.device).train()
        self.average = {k: v.detach().clone() for k, v in task.product.state_dict().items()}
        self._base_rates = {k: [g["lr"] for g in o.param_groups] for k, o in task.optimisers.items()}
        self._path = _checkpoint_path(ctx.workdir, name, recipe)
        self._saved_at = time.monotonic()
        self._told_at = -math.inf
        if self._path is not None and self._path.exists():
            self._restore(self._path)

    @property
    def done(self) -> int:
        return len(self.losses)

    def advance(self, step: int, batch: Any) -> None:
        for name, optimiser in self.task.optimisers.items():
            for group, rate in zip(optimiser.param_groups, self._base_rates[name], strict=True):
                group["lr"] = rate * self.plan.rate(step)
        losses = {k: float(v.detach()) for k, v in self.task.step(step, batch).items()}
        broken = [k for k, v in losses.items() if not math.isfinite(v)]
        if broken:
            raise BenchError(
                f"training of {self.name} diverged at step {step} (loss {', '.join(broken)}); "
                "lower its learning rate"
            )
        self.losses.append(losses)
        self._average(step)
        if step + 1 in self.plan.snapshot_steps():
            arrays = {k: v.cpu().numpy().astype(np.float16) for k, v in self.average.items()}
            self.snapshots.append(Snapshot(step + 1, arrays))
        self._tell(step + 1)
        if self._path is not None and time.monotonic() - self._saved_at >= _SAVE_SECONDS:
            self._save(self._path)

    def finish(self) -> None:
        if self._path is not None:
            self._save(self._path)
        for module in self.task.modules.values():
            module.eval()

    def _average(self, step: int) -> None:
        # A plain average at first, or the random start would linger.
        decay = min(self.plan.average, (1 + step) / (10 + step))
        for key, value in self.task.product.state_dict().items():
            self.average[key].lerp_(value.detach(), 1 - decay)

    def _tell(self, done: int) -> None:
        now = time.monotonic()
        if done == self.plan.steps or now - self._told_at >= _REPORT_SECONDS:
            recent = self.losses[-20:]
            text = ", ".join(f"{k} {_mean(recent, k):.3f}" for k in _names(recent))
            self.ctx.report(done, self.plan.steps, f"training {self.name}: {text}")
            self._told_at = now

    def _save(self, path: Path) -> None:
        from safetensors.numpy import save_file

        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        save_file({k: np.asarray(v, order="C") for k, v in self._arrays().items()}, partial)
        partial.replace(path)
        self._saved_at = time.monotonic()

    def _arrays(self) -> State:
        arrays = {f"average/{k}": v.cpu().numpy() for k, v in self.average.items()}
        for name, module in self.task.modules.items():
            arrays |= {f"module/{name}/{k}": v.detach().cpu().numpy() for k, v in module.state_dict().items()}
        for name, optimiser in self.task.optimisers.items():
            for index, moments in optimiser.state_dict()["state"].items():
                for moment, value in moments.items():
                    arrays[f"optimiser/{name}/{index}/{moment}"] = value.detach().cpu().numpy()
        for snapshot in self.snapshots:
            arrays |= {f"snapshot/{snapshot.step}/{k}": v for k, v in snapshot.state.items()}
        arrays["done"] = np.array(self.done)
        for name in _names(self.losses):
            arrays[f"loss/{name}"] = np.array([row.get(name, math.nan) for row in self.losses])
        return arrays

    def _restore(self, path: Path) -> None:
        from safetensors.numpy import load_file

        groups = _grouped(load_file(path))
        for name, module in self.task.modules.items():
            load_module(module, groups["module"][name])
        for name, optimiser in self.task.optimisers.items():
            moments: dict[int, dict[str, Tensor]] = {}
            for key, value in groups.get("optimiser", {}).get(name, {}).items():
                index, moment = key.split("/")
                moments.setdefault(int(index), {})[moment] = torch.from_numpy(value)
            optimiser.load_state_dict({**optimiser.state_dict(), "state": moments})
        for key, value in groups["average"].items():
            self.average[key] = torch.from_numpy(value).to(self.ctx.device)
        steps = groups.get("snapshot", {})
        self.snapshots = [Snapshot(int(s), steps[s]) for s in sorted(steps, key=int)]
        columns = groups.get("loss", {})
        self.losses = [
            {k: float(v[i]) for k, v in columns.items() if not math.isnan(v[i])}
            for i in range(int(groups["done"]))
        ]


def _checkpoint_path(folder: Path | None, name: str, recipe: Any) -> Path | None:
    if folder is None:
        return None
    return Path(folder) / f"{name}-{sha256(repr(recipe).encode()).hexdigest()[:16]}.safetensors"


def _grouped(arrays: State) -> dict[str, Any]:
    """`kind/name/rest` keys as nested dicts; averages and losses have no name of a network in between."""
    groups: dict[str, Any] = {}
    for key, value in arrays.items():
        kind, _, rest = key.partition("/")
        if not rest:
            groups[kind] = value
        elif kind in ("average", "loss"):
            groups.setdefault(kind, {})[rest] = value
        else:
            name, _, inner = rest.partition("/")
            groups.setdefault(kind, {}).setdefault(name, {})[inner] = value
    return groups


def _names(losses: list[dict[str, float]]) -> Iterator[str]:
    return iter(dict.fromkeys(k for row in losses for k in row))


def _mean(losses: list[dict[str, float]], name: str) -> float:
    return float(np.mean([row[name] for row in losses if name in row]))


def _curves(losses: list[dict[str, float]]) -> dict[str, list[float]]:
    curves = {}
    for name in _names(losses):
        values: NDArray[np.float64] = np.array([row[name] for row in losses if name in row])
        parts = np.array_split(values, min(_CURVE_POINTS, len(values)))
        curves[name] = [float(part.mean()) for part in parts]
    return curves
