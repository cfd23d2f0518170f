"""Stage `embed`: a matcher's embeddings of one set of images, each image once."""

from __future__ import annotations

import numpy as np

from bench import discover
from bench.cells import Job
from bench.components.matcher import Matcher
from bench.stages.distinct import distinct_faces
from bench.stages.faces import faces_of
from bench.stages.protect import protected_faces
from bench.store import Artefact

VERSION = 2


def run(job: Job) -> Artefact:
    """params: matcher, source, settings. inputs: faces; images (a protect cell, else the faces' own); fit
    when trained.

    vectors: float32 (N, D), unit length, NaN where the method or the matcher failed.
    """
    matcher = job.once("matcher", "fit", lambda: _ready(job))
    if "images" in job.cell.inputs:
        faces, failed = protected_faces(job, "images", "faces")
    else:
        faces = faces_of(job, "faces")
        failed = np.zeros(len(faces), bool)
    some, inverse = distinct_faces(faces.take(~failed), aligned=matcher.pretrained is not None)
    found = matcher.embed(some, job.context)
    vectors = np.full((len(faces), found.shape[1]), np.nan, np.float32)
    vectors[~failed] = found[inverse]
    lost = int(np.isnan(vectors[:, 0]).sum())
    return Artefact({"vectors": vectors}, {"images": len(faces), "lost": lost})


def _ready(job: Job) -> Matcher:
    matcher: Matcher = discover.load_class("matcher", job.params["matcher"])(**job.params["settings"])
    if "fit" in job.cell.inputs:
        matcher.restore(dict(job.artefact("fit").arrays))
    matcher.prepare(job.context)
    return matcher
