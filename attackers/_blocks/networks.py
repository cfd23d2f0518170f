"""Networks of the attackers that read pixels: images (B, 3, S, S) in [0, 1] -> features (B, F).

They differ in what they can see and how they reduce it: residual blocks with strides, competing feature maps
with max pooling, and wavelet bands with anti-aliased sub-sampling.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, max_pool2d, pad, relu


class AttributeHeads(nn.Module):
    """A trunk, dropout, and one linear layer cut into the logits of each attribute."""

    def __init__(self, trunk: nn.Module, features: int, classes: Mapping[str, int]) -> None:
        super().__init__()
        self.trunk = trunk
        self.dropout = nn.Dropout(0.2)
        self.linear = nn.Linear(features, sum(classes.values()))
        self.classes = dict(classes)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Attribute -> logits (B, K)."""
        logits = self.linear(self.dropout(self.trunk(images * 2 - 1)))
        return dict(zip(self.classes, logits.split(list(self.classes.values()), dim=1), strict=True))


class _PreActivation(nn.Module):
    """BN-ReLU-conv twice, added to its input (He et al., ECCV 2016)."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.residual = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, 1, 1, bias=False),
        )
        changes = stride > 1 or channels != width
        self.shortcut = nn.Conv2d(channels, width, 1, stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        active = self.first(x)
        out: Tensor = self.residual(active) + (x if self.shortcut is None else self.shortcut(active))
        return out


def residual_trunk(widths: Sequence[int], depth: int) -> nn.Sequential:
    """Pre-activation residual network: the stem and every stage but the first halve the side."""
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)]
    channels = widths[0]
    for stage, width in enumerate(widths):
        for index in range(depth):
            layers.append(_PreActivation(channels, width, 2 if stage and not index else 1))
            channels = width
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


class MaxFeatureMap(nn.Module):
    """Convolution to twice the width; the larger of each two feature maps survives (Wu et al., TIFS 2018)."""

    def __init__(self, channels: int, width: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * width, kernel, stride, kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(2 * width)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.norm(self.conv(x)).chunk(2, dim=1)
        # The larger one; a gradient of `maximum` shares out ties, which takes three times as long.
        return first + relu(second - first)


class _MaxAndMean(nn.Module):
    """Sum of 2x2 max and mean pooling, as in LightCNN-29 v2."""

    def forward(self, x: Tensor) -> Tensor:
        return max_pool2d(x, 2) + nn.functional.avg_pool2d(x, 2)


def light_trunk(widths: Sequence[int], side: int, features: int) -> nn.Sequential:
    """Light CNN on `side` px: no activation but competition of feature maps, a dense layer over the whole
    map.
    """
    layers: list[nn.Module] = [MaxFeatureMap(3, widths[0], 5, 2)]
    channels, side = widths[0], side // 2
    for width in widths[1:]:
        layers += [_MaxAndMean(), MaxFeatureMap(channels, channels, 1), MaxFeatureMap(channels, width, 3)]
        channels, side = width, side // 2
    return nn.Sequential(
        *layers,
        nn.Flatten(),
        nn.Linear(channels * side * side, features, bias=False),
        nn.BatchNorm1d(features),
    )


class HaarBands(nn.Module):
    """One level of the Haar wavelet transform: (B, C, S, S) -> (B, 4 C, S/2, S/2), means first."""

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[..., ::2, ::2], x[..., ::2, 1::2]
        c, d = x[..., 1::2, ::2], x[..., 1::2, 1::2]
        # Detail bands of faces are an order of magnitude smaller than the means.
        return torch.cat([(a + b + c + d) / 4, a + b - c - d, a - b + c - d, a - b - c + d], dim=1)


class BlurPool(nn.Module):
    """Sub-sampling by 2 after a binomial blur, so that shifts cannot change what is seen (Zhang, ICML
    2019).
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        tap = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", (tap[:, None] * tap).repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return conv2d(pad(x, (1, 1, 1, 1), mode="reflect"), self.kernel, stride=2, groups=len(self.kernel))


def wavelet_trunk(widths: Sequence[int], depth: int) -> nn.Sequential:
    """Haar bands, then stages of conv-BN-GELU with anti-aliased sub-sampling between them."""
    layers: list[nn.Module] = [HaarBands()]
    channels = 12
    for stage, width in enumerate(widths):
        if stage:
            layers.append(BlurPool(channels))
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.GELU()]
            channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
