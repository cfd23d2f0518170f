"""Stage `oracle`: of several outputs of a method, the one that an attacker reads worst, face by face.

A bound: whoever protects the face would have to know the attacker and the true label.
"""

from __future__ import annotations

import numpy as np

from bench.cells import Job
from bench.stages.faces import faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: attribute. inputs: faces, member:<name> (attack cells of one attacker).

    scores:<attribute>: float32 (N, K) of the member with the smallest margin of the true class over the best
    other one (FlowSAN, eq. 8, for two classes); NaN where the label is unknown or no member has a score.
    """
    name = f"scores:{job.params['attribute']}"
    members = [
        found.arrays[name]
        for role in sorted(job.cell.inputs)
        if role.startswith("member:") and name in (found := job.artefact(role)).arrays
    ]
    if not members:
        return Artefact({}, {"members": 0})
    scores = np.stack(members)
    labels = faces_of(job, "faces").labels[job.params["attribute"]]
    known = np.isfinite(labels) & np.isfinite(scores).all(2).any(0)
    truth = np.where(known, labels, 0).astype(np.int64)
    rows = np.arange(len(labels))
    others = scores.copy()
    others[:, rows, truth] = -np.inf
    margin = scores[:, rows, truth] - others.max(2)
    best = np.where(np.isfinite(margin), margin, np.inf).argmin(0)
    chosen = scores[best, rows]
    chosen[~known] = np.nan
    return Artefact({name: chosen}, {"members": len(members)})
