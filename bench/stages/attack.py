"""Stage `attack`: an attacker's scores for one set of images."""

from __future__ import annotations

import numpy as np

from bench import discover
from bench.cells import Job
from bench.components.attacker import Attacker
from bench.stages.distinct import distinct, distinct_faces
from bench.stages.protect import protected_faces
from bench.store import Artefact

VERSION = 2


def run(job: Job) -> Artefact:
    """params: attacker, source, settings. inputs: faces, images (a protect cell), embeddings of them unless
    it
    reads images, fit when trained.

    scores:<attribute>: float32 (N, K), NaN where the method or the extractor failed.
    """
    attacker = job.once("attacker", "fit", lambda: _ready(job))
    if "embeddings" in job.cell.inputs:
        vectors = job.artefact("embeddings").arrays["vectors"]
        rows = np.isfinite(vectors).all(axis=1)
        first, inverse = distinct([vectors[rows]])
        found = attacker.scores(vectors[rows][first], job.context)
    else:
        faces, failed = protected_faces(job, "images", "faces")
        rows = ~failed
        some, inverse = distinct_faces(faces.take(rows), aligned=attacker.pretrained is not None)
        found = attacker.scores(some, job.context)
    arrays = {}
    for name, values in found.items():
        arrays[f"scores:{name}"] = np.full((len(rows), values.shape[1]), np.nan, np.float32)
        arrays[f"scores:{name}"][rows] = values[inverse]
    return Artefact(arrays, {"images": len(rows), "lost": int((~rows).sum())})


def _ready(job: Job) -> Attacker:
    attacker: Attacker = discover.load_class("attacker", job.params["attacker"])(**job.params["settings"])
    if "fit" in job.cell.inputs:
        attacker.restore(dict(job.artefact("fit").arrays))
    attacker.prepare(job.context)
    return attacker
