"""Stage `score`: all rows of one subject, from what the other stages stored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace

from bench.cells import Job
from bench.errors import MetricError
from bench.ladder import AWARE, STATIC
from bench.metrics.uncertainty import identity_weights
from bench.results import ORIGINAL, Row
from bench.scoring.ladder import ladder_rows
from bench.scoring.matching import Matched, matching_rows
from bench.scoring.numbers import number_rows
from bench.scoring.privacy import Reading, kept_rows
from bench.scoring.quality import quality_rows
from bench.scoring.rows import POOL, Population, RowMaker
from bench.stages.faces import attributes_of, faces_of
from bench.stages.scores import ATTACKED, NUMBERS, Table, said_by_static, unpacked
from bench.store import Artefact

VERSION = 2
UNCHANGED, NOT_REPEATABLE, MANY_FAILURES = "unchanged", "not_repeatable", "many_failures"
_MANY = 0.05


def run(job: Job) -> Artefact:
    """params: what the subject is, what was set on it, resamples, seed (of the training) and draw_seed.
    inputs: faces, images, and, as far as they succeeded, attack:<reader>, the rungs of the ladder by name,
    match:<matcher>, quality, metric:<name>, and the same of the originals as original:<role>.

    facts: rows. arrays: `curve:<matcher>:<condition>` (2, points), FMR and TMR; `cmc:<matcher>:<condition>`
    (2, ranks), rank and rate; `samples:<row>` (B,), each pooled figure in every resample, see `sample_name`.
    """
    p = job.params
    faces = faces_of(job, "faces")
    draw = identity_weights(faces.identities, p["resamples"], p["draw_seed"])
    people = Population(faces.identities, draw)
    make = RowMaker(_template(job), len(draw.identities))
    rows = (
        _privacy(job, make, people)
        + _numbers(job, make, people)
        + _matching(job, make)
        + _quality(job, make, people)
    )
    arrays = {f"samples:{name}": values for name, values in make.resampled.items()}
    for name in p["matchers"]:
        if (role := f"match:{name}") in job.cell.inputs:
            for key, points in job.artefact(role).arrays.items():
                kind, _, condition = key.partition(":")
                if kind in ("curve", "cmc"):
                    arrays[f"{kind}:{name}:{condition}"] = points
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
        flags=" ".join([*p["flags"].split(), *_warnings(job)]),
        seed=p["seed"],
        cell=job.cell.key,
        n_failed=_failed(job),
    )


def _failed(job: Job) -> int | None:
    """Faces that the method could not protect; unknown for templates, where each matcher has its own."""
    return int(job.artefact("images").arrays["failed"].sum()) if "images" in job.cell.inputs else None


def _warnings(job: Job) -> list[str]:
    """What makes the whole output doubtful. The originals are unchanged by definition."""
    if "images" not in job.cell.inputs or job.params["method"] == ORIGINAL:
        return []
    facts = job.artefact("images").facts
    made = facts["images"] - facts["failed"]
    found = {
        UNCHANGED: 2 * facts["unchanged"] > made > 0,
        NOT_REPEATABLE: not facts["repeatable"],
        MANY_FAILURES: facts["failed"] > _MANY * facts["images"],
    }
    return [flag for flag, raised in found.items() if raised]


def _privacy(job: Job, make: RowMaker, people: Population) -> list[Row]:
    p = job.params
    faces = faces_of(job, "faces")
    static = said_by_static(job)
    rungs = {STATIC: static} | {
        rung: unpacked(job.artefact(rung)) for rung in p["rungs"] if rung in job.cell.inputs
    }
    originals = _originals(job, rungs)
    rows: list[Row] = []
    for attribute in attributes_of(p["attributes"]):
        role = "obfuscated" if attribute.name in p["obfuscates"] else "kept"
        if role == "kept" and attribute.name not in p["kept"]:
            continue  # another name for something this variant hides: neither hidden nor kept
        # What should survive is asked of static attackers; where they cannot read, of those that relearn.
        threat = STATIC if static else AWARE
        template = replace(
            make.template, attribute=attribute.name, role=role, component_kind="attacker", threat=threat
        )
        here = replace(make, template=template)
        labels = faces.labels[attribute.name]
        if role == "obfuscated":
            rows += _lost(job, here, p["rungs"])
            readings = {
                rung: _readings(job, rung, table, originals[rung], attribute.name)
                for rung, table in rungs.items()
            }
            rows += ladder_rows(here, attribute, labels, readings, people)
            continue
        asked, plain = rungs.get(threat, {}), originals.get(threat, {})
        said = _readings(job, threat, asked, plain, attribute.name)
        try:
            rows += kept_rows(here, attribute, labels, said, people)
        except MetricError as error:
            rows.append(here.undefined("cac", str(error), component=POOL))
    return rows


def _lost(
    job: Job,
    make: RowMaker,
    rungs: Iterable[str],
    metric: str = "leak",
    prefix: str = "",
    names: str = "classifiers",
) -> list[Row]:
    """A row for each attacker that could not learn or answer on a rung, and for each rung that failed.

    metric: what it would have given. prefix: of the rungs' roles. names: parameter with the attackers meant;
    all if missing.
    """
    rows = []
    for rung in rungs:
        if rung != STATIC and prefix + rung not in job.cell.inputs:
            here = replace(make, template=replace(make.template, threat=rung))
            rows.append(here.undefined(metric, "this rung failed: see what the run said", component=POOL))
    roles = {r: STATIC for r in job.cell.inputs if r.startswith("attack:")}
    roles |= {prefix + rung: rung for rung in rungs if prefix + rung in job.cell.inputs}
    for role, rung in roles.items():
        for attacker, why in job.artefact(role).facts["lost"].items():
            if attacker in job.params.get(names, [attacker]):
                here = replace(make, template=replace(make.template, threat=rung))
                rows.append(here.undefined(metric, why, component=attacker))
    return rows


def _numbers(job: Job, make: RowMaker, people: Population) -> list[Row]:
    """What is read of numbers: of those to be hidden on every rung, of others as of `_privacy`."""
    p = job.params
    static = said_by_static(job)
    rungs = {STATIC: static} | {
        rung: unpacked(job.artefact(role))
        for rung in p.get("numbers_rungs", [])
        if (role := NUMBERS + rung) in job.cell.inputs
    }
    originals = _originals(job, rungs, NUMBERS)
    labels = faces_of(job, "faces").labels
    rows: list[Row] = []
    for attribute in attributes_of(p.get("numbers", [])):
        role = "obfuscated" if attribute.name in p["numbers_hidden"] else "kept"
        asked = list(rungs) if role == "obfuscated" else [STATIC if static else AWARE]
        readings = {
            rung: _readings(job, rung, rungs.get(rung, {}), originals.get(rung, {}), attribute.name)
            for rung in asked
        }
        template = replace(
            make.template, attribute=attribute.name, role=role, component_kind="attacker", threat=asked[0]
        )
        here = replace(make, template=template)
        if role == "obfuscated":
            rows += _lost(job, here, p["numbers_rungs"], "mae", NUMBERS, "estimators")
        rows += number_rows(here, attribute, labels.get(attribute.name), readings, people)
    return rows


def _readings(job: Job, rung: str, table: Table, originals: Table, attribute: str) -> list[Reading]:
    """What each attacker says of the protected faces, beside what it says of the originals."""
    attacked = job.artefact(rung).arrays.get(ATTACKED) if rung in job.cell.inputs else None
    return [
        Reading(attacker, scores[attribute], originals[attacker][attribute], attacked)
        for attacker, scores in sorted(table.items())
        if attribute in scores and attribute in originals.get(attacker, {})
    ]


def _originals(job: Job, rungs: Iterable[str], prefix: str = "") -> dict[str, Table]:
    """Rung -> what was said of the originals: by the static attacker of a name, or on the same rung where
    there is none. prefix: of the rungs' roles."""
    static = said_by_static(job, "original:")
    return {
        rung: (unpacked(job.artefact(role)) | static)
        if (role := f"original:{prefix}{rung}") in job.cell.inputs
        else static
        for rung in rungs
    }


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
    roles = ("quality", *(role for role in job.cell.inputs if role.startswith("metric:")))
    artefacts = [job.artefact(role) for role in roles if role in job.cell.inputs]
    return [row for a in artefacts for row in quality_rows(make, a.arrays, a.facts, people)]
