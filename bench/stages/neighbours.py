"""Stage `neighbours` (rung A5): classes told from comparison scores with labelled protected templates."""

from __future__ import annotations

import numpy as np

from bench.cells import Job
from bench.stages.distinct import distinct
from bench.stages.faces import attributes_of, faces_of
from bench.stages.reading import here, known, placed
from bench.stages.scores import packed
from bench.store import Artefact
from bench.threats.neighbours import fit_neighbours, neighbour_scores

VERSION = 1


def run(job: Job) -> Artefact:
    """params: hunted, level, seed, source, units (none). inputs: as of `aware`.

    scores:neighbours@<extractor>:<attribute>: float32 (N, K) of TEST.
    """
    people, mine, theirs = faces_of(job, "known"), known(job), here(job)
    classes = {a.name: len(a.classes) for a in attributes_of(job.params["hunted"])}
    table = {}
    for extractor, vectors in mine.vectors.items():
        learned = np.isfinite(vectors).all(axis=1)
        rows = np.asarray(np.isfinite(theirs.vectors[extractor]).all(axis=1))
        targets = theirs.vectors[extractor][rows]
        first, inverse = distinct([targets])
        attacks = fit_neighbours(
            vectors[learned],
            people.identities[learned],
            {name: people.labels[name][learned] for name in classes},
            classes,
        )
        table[f"neighbours@{extractor}"] = placed(neighbour_scores(attacks, targets[first]), rows, inverse)
    return packed(table, {})
