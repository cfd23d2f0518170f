"""Stage `quality`: distances of protected images from their originals, one by one and as a set, and how
natural they look by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.errors import MetricError, Unavailable
from bench.metrics.niqe import Model
from bench.metrics.quality import SIGMA, WINDOW, psnr, ssim
from bench.quality.measures import BY_IMAGE
from bench.quality.perceptual import BACKBONES, Known, Lpips
from bench.stages.set_distances import by_space, set_distances, set_recipes
from bench.store import Artefact
from bench.weights import WeightsFolder

VERSION = 2

Images = NDArray[np.uint8]
Rows = NDArray[np.int64]


class _Runner(NamedTuple):
    """measure: (originals, protected) -> a value an image. recipe: (height, width) -> text."""

    measure: Callable[[Images, Images], NDArray[Any]]
    recipe: Callable[[int, int], str]


def run(job: Job) -> Artefact:
    """params: images (how many faces are looked at), set_images (the same of distances of sets), networks
    and sets (metric -> checksums of its files), resamples, seed, source. inputs: faces, images, originals,
    and niqe_fit if there is one.

    Faces are spread evenly over the pool, failed ones are left out. Of images: value:<metric> float32 (M,) of
    the faces rows:<metric> (M,). Of kernel distances samples:<metric> (B,), in each resample of identities.
    facts, by metric: recipes, failed (how many of the faces to be looked at), sets (values of sets), refused
    (why there is no value); set_images, how many faces are behind `sets`.
    """
    found = _Found()
    _of_images(job, found)
    _of_sets(job, found)
    facts = {name: getattr(found, name) for name in ("recipes", "failed", "sets", "set_images", "refused")}
    return Artefact(found.arrays, facts)


@dataclass
class _Found:
    """What the artefact will hold, see `run`."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    recipes: dict[str, str] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    sets: dict[str, float] = field(default_factory=dict)
    set_images: int = 0
    refused: dict[str, str] = field(default_factory=dict)


# -- figures of single images ----------------------------------------------------------------------------


def _of_images(job: Job, found: _Found) -> None:
    for name in (
        "psnr",
        "ssim",
        *(["niqe_fitted"] if "niqe_fit" in job.cell.inputs else []),
        *job.params["networks"],
    ):
        looked_at = job.params["images"]
        if name in BY_IMAGE and BY_IMAGE[name].most:
            looked_at = min(looked_at, BY_IMAGE[name].most)
        rows, found.failed[name] = spread(job, looked_at)
        references, images = (job.artefact(role).arrays["images"][rows] for role in ("originals", "images"))
        try:
            runner = _runner(job, name, rows)
        except MetricError as error:
            found.refused[name], found.recipes[name] = str(error), name
            continue
        found.recipes[name] = runner.recipe(*references.shape[1:3])
        if len(rows):
            job.context.report(0, 1, name)
            found.arrays[f"value:{name}"] = runner.measure(references, images).astype(np.float32)
            found.arrays[f"rows:{name}"] = rows


def spread(job: Job, most: int) -> tuple[Rows, int]:
    """At most so many faces, evenly spread over the pool: those that were protected, and how many not."""
    failed = job.artefact("images").arrays["failed"] | job.artefact("originals").arrays["failed"]
    chosen = np.linspace(0, len(failed) - 1, min(most, len(failed))).round().astype(np.int64)
    return chosen[~failed[chosen]], int(failed[chosen].sum())


def _runner(job: Job, name: str, rows: Rows) -> _Runner:
    if name == "psnr":
        return _Runner(psnr, lambda height, width: f"psnr:rgb,size={height}x{width},crop=0")
    if name == "ssim":
        window = f"window=gaussian{WINDOW}/{SIGMA:g}"
        return _Runner(ssim, lambda h, w: f"ssim:luma=bt601,{window},size={h}x{w},crop=0")
    if name == "niqe_fitted":
        return job.once("niqe_fitted", "niqe_fit", lambda: _fitted(job))
    if name in BACKBONES:
        return _lpips(job, name, rows)
    return job.recent.get(("quality", name), lambda: (_alone(job, name), 4_000_000))


def _fitted(job: Job) -> _Runner:
    from bench.quality.naturalness import FittedNiqe

    artefact = job.artefact("niqe_fit")
    arrays, facts = artefact.arrays, artefact.facts
    if "refused" in facts:
        raise MetricError(facts["refused"])
    model = Model(arrays["mean"], arrays["covariance"], facts["block"], facts["blocks"])
    source = f"model={facts['checksum'][:8]},of={facts['images']} originals of attack"
    niqe = FittedNiqe(model, source)
    return _Runner(lambda originals, protected: niqe(protected), niqe.recipe)


def _lpips(job: Job, name: str, rows: Rows) -> _Runner:
    """Keeps what it finds of the originals for the next cell, which compares with the same ones unless other
    faces failed."""
    lpips = job.recent.get(
        ("quality", name), lambda: (Lpips(_weights(job), name, job.context.device), 8_000_000)
    )

    def measure(originals: Images, protected: Images) -> NDArray[np.float32]:
        def make() -> tuple[Known, int]:
            known = lpips.known(originals)
            return known, known.size

        key = ("quality", name, job.cell.inputs["originals"], rows.tobytes().hex())
        return lpips(originals, protected, job.recent.get(key, make))

    return _Runner(measure, lpips.recipe)


def _alone(job: Job, name: str) -> _Runner:
    from bench.quality.naturalness import Niqe, PerceptualIndex

    alone = Niqe(_weights(job)) if name == "niqe" else PerceptualIndex(_weights(job))
    return _Runner(lambda originals, protected: alone(protected), alone.recipe)


def _weights(job: Job) -> WeightsFolder:
    if job.context.weights is None:
        raise Unavailable("no weights folder", "give --weights FOLDER or set BENCH_WEIGHTS")
    return job.context.weights


# -- distances of sets -----------------------------------------------------------------------------------


def _of_sets(job: Job, found: _Found) -> None:
    rows, failed = spread(job, job.params["set_images"])
    found.set_images = len(rows)
    found.failed |= dict.fromkeys(job.params["sets"], failed)
    for space, names in by_space(job.params["sets"]).items():
        found.recipes |= set_recipes(job, space, names)
        try:
            values, samples = set_distances(job, space, names, rows)
        except MetricError as error:
            found.refused |= dict.fromkeys(names, str(error))
            continue
        found.sets |= values
        found.arrays |= {f"samples:{name}": drawn for name, drawn in samples.items()}
