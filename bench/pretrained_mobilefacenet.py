"""A pretrained face matcher that gradients can pass through: MobileFaceNet, CASIA-WebFace, ArcFace loss.

Architecture of Chen et al. (MobileFaceNets, CCBR 2018) at 112 x 96, with the parameter names of the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import grid_sample, normalize

from bench.components.base import load_module
from bench.geometry import SPHEREFACE_96X112, alignment_matrices
from bench.weights_catalogue import PRETRAINED

if TYPE_CHECKING:
    from bench.weights import WeightsFolder

CASIA = PRETRAINED["mobilefacenet_casia_112x96_differentiable"].pretrained

_STAGES = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion, channels, repeats and first stride of each stage of bottlenecks."""


class _Conv(nn.Module):
    """Convolution, batch normalisation and, unless `linear`, PReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int = 0,
        *,
        depthwise: bool = False,
        linear: bool = False,
    ) -> None:
        super().__init__()
        groups = inputs if depthwise else 1
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.prelu = nn.Identity() if linear else nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.prelu(self.bn(self.conv(x)))
        return out


class _Bottleneck(nn.Module):
    """Expand, filter each channel, project; the input is added where the shape allows it."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False),
            nn.BatchNorm2d(width),
            nn.PReLU(width),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.adds else out


class MobileFaceNet(nn.Module):
    """Aligned faces float32 (N, 3, 112, 96), RGB in [-1, 1] -> embeddings (N, 128), not normalised."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _Conv(3, 64, 3, 2, 1)
        self.dw_conv1 = _Conv(64, 64, 3, 1, 1, depthwise=True)
        blocks, channels = [], 64
        for expansion, width, repeats, stride in _STAGES:
            for index in range(repeats):
                blocks.append(_Bottleneck(channels, width, stride if index == 0 else 1, expansion))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = _Conv(channels, 512, 1)
        self.linear7 = _Conv(512, 512, (7, 6), depthwise=True, linear=True)
        self.linear1 = _Conv(512, 128, 1, linear=True)

    def forward(self, faces: Tensor) -> Tensor:
        return self.embed_maps(self.maps(faces))

    def maps(self, faces: Tensor) -> Tensor:
        """Last maps (N, 512, 7, 6)."""
        found: Tensor = self.conv2(self.blocks(self.dw_conv1(self.conv1(faces))))
        return found

    def embed_maps(self, maps: Tensor) -> Tensor:
        """Embeddings (N, 128) of `maps`, not normalised."""
        out: Tensor = self.linear1(self.linear7(maps)).flatten(1)
        return out


class CasiaMatcher(nn.Module):
    """The frozen matcher for images of faces that all lie alike, as those of aligned datasets do.

    One crop serves all images, since whoever asks for embeddings of generated images has no landmarks of
    them. `matrix` (2, 3) leads from an image, as wide and high as 1, to the crop, likewise.
    """

    def __init__(self, network: MobileFaceNet) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("matrix", torch.zeros(2, 3))

    def forward(self, images: Tensor) -> Tensor:
        """images float32 (N, 3, S, S) in [0, 1], any S -> unit embeddings (N, 128)."""
        return self.embed_maps(self.maps(images))

    def maps(self, images: Tensor) -> Tensor:
        """Last maps (N, 512, 7, 6), laid over the crop."""
        return self.network.maps((self.crop(images) * 255 - 127.5) / 128)

    def crop(self, images: Tensor) -> Tensor:
        """What the network looks at of the images: (N, 3, 112, 96) in [0, 1]."""
        matrix: Any = self.matrix
        inverse = torch.linalg.inv(matrix[:, :2])
        height, width = SPHEREFACE_96X112.height, SPHEREFACE_96X112.width
        grid = _grid(inverse, -inverse @ matrix[:, 2], height, width)
        return grid_sample(
            images, grid.expand(len(images), -1, -1, -1), padding_mode="border", align_corners=False
        )

    def embed_maps(self, maps: Tensor) -> Tensor:
        """Unit embeddings (N, 128) of `maps`."""
        return normalize(self.network.embed_maps(maps))

    def lay(self, maps: Tensor, size: int) -> Tensor:
        """Maps (N, C, h, w) of the crop, drawn into an image of side `size`; 0 outside the crop."""
        matrix: Any = self.matrix
        grid = _grid(matrix[:, :2], matrix[:, 2], size, size)
        return grid_sample(maps, grid.expand(len(maps), -1, -1, -1), align_corners=False)


def casia_matcher(landmarks: NDArray[np.floating], size: int, weights: WeightsFolder | None) -> CasiaMatcher:
    """The matcher for images of side `size` whose five points are `landmarks` (N, 5, 2), in pixels; their
    mean fixes the crop. Raises Unavailable when its file is not at hand."""
    matcher = CasiaMatcher(load_casia(weights))
    matcher.matrix = crop_matrix(landmarks, size)
    return matcher


def crop_matrix(landmarks: NDArray[np.floating], size: int) -> Tensor:
    """`CasiaMatcher.matrix` for those landmarks."""
    mean = np.asarray(landmarks, np.float64).mean(axis=0, keepdims=True)
    matrix = alignment_matrices(mean, SPHEREFACE_96X112)[0]
    # Alignment counts pixel centres as integers; here the first is half a pixel from the edge.
    sides = np.array([SPHEREFACE_96X112.width, SPHEREFACE_96X112.height])
    offset = (matrix[:, 2] + 0.5 - matrix[:, :2] @ [0.5, 0.5]) / sides
    scaled = np.column_stack([matrix[:, :2] * size / sides[:, None], offset])
    return torch.from_numpy(scaled.astype(np.float32))


def load_casia(weights: WeightsFolder | None) -> MobileFaceNet:
    """The published network, frozen, in evaluation mode. Raises Unavailable with the remedy."""
    from safetensors.numpy import load_file

    from bench.weights import pretrained_file

    network = MobileFaceNet()
    counters = {k: v.numpy() for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    load_module(network, {**load_file(pretrained_file(CASIA, weights)), **counters})
    return network.eval().requires_grad_(False)


def _grid(linear: Tensor, offset: Tensor, height: int, width: int) -> Tensor:
    """Where `linear` p + `offset` lies, as `grid_sample` counts, for the pixels p of a target; the sides of
    both are 1. Returns float32 (1, height, width, 2)."""
    x = (torch.arange(width, device=linear.device) + 0.5) / width
    y = (torch.arange(height, device=linear.device) + 0.5) / height
    points = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], -1)
    return ((points @ linear.T + offset) * 2 - 1)[None]
