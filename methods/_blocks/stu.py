"""STGAN's generator, with selective transfer units, and critic (Liu et al., CVPR 2019).

Images are float32 (N, 3, H, W) in [-1, 1]. A difference vector is float32 (N, attributes): target minus
source, 0 for what shall stay. Widths are Gender-AN's where none are given.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from bench.errors import InputError

Injection = Literal["stgan", "port"]
_SLOPE = 0.2


class SelectiveTransferUnit(nn.Module):
    """Decides how much of an encoder level's features the decoder is given (STGAN, section 3.3).

    It is a gated recurrent unit whose hidden state comes from the level below, upsampled, and whose input
    is this level's features.

    channels: of this level. inner: of the state from below. attributes: length of the difference vector.
    norm: batch normalisation in the gates, which then have no biases, nor has the upsampling.
    """

    def __init__(self, channels: int, inner: int, attributes: int, *, norm: bool = False) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(inner + attributes, channels, 4, 2, 1, bias=not norm)
        # The reset and the update gate read the same maps: one convolution, its first half the reset gate.
        self.gates = _conv3(2 * channels, 2 * channels, norm=norm)
        self.candidate = _conv3(2 * channels, channels, norm=norm)

    def forward(self, features: Tensor, state: Tensor, difference: Tensor) -> tuple[Tensor, Tensor]:
        """features (N, channels, 2H, 2W), state (N, inner, H, W) -> what the decoder is given, next state."""
        below = self.upsample(_joined(state, difference))
        reset, update = torch.sigmoid(self.gates(torch.cat([features, below], 1))).chunk(2, 1)
        passed_on = reset * below
        new = torch.tanh(self.candidate(torch.cat([features, passed_on], 1)))
        return (1 - update) * below + update * new, passed_on


class StganGenerator(nn.Module):
    """Encoder, selective transfer units on all of its levels but the innermost, decoder.

    attributes: length of the difference vector. width: channels of the first of the `depth` 4x4 stride-2
    convolutions, doubled by each.
    injection: `stgan` repeats the difference vector before each decoder layer; `port` (the public PyTorch
        port) gives it to the first alone, and normalises the units' gates.
    last_norm: batch normalisation before the last tanh, which Gender-AN's Table I prints and STGAN lacks.
    residual: the network draws a change that is added to the image and starts near zero, instead of tanh.
    norm: batch normalisation. It learns with the statistics of the batch; in evaluation mode a sample does
        not depend on its batch. Without it the convolutions have biases.
    """

    def __init__(
        self,
        attributes: int,
        *,
        width: int = 16,
        depth: int = 5,
        injection: Injection = "stgan",
        last_norm: bool = False,
        residual: bool = False,
        norm: bool = True,
    ) -> None:
        super().__init__()
        self.multiple = 2**depth
        self.residual = residual
        self.everywhere = injection == "stgan"
        widths = [width * 2**i for i in range(depth)]
        self.encoder = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(a, b, 4, 2, 1, bias=not norm), *_batch_norm(b, norm), nn.LeakyReLU(_SLOPE)
            )
            for a, b in pairwise([3, *widths])
        )
        self.units = nn.ModuleList(
            SelectiveTransferUnit(a, b, attributes, norm=norm and not self.everywhere)
            for a, b in pairwise(widths)
        )
        repeated = attributes if self.everywhere else 0
        decoder: list[nn.Module] = []
        inputs = widths[-1] + attributes
        for outputs, shortcut in zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True):
            up = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=not norm)
            decoder.append(nn.Sequential(up, *_batch_norm(outputs, norm), nn.ReLU()))
            inputs = outputs + shortcut + repeated
        self.decoder = nn.ModuleList(decoder)
        last = nn.ConvTranspose2d(inputs, 3, 4, 2, 1)
        if residual:
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.last = nn.Sequential(last, *_batch_norm(3, last_norm))

    def forward(self, images: Tensor, difference: Tensor) -> Tensor:
        """Raises InputError for sides that the strides do not divide."""
        height, width = images.shape[-2:]
        if height % self.multiple or width % self.multiple:
            raise InputError(
                f"the generator works on sides divisible by {self.multiple}, not {height} x {width}; "
                "set its option `size`"
            )
        levels = []
        features = images
        for layer in self.encoder:
            features = layer(features)
            levels.append(features)
        state = decoded = levels.pop()
        inputs = _joined(decoded, difference)
        for layer, unit in zip(self.decoder, reversed(self.units), strict=True):
            shortcut, state = unit(levels.pop(), state, difference)
            decoded = torch.cat([layer(inputs), shortcut], 1)
            inputs = _joined(decoded, difference) if self.everywhere else decoded
        drawn = self.last(inputs)
        return (images + drawn).clamp(-1, 1) if self.residual else torch.tanh(drawn)


class StganCritic(nn.Module):
    """Convolutions, then two heads of two fully connected layers: realness and attributes.

    size: side of the images. labels: logits. width: channels of the first of the `depth` 4x4 stride-2
    convolutions, doubled by each. hidden: width of each head.
    """

    def __init__(
        self, size: int, labels: int, *, width: int = 16, depth: int = 5, hidden: int = 1024
    ) -> None:
        super().__init__()
        side = size // 2**depth
        if side < 2:
            raise InputError(
                f"a critic of depth {depth} needs images of at least {2 ** (depth + 1)} px, not {size}"
            )
        widths = [3] + [width * 2**i for i in range(depth)]
        self.trunk = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(a, b, 4, 2, 1), nn.InstanceNorm2d(b, affine=True), nn.LeakyReLU(_SLOPE)
                )
                for a, b in pairwise(widths)
            ),
            nn.Flatten(),
        )
        features = widths[-1] * side**2
        self.realness = _two_layers(features, hidden, 1)
        self.labels = _two_layers(features, hidden, labels)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Realness (N, 1), any real number, and label logits (N, labels)."""
        features = self.trunk(images)
        return self.realness(features), self.labels(features)


class _BatchNorm(nn.Module):
    """nn.BatchNorm2d without its count of batches, an integer that could be neither averaged nor halved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, maps: Tensor) -> Tensor:
        mean, variance = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return batch_norm(maps, mean, variance, self.weight, self.bias, self.training)


def _joined(maps: Tensor, difference: Tensor) -> Tensor:
    """Maps (N, C, H, W) and a vector (N, D), repeated over all places: (N, C + D, H, W)."""
    return torch.cat([maps, difference[:, :, None, None].expand(-1, -1, *maps.shape[-2:])], 1)


def _conv3(inputs: int, outputs: int, *, norm: bool) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=not norm), *_batch_norm(outputs, norm))


def _batch_norm(channels: int, wanted: bool) -> list[nn.Module]:
    return [_BatchNorm(channels)] if wanted else []


def _two_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(_SLOPE), nn.Linear(hidden, outputs))
