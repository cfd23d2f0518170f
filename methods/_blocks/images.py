"""Colour that methods share. Images are float32 (N, C, H, W)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.grey import LUMA

if TYPE_CHECKING:
    from torch import Tensor


def luma(images: Tensor) -> Tensor:
    """RGB (N, 3, H, W) -> grey (N, 1, H, W) in the same range (ITU-R BT.601)."""
    red, green, blue = LUMA
    return images[:, :1] * red + images[:, 1:2] * green + images[:, 2:] * blue
