"""Stage `folded` (rung A1): the static attackers, free to invert their answers and move thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.attacker import Scores
from bench.faces import Attribute, most_people
from bench.stages.faces import attributes_of, faces_of
from bench.stages.reading import known, read, static_attackers
from bench.stages.scores import packed, said_by_static
from bench.store import Artefact
from bench.threats.folding import Recalibration
from bench.threats.line import Line

VERSION = 1
PEOPLE_WITH = 250
"""Faces of ATTACK, by whole people, on which answers are set right: a sign and a threshold need no more."""


def run(job: Job) -> Artefact:
    """params: units, hunted, level, seed, source. inputs: faces (TEST), attack:<reader>, what the static
    attackers say of them; known (people of ATTACK), known:<extractor> and known_images; fit:<attacker>.

    scores:<attacker>:<attribute>: float32 (N, K) of TEST, set right on protected faces of ATTACK.
    """
    people = faces_of(job, "known")
    some = most_people(people.identities, PEOPLE_WITH)
    learned, lost = read(static_attackers(job), job.params["units"], known(job).take(some), job.context)
    found = said_by_static(job)
    table = {}
    for name in sorted(learned.keys() & found.keys()):
        table[name] = {
            a.name: _set_right(learned[name], found[name], a, people.labels[a.name][some])
            for a in attributes_of(job.params["hunted"])
            if a.name in found[name]
        }
    return packed(table, lost)


def _set_right(
    learned: Scores, scores: Scores, attribute: Attribute, labels: NDArray[np.float32]
) -> NDArray[np.float32]:
    seen, said = learned[attribute.name], scores[attribute.name]
    answered = np.isfinite(seen).all(axis=1)
    found = np.full_like(said, np.nan)
    rows = np.isfinite(said).all(axis=1)
    if attribute.is_number:
        found[rows] = Line.fit(seen[answered, 0], labels[answered]).apply(said[rows])
    else:
        found[rows] = Recalibration.fit(seen[answered], labels[answered]).apply(said[rows])
    return found
