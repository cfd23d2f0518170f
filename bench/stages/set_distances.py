"""Distances of the set of protected images from the set of originals, for the stage `quality`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.errors import MetricError, Unavailable
from bench.metrics.distribution import (
    SUBSET_SIZE,
    SUBSETS,
    Gaussian,
    frechet_distance,
    kernel_distance,
    resampled_kernel_distance,
)
from bench.metrics.uncertainty import identity_weights
from bench.quality.features import Extractor, InceptionFeatures, SqueezeFeatures
from bench.stages.faces import faces_of

_INCEPTION, _SQUEEZE = "inception", "squeeze"
_SPACES = {"fid": _INCEPTION, "kid": _INCEPTION, "fd_squeeze": _SQUEEZE, "kd_squeeze": _SQUEEZE}
_FRECHET = ("fid", "fd_squeeze")

Float = NDArray[np.float64]
Features = NDArray[np.float32]


class _Originals(NamedTuple):
    """features (N, D), divided by `scale`, and their Gaussian."""

    features: Features
    gaussian: Gaussian
    scale: np.float32


def by_space(names: Iterable[str]) -> dict[str, list[str]]:
    """The metrics that each kind of features serves."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_SPACES[name], []).append(name)
    return found


def set_recipes(job: Job, space: str, names: Iterable[str]) -> dict[str, str]:
    """What exactly each of the metrics is, by name."""
    what = _extractor(job, space).recipe(*job.artefact("images").arrays["images"].shape[1:3])
    if space == _SQUEEZE:
        what += ",rms of originals=1"
    kernel = f"kernel=cubic,paired,subsets={SUBSETS}x{SUBSET_SIZE}"
    images = job.params["set_images"]
    return {n: f"{n}:{what},{'covariance=n-1' if n in _FRECHET else kernel},images={images}" for n in names}


def set_distances(
    job: Job, space: str, names: Iterable[str], rows: NDArray[np.int64]
) -> tuple[dict[str, float], dict[str, Float]]:
    """Value of each metric on the faces `rows`, and of kernel distances the value in each resample (B,).

    Raises MetricError for fewer than two faces.
    """
    if len(rows) < 2:
        raise MetricError(f"a distance of sets needs two faces at least, there are {len(rows)}")
    values, samples = {}, {}
    originals = _originals(job, space, rows)
    mine = _features(job, space, rows, originals)
    for name in names:
        if name in _FRECHET:
            values[name] = frechet_distance(originals.gaussian, Gaussian.of(mine))
            continue
        values[name] = kernel_distance(originals.features, mine, paired=True)
        identities = faces_of(job, "faces").identities
        draw = identity_weights(identities, job.params["resamples"], job.params["seed"])
        samples[name] = resampled_kernel_distance(originals.features, mine, identities[rows], draw)
    return values, samples


def _extractor(job: Job, space: str) -> Extractor:
    def make() -> tuple[Extractor, int]:
        if job.context.weights is None:
            raise Unavailable("no weights folder", "give --weights FOLDER or set BENCH_WEIGHTS")
        kind = InceptionFeatures if space == _INCEPTION else SqueezeFeatures
        return kind(job.context.weights, job.context.device), 50_000_000

    return job.recent.get(("features", space), make)


def _originals(job: Job, space: str, rows: NDArray[np.int64]) -> _Originals:
    """Kept for the next cell, which compares with the same ones unless other faces failed."""

    def make() -> tuple[_Originals, int]:
        job.context.report(0, 1, f"{space} of originals")
        features = _extractor(job, space)(job.artefact("originals").arrays["images"][rows])
        # FID and KID are defined on the Inception's features as they are.
        scale = np.float32(np.sqrt(np.square(features).mean()) if space == _SQUEEZE else 1)
        gaussian = Gaussian.of(features / scale)
        return _Originals(features / scale, gaussian, scale), features.nbytes + 3 * gaussian.covariance.nbytes

    return job.recent.get(("features", space, job.cell.inputs["originals"], rows.tobytes().hex()), make)


def _features(job: Job, space: str, rows: NDArray[np.int64], originals: _Originals) -> Features:
    """Of the protected images, on the originals' scale."""
    if job.cell.inputs["images"] == job.cell.inputs["originals"]:
        return originals.features
    job.context.report(0, 1, space)
    features = _extractor(job, space)(job.artefact("images").arrays["images"][rows])
    return np.asarray(features / originals.scale, np.float32)
