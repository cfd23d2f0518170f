"""Control: Gaussian blur."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, Method, Request, Variant

if TYPE_CHECKING:
    from torch import Tensor


class Blur(Method):
    """Gaussian blur whose sigma is a share of the side; `default` is 6 px at 224 px."""

    title = "Gaussian blur"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _variants(self) -> Sequence[Variant]:
        hidden = tuple(a for a in self.obfuscates if a in self.attributes)
        sigmas = {"weak": 3 / 224, "default": 6 / 224, "strong": 12 / 224}
        return [Variant(n, hidden, {"sigma": s}, selected=n == "default") for n, s in sigmas.items()]

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        from torchvision.transforms.functional import gaussian_blur

        sigma = images.shape[-1] * request.variant.parameters["sigma"]
        reach = min(math.ceil(3 * sigma), images.shape[-1] - 1)
        return gaussian_blur(images, [2 * reach + 1] * 2, [sigma] * 2).clamp(0, 1)
