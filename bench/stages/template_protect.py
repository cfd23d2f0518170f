"""Stage `template_protect`: one variant of a template-level method over one matcher's embeddings."""

from __future__ import annotations

import numpy as np

from bench.cells import Job
from bench.components.embedding_method import EmbeddingMethod
from bench.stages.faces import faces_of
from bench.stages.fit import new_method
from bench.stages.protect import told_faces
from bench.stages.template_fit import as_templates
from bench.store import Artefact, digest

VERSION = 1


def run(job: Job) -> Artefact:
    """params: method, source, settings, attributes, part, variant, seed. inputs: faces, vectors (an embed
    cell), fit unless the method learns nothing, and told, the labels it is told unless the true ones.

    vectors: float32 (N, D), unit length, NaN where the matcher or the method failed: as an embed cell's.
    """
    method = ready_template_method(job)
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


def ready_template_method(job: Job) -> EmbeddingMethod:
    """The template-level method of the cell, with what it learned."""

    def ready() -> tuple[EmbeddingMethod, int]:
        method = new_method(job.params)
        assert isinstance(method, EmbeddingMethod)
        if "fit" in job.cell.inputs:
            method.restore(dict(job.artefact("fit").arrays))
        return method, 4_000_000

    p = job.params
    what = digest({k: p[k] for k in ("method", "settings", "attributes", "part")})
    return job.recent.get(("template_method", job.cell.inputs.get("fit", ""), what), ready)
