"""Features of whole images for distances of sets: of the FID Inception, and of SqueezeNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bench.errors import Unavailable
from bench.foreign import Pretrained
from bench.quality.exported import Exported
from bench.quality.measures import INCEPTION, SQUEEZENET
from bench.quality.perceptual import symmetric
from bench.weights import WeightsFolder, checksum

_BATCH, _CPU_BATCH = 32, 4
_INCEPTION_SIZE = 299
COUNTER = "num_batches_tracked"


class Extractor(Protocol):
    """Makes features float32 (N, D) of images uint8 (N, H, W, 3)."""

    def recipe(self, height: int, width: int) -> str: ...

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]: ...


class SqueezeFeatures:
    """SqueezeNet 1.1's last feature maps averaged over the image, 512 numbers, at the images' own size.

    The network is LPIPS's backbone, trained on ImageNet. Raises Unavailable when its file is missing.
    """

    def __init__(self, weights: WeightsFolder, device: str = "cpu") -> None:
        import torch
        from torchvision.models import squeezenet1_1

        with torch.random.fork_rng(devices=[]):
            network = squeezenet1_1(weights=None).features
        self._batch = _CPU_BATCH if device == "cpu" else _BATCH
        self._maps = _passing(_filled(network, weights, SQUEEZENET, "features."), device)
        self._of = f"weights={checksum(SQUEEZENET, weights)[:8]}"

    def recipe(self, height: int, width: int) -> str:
        return f"squeezenet1.1,pooled=512,rgb,size={height}x{width},crop=0,{self._of}"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        mean = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
        deviation = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
        found = [np.empty((0, 512), np.float32)]
        for start in range(0, len(images), self._batch):
            batch = symmetric(images[start : start + self._batch]).numpy()
            found.append(self._maps(((batch + 1) / 2 - mean) / deviation).mean(axis=(2, 3)))
        return np.concatenate(found)


class InceptionFeatures:
    """The 2,048 pooled features of the Inception of 2015 that FID and KID are defined on.

    pytorch-fid's conversion of the TensorFlow graph; its blocks are pyiqa's. Images are brought to 299 px
    channel by channel in floating point, bicubic, as clean-fid does (Parmar et al., CVPR 2022). Raises
    Unavailable when its file is missing or does not fit.
    """

    def __init__(self, weights: WeightsFolder, device: str = "cpu") -> None:
        weights.path(INCEPTION)  # before pyiqa, which takes seconds to import
        self._batch = _CPU_BATCH if device == "cpu" else _BATCH
        self._pooled = _passing(_filled(inception(), weights, INCEPTION, ""), device)
        self._of = f"weights={checksum(INCEPTION, weights)[:8]}"

    def recipe(self, height: int, width: int) -> str:
        size = f"size={_INCEPTION_SIZE}x{_INCEPTION_SIZE},from={height}x{width},bicubic"
        return f"inception2015,pooled=2048,rgb,{size},crop=0,{self._of}"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        found = [np.empty((0, 2048), np.float32)]
        for start in range(0, len(images), self._batch):
            batch = np.stack([_clean(image) for image in images[start : start + self._batch]])
            found.append(self._pooled((batch - 128) / 128))
        return np.concatenate(found)


def _clean(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The image at 299 px, float32 (3, 299, 299) in 0..255, not rounded."""
    from PIL import Image

    size = (_INCEPTION_SIZE, _INCEPTION_SIZE)
    channels = (Image.fromarray(np.ascontiguousarray(c, np.float32)) for c in np.moveaxis(image, 2, 0))
    resized = [np.asarray(c.resize(size, Image.Resampling.BICUBIC)).clip(0, 255) for c in channels]
    return np.stack(resized)


def inception() -> Any:
    """torchvision's Inception v3 with the blocks in which the graph of 2015 differs, up to the pooling.

    They average over what lies inside the image only, and the last one takes a maximum instead.
    """
    import torch
    from pyiqa.archs import inception as blocks
    from torchvision.models import inception_v3

    with torch.random.fork_rng(devices=[]):
        network = inception_v3(weights=None, num_classes=1008, aux_logits=False, init_weights=False)
        for name, channels, pooled in (("5b", 192, 32), ("5c", 256, 64), ("5d", 288, 64)):
            setattr(network, f"Mixed_{name}", blocks.FIDInceptionA(channels, pool_features=pooled))
        for name, inner in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
            setattr(network, f"Mixed_{name}", blocks.FIDInceptionC(768, channels_7x7=inner))
        network.Mixed_7b = blocks.FIDInceptionE_1(1280)
        network.Mixed_7c = blocks.FIDInceptionE_2(2048)
    network.fc = torch.nn.Identity()
    return network


def _passing(network: Any, device: str) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """The network as a function of a stack float32 (N, 3, H, W); on a CPU in onnxruntime."""
    if device == "cpu":
        exported = Exported(network)
        return lambda batch: exported(batch)[0]

    import torch

    there = network.to(device, memory_format=torch.channels_last)

    def passed(batch: NDArray[Any]) -> NDArray[np.float32]:
        with torch.inference_mode():
            found: NDArray[np.float32] = there(torch.from_numpy(batch).to(device)).cpu().numpy()
        return found

    return passed


def _filled(network: Any, weights: WeightsFolder, pretrained: Pretrained, prefix: str) -> Any:
    """The network with the file's parameters called `prefix`; a classifier on top (`fc.`) and counters of
    batches may be in the file or not."""
    from safetensors.torch import load_file

    path = weights.path(pretrained)
    parameters = {
        name.removeprefix(prefix): tensor
        for name, tensor in load_file(path).items()
        if name.startswith(prefix) and not name.startswith("fc.") and not name.endswith(COUNTER)
    }
    own = {k: v for k, v in network.state_dict().items() if not k.endswith(COUNTER)}
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in parameters.items()}:
        raise Unavailable(f"{path} does not fit", f"take the file of {pretrained.source}")
    network.load_state_dict(parameters, strict=False)
    return network.eval().requires_grad_(False)
