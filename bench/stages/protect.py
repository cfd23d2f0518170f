"""Stage `protect`: one variant of a method over one pool, rounded to 8 bits."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from bench import shipped
from bench.cells import Job
from bench.components.method import Method
from bench.faces import Faces
from bench.stages.faces import faces_of
from bench.stages.fit import as_float, new_method
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: method, source, settings, attributes, part, variant, label_source, seed, weights (SHA-256 of
    shipped ones, or empty). inputs: faces, and fit unless the weights are shipped or nothing is learned."""
    method = job.once("method", "fit", lambda: _ready(job))
    faces = faces_of(job, "faces")
    variant = method.variant(job.params["variant"])
    started = time.perf_counter()
    result = method.protect(faces, variant, seed=job.params["seed"], device=job.environment.device)
    seconds = time.perf_counter() - started
    return Artefact(
        {"images": result.images, "failed": result.failed},
        {"images": len(faces), "failed": int(result.failed.sum()), "seconds": seconds},
    )


def _ready(job: Job) -> Method:
    method = new_method(job.params)
    assert isinstance(method, Method)
    if "fit" in job.cell.inputs:
        method.restore(as_float(dict(job.artefact("fit").arrays)))
    elif job.params["weights"]:
        method.restore(as_float(shipped.load(job.params["weights"])))
    return method


def protected_faces(job: Job, role: str, faces_role: str) -> tuple[Faces, np.ndarray]:
    """The faces of `faces_role` with the images of the protect cell `role`, and which of them failed."""
    artefact = job.artefact(role)
    faces = replace(faces_of(job, faces_role), images=artefact.arrays["images"])
    return faces, artefact.arrays["failed"]
