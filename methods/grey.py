"""Control: colour removed and nothing else; what part of SAN's effect is its grey output alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, Method, Request
from methods._blocks.images import luma

if TYPE_CHECKING:
    from torch import Tensor


class Grey(Method):
    """BT.601 luma in all three channels."""

    title = "Grey"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        return luma(images).expand_as(images).contiguous()
