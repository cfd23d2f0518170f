"""Full-reference image quality: PSNR and SSIM of protected against original images, both uint8 RGB."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.errors import InputError

Images = NDArray[np.uint8]
Float = NDArray[np.float64]

LUMA = np.array([0.299, 0.587, 0.114])
"""ITU-R BT.601, full range."""
WINDOW, SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_taps = np.exp(-0.5 * ((np.arange(WINDOW) - WINDOW // 2) / SIGMA) ** 2)
_KERNEL = _taps / _taps.sum()


def psnr(original: Images, protected: Images) -> Float:
    """Peak signal-to-noise ratio in dB of each image, (N,), over all pixels and channels; inf if equal.

    Both (N, H, W, 3) uint8 RGB. Average the squared errors or give the median: a mean of dB with an inf is
    inf. Raises InputError for anything else.
    """
    _check(original, protected)
    errors = np.empty(len(original))
    for n in range(len(original)):
        difference = original[n].astype(np.int32) - protected[n]
        errors[n] = np.mean(difference * difference)
    with np.errstate(divide="ignore"):
        return 10 * np.log10(255.0**2 / errors)


def ssim(original: Images, protected: Images) -> Float:
    """Structural similarity of each image, (N,), in [-1, 1], 1 if equal (Wang et al. 2004).

    11 x 11 Gaussian window with sigma 1.5, K1 = .01, K2 = .03, L = 255, mean over the windows that lie wholly
    inside, no down-sampling first. On luma: the index is defined for grey levels, and a method that works in
    grey is then judged on structure; colour counts in PSNR and LPIPS. Both (N, H, W, 3) uint8 RGB with
    sides >= 11. Raises InputError for anything else.
    """
    _check(original, protected)
    if min(original.shape[1:3]) < WINDOW:
        raise InputError(f"SSIM needs images of at least {WINDOW} x {WINDOW}, got {original.shape[1:3]}")
    pairs = zip(original, protected, strict=True)
    return np.array([_ssim_grey(a @ LUMA, b @ LUMA, _KERNEL) for a, b in pairs])


def _check(original: Images, protected: Images) -> None:
    for name, images in (("original", original), ("protected", protected)):
        if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
            raise InputError(f"{name} must be uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
    if original.shape != protected.shape:
        raise InputError(f"original {original.shape} and protected {protected.shape} differ in shape")


@njit(nogil=True, cache=True)
def _ssim_grey(x, y, kernel):  # type: ignore[no-untyped-def]
    """Mean SSIM of two grey images (H, W). The window is separable: down the columns, then along the rows."""
    height, width = x.shape
    size = len(kernel)
    sums = np.empty((5, width))
    total = 0.0
    for top in range(height - size + 1):
        sums[:] = 0
        for k in range(size):
            weight = kernel[k]
            for j in range(width):
                a = x[top + k, j]
                b = y[top + k, j]
                sums[0, j] += weight * a
                sums[1, j] += weight * b
                sums[2, j] += weight * a * a
                sums[3, j] += weight * b * b
                sums[4, j] += weight * a * b
        for left in range(width - size + 1):
            mean_x = mean_y = square_x = square_y = product = 0.0
            for k in range(size):
                weight = kernel[k]
                mean_x += weight * sums[0, left + k]
                mean_y += weight * sums[1, left + k]
                square_x += weight * sums[2, left + k]
                square_y += weight * sums[3, left + k]
                product += weight * sums[4, left + k]
            centre = mean_x * mean_y
            energy = mean_x * mean_x + mean_y * mean_y
            variance = square_x + square_y - energy
            total += (2 * centre + _C1) * (2 * (product - centre) + _C2) / ((energy + _C1) * (variance + _C2))
    return total / ((height - size + 1) * (width - size + 1))
