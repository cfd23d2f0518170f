"""Stage `pairs`: the comparisons that a dataset's publisher lists, as rows of its TEST faces."""

from __future__ import annotations

from bench.cells import Job
from bench.sources import open_dataset
from bench.stages.faces import faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: dataset, source, size, seed, list (SHA-256 of what is listed). inputs: faces (TEST).

    rows: int64 (P, 2). mated: bool (P,). fold: int64 (P,).
    """
    p = job.params
    dataset = open_dataset(
        p["dataset"],
        job.environment.sources[p["dataset"]],
        size=p["size"],
        seed=p["seed"],
        weights=job.context.weights,
    )
    listed = dataset.pairs()
    rows = listed.rows(faces_of(job, "faces").keys)
    return Artefact({"rows": rows, "mated": listed.mated, "fold": listed.fold}, {"pairs": len(rows)})
