"""Stage `pairs`: the comparisons that a dataset's publisher lists, as rows of its TEST faces."""

from __future__ import annotations

from bench.cells import Job
from bench.stages.faces import faces_of, opened
from bench.store import Artefact

VERSION = 2


def run(job: Job) -> Artefact:
    """params: dataset, source, size, seed, list (SHA-256 of what is listed). inputs: faces (TEST).

    rows: int64 (P, 2). fold: int64 (P,).
    """
    listed = opened(job).pairs()
    rows = listed.rows(faces_of(job, "faces").keys)
    return Artefact({"rows": rows, "fold": listed.fold}, {"pairs": len(rows)})
