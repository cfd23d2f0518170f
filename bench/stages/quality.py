"""Stage `quality`: distances of protected images from their originals, and how natural they look by
themselves."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.base import Context
from bench.errors import Unavailable
from bench.metrics.quality import psnr, ssim
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: images (how many LPIPS and NIQE look at), networks, source. inputs: faces, images, originals.

    value:<metric>: float32 (M,) for the faces `rows` (M,), spread evenly over the pool, failed ones left out.
    """
    protected, originals = job.artefact("images"), job.artefact("originals")
    failed = protected.arrays["failed"] | originals.arrays["failed"]
    chosen = np.linspace(0, len(failed) - 1, min(job.params["images"], len(failed))).round().astype(np.int64)
    rows = chosen[~failed[chosen]]
    images, references = protected.arrays["images"][rows], originals.arrays["images"][rows]
    arrays: dict[str, NDArray[Any]] = {"rows": rows}
    recipes = {"psnr": "rgb", "ssim": "gaussian11"}
    if len(rows):
        arrays["value:psnr"] = psnr(references, images).astype(np.float32)
        arrays["value:ssim"] = ssim(references, images).astype(np.float32)
        for name in job.params["networks"]:
            job.context.report(0, 1, name)
            measure, recipes[name] = job.recent.get(("quality", name), partial(_kept, name, job.context))
            arrays[f"value:{name}"] = measure(references, images).astype(np.float32)
    return Artefact(arrays, {"recipes": recipes, "failed": int(failed[chosen].sum())})


def _kept(name: str, context: Context) -> tuple[tuple[Any, str], int]:
    return _network(name, context), 0


def _network(name: str, context: Context) -> tuple[Any, str]:
    """(originals, protected) -> a value an image, and the recipe behind it."""
    from bench.quality_networks import Lpips, Niqe

    if context.weights is None:
        raise Unavailable("no weights folder", "give --weights FOLDER or set BENCH_WEIGHTS")
    if name == "lpips":
        lpips = Lpips(context.weights)
        return lpips, lpips.recipe
    niqe = Niqe(context.weights)
    return (lambda originals, protected: niqe(protected)), niqe.recipe
