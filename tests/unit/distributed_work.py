"""Trainings that `test_distributed.py` runs in one process, and under torchrun in several.

torchrun --nproc-per-node 2 distributed_work.py FOLDER [fails]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from methods_tiny import RACE, TinyAuxiliaries, tiny_faces
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import distributed
from bench.api import Attribute, Context, Faces
from bench.faces import GENDER
from bench.training import Augment, fit_network, seeded
from methods._blocks.gan_training import GanTask
from methods._blocks.labels import LabelCode
from methods._blocks.networks import TranslationGenerator
from methods._blocks.opponents import Opponents
from methods._blocks.san_autoencoder import SanAutoencoder
from methods._blocks.san_training import SanTask
from methods._blocks.training import Plan, Task, train

KNOWN: tuple[Attribute, ...] = (GENDER, RACE)
SETTINGS: dict[str, Any] = {
    "rate": 2e-3,
    "critic_rate": 2e-3,
    "beta1": 0.5,
    "beta2": 0.999,
    "critic_width": 4,
    "critic_depth": 2,
    "critic_steps": 2,
    "change": 0.5,
    "confidence": 0.8,
    "viewed": True,
    "turns": [],
    "lambda_penalty": 10.0,
    "lambda_critic_labels": 1.0,
    "lambda_labels": 1.0,
    "lambda_rec": 1.0,
    "lambda_pixel": 1.0,
    "lambda_match": 1.0,
    "lambda_classifiers": 1.0,
    "lambda_kept": 1.0,
}
SAN_SETTINGS: dict[str, Any] = {
    "rate": 1e-3,
    "steps": 6,
    "matching_from": 0.0,
    "pixel_loss": "bce",
    "matching_on": "op",
    "lambda_pixel": 1.0,
    "lambda_gender": 1.0,
    "lambda_match": 1.0,
    "lambda_kept": 0.0,
}

Arrays = dict[str, NDArray[Any]]


def supervised() -> Arrays:
    """`fit_network` with every augmentation on a network without batch normalisation or dropout."""
    faces = tiny_faces(24, 16, attributes=KNOWN)
    gender = torch.from_numpy(faces.labels["gender"].astype(np.int64))
    with seeded(0):
        network = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(392, 2))

    def loss(module: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
        return nn.functional.cross_entropy(module(pixels), gender[rows])

    figures = fit_network(
        network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
        faces.images,
        loss,
        steps=8,
        batch=8,
        rate=0.01,
        weight_decay=0.05,
        seed=3,
        ctx=Context(),
        augment=Augment(blur=0.5, noise=0.02, erase=0.5),
    )
    return {**weights({"network": network}), "losses": np.array(figures["loss_curve"])}


def normalised() -> Arrays:
    """The running statistics of batch normalisation after `fit_network`."""
    faces = tiny_faces(24, 16, attributes=KNOWN)
    with seeded(0):
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    def loss(module: nn.Module, pixels: Tensor, rows: Tensor) -> Tensor:
        return module(pixels).square().mean()  # type: ignore[no-any-return]

    fit_network(network, faces.images, loss, steps=6, batch=8, rate=1e-3, seed=3, ctx=Context())
    return {k: v.numpy() for k, v in network.state_dict().items() if "running" in k}


def adversarial(precision: str = "fp32") -> Arrays:
    """A critic with gradient penalty and a generator against auxiliaries."""
    code = LabelCode(KNOWN)
    with seeded(1):
        generator = TranslationGenerator(
            code.width, stem=4, down=(4,), up=(4,), blocks=1, head_kernel=3, upsampling="nearest", norm=False
        )
    task = GanTask(generator, code, 32, TinyAuxiliaries(KNOWN), SETTINGS, seed=1)
    return trained(task, "gan", tiny_faces(attributes=KNOWN), precision)


def semi_adversarial() -> Arrays:
    """SAN on faces of which most lack the label: in some steps one process has nothing to learn from."""
    faces = tiny_faces(attributes=KNOWN)
    faces.labels["gender"][4:] = np.nan
    with seeded(2):
        network, prototypes = SanAutoencoder((4, 4, 8, 8)), torch.rand(2, 3, 32, 32)
    task = SanTask(network, prototypes, Opponents(TinyAuxiliaries(KNOWN)), SAN_SETTINGS)
    return trained(task, "san", faces)


def trained(task: Task, name: str, faces: Faces, precision: str = "fp32") -> Arrays:
    plan = Plan(6, 8, seed=5, average=0.9, snapshots=2)
    snapshots, curves = train(task, faces, plan, Context(precision=precision), name=name)
    found = weights(task.modules) | {f"curve/{k}": np.array(v) for k, v in curves.items()}
    return found | {f"{s.step}/{k}": v.astype(np.float32) for s in snapshots for k, v in s.state.items()}


def weights(modules: Mapping[str, nn.Module]) -> Arrays:
    return {f"{n}/{k}": v.numpy() for n, m in modules.items() for k, v in m.state_dict().items()}


WORKS: dict[str, Callable[[], Arrays]] = {
    "supervised": supervised,
    "normalised": normalised,
    "adversarial": adversarial,
    "semi_adversarial": semi_adversarial,
}


def main(folder: Path, *, fails: bool) -> None:
    with distributed.session("cpu"):
        if fails and distributed.here()[0] == 1:
            raise RuntimeError("the second process has had enough")
        for name, work in WORKS.items():
            found = work()
            told = distributed.gathered(b"".join(v.tobytes() for v in found.values()))
            assert len(set(told)) == 1, f"{name}: the processes hold different weights"
            if distributed.is_first():
                np.savez(folder / f"{name}.npz", **{k.replace("/", "|"): v for k, v in found.items()})


if __name__ == "__main__":
    main(Path(sys.argv[1]), fails="fails" in sys.argv[2:])
