"""Stage `attack`: what the static attackers of one reader (an extractor, or the images) say of one set of
faces."""

from __future__ import annotations

from bench.cells import Job
from bench.stages.protect import protected_faces
from bench.stages.reading import Material, read, static_attackers
from bench.stages.scores import IMAGES, packed
from bench.store import Artefact

VERSION = 3


def run(job: Job) -> Artefact:
    """params: units. inputs: faces; images (a protect cell) or embeddings of them; fit:<attacker>, those
    that could be trained.

    scores:<attacker>:<attribute>: float32 (N, K), NaN where the method or the extractor failed.
    """
    units = job.params["units"]
    if IMAGES in job.cell.inputs:
        faces, failed = protected_faces(job, IMAGES, "faces")
        seen = Material({}, faces, failed)
    else:
        extractor = next(iter(units.values()))["extractor"]
        seen = Material({extractor: job.artefact("embeddings").arrays["vectors"]})
    return packed(*read(static_attackers(job), units, seen, job.context))
