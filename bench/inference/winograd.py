"""Convolutions by Winograd's minimal filtering F(4x4, 3x3), for processors, where torch has none in fp32.

Four times fewer multiplications: 6x6 tiles of the input and the kernel are transformed, multiplied place by
place, which is one matrix product for each of 36 places, and transformed back to 4x4 tiles (Lavin and Gray,
Fast Algorithms for Convolutional Neural Networks, CVPR 2016, section 4.3). Exact in exact arithmetic; in fp32
rounding grows about tenfold, to 1e-5, which is why it is a path of its own and not always on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

_OUT, _TILE = 4, 6
_LEAST = 128
"""Channels in and out from which it pays: with 64 it measured slower than the direct convolution."""

_INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
_KERNEL = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
_OUTPUT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
"""B^T, G and A^T of F(4, 3), for the points 0, 1, -1, 2, -2 and infinity."""


class WinogradConv(nn.Module):
    """A 3x3 convolution with stride 1 and padding 1: (N, C, H, W) -> (N, K, H, W), laid channels last."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        kernel = torch.tensor(_KERNEL, dtype=torch.float64)
        spread = torch.einsum("ai,kcij,bj->abck", kernel, conv.weight.detach().double().cpu(), kernel)
        self.register_buffer("kernel", spread.reshape(_TILE**2, conv.in_channels, -1).float())
        self.register_buffer("forth", _both_ways(_INPUT))
        self.register_buffer("back", _both_ways(_OUTPUT))
        self.bias = conv.bias

    def forward(self, maps: Tensor) -> Tensor:
        count, channels, height, width = maps.shape
        rows, columns = -(-height // _OUT), -(-width // _OUT)
        below, right = rows * _OUT - height, columns * _OUT - width
        wide = pad(maps.permute(0, 2, 3, 1), (0, 0, 1, 1 + right, 1, 1 + below))
        tiles = wide.unfold(1, _TILE, _OUT).unfold(2, _TILE, _OUT)  # (N, rows, columns, C, 6, 6)
        places = tiles.permute(4, 5, 0, 1, 2, 3).reshape(_TILE**2, -1)
        moved = (self.get_buffer("forth") @ places).view(_TILE**2, -1, channels)
        product = torch.bmm(moved, self.get_buffer("kernel"))
        found = self.get_buffer("back") @ product.view(_TILE**2, -1)
        found = found.view(_OUT, _OUT, count, rows, columns, -1).permute(2, 3, 0, 4, 1, 5)
        found = found.reshape(count, rows * _OUT, columns * _OUT, -1)[:, :height, :width]
        if self.bias is not None:
            found = found + self.bias
        return found.permute(0, 3, 1, 2)


def with_winograd(network: nn.Module) -> int:
    """Put `WinogradConv` in place of the convolutions that gain by it; returns how many there are."""
    changed = 0
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Conv2d):
            if _gains(child):
                setattr(network, name, WinogradConv(child))
                changed += 1
        else:
            changed += with_winograd(child)
    return changed


def _gains(conv: nn.Conv2d) -> bool:
    form = (conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode)
    fits = form == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")
    return fits and min(conv.in_channels, conv.out_channels) >= _LEAST


def _both_ways(matrix: tuple[tuple[int, ...], ...]) -> Tensor:
    """One matrix that transforms a tile along both of its axes."""
    one = torch.tensor(matrix, dtype=torch.float32)
    return torch.kron(one, one)
