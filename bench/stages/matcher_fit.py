"""Stage `matcher_fit`: trains a matcher on the identities of ATTACK."""

from __future__ import annotations

from bench import discover
from bench.cells import Job
from bench.stages.faces import acquired_faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: matcher, source, settings, seed. inputs: faces (ATTACK)."""
    matcher = discover.load_class("matcher", job.params["matcher"])(**job.params["settings"])
    figures = matcher.fit(acquired_faces_of(job, "faces"), job.context)
    return Artefact(matcher.state(), {"figures": figures})
