"""Embedding networks of the matchers that are trained here: images (B, 3, S, S) in [0, 1] -> (B, D).

Each takes `widths` and `depths` of its four stages and `strides` of the stem and the four stages.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def _conv(channels: int, width: int, stride: int = 1, kernel: int = 3) -> nn.Conv2d:
    return nn.Conv2d(channels, width, kernel, stride, kernel // 2, bias=False)


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    """Every `stride`-th pixel, through a 1x1 projection where the width changes."""
    if channels == width:
        return nn.MaxPool2d(1, stride)
    return nn.Sequential(_conv(channels, width, stride, 1), nn.BatchNorm2d(width))


class SqueezeExcite(nn.Module):
    """Channel gates from the global mean (Hu et al., CVPR 2018, equations 2 to 4)."""

    def __init__(self, width: int, reduction: int) -> None:
        super().__init__()
        self.squeeze = nn.Linear(width, max(4, width // reduction))
        self.excite = nn.Linear(max(4, width // reduction), width)

    def forward(self, x: Tensor) -> Tensor:
        gates = torch.sigmoid(self.excite(torch.relu(self.squeeze(x.mean((2, 3))))))
        return x * gates[:, :, None, None]


class SEBlock(nn.Module):
    """Basic residual block with squeeze and excitation before the addition."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.shortcut = _shortcut(channels, width, stride)
        self.residual = nn.Sequential(
            _conv(channels, width, stride),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            _conv(width, width),
            nn.BatchNorm2d(width),
            SqueezeExcite(width, 16),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.residual(x) + self.shortcut(x))


class IRBlock(nn.Module):
    """Improved residual block: BN-conv-BN-PReLU-conv-BN (Deng et al., CVPR 2019, section 3.1)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.shortcut = _shortcut(channels, width, stride)
        self.residual = nn.Sequential(
            nn.BatchNorm2d(channels),
            _conv(channels, width),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            _conv(width, width, stride),
            nn.BatchNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.residual(x) + self.shortcut(x)
        return out


class SphereBlock(nn.Module):
    """conv-PReLU-conv-PReLU added to its input (Liu et al., CVPR 2017, table 2), with batch normalisation."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        changes = stride > 1 or channels != width
        self.entry = nn.Sequential(
            *([_conv(channels, width, stride), nn.BatchNorm2d(width), nn.PReLU(width)] if changes else [])
        )
        self.residual = nn.Sequential(
            _conv(width, width),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            _conv(width, width),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.entry(x)
        out: Tensor = x + self.residual(x)
        return out


class Trunk(nn.Module):
    """Stem, four stages of `block`, and a `neck` that makes the embedding."""

    def __init__(
        self,
        block: type[nn.Module],
        neck: nn.Module,
        widths: Sequence[int],
        depths: Sequence[int],
        strides: Sequence[int],
        activation: nn.Module,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, widths[0], strides[0]), nn.BatchNorm2d(widths[0]), activation)
        channels, blocks = widths[0], []
        for width, depth, stride in zip(widths, depths, strides[1:], strict=True):
            for index in range(depth):
                blocks.append(block(channels, width, stride if index == 0 else 1))
                channels = width
        self.stages = nn.Sequential(*blocks)
        self.neck = neck

    def forward(self, images: Tensor) -> Tensor:
        out: Tensor = self.neck(self.stages(self.stem(images * 2 - 1)))
        return out


def flat_neck(channels: int, side: int, features: int) -> nn.Sequential:
    """BN-flatten-linear-BN: keeps where things are on the face, as average pooling would not."""
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.Flatten(),
        nn.Linear(channels * side * side, features),
        nn.BatchNorm1d(features),
    )
