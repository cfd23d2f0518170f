"""Quality of images by foreign networks and parameters: LPIPS against the original, NIQE by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, Unavailable
from bench.geometry import opencv
from bench.weights import PRETRAINED, WeightsFolder

if TYPE_CHECKING:
    import torch

NEEDED = {
    "lpips": PRETRAINED["squeezenet1_1_features"].pretrained,
    "niqe": PRETRAINED["niqe_modelparameters"].pretrained,
}
"""Metric -> the file it needs."""

_NIQE_SIZE = 224
_BATCH = 16


class Lpips:
    """LPIPS v0.1 with the SqueezeNet backbone (Zhang et al., CVPR 2018): 0 for equal images, else positive.

    The linear heads are those of the `lpips` package, the backbone comes from the weights folder.
    Raises Unavailable when that file is missing or another one.
    """

    recipe = "lpips:squeeze,v0.1"

    def __init__(self, weights: WeightsFolder) -> None:
        self._network = _lpips_network(weights)

    def __call__(self, a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Distances (N,) of two stacks of images uint8 (N, H, W, 3), at their own size, from 64 px."""
        import torch

        if a.shape != b.shape:
            raise InputError(f"LPIPS compares images of one shape, got {a.shape} and {b.shape}")
        values = [np.empty(0, np.float32)]
        with torch.inference_mode():
            for start in range(0, len(a), _BATCH):
                rows = slice(start, start + _BATCH)
                found = self._network(_symmetric(a[rows]), _symmetric(b[rows]))
                values.append(found.flatten().numpy())
        return np.concatenate(values)


class Niqe:
    """NIQE with the parameters of its authors' release, see `bench.metrics.niqe`; lower is better.

    NIQE counts in pixels, so images of every size are brought to one, which `recipe` states.
    Raises Unavailable when the parameter file is missing or another one.
    """

    recipe = f"niqe:size={_NIQE_SIZE},bicubic"

    def __init__(self, weights: WeightsFolder) -> None:
        from scipy.io import loadmat

        parameters = loadmat(weights.path(NEEDED["niqe"]))
        self._mean = parameters["mu_prisparam"].ravel()
        self._covariance = parameters["cov_prisparam"]

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """NIQE (N,) of images uint8 (N, H, W, 3); NaN for an image without any texture."""
        from bench.metrics.niqe import niqe

        resized = np.empty((len(images), _NIQE_SIZE, _NIQE_SIZE, 3), np.uint8)
        for image, target in zip(images, resized, strict=True):
            target[:] = _resized(image, _NIQE_SIZE)
        return niqe(resized, self._mean, self._covariance).astype(np.float32)


def _resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Bicubic; where that would skip pixels, area averages."""
    cv2 = opencv()
    if image.shape[:2] == (size, size):
        return image
    shrinks = max(image.shape[:2]) > size
    resized: NDArray[np.uint8] = cv2.resize(
        image, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    )
    return resized


def _symmetric(images: NDArray[np.uint8]) -> torch.Tensor:
    """float32 (N, 3, H, W) in [-1, 1], channels last in memory, which convolutions on a CPU prefer."""
    import torch

    # (N, H, W, 3) seen as (N, 3, H, W) is channels last already.
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _lpips_network(weights: WeightsFolder) -> Any:
    import warnings

    import torch
    from safetensors.torch import load_file

    path = weights.path(NEEDED["lpips"])
    import lpips

    # The package fills its backbone with random numbers, by torchvision's deprecated `pretrained=False`.
    with warnings.catch_warnings(), torch.random.fork_rng(devices=[]):
        warnings.simplefilter("ignore")
        network = lpips.LPIPS(net="squeeze", version="0.1", pnet_rand=True, verbose=False)
    layers = {name: layer for part in network.net.children() for name, layer in part.named_children()}
    parameters = load_file(path)
    wanted = {f"features.{n}.{k}" for n, layer in layers.items() for k in layer.state_dict()}
    if wanted != parameters.keys():
        raise Unavailable(
            f"{path} does not fit the backbone of the installed lpips", "install lpips 0.1.4 or later"
        )
    for name, layer in layers.items():
        prefix = f"features.{name}."
        layer.load_state_dict({k: parameters[prefix + k] for k in layer.state_dict()})
    return network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
