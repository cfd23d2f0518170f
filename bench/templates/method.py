"""My idea: one sentence on what it does to a face.

Paper: authors, title, venue and year. Needs at inference: nothing but the image.
"""

from __future__ import annotations

from torch import Tensor

from bench.api import Method, Request


class MyIdea(Method):
    """What it hides and how; which choices were made where the paper is silent."""

    title = "My idea"
    paper = ""
    obfuscates = ("gender",)

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        """images: float32 (N, 3, H, W) in [0, 1]; return the same shape and range."""
        return (0.5 * images + 0.5 * images.flip(-1)).clamp(0, 1)
