"""Tiny faces and auxiliaries that tests of the methods share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate, normalize

from bench.api import Attribute, Classifier, Faces, Protected, State, Variant, Verdict, yes_no
from bench.auxiliaries import untrained
from bench.faces import AGE, AGE_GROUP, GENDER, YOUNG

RACE = Attribute("race", ("a", "b", "c"))
RACE_OF_TWO = Attribute("race", ("a", "b"))
EMBEDDED = (GENDER, RACE, AGE_GROUP, YOUNG, AGE, yes_no("smiling"))
"""What the embedded dataset labels, in short."""


def tiny_faces(
    n: int = 24,
    size: int = 32,
    *,
    attributes: Sequence[Attribute] = EMBEDDED,
    first_identity: int = 0,
    seed: int = 0,
) -> Faces:
    """Blobs: gender moves a spot and makes it wider, race tints, each identity has a pattern of its own.

    Two images of each identity.
    """
    rng = np.random.default_rng([seed, first_identity])
    labels: dict[str, NDArray[Any]] = {}
    for place, attribute in enumerate(attributes):
        if attribute.is_number:
            labels[attribute.name] = rng.uniform(18, 70, n)
        else:
            labels[attribute.name] = (np.arange(n) // (place + 1)) % len(attribute.classes)
    y, x = np.mgrid[:size, :size] / size
    images = np.empty((n, size, size, 3))
    for i in range(n):
        gender = labels["gender"][i] if "gender" in labels else 0
        spot = np.exp(-((x - 0.5) ** 2 + (y - 0.3 - 0.4 * gender) ** 2) * (60 - 40 * gender))
        tint = 0.2 * np.eye(3)[int(labels.get("race", np.zeros(n))[i]) % 3]
        own = np.random.default_rng(first_identity + i // 2).normal(0, 0.1, (4, 4, 3))
        pattern = own.repeat(size // 4, axis=0).repeat(size // 4, axis=1)
        images[i] = 0.2 + pattern + 0.5 * spot[..., None] + tint + rng.normal(0, 0.02, (size, size, 3))
    return Faces(
        images=(images.clip(0, 1) * 255).round().astype(np.uint8),
        identities=first_identity + np.arange(n) // 2,
        keys=np.array([f"{first_identity}-{i}" for i in range(n)]),
        labels={k: np.asarray(v, np.float32) for k, v in labels.items()},
        attributes=tuple(attributes),
    )


class TinyAuxiliaries:
    """Frozen random networks; `judge` prefers stronger changes and remembers what it was asked."""

    names = ("tiny matcher", "tiny classifier")

    def __init__(self, attributes: Sequence[Attribute] = EMBEDDED) -> None:
        with torch.random.fork_rng([]):
            torch.manual_seed(3)
            self.matcher = TinyMatcher()
            self._heads = nn.ModuleDict(
                {a.name: nn.Linear(48, len(a.classes)) for a in attributes if not a.is_number}
            ).requires_grad_(False)
        self.attributes = tuple(attributes)
        self.classifiers: Sequence[Classifier] = (self._classify,)
        self.judged: list[str] = []

    def extra(self, name: str) -> Classifier:
        return self._classify

    def keep(self) -> State:
        return untrained(self.attributes, None).keep()

    def judge(self, protect: Callable[[Faces], Protected], variant: Variant) -> Verdict:
        faces = tiny_faces(6, 32, first_identity=500)
        change = np.abs(protect(faces).images.astype(float) - faces.images).mean() / 255
        self.judged.append(variant.name)
        return Verdict({"tiny": 1 - change}, {"tiny": change}, matching=1.0, kept_drop=0.0)

    def _classify(self, images: Tensor) -> Mapping[str, Tensor]:
        pooled = _pooled(images).flatten(1)
        return {name: 4 * head(pooled) for name, head in self._heads.items()}


class TinyMatcher:
    """A frozen random projection of 4 x 4 colours."""

    def __init__(self) -> None:
        self._embed = nn.Linear(48, 8).requires_grad_(False)

    def __call__(self, images: Tensor) -> Tensor:
        return self.embed_maps(self.maps(images))

    def maps(self, images: Tensor) -> Tensor:
        return _pooled(images)

    def embed_maps(self, maps: Tensor) -> Tensor:
        return normalize(self._embed(maps.flatten(1)))

    def lay(self, maps: Tensor, size: int) -> Tensor:
        return interpolate(maps, (size, size))


def _pooled(images: Tensor) -> Tensor:
    return adaptive_avg_pool2d(images, 4) * 2 - 1
