"""Random changes of training images, made on the device."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.distributed import rand, randn

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Augment:
    """Random changes of training images; each sample draws its own, uniformly up to the given size.

    flip: probability of mirroring. shift: share of the side. zoom: relative. rotate: degrees.
    brightness: added. contrast: relative, about the image's mean. tint: relative gain of each channel.
    blur: share of a 3x3 binomial blur mixed in. noise: standard deviation of white noise.
    erase: probability that a random rectangle of up to half the side is painted in one random colour.
    """

    flip: float = 0.5
    shift: float = 0.05
    zoom: float = 0.08
    rotate: float = 6.0
    brightness: float = 0.1
    contrast: float = 0.2
    tint: float = 0.05
    blur: float = 0.0
    noise: float = 0.0
    erase: float = 0.0

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented copies of float images (B, 3, H, W) in [0, 1], drawn from `generator` alone."""
        changed = self._painted(self._moved(images, generator), generator)
        if self.blur:
            share = self.blur * _uniform(images, generator, 1, 1, 1)
            changed = changed + share * (_binomial_blur(changed) - changed)
        if self.noise:
            white = randn(changed.shape, generator)
            changed = changed + white * (self.noise * _uniform(images, generator, 1, 1, 1))
        if self.erase:
            changed = self._erased(changed, generator)
        return changed.clamp(0, 1)

    def _moved(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch
        from torch.nn.functional import affine_grid, grid_sample

        draws = _uniform(images, generator, 5)
        angle = (2 * draws[:, 0] - 1) * math.radians(self.rotate)
        scale = 1 + (2 * draws[:, 1] - 1) * self.zoom
        mirror = torch.where(draws[:, 2] < self.flip, -1.0, 1.0)
        shift = (2 * draws[:, 3:5] - 1) * (2 * self.shift)
        cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
        rows = [
            torch.stack([cos * mirror, -sin, shift[:, 0]], 1),
            torch.stack([sin * mirror, cos, shift[:, 1]], 1),
        ]
        grid = affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
        return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)

    def _painted(self, images: Tensor, generator: torch.Generator) -> Tensor:
        draws = 2 * _uniform(images, generator, 5) - 1
        gain = 1 + self.contrast * draws[:, :1, None, None]
        tint = 1 + self.tint * draws[:, 1:4, None, None]
        mean = images.mean((1, 2, 3), keepdim=True)
        return ((images - mean) * gain + mean + self.brightness * draws[:, 4:, None, None]) * tint

    def _erased(self, images: Tensor, generator: torch.Generator) -> Tensor:
        import torch

        height, width = images.shape[-2:]
        draws = _uniform(images, generator, 8)[:, :, None]
        tall, wide = 0.1 + 0.4 * draws[:, 0], 0.1 + 0.4 * draws[:, 1]
        top, left = draws[:, 2] * (1 - tall), draws[:, 3] * (1 - wide)
        y = (torch.arange(height, device=images.device) + 0.5) / height
        x = (torch.arange(width, device=images.device) + 0.5) / width
        inside = ((y >= top) & (y < top + tall))[:, :, None] & ((x >= left) & (x < left + wide))[:, None, :]
        hit = inside & (draws[:, 4] < self.erase)[:, :, None]
        return torch.where(hit[:, None], draws[:, 5:8, :, None], images)


PLAIN = Augment(0, 0, 0, 0, 0, 0, 0)
"""No augmentation."""


def _uniform(images: Tensor, generator: torch.Generator, *shape: int) -> Tensor:
    return rand((len(images), *shape), generator)


def _binomial_blur(images: Tensor) -> Tensor:
    import torch
    from torch.nn.functional import conv2d, pad

    tap = torch.tensor([0.25, 0.5, 0.25], device=images.device)
    kernel = (tap[:, None] * tap).expand(3, 1, 3, 3)
    return conv2d(pad(images, (1, 1, 1, 1), mode="replicate"), kernel, groups=3)
