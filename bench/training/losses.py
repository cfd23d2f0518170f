"""Losses on labels of which some are unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor


def masked_cross_entropy(
    logits: Mapping[str, Tensor],
    labels: Mapping[str, Tensor],
    weights: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Mean over attributes of the mean cross-entropy over the samples whose label is known (>= 0).

    logits: attribute -> (B, K). labels: attribute -> int64 (B,), -1 where unknown.
    weights: attribute -> (K,), see `class_weights`.
    An attribute without any known label in the batch adds 0.
    """
    import torch
    from torch.nn.functional import cross_entropy

    parts = []
    for name, values in logits.items():
        known = labels[name] >= 0
        share = weights[name] if weights is not None else None
        total = cross_entropy(values, labels[name], share, ignore_index=-1, reduction="sum")
        # Weights average 1 over the pool, so counting samples keeps rare classes heavier than the mean would.
        parts.append(total / known.sum().clamp(min=1))
    return torch.stack(parts).mean()


def class_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Weights (K,) that give every class present the same say and average 1 over the labelled samples.

    labels: int64 (N,), -1 where unknown. A class without samples weighs 0.
    """
    counts = np.bincount(labels[labels >= 0], minlength=classes)
    present = counts > 0
    weights = np.zeros(classes, np.float32)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights
