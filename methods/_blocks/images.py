"""Colour and geometry that methods share. Images are float32 (N, C, H, W)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (ITU-R BT.601-7)."""


def luma(images: Tensor) -> Tensor:
    """RGB (N, 3, H, W) -> grey (N, 1, H, W) in the same range."""
    red, green, blue = LUMA
    return images[:, :1] * red + images[:, 1:2] * green + images[:, 2:] * blue
