"""Rows of the attackers' ladder on one hidden attribute: every rung, and the worst of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.errors import MetricError
from bench.faces import Attribute
from bench.ladder import STATIC, WORST
from bench.metrics.uncertainty import worst_case
from bench.results import Row
from bench.scoring.privacy import Judged, Reading, judge, obfuscated_rows, strongest_rows
from bench.scoring.rows import POOL, Population, RowMaker

ADAPTIVE_GAP = "adaptive_gap"
_GAP = 0.05
"""Leak beyond the static attackers' that is flagged when adaptive ones find it in 97.5 % of the resamples."""


def ladder_rows(
    make: RowMaker,
    attribute: Attribute,
    labels: NDArray[np.floating],
    rungs: Mapping[str, Sequence[Reading]],
    people: Population,
) -> list[Row]:
    """labels: float (N,), NaN where unknown. rungs: rung -> what its attackers say; one without attackers
    gives no rows.

    The worst case counts every attacker of the adaptive rungs, which learned on protected faces, and those of
    `static` that can read originals; the maximum over all of them is taken inside each resample.
    """
    rows: list[Row] = []
    candidates: list[tuple[str, Judged]] = []
    for rung, readings in rungs.items():
        here = replace(make, template=replace(make.template, threat=rung))
        try:
            judged = [judge(reading, labels, people) for reading in readings]
        except MetricError as error:
            shared = {"component": POOL, "component_kind": "attacker", "attribute": attribute.name}
            rows.append(here.undefined("leak", str(error), **shared))
            continue
        if judged:
            rows += obfuscated_rows(here, attribute, judged, people, adaptive=rung != STATIC)
            candidates += [(rung, one) for one in judged if rung != STATIC or one.reads]
    return rows + _worst_rows(make, attribute, candidates)


def _worst_rows(make: RowMaker, attribute: Attribute, candidates: Sequence[tuple[str, Judged]]) -> list[Row]:
    here = replace(make, template=replace(make.template, threat=WORST))
    shared = {"component": POOL, "component_kind": "attacker", "attribute": attribute.name}
    if not candidates:
        return [here.undefined("leak", f"no attacker reads {attribute.name}", **shared)]
    rung, strongest = max(candidates, key=lambda found: found[1].leak)
    columns = {
        **shared,
        "n": len(strongest.labels),
        "n_failed": max(one.n_failed for _, one in candidates),
        "flags": ADAPTIVE_GAP if _gap(candidates) else "",
    }
    everybody = [one for _, one in candidates]
    return strongest_rows(here, everybody, columns, where=f", {rung}")


def _gap(candidates: Sequence[tuple[str, Judged]]) -> bool:
    """Whether the adaptive attackers read clearly more than the static ones."""
    static = [one.roc.leak for rung, one in candidates if rung == STATIC]
    adaptive = [one.roc.leak for rung, one in candidates if rung != STATIC]
    if not static or not adaptive:
        return False
    gain = worst_case(adaptive) - worst_case(static)
    return bool(np.nanpercentile(gain, 2.5) > _GAP)
