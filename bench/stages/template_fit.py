"""Stage `template_fit`: fits a template-level method to one matcher's embeddings of DEVELOP."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.embedding_method import EmbeddingMethod, Templates
from bench.faces import Faces
from bench.stages.faces import faces_of
from bench.stages.fit import new_method
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: method, source, settings, attributes, part, seed. inputs: develop, validation and for each of
    them its embeddings, develop_vectors and validation_vectors. Faces without embedding are left out."""
    method = new_method(job.params)
    assert isinstance(method, EmbeddingMethod)
    pools = [acquired(templates_of(job, role, f"{role}_vectors")) for role in ("develop", "validation")]
    figures = method.fit(pools[0], pools[1], job.context)
    return Artefact(method.state(), {"figures": figures, "templates": [len(pool) for pool in pools]})


def templates_of(job: Job, faces_role: str, vectors_role: str) -> Templates:
    """The embeddings of `vectors_role` with what is known of the faces of `faces_role`; NaN rows stay."""
    return as_templates(faces_of(job, faces_role), job.artefact(vectors_role).arrays["vectors"])


def as_templates(faces: Faces, vectors: NDArray[np.float32]) -> Templates:
    """Embeddings of faces, with what is known of these."""
    return Templates(vectors, faces.identities, faces.keys, faces.labels, faces.attributes)


def acquired(templates: Templates) -> Templates:
    """Those that have an embedding."""
    return templates.take(np.flatnonzero(np.isfinite(templates.vectors).all(axis=1)))
