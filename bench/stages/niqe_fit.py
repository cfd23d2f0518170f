"""Stage `niqe_fit`: NIQE's model of pristine photographs, from the originals that attackers learn on."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.errors import MetricError
from bench.metrics.niqe import SMALLEST_BLOCK, Model, block_for, fit_niqe
from bench.stages.faces import faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: source. inputs: faces (of ATTACK: the model must not know who is scored).

    arrays: mean (36,), covariance (36, 36). facts: block in px, chosen by the size of the images; blocks and
    images behind the model; checksum of the arrays. Where the images are too small or too few there is the
    fact `refused` instead: why.
    """
    images = faces_of(job, "faces").images
    job.context.report(0, 1, "NIQE's model")
    try:
        model = _model(images)
    except MetricError as error:
        return Artefact({}, {"refused": str(error)})
    checksum = hashlib.sha256(np.concatenate([model.mean, model.covariance.ravel()]).tobytes()).hexdigest()
    facts = {"block": model.block, "blocks": model.n_blocks, "images": len(images), "checksum": checksum}
    return Artefact({"mean": model.mean, "covariance": model.covariance}, facts)


def _model(images: NDArray[np.uint8]) -> Model:
    height, width = images.shape[1:3]
    block = block_for(min(height, width))
    if not block:
        raise MetricError(
            f"{height}x{width} px are too small for NIQE: two blocks of {SMALLEST_BLOCK} px must fit in"
        )
    return fit_niqe(images, block)
