"""What a method leaves in pixels, as features: the small image, its finest differences, its spectrum."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.grey import LUMA

Float32 = NDArray[np.float32]

BLOCK = 8
"""Side in pixels of the blocks of `spectra`."""

# Larger images are thinned out, not shrunk: shrinking would average a fine pattern away.
_RESIDUAL_SIDE = 80
# Grey levels at which residuals are compressed: edges of faces are many times stronger than a code.
_KNEE = 4.0
# Variance of 8-bit rounding, in grey levels: below it a spectrum tells nothing.
_ROUNDING = 1 / 12
_LUMA_AND_CHROMA = np.array([LUMA, (-0.169, -0.331, 0.5), (0.5, -0.419, -0.081)], np.float32)


def small_pixels(images: NDArray[np.uint8], size: int) -> Float32:
    """Images (N, H, W, 3) shrunk to `size` px by averaging areas, (N, 3 size^2), grey levels."""
    import cv2

    side = (size, size)
    shrunk = [cv2.resize(image, side, interpolation=cv2.INTER_AREA) for image in images]
    return np.array(shrunk, np.float32).reshape(len(images), 3 * size * size)


def residuals(images: NDArray[np.uint8]) -> Float32:
    """Images (N, H, W, 3) less their 3x3 binomial blur, r / (1 + |r| / 4), (N, D), at most 80 px a side.

    Of larger images every second (third, ...) pixel is kept.
    """
    import cv2

    step = -(-images.shape[1] // _RESIDUAL_SIDE)
    found = []
    for image in images.astype(np.float32):
        sharp = (image - cv2.GaussianBlur(image, (3, 3), 0))[::step, ::step]
        found.append((sharp / (1 + np.abs(sharp) / _KNEE)).ravel())
    side = -(-images.shape[1] // step)
    return np.array(found, np.float32).reshape(len(images), 3 * side * side)


def spectra(images: NDArray[np.uint8]) -> Float32:
    """Log of the mean power of each cosine coefficient of 8x8 blocks, of luma and two chromas, (N, 192)."""
    side = images.shape[1] // BLOCK
    whole = images[:, : side * BLOCK, : side * BLOCK].astype(np.float32) @ _LUMA_AND_CHROMA.T
    blocks = whole.reshape(len(images), side, BLOCK, side, BLOCK, 3)
    cosines = _cosine_basis()
    waves = np.einsum("ua,nyaxbc,vb->nyxuvc", cosines, blocks, cosines, optimize=True)
    power = np.square(waves).mean(axis=(1, 2)).reshape(len(images), 3 * BLOCK * BLOCK)
    return np.log(power + np.float32(_ROUNDING))


def _cosine_basis() -> Float32:
    """Orthonormal type-II cosine transform of 8 samples (8, 8), one wave a row."""
    n = np.arange(BLOCK)
    basis = np.cos(np.pi * (2 * n + 1) * n[:, None] / (2 * BLOCK)) * np.sqrt(2 / BLOCK)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)
