"""Classification heads that matchers are trained with; none of them is used for comparing faces.

All take embeddings (B, D) and identities int64 (B,) and return the scalar loss. theta_j is the angle
between an embedding and the weight vector of identity j, y the true identity.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, normalize


class SoftmaxHead(nn.Module):
    """Cross-entropy of a linear layer, without margin."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(features, classes)

    def forward(self, embeddings: Tensor, identities: Tensor) -> Tensor:
        return cross_entropy(self.linear(embeddings), identities)


class _CosineHead(nn.Module):
    def __init__(self, features: int, classes: int, scale: float, margin: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, features) / math.sqrt(features))
        self.scale, self.margin = scale, margin

    def cosines(self, embeddings: Tensor) -> Tensor:
        """cos theta_j, kept off +-1 where the gradient of the angle has no bound."""
        return linear(normalize(embeddings), normalize(self.weight)).clamp(-1 + 1e-6, 1 - 1e-6)


class ArcFaceHead(_CosineHead):
    """Additive angular margin (Deng et al., CVPR 2019, eq. 3): s cos(theta_y + m) against s cos(theta_j).

    Beyond theta_y = pi - m the cosine would rise again; there cos(theta_y) - m sin(m) takes its place,
    as in the authors' implementation.
    """

    def forward(self, embeddings: Tensor, identities: Tensor) -> Tensor:
        cosines = self.cosines(embeddings)
        true = cosines.gather(1, identities[:, None])
        shifted = true * math.cos(self.margin) - (1 - true * true).sqrt() * math.sin(self.margin)
        shifted = torch.where(
            true > -math.cos(self.margin), shifted, true - self.margin * math.sin(self.margin)
        )
        return cross_entropy(self.scale * cosines.scatter(1, identities[:, None], shifted), identities)


class CosFaceHead(_CosineHead):
    """Additive cosine margin (Wang et al., CVPR 2018, eq. 4): s (cos theta_y - m) against s cos(theta_j)."""

    def forward(self, embeddings: Tensor, identities: Tensor) -> Tensor:
        cosines = self.cosines(embeddings)
        true = cosines.gather(1, identities[:, None]) - self.margin
        return cross_entropy(self.scale * cosines.scatter(1, identities[:, None], true), identities)
