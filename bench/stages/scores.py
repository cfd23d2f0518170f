"""Scores of several attackers as one artefact."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.faces import Attribute
from bench.store import Artefact

Table = dict[str, dict[str, NDArray[np.float32]]]
"""Attacker as in the run (`svm@se_resnet`) -> attribute -> scores float32 (N, K), NaN where not acquired."""

ATTACKED = "attacked"
IMAGES = "images"
"""The reader of attackers that look at images; the other readers are extractors."""
NUMBERS = "numbers:"
"""Before the name of a rung: its cell of the attackers that estimate numbers."""


def packed(
    table: Table,
    lost: Mapping[str, str],
    attributes: Sequence[Attribute] | None = None,
    attacked: NDArray[np.bool_] | None = None,
    **facts: Any,
) -> Artefact:
    """Scores as an artefact, arrays `scores:<attacker>:<attribute>`, and facts: lost, attackers that failed
    and why. attributes: only those. attacked: bool (N,), which faces were tried at all; None: all."""
    wanted = None if attributes is None else {a.name for a in attributes}
    arrays: dict[str, NDArray[Any]] = {
        f"scores:{name}:{attribute}": values
        for name, scores in table.items()
        for attribute, values in scores.items()
        if wanted is None or attribute in wanted
    }
    tried = {} if attacked is None else {ATTACKED: attacked}
    return Artefact({**arrays, **tried}, {"attackers": sorted(table), "lost": dict(lost), **facts})


def unpacked(artefact: Artefact) -> Table:
    """Inverse of `packed`."""
    table: Table = {}
    for name, values in artefact.arrays.items():
        if name.startswith("scores:"):
            _, attacker, attribute = name.split(":")
            table.setdefault(attacker, {})[attribute] = values
    return table


def said_by_static(job: Job, prefix: str = "") -> Table:
    """What the static attackers said, of the subject or (prefix `original:`) of the originals."""
    table: Table = {}
    for role in job.cell.inputs:
        if role.startswith(f"{prefix}attack:"):
            table |= unpacked(job.artefact(role))
    return table


def by_reader(units: Mapping[str, Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[str]]:
    """Reader (an extractor, or `IMAGES`) -> those of `names` that look through it."""
    readers: dict[str, list[str]] = {}
    for name in names:
        readers.setdefault(units[name]["extractor"] or IMAGES, []).append(name)
    return readers
