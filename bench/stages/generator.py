"""Stage `generator` (rung A6): apply the method again, with every target, and learn from the change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.embedding_method import EmbeddingMethod
from bench.components.method_base import AnyMethod, Variant
from bench.faces import Attribute, Faces, first_photos, most_people
from bench.stages.faces import attributes_of, faces_of
from bench.stages.inference import hook_through
from bench.stages.protect import ready_method
from bench.stages.reading import Material, here, known, learn, new_attackers, read
from bench.stages.scores import Table, packed
from bench.stages.template_fit import as_templates
from bench.store import Artefact
from bench.threats.residuals import Standardisation, residual_features, template_residual_features

VERSION = 1
PEOPLE_WITH = 300
"""Faces of ATTACK, by whole people, that the attacker learns on."""
PHOTOS = 2
"""Photographs of each test person that are attacked: protecting each once a class is dear."""


def run(job: Job) -> Artefact:
    """params: of `protect`, and units (their extractor is not used), hunted, level, extractor. inputs:
    as of `aware`, and what the method needs (fit).

    scores:<attacker>@residuals:<attribute>: float32 (N, K) of TEST, NaN where not attacked.
    """
    units = {
        f"{unit['attacker']}@residuals": {**unit, "extractor": "residuals"}
        for unit in job.params["units"].values()
    }
    people, test = faces_of(job, "known"), faces_of(job, "faces")
    learned = most_people(people.identities, PEOPLE_WITH)
    attacked = first_photos(test.identities, PHOTOS)
    method = ready_method(job)
    usual = _usual_labels(method, people)
    table: Table = {}
    lost: dict[str, str] = {}
    for number, attribute in enumerate(attributes_of(job.params["hunted"])):
        job.context.report(number, len(job.params["hunted"]), attribute.name)
        mine = _features(job, method, known(job), people, learned, attribute, usual)
        theirs = _features(job, method, here(job), test, attacked, attribute, usual)
        rule = Standardisation.fit(mine[np.isfinite(mine).all(axis=1)])
        mine, theirs = rule.apply(mine), rule.apply(theirs)
        learned_from, shown = Material({"residuals": mine}), Material({"residuals": theirs})
        attackers, untrained = learn(
            new_attackers(units), units, learned_from, people.labels, [attribute], job.context
        )
        found, silent = read(attackers, units, shown, job.context)
        lost |= untrained | silent
        for name, scores in found.items():
            table.setdefault(name, {}).update(scores)
    return packed(table, lost, attacked=attacked)


def _features(
    job: Job,
    method: AnyMethod,
    seen: Material,
    faces: Faces,
    rows: NDArray[np.bool_],
    attribute: Attribute,
    usual: dict[str, float],
) -> NDArray[np.float32]:
    """Residuals of applying the method again, once a target, float32 (N, F); NaN outside `rows` and where
    anything failed."""
    variant = _variant(job, method)
    told = method.needs_labels if variant.needs is None else variant.needs
    targets = range(len(attribute.classes)) if attribute.name in told else range(1)
    requests = []
    for target in targets:
        asked = {
            name: np.full(int(rows.sum()), target if name == attribute.name else usual[name], np.float32)
            for name in usual
        }
        some = faces.take(rows)
        requests.append(replace(some, labels={**some.labels, **asked}))
    apply = _template_residuals if isinstance(method, EmbeddingMethod) else _image_residuals
    kept, made = apply(job, method, seen.take(rows), requests)
    found = np.full((len(rows), kept.shape[1]), np.nan, np.float32)
    found[np.flatnonzero(rows)[made]] = kept
    return found


def _image_residuals(
    job: Job, method: Any, seen: Material, requests: list[Faces]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Features of the faces (M, F) that could be protected again under every request, and which (N,)."""
    assert seen.faces is not None
    assert seen.failed is not None
    before, made, again = seen.faces.images, ~seen.failed, []
    variant = _variant(job, method)
    through = hook_through(job, method, variant)
    for asked in requests:
        found = method.protect(replace(asked, images=before), variant, **_how(job), through=through)
        made = made & ~found.failed
        again.append(found.images)
    return residual_features(before[made], [images[made] for images in again]), made


def _template_residuals(
    job: Job, method: Any, seen: Material, requests: list[Faces]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """As `_image_residuals`, of templates."""
    before = seen.vectors[job.params["extractor"]]
    again = [
        method.protect(as_templates(asked, before), _variant(job, method), **_how(job)) for asked in requests
    ]
    made: NDArray[np.bool_] = np.isfinite(np.hstack([before, *again])).all(axis=1)
    return template_residual_features(before[made], [vectors[made] for vectors in again]), made


def _variant(job: Job, method: AnyMethod) -> Variant:
    return method.variant(job.params["variant"])


def _how(job: Job) -> dict[str, Any]:
    """Another seed than the defender's: of what it drew by chance the attacker knows nothing."""
    return {"seed": job.params["seed"] + 1, "device": job.environment.device}


def _usual_labels(method: AnyMethod, people: Faces) -> dict[str, float]:
    """What the attacker tells of attributes it does not ask about: the commonest class, the mean number."""
    usual = {}
    for name in method.needs_labels:
        if name in method.attributes and name in people.labels:
            values = people.labels[name][np.isfinite(people.labels[name])]
            number = method.attributes[name].is_number
            usual[name] = float(values.mean() if number else np.bincount(values.astype(np.int64)).argmax())
    return usual
