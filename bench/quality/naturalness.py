"""How natural an image looks by itself: NIQE as released, NIQE fitted in the run, and PI. Lower is better."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError, Unavailable
from bench.geometry import opencv
from bench.metrics.niqe import BLOCK, SHARPNESS, Model, niqe
from bench.outside import read_mat
from bench.quality.measures import NIQE, NRQM
from bench.weights import WeightsFolder, checksum

SIZE = 224
"""NIQE counts in pixels, so images of every size are brought to one, at which it has 2 x 2 blocks."""
_PIRM_CROP = 4


class Niqe:
    """NIQE with the parameters of its authors' release, see `bench.metrics.niqe`.

    Raises Unavailable when the parameter file is missing or another one.
    """

    def __init__(self, weights: WeightsFolder) -> None:
        self.mean, self.covariance = _released(weights)
        self._of = f"parameters={checksum(NIQE, weights)[:8]}"

    def recipe(self, height: int, width: int) -> str:
        return f"niqe:{_common(height, width)},luma=bt601,crop=0,block={BLOCK},{self._of}"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """NIQE (N,) of images uint8 (N, H, W, 3); NaN for an image without any texture."""
        found = niqe(at_common_size(images), self.mean, self.covariance, grey=_bt601)
        return found.astype(np.float32)


class FittedNiqe:
    """NIQE by a model that was fitted on photographs of the run's own size: for sizes that the released one
    cannot judge. Values are not comparable with those of the released model, nor between runs' sizes.

    source: what the model was fitted on, for the recipe.
    """

    def __init__(self, model: Model, source: str) -> None:
        self.model, self._source = model, source

    def recipe(self, height: int, width: int) -> str:
        return (
            f"niqe_fitted:size={height}x{width},luma=bt601,crop=0,block={self.model.block},"
            f"sharpness={SHARPNESS:g},{self._source}"
        )

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """NIQE (N,) of images uint8 (N, H, W, 3); NaN for an image without any texture."""
        model = self.model
        return niqe(images, model.mean, model.covariance, block=model.block).astype(np.float32)


class PerceptualIndex:
    """PI as the PIRM 2018 challenge computes it (Blau et al., ECCV-W 2018): ((10 - NRQM) + NIQE) / 2.

    Both on the luma of MATLAB's YCbCr without a border of 4 px, so this NIQE is not that of `Niqe`. NRQM (Ma
    et al., CVIU 2017) is pyiqa's. Raises Unavailable when a parameter file is missing or another one.
    """

    def __init__(self, weights: WeightsFolder) -> None:
        self.mean, self.covariance = _released(weights)
        self._linear, self._forests = nrqm_parameters(weights.path(NRQM))
        self._of = (
            f"niqe={checksum(NIQE, weights)[:8]},nrqm={checksum(NRQM, weights)[:8]},pyiqa={version('pyiqa')}"
        )

    def recipe(self, height: int, width: int) -> str:
        return f"pi:pirm2018,{_common(height, width)},luma=matlab,crop={_PIRM_CROP},block={BLOCK},{self._of}"

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """PI (N,) of images uint8 (N, H, W, 3); NaN for an image without any texture."""
        images = at_common_size(images)
        return ((10 - self.nrqm(images) + self.niqe(images)) / 2).astype(np.float32)

    def niqe(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """The NIQE in it, (N,), of images of the common size."""
        return niqe(images, self.mean, self.covariance, crop=_PIRM_CROP, grey=_matlab)

    def nrqm(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """NRQM (N,) of images of the common size; higher is better."""
        import torch
        from pyiqa.archs.nrqm_arch import calculate_nrqm

        found = np.empty(len(images))
        for n, image in enumerate(images):  # one by one: each takes half a gigabyte
            tensor = torch.from_numpy(image[None]).permute(0, 3, 1, 2).float() / 255
            with torch.inference_mode():
                value = calculate_nrqm(tensor, _PIRM_CROP, True, "ycbcr", self._linear, self._forests)
            found[n] = float(value)
        return found


def _bt601(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return _as_pyiqa(image, (0.299, 0.587, 0.114), 0)


def _matlab(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    return _as_pyiqa(image, (65.481, 128.553, 24.966), 16)


def _as_pyiqa(image: NDArray[np.uint8], weights: tuple[float, ...], offset: int) -> NDArray[np.float64]:
    """Luma (H, W) as pyiqa rounds it on this very processor.

    One colour in a thousand lies half-way between two whole numbers, and in single precision it depends on
    the processor which way these go. On faces that moves NIQE by up to 6e-4 of itself, so the released
    models, which are compared with published figures, take the same product of the same library.
    """
    import torch

    columns = torch.tensor([weights] * 3).t().contiguous()
    found = torch.matmul(torch.from_numpy(image).float() / 255, columns)[..., 0]
    scaled = (found + offset) / 255 * 255 if offset else found * 255
    return np.asarray(scaled.round().numpy(), np.float64)


def at_common_size(images: NDArray[np.uint8], size: int = SIZE) -> NDArray[np.uint8]:
    """Images (N, H, W, 3) as (N, size, size, 3), bicubic; where that would skip pixels, area averages."""
    if images.shape[1:3] == (size, size):
        return images
    cv2 = opencv()
    how = cv2.INTER_AREA if _shrinks(images.shape[1], images.shape[2], size) else cv2.INTER_CUBIC
    resized = np.empty((len(images), size, size, 3), np.uint8)
    for image, target in zip(images, resized, strict=True):
        target[:] = cv2.resize(image, (size, size), interpolation=how)
    return resized


def _shrinks(height: int, width: int, size: int) -> bool:
    return max(height, width) > size


def _common(height: int, width: int) -> str:
    if (height, width) == (SIZE, SIZE):
        return f"size={SIZE}x{SIZE}"
    how = "area" if _shrinks(height, width, SIZE) else "bicubic"
    return f"size={SIZE}x{SIZE},from={height}x{width},{how}"


def _released(weights: WeightsFolder) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    parameters = read_mat(weights.path(NIQE))
    return parameters["mu_prisparam"].ravel(), parameters["cov_prisparam"]


_LEFT, _RIGHT, _THRESHOLD, _VALUE, _FEATURE = 0, 1, 4, 5, 6
_FEATURES_OF = (18, 45, 75)
"""Of NRQM's three forests: local frequency, global frequency and spatial discontinuity features."""

Forest = list[NDArray[np.float64]]


def nrqm_parameters(path: Path) -> tuple[NDArray[np.float64], list[Forest]]:
    """The linear model (4, 1) and three forests, each as the arrays (nodes, trees) that pyiqa walks.

    Reading a .mat file runs no code. Raises Unavailable where the file holds something else.
    """
    try:
        model = read_mat(path)["model"]
        linear = np.asarray(model["linear"][0, 0], np.float64)
        trees = [model["rf"][0, 0][0, n][0, 0] for n in range(len(_FEATURES_OF))]
        forests = [[np.asarray(t[k]) for k in (_LEFT, _RIGHT, _THRESHOLD, _VALUE, _FEATURE)] for t in trees]
        _check_forests(linear, forests)
    except (KeyError, IndexError, ValueError, TypeError, NotImplementedError, InputError) as error:
        raise Unavailable(
            f"{path} does not hold NRQM's model: {error}", "put NRQM_model.mat of chaoma99/sr-metric there"
        ) from error
    return linear, forests


def _check_forests(linear: NDArray[np.float64], forests: list[Forest]) -> None:
    if linear.shape != (4, 1):
        raise InputError(f"its linear model is {linear.shape}, not (4, 1)")
    for dimensions, forest in zip(_FEATURES_OF, forests, strict=True):
        shapes = {part.shape for part in forest}
        if len(shapes) != 1 or len(next(iter(shapes))) != 2:
            raise InputError(f"a forest's parts are {sorted(shapes)}, not all (nodes, trees)")
        if forest[-1].max() > dimensions:
            raise InputError(f"a forest of {dimensions} features asks for feature {int(forest[-1].max())}")
