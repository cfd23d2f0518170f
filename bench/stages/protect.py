"""Stage `protect`: one variant of a method over one pool, rounded to 8 bits."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import shipped
from bench.cells import Job
from bench.components.method import Method
from bench.components.method_base import AnyMethod
from bench.faces import Faces
from bench.stages.faces import faces_of
from bench.stages.fit import as_float, new_method
from bench.stages.inference import hook_through, told_of
from bench.store import Artefact, digest

VERSION = 2
_REPEATED = 4
"""Faces that are protected twice, to see whether the method says the same both times."""


def run(job: Job) -> Artefact:
    """params: method, source, settings, attributes, part, variant, seed, weights (SHA-256 of shipped ones, or
    empty), inference where it is not exact. inputs: faces; fit unless the weights are shipped or nothing is
    learned; told, the labels the method is told unless the true ones.

    facts: seconds; unchanged, how many images equal their original; repeatable, whether the first faces came
    out the same a second time; inference, the paths that were taken where it is not exact.
    """
    method = ready_method(job)
    assert isinstance(method, Method)
    faces = told_faces(job, faces_of(job, "faces"))
    variant = method.variant(job.params["variant"])
    through = hook_through(job, method, variant)
    how: dict[str, Any] = {"seed": job.params["seed"], "device": job.environment.device, "through": through}
    started = time.perf_counter()
    result = method.protect(faces, variant, **how)
    seconds = time.perf_counter() - started
    again = method.protect(faces.take(slice(0, _REPEATED)), variant, **how)
    return Artefact(
        {"images": result.images, "failed": result.failed},
        {
            "images": len(faces),
            "failed": int(result.failed.sum()),
            "unchanged": int((result.images == faces.images).all(axis=(1, 2, 3))[~result.failed].sum()),
            "repeatable": _alike(again.images, result.images[:_REPEATED]),
            "seconds": seconds,
            **told_of(through),
        },
    )


def _alike(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> bool:
    """Equal but for rounding: another batch may round a pixel the other way."""
    return bool((np.abs(one.astype(np.int16) - other) <= 1).all())


def told_faces(job: Job, faces: Faces) -> Faces:
    """`faces` with the labels that the method is told."""
    if "told" not in job.cell.inputs:
        return faces
    labels = {
        name.removeprefix("label:"): values
        for name, values in job.artefact("told").arrays.items()
        if name.startswith("label:")
    }
    return replace(faces, labels={**faces.labels, **labels})


def ready_method(job: Job) -> AnyMethod:
    """The method of the cell, of either level, with what it learned or with shipped weights."""
    p = job.params
    weights = p.get("weights", "")

    def ready() -> tuple[AnyMethod, int]:
        method = new_method(p)
        if "fit" in job.cell.inputs:
            method.restore(as_float(dict(job.artefact("fit").arrays)))
        elif weights:
            method.restore(as_float(shipped.load(weights)))
        return method, 4_000_000

    learned = job.cell.inputs.get("fit", weights)
    what = digest({k: p[k] for k in ("method", "settings", "attributes", "part")})
    return job.recent.get(("method", learned, what), ready)


def protected_faces(job: Job, role: str, faces_role: str) -> tuple[Faces, np.ndarray]:
    """The faces of `faces_role` with the images of the protect cell `role`, and which of them failed."""
    artefact = job.artefact(role)
    faces = replace(faces_of(job, faces_role), images=artefact.arrays["images"])
    return faces, artefact.arrays["failed"]
