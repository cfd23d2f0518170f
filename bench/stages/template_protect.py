"""Stage `template_protect`: one variant of a template-level method over one matcher's embeddings."""

from __future__ import annotations

import numpy as np

from bench.cells import Job
from bench.components.embedding_method import EmbeddingMethod
from bench.stages.faces import faces_of
from bench.stages.protect import ready_method, told_faces
from bench.stages.template_fit import as_templates
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: method, source, settings, attributes, part, variant, seed. inputs: faces, vectors (an embed
    cell), fit unless the method learns nothing, and told, the labels it is told unless the true ones.

    vectors: float32 (N, D), unit length, NaN where the matcher or the method failed: as an embed cell's.
    """
    method = ready_method(job)
    assert isinstance(method, EmbeddingMethod)
    faces = told_faces(job, faces_of(job, "faces"))
    variant = method.variant(job.params["variant"])
    vectors = method.protect(
        as_templates(faces, job.artefact("vectors").arrays["vectors"]),
        variant,
        seed=job.params["seed"],
        device=job.environment.device,
    )
    return Artefact(
        {"vectors": vectors}, {"images": len(vectors), "lost": int(np.isnan(vectors[:, 0]).sum())}
    )
