"""Rung A6, `generator`: the attacker has the method and applies it once more to what it was given.

A method told to make a face "male" changes a face that it already made "male" little, and one that it made
"female" a lot. The attacker applies it to the protected face with every target and looks at the residuals:
they tell the target, and where the target follows from the label, the label. (PrivacyProber, arXiv
2211.08864, detects protection by such a mismatch before and after; detection is then a leak.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.grey import LUMA

Float = NDArray[np.float64]
Residual = NDArray[np.float32]

GRID = 4
"""Cells a side of the grid in which residuals of images are measured; templates have as many blocks."""
_BATCH = 64
_FLOOR = 1e-4
_CLIP = 5.0


def residual_features(
    protected: NDArray[np.uint8], again: Sequence[NDArray[np.uint8]]
) -> NDArray[np.float32]:
    """Features float32 (N, T * F + (T - 1) * F), F = 2 * 3 * 17, of protected images uint8 (N, H, W, 3).

    again: one array as `protected` for each of T >= 1 targets, the method applied to `protected`. For each
    target, in luma and two colour differences, over the image and over each cell of a 4 x 4 grid: log RMS of
    `again - protected` in grey levels, and the signed mean; then the differences of all these from those of
    the first target. Always finite; equal images give equal features. Raises InputError for other shapes.
    """
    _check(protected, again, dims=4)
    if protected.shape[-1] != 3 or any(a.dtype != np.uint8 for a in (protected, *again)):
        raise InputError(f"images must be uint8 (N, H, W, 3), got {protected.dtype} {protected.shape}")
    return _stacked([_measured(protected, one, _image_residual) for one in again])


def template_residual_features(
    protected: NDArray[np.floating], again: Sequence[NDArray[np.floating]]
) -> NDArray[np.float32]:
    """The same of unit templates, finite (N, D): features float32 (N, T * F + (T - 1) * F), F = 2 * 17 + 1.

    Blocks of neighbouring components take the place of grid cells; each target adds the cosine between
    `again` and `protected`.
    """
    _check(protected, again, dims=2)
    if not all(np.isfinite(a).all() for a in (protected, *again)):
        raise InputError("templates must be finite; remove and count the failed samples first")
    return _stacked([_measured(protected, one, _template_residual) for one in again])


@dataclass(frozen=True, eq=False)
class Standardisation:
    """Brings features to mean 0 and standard deviation 1 / sqrt(D) on the attacker's own faces.

    Rows then have about unit length, as the embeddings that attackers are made for. Values beyond 5 standard
    deviations are cut: a kernel fitted on the attacker's faces means nothing there. centre: (D,).
    scale: (D,), 0 for a feature that is the same for all faces, which stays 0.
    """

    centre: Float
    scale: Float

    @staticmethod
    def fit(features: NDArray[np.float32]) -> Standardisation:
        """From features (N, D) of N >= 1 faces."""
        wide = features.astype(np.float64)
        varies = np.ptp(wide, axis=0) > 0
        spread = np.where(varies, wide.std(axis=0), 1.0)
        return Standardisation(wide.mean(axis=0), np.where(varies, 1 / spread, 0.0))

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standardised features float32 (M, D) of features (M, D)."""
        standard = np.clip((features - self.centre) * self.scale, -_CLIP, _CLIP)
        return (standard / np.sqrt(len(self.centre))).astype(np.float32)


def _check(protected: NDArray[np.generic], again: Sequence[NDArray[np.generic]], dims: int) -> None:
    shapes = {a.shape for a in again}
    if protected.ndim != dims or shapes != {protected.shape}:
        raise InputError(
            "residuals need one result of the same shape a target, got "
            f"{sorted(shapes) or 'none'} for {protected.shape}"
        )


def _stacked(targets: list[Residual]) -> Residual:
    return np.hstack([*targets, *[one - targets[0] for one in targets[1:]]])


def _measured(
    protected: NDArray[Any], again: NDArray[Any], measure: Callable[[NDArray[Any], NDArray[Any]], Residual]
) -> Residual:
    """`measure` of both, in batches of bounded memory."""
    starts = range(0, max(1, len(protected)), _BATCH)
    return np.vstack([measure(protected[s : s + _BATCH], again[s : s + _BATCH]) for s in starts])


def _image_residual(protected: NDArray[np.uint8], again: NDArray[np.uint8]) -> Residual:
    """Luma and two colour differences of the change, summed up over a grid."""
    change = again.astype(np.float32) - protected
    red, green, blue = (change[..., c] for c in range(3))
    luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    channels = np.stack([luma, red - luma, blue - luma], axis=-1)
    return _summary(channels, _starts(change.shape[1], GRID), _starts(change.shape[2], GRID))


def _template_residual(protected: NDArray[np.floating], again: NDArray[np.floating]) -> Residual:
    """The change in units of a typical component, summed up over blocks, and the cosine."""
    width = protected.shape[1]
    scaled = ((again - protected) * 100 * np.sqrt(width)).astype(np.float32)
    blocks = _summary(scaled[:, :, None, None], _starts(width, GRID**2), _starts(1, 1))
    cosine = (again * protected).sum(axis=1, keepdims=True, dtype=np.float64)
    return np.hstack([blocks, cosine]).astype(np.float32)


def _starts(length: int, parts: int) -> NDArray[np.intp]:
    """First index of each of `parts` nearly equal parts; fewer where `length` is shorter."""
    return np.unique(np.arange(parts) * length // parts)


def _summary(change: Residual, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Residual:
    """Log RMS, then mean, of change (n, H, W, C), over everything and by cell: (n, 2 * (1 + cells) * C)."""
    height, width = change.shape[1:3]
    sizes = np.outer(np.diff(rows, append=height), np.diff(columns, append=width))

    def means(values: Residual) -> Residual:
        cells = np.add.reduceat(np.add.reduceat(values, rows, axis=1), columns, axis=2)
        whole = cells.sum(axis=(1, 2)) / (height * width)
        flat = (cells / sizes[None, :, :, None]).reshape(len(values), sizes.size * values.shape[3])
        return np.hstack([whole, flat])

    return np.hstack([np.log(means(change**2) + _FLOOR) / 2, means(change)]).astype(np.float32)
