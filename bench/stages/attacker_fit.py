"""Stage `attacker_fit`: trains an attacker on ATTACK, on images or on a matcher's embeddings of them."""

from __future__ import annotations

import numpy as np

from bench import discover
from bench.cells import Job
from bench.stages.faces import attributes_of, faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: attacker, source, settings, attributes, seed. inputs: faces (ATTACK), embeddings of them
    unless it
    reads images."""
    attacker = discover.load_class("attacker", job.params["attacker"])(**job.params["settings"])
    faces = faces_of(job, "faces")
    rows = faces.acquired
    if "embeddings" in job.cell.inputs:
        vectors = job.artefact("embeddings").arrays["vectors"]
        rows = np.isfinite(vectors).all(axis=1)
        inputs = vectors[rows]
    else:
        inputs = faces.take(rows)
    figures = attacker.fit(
        inputs,
        {name: values[rows] for name, values in faces.labels.items()},
        attributes_of(job.params["attributes"]),
        job.context,
    )
    return Artefact(attacker.state(), {"figures": figures, "samples": int(rows.sum())})
