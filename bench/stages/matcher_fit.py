"""Stage `matcher_fit`: trains a matcher on the identities of ATTACK, or takes weights that ship."""

from __future__ import annotations

from bench import discover, shipped
from bench.cells import Job
from bench.stages.faces import acquired_faces_of
from bench.stages.fit import as_float
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: matcher, source, settings, seed, weights (SHA-256 of shipped ones, if they fit). inputs: faces
    (ATTACK) unless the weights ship."""
    if weights := job.params.get("weights"):
        return Artefact(as_float(shipped.load(weights)), {"figures": {}})
    matcher = discover.load_class("matcher", job.params["matcher"])(**job.params["settings"])
    figures = matcher.fit(acquired_faces_of(job, "faces"), job.context)
    return Artefact(matcher.state(), {"figures": figures})
