"""Stage `oracle`: of several outputs of a method, the one that an attacker reads worst, face by face.

A bound: whoever protects the face would have to know the attacker and the true label.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.attacker import Scores
from bench.stages.faces import faces_of
from bench.stages.scores import packed, unpacked
from bench.store import Artefact

VERSION = 2


def run(job: Job) -> Artefact:
    """params: attribute. inputs: faces, member:<name> (attack cells of the same attackers).

    scores:<attacker>:<attribute>: float32 (N, K) of the member with the smallest margin of the true class
    over the best other one (FlowSAN, eq. 8, for two classes); NaN where the label is unknown or no member has
    a score.
    """
    attribute = job.params["attribute"]
    members = [unpacked(job.artefact(r)) for r in sorted(job.cell.inputs) if r.startswith("member:")]
    labels = faces_of(job, "faces").labels[attribute]
    table: dict[str, Scores] = {}
    for attacker in members[0]:
        found = [m[attacker][attribute] for m in members if attribute in m.get(attacker, {})]
        if found:
            table[attacker] = {attribute: _worst_read(np.stack(found), labels)}
    return packed(table, {}, members=len(members))


def _worst_read(scores: NDArray[np.float32], labels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of scores (members, N, K) those with the smallest margin of the true class, (N, K)."""
    known = np.isfinite(labels) & np.isfinite(scores).all(2).any(0)
    truth = np.where(known, labels, 0).astype(np.int64)
    rows = np.arange(len(labels))
    others = scores.copy()
    others[:, rows, truth] = -np.inf
    margin = scores[:, rows, truth] - others.max(2)
    best = np.where(np.isfinite(margin), margin, np.inf).argmin(0)
    chosen: NDArray[np.float32] = scores[best, rows]
    chosen[~known] = np.nan
    return chosen
