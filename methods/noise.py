"""Control: additive noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, Method, Request, Variant

if TYPE_CHECKING:
    from torch import Tensor

GRAINS = 64
"""Grains along a side: white noise a pixel wide would vanish when a large image is scaled down to be read."""


class Noise(Method):
    """Gaussian noise of given standard deviation (of [0, 1]), with a grain of 1/64 of the side."""

    title = "Noise"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _variants(self) -> Sequence[Variant]:
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        deviations = {"weak": 0.05, "default": 0.1, "strong": 0.2}
        return [Variant(n, hidden, {"sd": s}, selected=n == "default") for n, s in deviations.items()]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        from torch.nn.functional import interpolate

        grains = request.normal(3, GRAINS, GRAINS)
        grains = interpolate(grains, tuple(images.shape[-2:]), mode="nearest-exact")
        return (images + request.variant.parameters["sd"] * grains).clamp(0, 1)
