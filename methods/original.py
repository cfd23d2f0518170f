"""Control: no protection at all, the upper end of every scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, Method, Request

if TYPE_CHECKING:
    from torch import Tensor


class Original(Method):
    """The images as they came: full leak, full matching, perfect quality."""

    title = "Original"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        return images
