"""LPIPS with any of its three backbones, read from the weights folder."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, Unavailable
from bench.foreign import Pretrained
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


class Lpips:
    """LPIPS v0.1 (Zhang et al., CVPR 2018): 0 for equal images, else positive.

    The linear heads are those of the `lpips` package, the backbone comes from the weights folder. metric: one
    of `BACKBONES`, which are not comparable. Raises Unavailable when its file is missing or another one.
    """

    def __init__(self, weights: WeightsFolder, metric: str = "lpips", device: str = "cpu") -> None:
        self.backbone, pretrained = BACKBONES[metric]
        self.device = device
        self.network = _network(weights, self.backbone, pretrained).to(device)
        self._of = f"backbone={checksum(pretrained, weights)[:8]},lpips={version('lpips')}"

    def recipe(self, height: int, width: int) -> str:
        return f"lpips:{self.backbone},v0.1,rgb,size={height}x{width},crop=0,{self._of}"

    def __call__(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Distances (N,) of two stacks of images uint8 (N, H, W, 3), at their own size, from 64 px."""
        import torch

        if a.shape != b.shape:
            raise InputError(f"LPIPS compares images of one shape, got {a.shape} and {b.shape}")
        values = [np.empty(0, np.float32)]
        with torch.inference_mode():
            for start in range(0, len(a), _BATCH):
                rows = slice(start, start + _BATCH)
                found = self.network(symmetric(a[rows], self.device), symmetric(b[rows], self.device))
                values.append(found.flatten().cpu().numpy())
        return np.concatenate(values)


def symmetric(images: NDArray[np.uint8], device: str = "cpu") -> torch.Tensor:
    """float32 (N, 3, H, W) in [-1, 1], channels last in memory, which convolutions on a CPU prefer."""
    import torch

    # (N, H, W, 3) seen as (N, 3, H, W) is channels last already.
    plain = torch.from_numpy(np.ascontiguousarray(images)).to(device)
    return plain.permute(0, 3, 1, 2).float() / 127.5 - 1


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
