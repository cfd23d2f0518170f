"""Stage `folded` (rung A1): the static attackers, free to invert their answers and move thresholds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.attacker import Scores
from bench.faces import most_people
from bench.stages.faces import attributes_of, faces_of
from bench.stages.reading import here, known, read, static_attackers
from bench.stages.scores import packed
from bench.store import Artefact
from bench.threats.folding import Recalibration

VERSION = 1
PEOPLE_WITH = 250
"""Faces of ATTACK, by whole people, on which answers are set right: a sign and a threshold need no more."""


def run(job: Job) -> Artefact:
    """params: units, hunted, level, seed, source. inputs: as of `aware`, and fit:<attacker>.

    scores:<attacker>:<attribute>: float32 (N, K) of TEST, set right on protected faces of ATTACK.
    """
    units, ctx = job.params["units"], job.context
    attackers = static_attackers(job)
    people = faces_of(job, "known")
    some = most_people(people.identities, PEOPLE_WITH)
    learned, lost = read(attackers, units, known(job).take(some), ctx)
    found, silent = read(attackers, units, here(job), ctx)
    table = {}
    for name in sorted(learned.keys() & found.keys()):
        table[name] = {
            a.name: _set_right(learned[name], found[name], a.name, people.labels[a.name][some])
            for a in attributes_of(job.params["hunted"])
            if a.name in found[name]
        }
    return packed(table, lost | silent)


def _set_right(
    learned: Scores, scores: Scores, attribute: str, labels: NDArray[np.float32]
) -> NDArray[np.float32]:
    answered = np.isfinite(learned[attribute]).all(axis=1)
    rule = Recalibration.fit(learned[attribute][answered], labels[answered])
    found = np.full_like(scores[attribute], np.nan)
    rows = np.isfinite(scores[attribute]).all(axis=1)
    found[rows] = rule.apply(scores[attribute][rows])
    return found
