"""NIQE, the distance of an image's local statistics from those of pristine photographs; lower is better.

Mittal, Soundararajan and Bovik, Making a "Completely Blind" Image Quality Analyzer, IEEE SPL 20(3), 2013,
with the settings of the authors' release: 96x96 blocks, two scales, a 7x7 Gaussian of deviation 7/6.
The referee is pyiqa; where its arithmetic differs from the release, this follows pyiqa, and says so.
`fit_niqe` makes the same model from photographs at hand, with blocks of another size where those are small.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.ndimage import correlate1d
from scipy.special import gammaln

from bench.errors import InputError, MetricError

Float = NDArray[np.float64]

BLOCK = 96
FEATURES = 36
MIN_SIDE = 2 * BLOCK
"""Below 2 x 2 blocks the covariance of an image's features is a guess, or none at all."""
SMALLEST_BLOCK = 16
"""At the second scale such a block has 64 pixels left, for a distribution of three parameters."""
SHARPNESS = 0.75
"""Share of an image's sharpest block that a block must exceed to count as pristine (section II-C)."""
MIN_BLOCKS = 2 * FEATURES
"""With fewer the covariance of 36 features is too uncertain to be inverted."""

_RADIUS = 3
_SHAPES = 0.2 + 0.001 * np.arange(9801)
"""Candidate shapes of the asymmetric generalised Gaussian distribution: .2 to 10."""


class Model(NamedTuple):
    """mean (36,), covariance (36, 36) of pristine features in `n_blocks` square blocks of `block` px."""

    mean: Float
    covariance: Float
    block: int
    n_blocks: int


def niqe(
    images: NDArray[np.uint8],
    mean: Float,
    covariance: Float,
    *,
    block: int = BLOCK,
    crop: int = 0,
    grey: Callable[[NDArray[np.uint8]], Float] | None = None,
) -> Float:
    """NIQE of each image (N,), >= 0; NaN where every block is without texture.

    images: uint8 (N, H, W, 3), RGB, of at least 2 x 2 blocks once `crop` px are taken off each side. mean
    (36,), covariance (36, 36): of pristine features in such blocks. grey: image to (H, W), 0..255; `luma` if
    None. Raises InputError for smaller images or parameters of another shape.
    """
    least = 2 * block + 2 * crop
    if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < least:
        raise InputError(f"NIQE needs RGB images (N, H, W, 3) of {least} px or more, got {images.shape}")
    mean, covariance = np.ravel(mean), np.asarray(covariance)
    if mean.shape != (FEATURES,) or covariance.shape != (FEATURES, FEATURES):
        raise InputError(
            f"NIQE's parameters are a mean ({FEATURES},) and a covariance ({FEATURES}, {FEATURES}), "
            f"got {mean.shape} and {covariance.shape}"
        )
    inside = slice(crop, -crop or None)
    greys = ((grey or luma)(image)[inside, inside] for image in images)
    return np.array([_distance(features(g, block), mean, covariance) for g in greys], np.float64)


def block_for(side: int) -> int:
    """The largest even block, at most 96, of which two fit into `side` px; 0 where that would be under 16."""
    block = min(BLOCK, side // 2) // 2 * 2
    return block if block >= SMALLEST_BLOCK else 0


def fit_niqe(images: NDArray[np.uint8], block: int, sharpness: float = SHARPNESS) -> Model:
    """The model of photographs taken as pristine, from their sharp blocks (section II-C).

    images: uint8 (N, H, W, 3), RGB, of at least 2 x 2 blocks. Of each image the blocks count whose mean
    local deviation exceeds `sharpness` times that of its sharpest. Raises InputError for smaller images,
    MetricError when too few blocks are left.
    """
    if images.ndim != 4 or images.shape[3] != 3 or not 0 < 2 * block <= min(images.shape[1:3]):
        raise InputError(f"2 x 2 blocks of {block} px do not fit into images of {images.shape}")
    pristine = [np.empty((0, FEATURES))]
    for image in images:
        grey = luma(image)
        sharp = _sharpness(grey, block)
        pristine.append(features(grey, block)[sharp > sharpness * sharp.max()])
    found = np.concatenate(pristine)
    found = found[~np.isnan(found).any(axis=1)]
    if len(found) < MIN_BLOCKS:
        raise MetricError(
            f"{len(found)} sharp blocks with texture in {len(images)} images, a model needs {MIN_BLOCKS}"
        )
    return Model(found.mean(axis=0), np.cov(found, rowvar=False), block, len(found))


def luma(image: NDArray[np.uint8]) -> Float:
    """Luma of ITU-R BT.601 rounded half up, exactly: (H, W), 0..255.

    One colour in a thousand lies half-way between two whole numbers. pyiqa computes in single precision, so
    that the processor decides which way these go, and a face's NIQE by up to 6e-4 of itself; here all go up.
    """
    red, green, blue = np.moveaxis(image.astype(np.int32), 2, 0)
    return np.asarray((299 * red + 587 * green + 114 * blue + 500) // 1000, np.float64)


def matlab_luma(image: NDArray[np.uint8]) -> Float:
    """Luma of MATLAB's `rgb2ycbcr` (BT.601, studio range) rounded half up, exactly: (H, W), 16..235."""
    red, green, blue = np.moveaxis(image.astype(np.int32), 2, 0)
    thousandths = 65_481 * red + 128_553 * green + 24_966 * blue
    return np.asarray(16 + (thousandths + 127_500) // 255_000, np.float64)


def features(grey: Float, block: int = BLOCK) -> Float:
    """The 36 features of each whole block, both scales: (blocks, 36). Blocks without texture hold NaN.

    grey: (H, W), 0..255. block: side in px, even. What is left over to the right and below is ignored.
    """
    cropped = _whole_blocks(grey, block)
    own = _described(cropped, block)
    return np.concatenate([own, _described(_halved(cropped), block // 2)], axis=1)


def _whole_blocks(grey: Float, block: int) -> Float:
    height, width = (side // block * block for side in grey.shape)
    return np.ascontiguousarray(grey[:height, :width])


def _sharpness(grey: Float, block: int) -> Float:
    """Mean local deviation of each block, in the order of `features`."""
    cropped = _whole_blocks(grey, block)

    def blurred(image: Float) -> Float:
        for axis in (0, 1):
            image = correlate1d(image, _gaussian(), axis, mode="nearest")
        return image

    deviation = np.sqrt(np.abs(blurred(cropped * cropped) - blurred(cropped) ** 2))
    rows, columns = (side // block for side in cropped.shape)
    return np.asarray(deviation.reshape(rows, block, columns, block).mean(axis=(1, 3)).T.ravel())


def _distance(found: Float, mean: Float, covariance: Float) -> float:
    """Eq. 10: Mahalanobis-like distance of the two Gaussians."""
    textured = found[~np.isnan(found).any(axis=1)]
    if not len(textured):
        return float("nan")
    own = np.cov(textured, rowvar=False) if len(textured) > 1 else np.zeros_like(covariance)
    difference = mean - np.nanmean(found, axis=0)
    inverse = np.linalg.pinv((covariance + own) / 2, rcond=FEATURES * np.finfo(np.float64).eps)
    return float(np.sqrt(difference @ inverse @ difference))


# -- local normalisation -------------------------------------------------------------------------------


@cache
def _gaussian() -> Float:
    """One factor of the 7x7 Gaussian, (7,).

    pyiqa rounds the kernel to single precision. What its weights then lack of 1 decides the sign of every
    flat region after normalisation, so the factor is scaled to give the same sum.
    """
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    factor = np.exp(-(offsets**2) / (2 * (7 / 6) ** 2))
    factor /= factor.sum()
    rounded = np.outer(factor, factor).astype(np.float32).astype(np.float64)
    return np.asarray(factor * np.sqrt(rounded.sum()))


@njit(nogil=True, cache=True)
def _normalised(image, factor):  # type: ignore[no-untyped-def]
    """(image - local mean) / (local deviation + 1), edges repeated; two separable filters in one pass."""
    height, width = image.shape
    out = np.empty((height, width))
    radius = len(factor) // 2
    means = np.zeros(width + 2 * radius)
    squares = np.zeros(width + 2 * radius)
    for i in range(height):
        means[:] = 0
        squares[:] = 0
        for k in range(len(factor)):
            row = image[min(max(i + k - radius, 0), height - 1)]
            for j in range(width):
                weighted = factor[k] * row[j]
                means[j + radius] += weighted
                squares[j + radius] += weighted * row[j]
        for j in range(radius):
            means[j], squares[j] = means[radius], squares[radius]
            means[width + radius + j] = means[width + radius - 1]
            squares[width + radius + j] = squares[width + radius - 1]
        for j in range(width):
            mean = 0.0
            square = 0.0
            for k in range(len(factor)):
                mean += factor[k] * means[j + k]
                square += factor[k] * squares[j + k]
            variance = abs(square - mean * mean)
            out[i, j] = (image[i, j] - mean) / (np.sqrt(variance + _EPSILON) + 1.0)
    return out


_EPSILON = float(np.finfo(np.float64).eps)


_TAPS = np.array([-3, -9, 29, 111, 111, 29, -9, -3], np.float32) / np.float32(256)
"""Keys' cubic, a = -.5, stretched to twice its width: MATLAB's antialiased bicubic at half the size."""


def _halved(image: Float) -> Float:
    """Half the size, edges mirrored. In single precision and in the order of pyiqa."""
    single = (image / 255).astype(np.float32)
    for _ in range(2):
        padded = np.pad(single, ((3, 3), (0, 0)), mode="symmetric")
        single = _filtered(padded, _TAPS, len(single) // 2).T
    return single.astype(np.float64) * 255


@njit(nogil=True, cache=True)
def _filtered(padded, taps, rows):  # type: ignore[no-untyped-def]
    """Filter down the columns, every other row."""
    out = np.empty((rows, padded.shape[1]), np.float32)
    for i in range(rows):
        for j in range(padded.shape[1]):
            out[i, j] = taps[0] * padded[2 * i, j]
        for k in range(1, len(taps)):
            for j in range(padded.shape[1]):
                out[i, j] += taps[k] * padded[2 * i + k, j]
    return out


# -- features ------------------------------------------------------------------------------------------


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _block_statistics(image, side):  # type: ignore[no-untyped-def]
    """Sums over each block: (blocks, 5, 5), blocks column by column.

    Of the block itself, and of its products with itself shifted (in a circle) by one to the right, down, down
    right and down left: how many are below and above 0, their sums of squares, and the sum of moduli.
    """
    rows, columns = image.shape[0] // side, image.shape[1] // side
    out = np.zeros((rows * columns, 5, 5))
    for block in range(rows * columns):
        top, left = (block % rows) * side, (block // rows) * side
        ring = np.empty((side + 1, side + 2))
        for i in range(side + 1):
            source = image[top + (i - 1) % side]
            for j in range(side):
                ring[i, j + 1] = source[left + j]
            ring[i, 0] = ring[i, side]
            ring[i, side + 1] = ring[i, 1]
        for i in range(1, side + 1):
            row, above = ring[i], ring[i - 1]
            _add_up(row, row, 1, side, False, out[block, 0])
            _add_up(row, row, 0, side, True, out[block, 1])
            _add_up(row, above, 1, side, True, out[block, 2])
            _add_up(row, above, 0, side, True, out[block, 3])
            _add_up(row, above, 2, side, True, out[block, 4])
    return out


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract", "nsz"})
def _add_up(row, other, first, side, product, sums):  # type: ignore[no-untyped-def]
    below = 0.0
    above = 0.0
    below_square = 0.0
    above_square = 0.0
    modulus = 0.0
    for j in range(side):
        value = row[j + 1] * other[j + first] if product else row[j + 1]
        square = value * value
        below += 1.0 if value < 0 else 0.0
        above += 1.0 if value > 0 else 0.0
        below_square += square if value < 0 else 0.0
        above_square += square if value > 0 else 0.0
        modulus += abs(value)
    sums[0] += below
    sums[1] += above
    sums[2] += below_square
    sums[3] += above_square
    sums[4] += modulus


def _described(grey: Float, side: int) -> Float:
    """Moment estimates of the asymmetric generalised Gaussian's parameters (section II-B): (blocks, 18).

    Where one half of a distribution is empty, its scale is NaN.
    """
    statistics = _block_statistics(_normalised(np.ascontiguousarray(grey), _gaussian()), side)
    below, above, below_square, above_square, modulus = np.moveaxis(statistics, 2, 0)
    pixels = side * side
    with np.errstate(divide="ignore", invalid="ignore"):
        left, right = np.sqrt(below_square / below), np.sqrt(above_square / above)
        balance = left / right
        spread = (modulus / pixels) ** 2 / ((below_square + above_square) / pixels)
        moment = spread * (balance**3 + 1) * (balance + 1) / (balance**2 + 1) ** 2
    moments, scales, offsets = _tables()
    shape = _nearest(moments, moment)
    left, right = left * scales[shape], right * scales[shape]
    alpha, offset = _SHAPES[shape], (right - left) * offsets[shape]
    own = np.stack([alpha[:, 0], (left[:, 0] + right[:, 0]) / 2], axis=1)
    products = np.stack([alpha, offset, left, right], axis=2)[:, 1:]
    return np.concatenate([own, products.reshape(len(alpha), -1)], axis=1)


@cache
def _tables() -> tuple[Float, Float, Float]:
    """For each of `_SHAPES`: generalised moment ratio, scale at unit deviation, mean at unit scale."""
    one, two, three = (gammaln(k / _SHAPES) for k in (1, 2, 3))
    return np.exp(2 * two - one - three), np.exp((one - three) / 2), np.exp(two - one)


def _nearest(ascending: Float, values: Float) -> NDArray[np.intp]:
    """Index of the entry nearest to each value, the lower of two equally near; 0 for NaN."""
    known = np.where(np.isnan(values), ascending[0], values)
    upper = np.clip(np.searchsorted(ascending, known), 1, len(ascending) - 1)
    return np.asarray(upper - (known - ascending[upper - 1] <= ascending[upper] - known))
