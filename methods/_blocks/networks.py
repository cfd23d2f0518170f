"""Image-to-image generators and critics of the GAN family. Images are float32 (N, 3, H, W) in [-1, 1]."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d

from bench.errors import InputError

Upsampling = Literal["transposed", "nearest"]


class NearestConv(nn.Module):
    """Nearest x2 upsampling, then a 3x3 convolution with zero padding: (N, C, H, W) -> (N, D, 2H, 2W).

    Both are one transposed convolution with a 4x4 kernel, the 3x3 kernel spread over each 2x2 block:
    4/9 of the arithmetic, equal but for rounding, and without the checkerboard of a free 4x4 kernel.
    """

    def __init__(self, inputs: int, outputs: int, *, bias: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias)

    def forward(self, images: Tensor) -> Tensor:
        return upsampled_conv(images, self.conv)

    def folded(self) -> nn.Module:
        """The transposed convolution, its kernel spread once."""
        return spread_layer(self.conv)


def upsampled_conv(images: Tensor, conv: nn.Conv2d) -> Tensor:
    """`conv` (3x3, stride 1, padding 1) of the nearest x2 upsampling of `images`, as one operation."""
    return conv_transpose2d(images, _spread(conv.weight), conv.bias, stride=2, padding=1)


def spread_layer(conv: nn.Conv2d) -> nn.ConvTranspose2d:
    """`upsampled_conv` by `conv` as a layer of its own, for evaluation."""
    inputs, outputs = conv.in_channels, conv.out_channels
    layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=conv.bias is not None)
    layer.weight = nn.Parameter(_spread(conv.weight.detach()))
    layer.bias = conv.bias
    return layer


def _spread(kernel: Tensor) -> Tensor:
    """The kernel (outputs, inputs, 3, 3) over each 2x2 block: (inputs, outputs, 4, 4), for a transposed
    convolution."""
    flipped = kernel.flip(-1, -2).transpose(0, 1)
    ones = torch.ones(1, 1, 2, 2, dtype=flipped.dtype, device=flipped.device)
    return conv_transpose2d(flipped.reshape(-1, 1, 3, 3), ones).view(*flipped.shape[:2], 4, 4)


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions, each normalised, the first with ReLU; the input is added (StarGAN)."""

    def __init__(self, channels: int, *, norm: bool = True) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_conv(channels, channels, 3, 1, norm=norm),
            nn.ReLU(),
            *_conv(channels, channels, 3, 1, norm=norm),
        )

    def forward(self, features: Tensor) -> Tensor:
        return features + self.layers(features)


class TranslationGenerator(nn.Module):
    """Encoder, residual blocks, decoder; label channels are tiled and concatenated to the image at its size.

    The StarGAN generator (Choi et al., CVPR 2018) and both readings of PrivacyNet's Fig. 3 are instances:
    see `methods/baseline_gan.py` and `methods/privacynet.py` for their arguments.

    labels: channels of the label vector. stem: channels of a stride-1 7x7 convolution, 0 for none.
    down: channels of the 4x4 stride-2 convolutions. up: channels of the x2 upsampling layers, as many.
    blocks: residual blocks between them. head_kernel, head_bias: of the last convolution.
    upsampling: `transposed` (4x4 stride 2) or `nearest` (`NearestConv`).
    norm: instance normalisation with statistics of the image at hand, so that a sample never depends on
        its batch. Without it the convolutions have biases.
    residual: the network draws a change that is added to the image and starts near zero, instead of tanh.
    """

    def __init__(
        self,
        labels: int,
        *,
        stem: int,
        down: Sequence[int],
        up: Sequence[int],
        blocks: int,
        head_kernel: int,
        head_bias: bool = False,
        upsampling: Upsampling = "transposed",
        norm: bool = True,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.multiple = 2 ** len(down)
        self.residual = residual
        layers: list[nn.Module] = []
        channels = 3 + labels
        if stem:
            layers += [*_conv(channels, stem, 7, 1, norm=norm), nn.ReLU()]
            channels = stem
        for width in down:
            layers += [*_conv(channels, width, 4, 2, norm=norm), nn.ReLU()]
            channels = width
        layers += [ResidualBlock(channels, norm=norm) for _ in range(blocks)]
        for width in up:
            layers += [*_up(channels, width, upsampling, norm=norm), nn.ReLU()]
            channels = width
        head = nn.Conv2d(channels, 3, head_kernel, padding=head_kernel // 2, bias=head_bias)
        if residual:
            nn.init.normal_(head.weight, std=1e-3)
        self.layers = nn.Sequential(*layers, head)

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        """labels: float32 (N, labels). Raises InputError for sides that the strides do not divide."""
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise InputError(
                f"the generator works on sides divisible by {self.multiple}, not {height} x {width}; "
                "set its option `size`"
            )
        tiled = labels[:, :, None, None].expand(-1, -1, height, width)
        drawn = self.layers(torch.cat([images, tiled], 1))
        return (images + drawn).clamp(-1, 1) if self.residual else torch.tanh(drawn)


class Critic(nn.Module):
    """StarGAN's discriminator: a shared trunk, a patch map of realness and one logit per label channel.

    size: side of the images. labels: channels of the label vector. width: channels of the first layer,
    doubled by each of the `depth` 4x4 stride-2 convolutions.
    """

    def __init__(self, size: int, labels: int, *, width: int = 64, depth: int = 6) -> None:
        super().__init__()
        if size < 2**depth:
            raise InputError(f"a critic of depth {depth} needs images of at least {2**depth} px, not {size}")
        widths = [3] + [width * 2**i for i in range(depth)]
        self.trunk = nn.Sequential(
            *(nn.Sequential(nn.Conv2d(a, b, 4, 2, 1), nn.LeakyReLU(0.01)) for a, b in pairwise(widths))
        )
        self.realness = nn.Conv2d(widths[-1], 1, 3, padding=1, bias=False)
        self.labels = nn.Conv2d(widths[-1], labels, size // 2**depth, bias=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Realness (N, 1, h, w), any real number, and label logits (N, labels)."""
        features = self.trunk(images)
        return self.realness(features), self.labels(features).flatten(1)


def parameter_count(module: nn.Module) -> int:
    """Number of trained scalars."""
    return sum(p.numel() for p in module.parameters())


def _conv(inputs: int, outputs: int, kernel: int, stride: int, *, norm: bool) -> list[nn.Module]:
    padding = (kernel - 1) // 2
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=not norm)
    return [conv, nn.InstanceNorm2d(outputs, affine=True)] if norm else [conv]


def _up(inputs: int, outputs: int, kind: Upsampling, *, norm: bool) -> list[nn.Module]:
    layer: nn.Module
    if kind == "nearest":
        layer = NearestConv(inputs, outputs, bias=not norm)
    else:
        layer = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=not norm)
    return [layer, nn.InstanceNorm2d(outputs, affine=True)] if norm else [layer]
