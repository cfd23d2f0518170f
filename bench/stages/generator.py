"""Stage `generator` (rung A6): apply the method again, with every target, and learn from the change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Method
from bench.components.method_base import AnyMethod
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
    own = _Again(job, method, known(job), people, learned, usual)
    others = _Again(job, method, here(job), test, attacked, usual)
    table: Table = {}
    lost: dict[str, str] = {}
    for number, attribute in enumerate(attributes_of(job.params["hunted"])):
        job.context.report(number, len(job.params["hunted"]), attribute.name)
        mine, theirs = own.features(attribute), others.features(attribute)
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


class _Again:
    """Some faces, and what the method makes of their protected images or templates when applied again.

    rows: bool (N,), which of `faces`. usual: what is told of attributes that are not asked about.
    """

    def __init__(
        self,
        job: Job,
        method: AnyMethod,
        seen: Material,
        faces: Faces,
        rows: NDArray[np.bool_],
        usual: Mapping[str, float],
    ) -> None:
        self._method, self._variant, self._usual = method, method.variant(job.params["variant"]), usual
        self._faces, self._rows = faces.take(rows), rows
        self._seen = seen.take(rows)
        # Another seed than the defender's: of what it drew by chance the attacker knows nothing.
        self._how: dict[str, Any] = {"seed": job.params["seed"] + 1, "device": job.environment.device}
        if isinstance(method, EmbeddingMethod):
            self._before: Any = self._seen.vectors[job.params["extractor"]]
        else:
            assert self._seen.faces is not None
            self._before = self._seen.faces.images
            self._how["through"] = hook_through(job, cast(Method, method), self._variant)

    def features(self, attribute: Attribute) -> NDArray[np.float32]:
        """Residuals of applying the method again, once a target, float32 (N, F); NaN outside the rows and
        where anything failed."""
        needed = self._variant.needs
        told = self._method.needs_labels if needed is None else needed
        targets = range(len(attribute.classes)) if attribute.name in told else range(1)
        made, again = self._first, []
        for target in targets:
            asked = {n: float(target) if n == attribute.name else v for n, v in self._usual.items()}
            found, failed = self._as_usual if asked == self._usual else self._apply(asked)
            made = made & ~failed
            again.append(found)
        measure = residual_features if self._before.ndim == 4 else template_residual_features
        kept = measure(self._before[made], [values[made] for values in again])
        features = np.full((len(self._rows), kept.shape[1]), np.nan, np.float32)
        features[np.flatnonzero(self._rows)[made]] = kept
        return features

    @cached_property
    def _first(self) -> NDArray[np.bool_]:
        """Which of the faces were protected at all (n,)."""
        if self._seen.failed is not None and self._before.ndim == 4:
            return ~self._seen.failed
        return np.asarray(np.isfinite(self._before).all(axis=1))

    @cached_property
    def _as_usual(self) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The same for every attribute, of which it is one of the targets or all there is to ask."""
        return self._apply(self._usual)

    def _apply(self, asked: Mapping[str, float]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Images or templates (n, ...) with these labels told for all, and which of them failed (n,)."""
        labels = {name: np.full(len(self._faces), value, np.float32) for name, value in asked.items()}
        request = replace(self._faces, labels={**self._faces.labels, **labels})
        if isinstance(self._method, EmbeddingMethod):
            templates = as_templates(request, self._before)
            vectors = self._method.protect(templates, self._variant, **self._how)
            return vectors, ~np.asarray(np.isfinite(vectors).all(axis=1))
        found = cast(Method, self._method).protect(
            replace(request, images=self._before), self._variant, **self._how
        )
        return found.images, found.failed


def _usual_labels(method: AnyMethod, people: Faces) -> dict[str, float]:
    """What the attacker tells of attributes it does not ask about: the commonest class, the mean number."""
    usual = {}
    for name in method.needs_labels:
        if name in method.attributes and name in people.labels:
            values = people.labels[name][np.isfinite(people.labels[name])]
            number = method.attributes[name].is_number
            usual[name] = float(values.mean() if number else np.bincount(values.astype(np.int64)).argmax())
    return usual
