"""LPIPS with any of its three backbones, read from the weights folder."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, Unavailable
from bench.foreign import Pretrained
from bench.geometry import opencv
from bench.metrics.perceptual import layer_distance
from bench.quality.exported import Exported
from bench.quality.measures import ALEXNET, SQUEEZENET, VGG16
from bench.weights import WeightsFolder, checksum

if TYPE_CHECKING:
    import torch

BACKBONES: dict[str, tuple[str, Pretrained]] = {
    "lpips": ("squeeze", SQUEEZENET),
    "lpips_alex": ("alex", ALEXNET),
    "lpips_vgg": ("vgg", VGG16),
}
"""Metric -> the backbone as the `lpips` package calls it, and its file."""

_BATCH = 16
_KEPT_BYTES = 150_000_000
_SYMMETRIC = np.arange(256, dtype=np.float32) / np.float32(127.5) - np.float32(1)

Maps = list[NDArray[np.float32]]
"""Feature maps (C, h, w) of one image, by layer."""


class Known(NamedTuple):
    """The maps of the first of some images, as many as fit in 150 MB, and their bytes: 94 images of 112 px by
    SqueezeNet, 22 of 224 px."""

    maps: list[Maps]
    size: int


class Lpips:
    """LPIPS v0.1 (Zhang et al., CVPR 2018): 0 for equal images, else positive.

    The linear heads are those of the `lpips` package, the backbone comes from the weights folder. On a CPU
    images pass the backbone one by one in onnxruntime and maps are compared here; elsewhere the package does
    both. metric: one of `BACKBONES`, which are not comparable. Raises Unavailable when its file is missing or
    another one.
    """

    def __init__(self, weights: WeightsFolder, metric: str = "lpips", device: str = "cpu") -> None:
        self.backbone, pretrained = BACKBONES[metric]
        self.device = device
        package = _network(weights, self.backbone, pretrained)
        self._of = f"backbone={checksum(pretrained, weights)[:8]},lpips={version('lpips')}"
        if device == "cpu":
            self._backbone, self._scaling = Exported(package.net), package.scaling_layer
            self._heads = [head.model[-1].weight.numpy().ravel() for head in package.lins]
        else:
            self._package = package.to(device)

    def recipe(self, height: int, width: int) -> str:
        return f"lpips:{self.backbone},v0.1,rgb,size={height}x{width},crop=0,{self._of}"

    def __call__(
        self, a: NDArray[np.uint8], b: NDArray[np.uint8], known: Known | None = None
    ) -> NDArray[np.float32]:
        """Distances (N,) of two stacks of images uint8 (N, H, W, 3), at their own size, from 64 px.

        known: what `known` found of `a`, to compare many stacks with one.
        """
        if a.shape != b.shape:
            raise InputError(f"LPIPS compares images of one shape, got {a.shape} and {b.shape}")
        if self.device != "cpu":
            return self._by_package(a, b)
        found = np.empty(len(a), np.float32)
        kept = [] if known is None else known.maps
        for n in range(len(a)):
            mine = kept[n] if n < len(kept) else self._maps(a[n])
            pairs = zip(mine, self._maps(b[n]), self._heads, strict=True)
            found[n] = sum(layer_distance(x, y, head) for x, y, head in pairs)
        return found

    def known(self, images: NDArray[np.uint8]) -> Known:
        """What many stacks will be compared with; nothing where the package compares."""
        maps: list[Maps] = []
        size = 0
        for image in images if self.device == "cpu" else ():
            found = self._maps(image)
            own = sum(layer.nbytes for layer in found)
            if size + own > _KEPT_BYTES:
                break
            maps.append(found)
            size += own
        return Known(maps, size)

    def _maps(self, image: NDArray[np.uint8]) -> Maps:
        scaled = symmetric(image[None]).contiguous().sub_(self._scaling.shift).div_(self._scaling.scale)
        return [layer[0] for layer in self._backbone(scaled.numpy())]

    def _by_package(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
        import torch

        values = [np.empty(0, np.float32)]
        with torch.inference_mode():
            for start in range(0, len(a), _BATCH):
                rows = slice(start, start + _BATCH)
                found = self._package(symmetric(a[rows], self.device), symmetric(b[rows], self.device))
                values.append(found.flatten().cpu().numpy())
        return np.concatenate(values)


def symmetric(images: NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
    """float32 (N, 3, H, W) in [-1, 1], channels last in memory, which convolutions on a CPU prefer."""
    import torch

    # (N, H, W, 3) seen as (N, 3, H, W) is channels last already.
    plain = np.ascontiguousarray(images)
    if device == "cpu" and plain.size:
        # One look-up takes a third of the time of a conversion and two passes of arithmetic.
        found = opencv().LUT(plain.reshape(len(plain), -1), _SYMMETRIC).reshape(plain.shape)
        return torch.from_numpy(found).permute(0, 3, 1, 2)
    return torch.from_numpy(plain).to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)


def _network(weights: WeightsFolder, backbone: str, pretrained: Pretrained) -> Any:
    import warnings

    import torch
    from safetensors.torch import load_file

    path = weights.path(pretrained)
    import lpips

    # The package fills its backbone with random numbers, by torchvision's deprecated `pretrained=False`.
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net=backbone, version="0.1", pnet_rand=True, verbose=False)
    layers = {name: layer for part in network.net.children() for name, layer in part.named_children()}
    parameters = {k: v for k, v in load_file(path).items() if k.startswith("features.")}
    wanted = {
        f"features.{n}.{k}": v.shape for n, layer in layers.items() for k, v in layer.state_dict().items()
    }
    if wanted != {name: tensor.shape for name, tensor in parameters.items()}:
        raise Unavailable(
            f"{path} does not fit the {backbone} backbone of the installed lpips",
            "install lpips 0.1.4 or later",
        )
    for name, layer in layers.items():
        prefix = f"features.{name}."
        layer.load_state_dict({k: parameters[prefix + k] for k in layer.state_dict()})
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
