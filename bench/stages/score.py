"""Stage `score`: all rows of one subject, from what the other stages stored."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np

from bench.cells import Job
from bench.errors import MetricError
from bench.metrics.uncertainty import identity_weights
from bench.results import Row
from bench.scoring.matching import Matched, matching_rows
from bench.scoring.privacy import Reading, kept_rows, obfuscated_rows
from bench.scoring.quality import quality_rows
from bench.scoring.rows import Population, RowMaker
from bench.stages.faces import attributes_of, faces_of
from bench.store import Artefact

VERSION = 1


def run(job: Job) -> Artefact:
    """params: what the subject is, what was set on it, resamples, seed. inputs: faces, images, and, as far
    as they
    succeeded, attack:<attacker>, match:<matcher>, quality, and the same of the originals as original:<role>.

    facts: rows. arrays: `curve:<matcher>:<condition>` (2, points), FMR and TMR.
    """
    p = job.params
    faces = faces_of(job, "faces")
    draw = identity_weights(faces.identities, p["resamples"], p["seed"])
    people = Population(faces.identities, draw)
    make = RowMaker(_template(job), len(draw.identities))
    rows = _privacy(job, make, people) + _matching(job, make) + _quality(job, make, people)
    arrays = {}
    for name in p["matchers"]:
        if (role := f"match:{name}") in job.cell.inputs:
            for key, points in job.artefact(role).arrays.items():
                if key.startswith("curve:"):
                    arrays[f"curve:{name}:{key.removeprefix('curve:')}"] = points
    return Artefact(arrays, {"rows": [asdict(row) for row in rows]})


def _template(job: Job) -> Row:
    p = job.params
    return Row(
        method=p["method"],
        variant=p["variant"],
        method_role=p["method_role"],
        dataset=p["dataset"],
        metric="",
        value=None,
        label_source=p["label_source"],
        level=p["level"],
        threat=p["threat"],
        flags=p["flags"],
        seed=p["seed"],
        cell=job.cell.key,
        n_failed=_failed(job),
    )


def _failed(job: Job) -> int | None:
    """Faces that the method could not protect; unknown for templates, where each matcher has its own."""
    return int(job.artefact("images").arrays["failed"].sum()) if "images" in job.cell.inputs else None


def _privacy(job: Job, make: RowMaker, people: Population) -> list[Row]:
    p = job.params
    faces = faces_of(job, "faces")
    rows: list[Row] = []
    for attribute in attributes_of(p["attributes"]):
        role = "obfuscated" if attribute.name in p["obfuscates"] else "kept"
        if role == "kept" and attribute.name not in p["kept"]:
            continue  # another name for something this variant hides: neither hidden nor kept
        readings = _readings(job, attribute.name)
        template = replace(make.template, attribute=attribute.name, role=role, component_kind="attacker")
        here = replace(make, template=template)
        rule = obfuscated_rows if role == "obfuscated" else kept_rows
        try:
            rows += rule(here, attribute, faces.labels[attribute.name], readings, people)
        except MetricError as error:
            metric = "leak" if role == "obfuscated" else "cac"
            rows.append(here.undefined(metric, str(error), component="pool"))
    return rows


def _readings(job: Job, attribute: str) -> list[Reading]:
    found = []
    for attacker in job.params["attackers"]:
        role = f"attack:{attacker}"
        if role in job.cell.inputs and f"original:{role}" in job.cell.inputs:
            protected = job.artefact(role).arrays.get(f"scores:{attribute}")
            original = job.artefact(f"original:{role}").arrays.get(f"scores:{attribute}")
            if protected is not None and original is not None:
                found.append(Reading(attacker, protected, original))
    return found


def _matching(job: Job, make: RowMaker) -> list[Row]:
    def matched(prefix: str) -> list[Matched]:
        found = []
        for name, seen in job.params["matchers"].items():
            role = f"{prefix}match:{name}"
            if role in job.cell.inputs:
                artefact = job.artefact(role)
                figures = {
                    figure: (value, artefact.arrays[f"samples:{figure}"])
                    for figure, value in artefact.facts["values"].items()
                }
                refused, counts = artefact.facts["refused"], artefact.facts["counts"]
                found.append(Matched(name, seen, figures, refused, counts))
        return found

    return matching_rows(make, matched(""), matched("original:"))


def _quality(job: Job, make: RowMaker, people: Population) -> list[Row]:
    if "quality" not in job.cell.inputs:
        return []
    artefact = job.artefact("quality")
    values: dict[str, Any] = {
        name.removeprefix("value:"): array
        for name, array in artefact.arrays.items()
        if name.startswith("value:")
    }
    lost = int(artefact.facts["failed"])
    return quality_rows(
        make, values, artefact.arrays["rows"].astype(np.int64), artefact.facts["recipes"], lost, people
    )
