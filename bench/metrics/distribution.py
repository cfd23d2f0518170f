"""Distances of two sets of images by their features: Fréchet distance and kernel distance.

With the features of the FID Inception these are FID (Heusel et al., NeurIPS 2017) and KID (Binkowski et al.,
ICLR 2018). The Fréchet distance of small sets is too large, the more so the smaller the sets; the kernel
distance is unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigvalsh
from scipy.linalg.lapack import dsygst

from bench.errors import InputError, MetricError
from bench.metrics.uncertainty import IdentityDraw

Float = NDArray[np.float64]

SUBSETS, SUBSET_SIZE = 100, 1000
"""KID's own: the mean over so many random subsets of so many features; smaller sets are taken whole."""


# -- Fréchet distance ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Gaussian:
    """mean (D,) and covariance (D, D) of features; the root is kept once asked for.

    Raises InputError for shapes that do not fit or values that are not finite.
    """

    mean: Float
    covariance: Float

    def __post_init__(self) -> None:
        d = len(self.mean)
        if self.mean.shape != (d,) or self.covariance.shape != (d, d):
            raise InputError(
                f"a mean (D,) and a covariance (D, D) are needed, not {self.mean.shape} and "
                f"{self.covariance.shape}"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.covariance).all()):
            raise InputError("features hold values that are not finite")

    @classmethod
    def of(cls, features: ArrayLike) -> Gaussian:
        """The Gaussian of features (N, D), N >= 2. Raises MetricError for fewer."""
        found = np.asarray(features, np.float64)
        if found.ndim != 2:
            raise InputError(f"features must be (N, D), got {found.shape}")
        if len(found) < 2:
            raise MetricError(f"a covariance needs two images at least, there are {len(found)}")
        return cls(found.mean(axis=0), np.atleast_2d(np.cov(found, rowvar=False)))

    @cached_property
    def cholesky(self) -> Float | None:
        """L with L L^T the covariance, lower triangular; None where that is singular."""
        try:
            return np.asarray(np.linalg.cholesky(self.covariance), np.float64)
        except np.linalg.LinAlgError:
            return None

    @cached_property
    def root(self) -> Float:
        """R (rank, D) with R^T R the covariance, directions without variance left out."""
        values, vectors = np.linalg.eigh(self.covariance)
        some = values > len(values) * np.finfo(np.float64).eps * values[-1]
        return np.asarray((vectors[:, some] * np.sqrt(values[some])).T)


def frechet_distance(reference: Gaussian, other: Gaussian) -> float:
    """|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), >= 0, of two Gaussians of one dimension.

    The trace of the root is the sum of the roots of the eigenvalues of R C2 R^T, where R^T R = C1. That
    product is symmetric, and R is kept with the reference, so comparing many sets with one costs one
    symmetric eigenvalue problem each, not the root of a general matrix.
    """
    if reference.mean.shape != other.mean.shape:
        raise InputError(f"features of {len(reference.mean)} and {len(other.mean)} dimensions are compared")
    difference = reference.mean - other.mean
    shared = np.sqrt(np.clip(_spectrum(reference, other), 0, None)).sum()
    spread = np.trace(reference.covariance) + np.trace(other.covariance) - 2 * shared
    return max(0.0, float(difference @ difference + spread))


def _spectrum(reference: Gaussian, other: Gaussian) -> Float:
    """Eigenvalues of the product of two covariances, those that are certainly 0 left out."""
    lower = reference.cholesky
    if lower is not None:
        # L^T C2 L, of which LAPACK computes one half only.
        product, info = dsygst(other.covariance, lower, itype=2, lower=1)
        assert info == 0
        return np.asarray(eigvalsh(product, lower=True, driver="evd", overwrite_a=True, check_finite=False))
    if not len(reference.root):
        return np.zeros(0)
    return np.asarray(np.linalg.eigvalsh(reference.root @ other.covariance @ reference.root.T), np.float64)


# -- kernel distance -------------------------------------------------------------------------------------


def kernel_distance(
    reference: ArrayLike,
    other: ArrayLike,
    *,
    paired: bool = False,
    subsets: int = SUBSETS,
    size: int = SUBSET_SIZE,
    seed: int = 0,
) -> float:
    """Unbiased squared maximum mean discrepancy with the kernel (x . y / D + 1)^3; may be negative.

    reference (N, D), other (M, D), each of two or more. Sets of more than `size` are compared by the mean
    over random subsets. paired: row i of both is one face, before and after; comparisons of a face with
    itself then leave the cross term as well (Gretton et al., JMLR 2012, eq. 4), which is what keeps the
    estimate unbiased, and exactly 0 for equal sets. Raises MetricError for fewer than two rows.
    """
    x, y = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    _check(x, y, paired)
    most = min(len(x), len(y), size)
    if most == len(x) == len(y):
        return _discrepancy(x, y, paired)
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(subsets):
        rows = rng.choice(len(x), most, replace=False)
        others = rows if paired else rng.choice(len(y), most, replace=False)
        found.append(_discrepancy(x[rows], y[others], paired))
    return float(np.mean(found))


def resampled_kernel_distance(
    reference: ArrayLike, other: ArrayLike, identities: ArrayLike, draw: IdentityDraw
) -> Float:
    """The paired kernel distance of the whole sets in each resample of identities, (B,).

    reference, other: (N, D), row i the same face. Somebody drawn twice counts twice, but a face is never
    compared with itself. NaN where a resample has fewer than two faces.
    """
    x, y = np.asarray(reference, np.float64), np.asarray(other, np.float64)
    _check(x, y, paired=True)
    if np.array_equal(x, y):
        return np.zeros(len(draw.weights))  # not what rounding would leave of it
    codes = draw.codes(identities)
    cross = _kernel(x, y)
    terms = _kernel(x, x) + _kernel(y, y) - cross - cross.T
    np.fill_diagonal(terms, 0)
    present, place = np.unique(codes, return_inverse=True)
    faces = np.bincount(place)
    starts = np.concatenate([[0], np.cumsum(faces)[:-1]])
    order = np.argsort(place, kind="stable")
    sums = np.add.reduceat(np.add.reduceat(terms[np.ix_(order, order)], starts, axis=0), starts, axis=1)
    counts = np.outer(faces, faces) - np.diag(faces).astype(np.float64)
    weights = draw.weights[:, present].astype(np.float64)
    top = np.einsum("bi,bi->b", weights @ sums, weights)
    bottom = np.einsum("bi,bi->b", weights @ counts, weights)
    return np.divide(top, bottom, out=np.full(len(weights), np.nan), where=bottom > 0)


def _check(x: Float, y: Float, paired: bool) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        raise InputError(f"features (N, D) of one dimension are compared, not {x.shape} and {y.shape}")
    if paired and len(x) != len(y):
        raise InputError(f"paired sets are of one size, not {len(x)} and {len(y)}")
    if min(len(x), len(y)) < 2:
        raise MetricError(f"the kernel distance needs two images a set, there are {len(x)} and {len(y)}")


def _kernel(x: Float, y: Float) -> Float:
    return (x @ y.T / x.shape[1] + 1) ** 3


def _discrepancy(x: Float, y: Float, paired: bool) -> float:
    n, m = len(x), len(y)
    within = _off_diagonal(_kernel(x, x)) / (n * (n - 1)) + _off_diagonal(_kernel(y, y)) / (m * (m - 1))
    cross = _kernel(x, y)
    between = _off_diagonal(cross) / (n * (n - 1)) if paired else cross.mean()
    return float(within - 2 * between)


def _off_diagonal(square: Float) -> float:
    return float(square.sum() - np.trace(square))
