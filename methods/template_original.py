"""No protection: the upper end of every scale of the template-level methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, EmbeddingMethod, Request

if TYPE_CHECKING:
    import torch


class TemplateOriginal(EmbeddingMethod):
    """Every template as it came."""

    title = "Original template"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _protect(self, vectors: torch.Tensor, request: Request) -> torch.Tensor:
        return vectors
