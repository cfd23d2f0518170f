"""Stage `embed`: a matcher's embeddings of one set of images, each image once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench import discover
from bench.cells import Job
from bench.components.base import Context
from bench.components.matcher import Matcher
from bench.faces import Faces
from bench.stages.distinct import distinct_faces
from bench.stages.faces import faces_of
from bench.stages.inference import network_through, told_of
from bench.stages.protect import protected_faces
from bench.store import Artefact, digest

VERSION = 2


def run(job: Job) -> Artefact:
    """params: matcher, source, settings, inference where it is not exact. inputs: faces; images (a protect
    cell, else the faces' own); fit when trained.

    vectors: float32 (N, D), unit length, NaN where the method or the matcher failed.
    """
    matcher = ready_matcher(job, job.params, "fit")
    if "images" in job.cell.inputs:
        faces, failed = protected_faces(job, "images", "faces")
    else:
        faces = faces_of(job, "faces")
        failed = ~faces.acquired
    through = network_through(job, matcher)
    context = replace(job.context, through=through) if through else job.context
    vectors = embedded(matcher, faces, failed, context)
    lost = int(np.isnan(vectors[:, 0]).sum())
    return Artefact({"vectors": vectors}, {"images": len(faces), "lost": lost, **told_of(through)})


def embedded(matcher: Matcher, faces: Faces, failed: NDArray[np.bool_], ctx: Context) -> NDArray[np.float32]:
    """Embeddings float32 (N, D) of faces, NaN where `failed` (N,) or the matcher did. Equal faces get equal
    embeddings."""
    some, inverse = distinct_faces(faces.take(~failed), aligned=matcher.pretrained is not None)
    found = matcher.embed(some, ctx)
    vectors = np.full((len(faces), found.shape[1]), np.nan, np.float32)
    vectors[~failed] = found[inverse]
    return vectors


def ready_matcher(job: Job, identity: Mapping[str, Any], fit: str) -> Matcher:
    """A matcher as `identity` (matcher, settings) describes it, with what it learned in the input `fit`, if
    there is one."""

    def ready() -> tuple[Matcher, int]:
        matcher: Matcher = discover.load_class("matcher", identity["matcher"])(**identity["settings"])
        if fit in job.cell.inputs:
            matcher.restore(dict(job.artefact(fit).arrays))
        matcher.prepare(job.context)
        return matcher, 4_000_000

    what = job.cell.inputs.get(fit, "") or digest(identity)
    return job.recent.get(("matcher", what), ready)
