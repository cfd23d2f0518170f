"""Control: down-up-sampling, what going through a smaller native size costs a method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, Method, Request, Variant, resize

if TYPE_CHECKING:
    from torch import Tensor


class Resample(Method):
    """Bicubic with antialiasing to a share of the side and back; the share is the variant's strength."""

    title = "Down-up-sampling"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _variants(self) -> Sequence[Variant]:
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        shares = {"weak": 1 / 2, "default": 1 / 4, "strong": 1 / 8}
        return [Variant(n, hidden, {"share": s}, selected=n == "default") for n, s in shares.items()]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        side = images.shape[-1]
        small = resize(images, max(1, round(side * request.variant.parameters["share"])))
        return resize(small, side)
