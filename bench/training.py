"""One supervised training loop for every network the harness trains: attackers, matchers, auxiliaries.

Everything random in it (order of the data, augmentation, dropout) is a function of the seed and the
step, so an interrupted training that is taken up again ends with the same bytes as an unbroken one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context, State, load_module, module_state
from bench.components.method import resize, to_tensor, to_uint8
from bench.errors import BenchError, InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

Loss = Callable[["nn.Module", "Tensor", "Tensor"], "Tensor"]
"""(module, images float32 (B, 3, H, W) in [0, 1], rows int64 (B,)) -> scalar loss of the batch."""

_CURVE_POINTS = 32
_REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Augment:
    """Random changes of training images; each sample draws its own, uniformly up to the given size.

    flip: probability of mirroring. shift: share of the side. zoom: relative. rotate: degrees.
    brightness: added. contrast: relative, about the image's mean. tint: relative gain of each channel.
    blur: share of a 3x3 binomial blur mixed in. noise: standard deviation of white noise.
    erase: probability that a random rectangle of up to half the side is painted in one random colour.
    """

    flip: float = 0.5
    shift: float = 0.05
    zoom: float = 0.08
    rotate: float = 6.0
    brightness: float = 0.1
    contrast: float = 0.2
    tint: float = 0.05
    blur: float = 0.0
    noise: float = 0.0
    erase: float = 0.0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented copies of float images (B, 3, H, W) in [0, 1], drawn from `generator` alone."""
        changed = self._painted(self._moved(images, generator), generator)
        if self.blur:
            share = self.blur * _uniform(images, generator, 1, 1, 1)
            changed = changed + share * (_binomial_blur(changed) - changed)
        if self.noise:
            import torch

            white = torch.randn(changed.shape, generator=generator, device=changed.device)
            changed = changed + white * (self.noise * _uniform(images, generator, 1, 1, 1))
        if self.erase:
            changed = self._erased(changed, generator)
        return changed.clamp(0, 1)

    def _moved(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch
        from torch.nn.functional import affine_grid, grid_sample

        draws = _uniform(images, generator, 5)
        angle = (2 * draws[:, 0] - 1) * math.radians(self.rotate)
        scale = 1 + (2 * draws[:, 1] - 1) * self.zoom
        mirror = torch.where(draws[:, 2] < self.flip, -1.0, 1.0)
        shift = (2 * draws[:, 3:5] - 1) * (2 * self.shift)
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        rows = [
            torch.stack([cos * mirror, -sin, shift[:, 0]], 1),
            torch.stack([sin * mirror, cos, shift[:, 1]], 1),
        ]
        grid = affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _painted(self, images: Tensor, generator: torch.Generator) -> Tensor:
        draws = 2 * _uniform(images, generator, 5) - 1
        gain = 1 + self.contrast * draws[:, :1, None, None]
        tint = 1 + self.tint * draws[:, 1:4, None, None]
        mean = images.mean((1, 2, 3), keepdim=True)
        return ((images - mean) * gain + mean + self.brightness * draws[:, 4:, None, None]) * tint

    def _erased(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        height, width = images.shape[-2:]
        draws = _uniform(images, generator, 8)[:, :, None]
        tall, wide = 0.1 + 0.4 * draws[:, 0], 0.1 + 0.4 * draws[:, 1]
        top, left = draws[:, 2] * (1 - tall), draws[:, 3] * (1 - wide)
        y = (torch.arange(height, device=images.device) + 0.5) / height
        x = (torch.arange(width, device=images.device) + 0.5) / width
        inside = ((y >= top) & (y < top + tall))[:, :, None] & ((x >= left) & (x < left + wide))[:, None, :]
        hit = inside & (draws[:, 4] < self.erase)[:, :, None]
        return torch.where(hit[:, None], draws[:, 5:8, :, None], images)


PLAIN = Augment(0, 0, 0, 0, 0, 0, 0)
"""No augmentation."""


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
    save_seconds: float = 20.0,
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
    name: of the checkpoint in `ctx.workdir`, which is written every `save_seconds` and at the end; a call
        with the same arguments continues from it. Give each network of a unit of work its own name.
    population: rows of `images` that make up an epoch, some perhaps repeated; None: each row once.

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

    numbers = [steps, batch, rate, weight_decay, seed, optimiser, warm_up, clip]
    recipe = [*numbers, asdict(augment), images.shape, len(population)]
    checkpoint = Checkpoint(ctx.workdir, name, recipe, save_seconds)
    device = torch.device(ctx.device)
    module.to(device).train()
    updater = _optimiser(module, optimiser, weight_decay)
    losses = checkpoint.restore(module, updater)
    stored = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    progress = _Progress(ctx, steps, name)
    with _repeatable(device):
        for step in range(len(losses), steps):
            generator = _seed_step(seed, step, device)
            drawn = population[rows_of_step(len(population), batch, seed, step)]
            rows = torch.from_numpy(drawn).to(device)
            pixels = stored[rows].permute(0, 3, 1, 2).float() / 255
            value = loss(module, augment(pixels, generator) if augment != PLAIN else pixels, rows)
            updater.zero_grad(set_to_none=True)
            value.backward()  # type: ignore[no-untyped-call]
            clip_grad_norm_(module.parameters(), clip)
            for group in updater.param_groups:
                group["lr"] = rate * one_cycle(step / steps, warm_up)
            updater.step()
            losses.append(float(value.detach()))
            if not math.isfinite(losses[-1]):
                raise BenchError(f"training of {name} diverged at step {step}; lower its learning rate")
            progress.tell(step + 1, losses)
            checkpoint.save_if_due(module, updater, losses)
    checkpoint.save(module, updater, losses)
    module.eval()
    return _figures(losses)


def rows_of_step(count: int, batch: int, seed: int, step: int) -> NDArray[np.int64]:
    """Rows (batch,) of one step: a fresh permutation of `count` rows every epoch, read without gaps."""
    start, stop = step * batch, (step + 1) * batch
    epochs = range(start // count, (stop - 1) // count + 1)
    stream = np.concatenate([np.random.default_rng([seed, 0, e]).permutation(count) for e in epochs])
    return stream[start - epochs[0] * count :][:batch].astype(np.int64)


def one_cycle(progress: float, warm_up: float) -> float:
    """Share of the peak learning rate at `progress` in [0, 1)."""
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def masked_cross_entropy(
    logits: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Mean over attributes of the mean cross-entropy over the samples whose label is known (>= 0).

    logits: attribute -> (B, K). labels: attribute -> int64 (B,), -1 where unknown.
    weights: attribute -> (K,), see `class_weights`.
    An attribute without any known label in the batch adds 0.
    """
    import torch
    from torch.nn.functional import cross_entropy

    parts = []
    for name, values in logits.items():
        known = labels[name] >= 0
        share = weights[name] if weights is not None else None
        total = cross_entropy(values, labels[name], share, ignore_index=-1, reduction="sum")
        # Weights average 1 over the pool, so counting samples keeps rare classes heavier than the mean would.
        parts.append(total / known.sum().clamp(min=1))
    return torch.stack(parts).mean()


def class_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Weights (K,) that give every class present the same say and average 1 over the labelled samples.

    labels: int64 (N,), -1 where unknown. A class without samples weighs 0.
    """
    counts = np.bincount(labels[labels >= 0], minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, np.float32)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights


def resize_images(images: NDArray[np.uint8], size: int, *, batch: int = 256) -> NDArray[np.uint8]:
    """uint8 (N, H, W, 3) -> uint8 (N, size, size, 3), bicubic with antialiasing; unchanged at equal size."""
    if images.shape[1:3] == (size, size):
        return images
    parts = [to_uint8(resize(to_tensor(images[i : i + batch]), size)) for i in range(0, len(images), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, size, size, 3), np.uint8)


class Checkpoint:
    """State of a training in `folder`, replaced atomically; does nothing where `folder` is None.

    recipe: what the training depends on; a file made by another recipe is not taken up.
    """

    def __init__(self, folder: Path | None, name: str, recipe: Any, save_seconds: float) -> None:
        key = sha256(repr(recipe).encode()).hexdigest()[:16]
        self.path = None if folder is None else Path(folder) / f"{name}-{key}.safetensors"
        self.save_seconds = save_seconds
        self._saved_at = time.monotonic()

    def restore(self, module: nn.Module, updater: torch.optim.Optimizer) -> list[float]:
        """Load the stored state into both; returns the losses of the steps done, empty for a fresh start."""
        if self.path is None or not self.path.exists():
            return []
        import torch
        from safetensors.numpy import load_file

        state = load_file(self.path)
        losses = state.pop("losses")
        moments: dict[int, dict[str, Tensor]] = {}
        for key in [k for k in state if k.startswith("updater/")]:
            _, index, moment = key.split("/")
            moments.setdefault(int(index), {})[moment] = torch.from_numpy(state.pop(key))
        load_module(module, state, "module/")
        updater.load_state_dict({**updater.state_dict(), "state": moments})
        return [float(x) for x in losses]

    def save_if_due(self, module: nn.Module, updater: torch.optim.Optimizer, losses: list[float]) -> None:
        """Save once `save_seconds` have passed since the last time."""
        if time.monotonic() - self._saved_at >= self.save_seconds:
            self.save(module, updater, losses)

    def save(self, module: nn.Module, updater: torch.optim.Optimizer, losses: list[float]) -> None:
        """Write the state beside the old file, then put it in its place."""
        if self.path is None:
            return
        from safetensors.numpy import save_file

        state: State = {"losses": np.array(losses, np.float64), **module_state(module, "module/")}
        for index, moments in updater.state_dict()["state"].items():
            for moment, value in moments.items():
                if value is not None:
                    state[f"updater/{index}/{moment}"] = value.detach().cpu().numpy()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        save_file({k: np.asarray(v, order="C") for k, v in state.items()}, partial)
        partial.replace(self.path)
        self._saved_at = time.monotonic()


class _Progress:
    """Moves the progress bar, at most every half second."""

    def __init__(self, ctx: Context, steps: int, name: str) -> None:
        self._report, self._steps, self._name = ctx.report, steps, name
        self._told_at = -math.inf

    def tell(self, done: int, losses: list[float]) -> None:
        now = time.monotonic()
        if done == self._steps or now - self._told_at >= _REPORT_SECONDS:
            self._report(done, self._steps, f"training {self._name}, loss {np.mean(losses[-20:]):.3f}")
            self._told_at = now


def _figures(losses: list[float]) -> dict[str, Any]:
    curve = [float(np.mean(part)) for part in np.array_split(losses, min(_CURVE_POINTS, len(losses)))]
    tail = losses[-max(1, len(losses) // 10) :]
    return {"steps": len(losses), "final_loss": float(np.mean(tail)), "loss_curve": curve}


def _optimiser(module: nn.Module, kind: str, weight_decay: float) -> torch.optim.Optimizer:
    import torch

    trained = [p for p in module.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    if kind == "sgd":
        return torch.optim.SGD(groups, lr=0.0, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.99))


def _seed_step(seed: int, step: int, device: torch.device) -> torch.Generator:
    """Seed torch (dropout) for one step; returns a generator of its own for the augmentation."""
    import torch

    first, second = np.random.SeedSequence([seed, 1, step]).generate_state(2)
    torch.manual_seed(int(first))
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


def _uniform(images: Tensor, generator: torch.Generator, *shape: int) -> Tensor:
    import torch

    return torch.rand((len(images), *shape), generator=generator, device=images.device)


def _binomial_blur(images: Tensor) -> Tensor:
    import torch
    from torch.nn.functional import conv2d, pad

    tap = torch.tensor([0.25, 0.5, 0.25], device=images.device)
    kernel = (tap[:, None] * tap).expand(3, 1, 3, 3)
    return conv2d(pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
