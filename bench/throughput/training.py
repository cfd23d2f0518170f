"""Training steps a second of a method's own training, beside a loop in the style of public code.

Both loops train the same networks with the same losses on the same faces. The public style is that of the
papers' repositories, StarGAN's above all: images are JPEG files that PIL decodes one by one in a DataLoader
without workers, torchvision's ToTensor and Normalize, float32, plain Adam, `.item()` on every loss of every
step.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import discover
from bench.components.base import Context
from bench.components.method import Method
from bench.errors import Unavailable
from bench.faces import Faces
from bench.inference.clock import Clock, Timing, measure
from bench.inference.paths import BF16, FP32, PEER
from bench.throughput.build import chosen, new_method, untrained_opponents
from bench.throughput.samples import random_faces
from bench.throughput.table import FAILED, OK, UNAVAILABLE, Row

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from methods._blocks.training import Batch, Plan, Task

OWN = "own loop"
"""The path of rows on the project's loop; beside them is `peer`."""

_FACES = 128
_QUALITY = 95
"""Of the JPEG files that the public style reads."""


@dataclass(frozen=True)
class Handed:
    """What a method hands to the loop: its problem, the faces, how long, and px to train at (0: as they are).

    cycle: steps that belong together, where a generator is updated only in each such.
    """

    task: Task
    faces: Faces
    plan: Plan
    context: Context
    size: int
    cycle: int


def handed_by(name: str, preset: str, side: int, context: Context, faces: int = _FACES) -> Handed:
    """What method `name` trains first, on images of noise of `side` px against untrained auxiliaries.

    Raises Unavailable for a method that learns without gradient steps on images.
    """
    from methods._blocks.training import trained_by

    cls = discover.load_class("method", name)
    if not (issubclass(cls, Method) and cls.trained):
        raise Unavailable("it trains nothing on images", "name a method that does")
    method, _ = new_method(name, preset, side, {})
    assert isinstance(method, Method)
    method.part = method.variants()[0].part
    found: list[Handed] = []

    class Enough(Exception):
        """Ends the fit once the first training is known."""

    def take(task: Task, faces: Faces, plan: Plan, ctx: Context, size: int) -> Any:
        found.append(Handed(task, faces, plan, ctx, size, int(method.settings.get("critic_steps", 1))))
        raise Enough

    pools = random_faces(faces, side, 1), random_faces(8, side, 2)
    with trained_by(take):
        try:
            method.fit(*pools, untrained_opponents(method, context), context)
        except Enough:
            return found[0]
    raise Unavailable("it learns without gradient steps", "name a method that has a network to train")


def own_steps(handed: Handed) -> Callable[[], None]:
    """A call does `cycle` steps of the project's loop."""
    from methods._blocks.training import FaceBatches, Run

    # As long as no measurement lasts: the loop looks ahead to the end of a plan.
    plan = replace(handed.plan, steps=10**9, snapshots=1)
    data = FaceBatches(handed.faces, handed.context.device, handed.size)
    run = Run(handed.task, plan, handed.context, "measured", [])
    step = 0

    def call() -> None:
        nonlocal step
        for _ in range(handed.cycle):
            run.advance(step, data.batch(plan, step))
            step += 1

    return call


def public_steps(handed: Handed) -> Callable[[], None]:
    """A call does `cycle` steps as public code does them."""
    import torch

    device, task = handed.context.device, handed.task
    for module in task.modules.values():
        module.to(device).train()
    optimisers = {name: _plain_adam(optimiser) for name, optimiser in task.optimisers.items()}
    batches = _endless(_loader(handed), device)
    step = 0

    def call() -> None:
        nonlocal step
        with _exchanged(task, optimisers):
            for _ in range(handed.cycle):
                losses = task.step(step, next(batches))
                for value in losses.values():
                    value.item()
                step += 1

    torch.manual_seed(0)
    return call


def training_rows(
    names: Sequence[str], preset: str, side: int, device: str, precisions: Sequence[str], seconds: float
) -> Iterator[tuple[Row, Callable[[Clock], list[Row]]]]:
    """For each method named (or `all` that are trained on images) a row yet without figures, and what
    measures it, about `seconds` a row. Raises UsageError for unknown names."""
    for name in chosen("method", names, list(discover.components("method"))):
        cls = discover.load_class("method", name)
        if name not in names and not (issubclass(cls, Method) and cls.trained):
            continue
        base = Row("training", name, "", FP32, 0, device, preset=preset, side=side, item="step")

        def rows(clock: Clock, base: Row = base) -> list[Row]:
            try:
                return _measured(base, precisions, seconds, clock)
            except Unavailable as error:
                return [replace(base, status=UNAVAILABLE, reason=str(error))]
            except Exception as error:  # a component's own failure is that row's result
                return [replace(base, status=FAILED, reason=f"{type(error).__name__}: {error}"[:300])]

        yield base, rows


def _measured(base: Row, precisions: Sequence[str], seconds: float, clock: Clock) -> list[Row]:
    handed = handed_by(base.name, base.preset, base.side, Context(device=base.device))
    base = replace(base, batch=handed.plan.batch, status=OK, reason="")
    timing = measure(public_steps(handed), clock, seconds=seconds, warm_up=1)
    peer = _row(replace(base, path=PEER, reason="decoded by PIL, .item() on every loss"), timing, handed)
    rows = [peer]
    for precision in [p for p in (FP32, BF16) if p in precisions]:
        again = handed_by(base.name, base.preset, base.side, Context(device=base.device, precision=precision))
        found = measure(own_steps(again), clock, seconds=seconds, warm_up=1)
        row = _row(replace(base, path=OWN, precision=precision), found, again)
        rows.append(replace(row, speedup=timing.seconds / found.seconds))
    return rows


def _row(row: Row, timing: Timing, handed: Handed) -> Row:
    return replace(
        row,
        per_second=handed.cycle / timing.seconds,
        per_second_low=handed.cycle / timing.high,
        per_second_high=handed.cycle / timing.low,
        latency_p50_ms=timing.p50 * 1e3 / handed.cycle,
        latency_p95_ms=timing.p95 * 1e3 / handed.cycle,
        calls=timing.calls * handed.cycle,
    )


# -- the style of public code ------------------------------------------------------------------------------


class _JpegFaces:
    """Faces as a torchvision data set has them: (3, S, S) in [-1, 1], and labels by name, -1 unknown."""

    def __init__(self, faces: Faces, size: int) -> None:
        from torchvision import transforms

        self._files = [_jpeg(image) for image in faces.images]
        self._labels = {
            a.name: np.nan_to_num(faces.labels[a.name], nan=-1).astype(np.int64)
            for a in faces.attributes
            if not a.is_number
        }
        steps = [transforms.RandomHorizontalFlip()]
        steps += [transforms.Resize(size)] if size not in (0, faces.size) else []
        self._transform = transforms.Compose(
            [*steps, transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)]
        )

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, row: int) -> tuple[Tensor, dict[str, int]]:
        from PIL import Image

        image = Image.open(io.BytesIO(self._files[row])).convert("RGB")
        return self._transform(image), {name: int(values[row]) for name, values in self._labels.items()}


def _jpeg(image: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _loader(handed: Handed) -> Any:
    from torch.utils.data import DataLoader

    faces: Any = _JpegFaces(handed.faces, handed.size)
    return DataLoader(faces, batch_size=handed.plan.batch, shuffle=True, drop_last=True)


def _endless(loader: Any, device: str) -> Iterator[Batch]:
    """The tasks' batches, in [0, 1] as they want them."""
    import torch

    from methods._blocks.training import Batch

    generator = torch.Generator(device).manual_seed(0)
    while True:
        for images, labels in loader:
            told = {name: values.to(device) for name, values in labels.items()}
            yield Batch(images.to(device) / 2 + 0.5, told, generator)


def _plain_adam(optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Adam as torch has it by default, for the same parameters."""
    import torch

    groups = optimiser.param_groups
    parameters = [p for group in groups for p in group["params"]]
    return torch.optim.Adam(parameters, lr=groups[0]["lr"], betas=groups[0]["betas"])


@contextmanager
def _exchanged(task: Task, optimisers: Mapping[str, torch.optim.Optimizer]) -> Iterator[None]:
    """The task with other optimisers."""
    own, task.optimisers = task.optimisers, optimisers
    try:
        yield
    finally:
        task.optimisers = own
