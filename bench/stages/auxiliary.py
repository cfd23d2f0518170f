"""Stage `auxiliary`: one of the networks that methods train against, learned on DEVELOP."""

from __future__ import annotations

from bench import auxiliaries
from bench.cells import Job
from bench.stages.faces import acquired_faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: network, source, pretrained (SHA-256 or empty), seed. inputs: develop, validation."""
    state, figures = auxiliaries.train_network(
        job.params["network"],
        acquired_faces_of(job, "develop"),
        acquired_faces_of(job, "validation"),
        job.context,
    )
    return Artefact(state, {"figures": figures})
