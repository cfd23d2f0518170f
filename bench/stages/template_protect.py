"""Stage `template_protect`: one variant of a template-level method over one matcher's embeddings."""

from __future__ import annotations

import numpy as np

from bench.cells import Job
from bench.components.embedding_method import EmbeddingMethod
from bench.stages.fit import new_method
from bench.stages.template_fit import templates_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: method, source, settings, attributes, part, variant, label_source, seed. inputs: faces,
    vectors (an embed cell), and fit unless the method learns nothing.

    vectors: float32 (N, D), unit length, NaN where the matcher or the method failed: as an embed cell's.
    """
    method = job.once("template_method", "fit", lambda: _ready(job))
    variant = method.variant(job.params["variant"])
    vectors = method.protect(
        templates_of(job, "faces", "vectors"),
        variant,
        seed=job.params["seed"],
        device=job.environment.device,
    )
    return Artefact(
        {"vectors": vectors}, {"images": len(vectors), "lost": int(np.isnan(vectors[:, 0]).sum())}
    )


def _ready(job: Job) -> EmbeddingMethod:
    method = new_method(job.params)
    assert isinstance(method, EmbeddingMethod)
    if "fit" in job.cell.inputs:
        method.restore(dict(job.artefact("fit").arrays))
    return method
