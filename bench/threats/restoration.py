"""Rung A4, `recovery`: the attacker restores a protected face or template before reading it.

Images: the black-box idea of PrivacyProber (Rot, Peer, Struc; arXiv 2211.08864), with operations that every
image editor has: no knowledge of the method, of its network or of any label. What is hidden by small
perturbations comes back when those are smoothed away. Templates have no such operations, so there the
attacker runs the method on templates of its own people and learns the way back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray

from bench.errors import InputError
from bench.geometry import opencv

Images = NDArray[np.uint8]
Float = NDArray[np.float64]

_JPEG_QUALITY = 40
_UNSHARP = 1.0
_BILATERAL_LEVELS = 30.0
_PENALTIES = np.logspace(-4, 2, 13)
_HELD_OUT = 5
_FLOOR = 1e-12


def median(images: Images) -> Images:
    """Median of 3 x 3 pixels a 64 pixels of side: removes sparse changes, keeps edges."""
    return _each(images, lambda image: opencv().medianBlur(image, 2 * _unit(images) + 1))


def denoise(images: Images) -> Images:
    """Gaussian blur of 1 pixel a 64 pixels of side, then an unsharp mask that gives back the contrast."""
    cv2, sigma = opencv(), float(_unit(images))

    def smooth_and_sharpen(image: Images) -> Images:
        smooth = cv2.GaussianBlur(image, (0, 0), sigma)
        smoother = cv2.GaussianBlur(smooth, (0, 0), 2 * sigma)
        return cv2.addWeighted(smooth, 1 + _UNSHARP, smoother, -_UNSHARP, 0)

    return _each(images, smooth_and_sharpen)


def bilateral(images: Images) -> Images:
    """Bilateral filter (Tomasi & Manduchi, ICCV 1998): smooths within 30 grey levels, so not over edges."""
    cv2, unit = opencv(), _unit(images)
    return _each(
        images, lambda image: cv2.bilateralFilter(image, 4 * unit + 1, _BILATERAL_LEVELS, 2.0 * unit)
    )


def jpeg(images: Images) -> Images:
    """JPEG at quality 40 and back: drops the fine detail that perturbations live in."""
    from PIL import Image

    def recompress(image: Images) -> Images:
        with BytesIO() as file:
            Image.fromarray(image).save(file, "JPEG", quality=_JPEG_QUALITY)
            return np.asarray(Image.open(file))

    return _each(images, recompress)


def resample(images: Images) -> Images:
    """Half the side by pixel areas, then back by bicubic interpolation."""
    cv2 = opencv()
    height, width = images.shape[1:3]
    small = (max(1, width // 2), max(1, height // 2))

    def down_and_up(image: Images) -> Images:
        less = cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        return cv2.resize(less, (width, height), interpolation=cv2.INTER_CUBIC)

    return _each(images, down_and_up)


RESTORATIONS: dict[str, Callable[[Images], Images]] = {
    "median": median,
    "denoise": denoise,
    "bilateral": bilateral,
    "jpeg": jpeg,
    "resample": resample,
}
"""Name -> restoration of RGB images uint8 (N, H, W, 3) to new images of the same shape. Each face by itself:
the result does not depend on the others."""


def _each(images: Images, restore: Callable[[Images], Images]) -> Images:
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8:
        raise InputError(f"images must be uint8 (N, H, W, 3), got {images.dtype} {images.shape}")
    restored = np.empty_like(images)
    for image, target in zip(images, restored, strict=True):
        target[:] = restore(np.ascontiguousarray(image))
    return restored


def _unit(images: Images) -> int:
    """Pixels that span what one pixel spans on a face of 64 pixels, so that every size is treated alike."""
    return max(1, round(images.shape[1] / 64))


@dataclass(frozen=True, eq=False)
class TemplateRestoration:
    """Ridge regression from protected to original templates.

    The attacker can run the method (or has both templates of its own people), has no labels and no access to
    the method's secrets. centre: (D',). weights: (D', D). offsets: (D,). penalty: the chosen one.
    """

    centre: Float
    weights: Float
    offsets: Float
    penalty: float

    @staticmethod
    def fit(
        protected: NDArray[np.floating], original: NDArray[np.floating], identities: NDArray[np.int64]
    ) -> TemplateRestoration:
        """Learn from pairs (N, D') and (N, D) of people `identities` (N,).

        Pairs with a non-finite template (failures) are left out. The penalty, relative to the mean variance,
        is the one of 13 between 1e-4 and 100 with the smallest squared error on one fifth of the people, kept
        apart while choosing. Raises InputError for fewer than two people.
        """
        if not len(protected) == len(original) == len(identities):
            raise InputError(
                f"{len(protected)} protected and {len(original)} original templates of "
                f"{len(identities)} identities are not pairs"
            )
        usable = np.isfinite(protected).all(axis=1) & np.isfinite(original).all(axis=1)
        sources, targets = protected[usable].astype(np.float64), original[usable].astype(np.float64)
        people, codes = np.unique(identities[usable], return_inverse=True)
        if len(people) < 2:
            raise InputError("a way back needs usable templates of two or more people")
        held = codes % _HELD_OUT == min(_HELD_OUT, len(people)) - 1
        trial = _Ridge.of(sources[~held], targets[~held])
        errors = [np.sum((trial.predict(sources[held], p) - targets[held]) ** 2) for p in _PENALTIES]
        penalty = float(_PENALTIES[int(np.argmin(errors))])
        final = _Ridge.of(sources, targets)
        weights = final.basis @ final.shrunk(penalty)
        return TemplateRestoration(final.centre, weights, final.offsets, penalty)

    def apply(self, protected: NDArray[np.floating]) -> NDArray[np.float32]:
        """Restored unit templates float32 (M, D); NaN rows where the protected one is not finite."""
        usable = np.isfinite(protected).all(axis=1)
        vectors = (protected[usable].astype(np.float64) - self.centre) @ self.weights + self.offsets
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        restored = np.full((len(protected), len(self.offsets)), np.nan, np.float32)
        restored[usable] = vectors / np.maximum(lengths, _FLOOR)
        return restored


@dataclass(frozen=True, eq=False)
class _Ridge:
    """Ridge regression of all penalties at once: weights are `basis @ shrunk(penalty)`.

    basis: (D', R) spans the centred sources. values: (R,) their scatter along it. loads: (R, D).
    """

    centre: Float
    offsets: Float
    basis: Float
    values: Float
    loads: Float

    @staticmethod
    def of(sources: Float, targets: Float) -> _Ridge:
        from scipy.linalg import eigh

        centre, offsets = sources.mean(axis=0), targets.mean(axis=0)
        x, y = sources - centre, targets - offsets
        # The smaller of the two scatter matrices has all that is not zero.
        if len(x) <= x.shape[1]:
            values, vectors = eigh(x @ x.T)
            return _Ridge(centre, offsets, x.T @ vectors, values, vectors.T @ y)
        values, vectors = eigh(x.T @ x)
        return _Ridge(centre, offsets, vectors, values, vectors.T @ (x.T @ y))

    def shrunk(self, penalty: float) -> Float:
        # The floor keeps templates that are all equal at the mean instead of dividing rounding errors.
        ridge = penalty * self.values.sum() / len(self.basis) + _FLOOR
        return self.loads / (np.maximum(self.values, 0) + ridge)[:, None]

    def predict(self, sources: Float, penalty: float) -> Float:
        return (sources - self.centre) @ self.basis @ self.shrunk(penalty) + self.offsets
