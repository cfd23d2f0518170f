"""Colour taken away from some training images, so that what learns from them does not live by colour.

Photographs in grey are common, and SAN's output is grey: a network that a grey face defeats would call every
grey method private and useless, for its own weakness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in luma (ITU-R BT.601)."""


def partly_grey(images: Tensor, share: float = 0.25) -> Tensor:
    """A random `share` of images (N, 3, H, W) replaced by their luma, drawn from torch's global generator."""
    import torch

    grey = (images * images.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)
    chosen = torch.rand(len(images), 1, 1, 1, device=images.device) < share
    return torch.where(chosen, grey, images)
