"""Stage `pooled` (rung A3): what attackers that learned on all outputs say of one of them."""

from __future__ import annotations

from bench.cells import Job
from bench.components.attacker import Attacker
from bench.stages.faces import attributes_of
from bench.stages.pooled_fit import states
from bench.stages.reading import here, new_attackers, read
from bench.stages.scores import packed
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: units, hunted. inputs: faces (TEST), images and here:<extractor> of the output, fit (a
    `pooled_fit` cell).

    scores:<attacker>:<attribute>: float32 (N, K) of TEST.
    """
    units = job.params["units"]

    def ready() -> tuple[dict[str, Attacker], int]:
        learned = job.artefact("fit").arrays
        fitted = states(learned)
        attackers = new_attackers({name: units[name] for name in fitted})
        for name, state in fitted.items():
            attackers[name].restore(state)
        return attackers, sum(values.nbytes for values in learned.values())

    attackers = job.recent.get(("pooled", job.cell.inputs["fit"]), ready)
    table, silent = read(attackers, units, here(job), job.context)
    lost = job.artefact("fit").facts["lost"] | silent
    return packed(table, lost, attributes_of(job.params["hunted"]))
