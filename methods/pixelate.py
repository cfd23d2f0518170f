"""Control: pixelation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, Method, Request, Variant

if TYPE_CHECKING:
    from torch import Tensor


class Pixelate(Method):
    """Mean colour of each block of a grid; the number of blocks along a side is the variant's strength."""

    title = "Pixelation"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _variants(self) -> Sequence[Variant]:
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        blocks = {"weak": 32, "default": 16, "strong": 8}
        return [Variant(n, hidden, {"blocks": b}, selected=n == "default") for n, b in blocks.items()]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        from torch.nn.functional import adaptive_avg_pool2d, interpolate

        side = images.shape[-1]
        means = adaptive_avg_pool2d(images, min(side, request.variant.parameters["blocks"]))
        return interpolate(means, (side, side), mode="nearest-exact")
