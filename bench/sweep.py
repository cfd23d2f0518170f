"""Several datasets in one run: all that there is to do as one plan, so that no place idles between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.cells import Source
from bench.costs.predict import priced
from bench.planning.plan import Plan
from bench.sources import sources


def swept(plans: Sequence[Plan]) -> Plan | None:
    """The cells and variants of all plans, each cell once, with the files of all datasets.

    None where two of them mean different files or options by one dataset: they run one after the other.
    """
    found: dict[str, Source] = {}
    for plan in plans:
        for name, source in sources(plan.config).items():
            if found.setdefault(name, source) != source:
                return None
    first, cells = plans[0], {}
    for plan in plans:
        cells.update(priced(plan).cells)
    subjects = [subject for plan in plans for subject in plan.subjects]
    return replace(first, cells=cells, subjects=subjects, sources=found)
