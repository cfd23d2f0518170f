"""The same template for everybody: nothing can be read and nobody matched, the lower end of every scale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.api import SOFT_BIOMETRICS, EmbeddingMethod, Request

if TYPE_CHECKING:
    import torch


class TemplateConstant(EmbeddingMethod):
    """All ones."""

    title = "Constant template"
    role = "control"
    obfuscates = SOFT_BIOMETRICS

    def _protect(self, vectors: torch.Tensor, request: Request) -> torch.Tensor:
        return vectors.new_ones(vectors.shape)
