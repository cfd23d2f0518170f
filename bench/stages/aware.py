"""Stage `aware` (rung A2): attackers learned anew on what a variant makes of other people."""

from __future__ import annotations

from bench.cells import Job
from bench.stages.faces import attributes_of, faces_of
from bench.stages.reading import here, known, learn, new_attackers, read
from bench.stages.scores import packed
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: units, hunted (attributes), level, seed. inputs: faces (TEST) and known (people of ATTACK), and
    of both what the variant makes of them: images and known_images, here:<extractor> and known:<extractor>.

    scores:<attacker>:<attribute>: float32 (N, K) of TEST.
    """
    units = job.params["units"]
    attributes = attributes_of(job.params["hunted"])
    labels = faces_of(job, "known").labels
    attackers, lost = learn(new_attackers(units), units, known(job), labels, attributes, job.context)
    table, silent = read(attackers, units, here(job), job.context)
    return packed(table, lost | silent)
