"""The Semi-Adversarial Network's autoencoder, shared by every member of the SAN family."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from bench.errors import InputError
from methods._blocks.networks import spread_layer, upsampled_conv

PAPER_WIDTHS = (8, 12, 256, 128)


class SanAutoencoder(nn.Module):
    """Grey face and same-gender prototype to feature maps; a 1x1 convolution joins those with any prototype.

    Five trained layers as in Mirjalili et al. (ICB 2018), Fig. 3; parameter names are those of the
    authors' file.
    widths: channels of the four 3x3 convolutions.
    residual: the joined maps are added to the logit of the grey input, and start near zero, so that the
        untrained network returns its input.

    Exact algebra saves most of the arithmetic: nearest upsampling is folded into the convolution behind it,
    and the 1x1 convolution runs before the last upsampling, with which it commutes.
    """

    def __init__(self, widths: Sequence[int] = PAPER_WIDTHS, *, residual: bool = False) -> None:
        super().__init__()
        first, second, third, fourth = widths
        self.residual = residual
        self.autoencoder = nn.Sequential(
            nn.Conv2d(4, first, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.AvgPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.AvgPool2d(2),
            nn.Conv2d(second, third, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(third, fourth, 3, padding=1),
            nn.LeakyReLU(0.01),
            nn.Upsample(scale_factor=2),
        )
        self.protocombiner = nn.Sequential(nn.Conv2d(fourth + 3, 1, 1), nn.Sigmoid())
        if residual:
            nn.init.normal_(self._joint.weight, std=1e-3)
            nn.init.zeros_(self._joint.bias)  # type: ignore[arg-type]

    def forward(self, grey: Tensor, same: Tensor, joined: Tensor) -> Tensor:
        """The output for the prototype `joined`: see `features` and `combine`."""
        return self.combine(self.features(grey, same), joined, grey)

    def folded(self) -> nn.Module:
        """The same for evaluation: the kernel behind the first upsampling is spread once."""
        network = copy.copy(self)
        network._modules = dict(self._modules)
        layers = list(self.autoencoder)
        wide = layers[9]
        assert isinstance(wide, nn.Conv2d)
        network.autoencoder = nn.Sequential(*layers[:9], spread_layer(wide), *layers[10:])
        return network

    @property
    def _joint(self) -> nn.Conv2d:
        layer = self.protocombiner[0]
        assert isinstance(layer, nn.Conv2d)
        return layer

    def features(self, grey: Tensor, same: Tensor) -> Tensor:
        """Maps before the last upsampling.

        grey: (N, 1, H, W) in [0, 1]; same: prototype of the face's own gender (N, 3, H, W) in [0, 1]; H and W
        divisible by 4, else InputError. Returns (N, widths[3], H / 2, W / 2).
        """
        if grey.shape[-1] % 4 or grey.shape[-2] % 4:
            raise InputError(f"SAN works on sides divisible by 4, not {tuple(grey.shape[-2:])}; set `size`")
        maps = self.autoencoder[:8](torch.cat([grey, same], 1))
        wide = self.autoencoder[9]
        assert isinstance(wide, nn.Conv2d | nn.ConvTranspose2d)
        drawn = upsampled_conv(maps, wide) if isinstance(wide, nn.Conv2d) else wide(maps)
        return self.autoencoder[10](drawn)

    def combine(self, maps: Tensor, prototype: Tensor, grey: Tensor) -> Tensor:
        """The output (N, 1, H, W) in (0, 1) of `features` joined with `prototype` (N, 3, H, W) in [0, 1]."""
        joint = self._joint
        split = maps.shape[1]
        from_maps = torch.nn.functional.conv2d(maps, joint.weight[:, :split], joint.bias)
        from_prototype = torch.nn.functional.conv2d(prototype, joint.weight[:, split:])
        logits = interpolate(from_maps, scale_factor=2.0, mode="nearest") + from_prototype
        if self.residual:
            logits = logits + torch.logit(grey, eps=1e-2)
        return torch.sigmoid(logits)
