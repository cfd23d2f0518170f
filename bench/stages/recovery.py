"""Stage `recovery` (rung A4): restore what was protected, then ask the static attackers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bench.cells import Job
from bench.components.attacker import Attacker
from bench.errors import MetricError
from bench.faces import Attribute, Faces, first_photos, most_people
from bench.metrics.privacy import attribute_leak
from bench.stages.embed import embedded, ready_matcher
from bench.stages.faces import attributes_of, faces_of
from bench.stages.reading import Material, here, known, placed, read, static_attackers
from bench.stages.scores import Table, packed
from bench.store import Artefact
from bench.threats.restoration import RESTORATIONS, TemplateRestoration

VERSION = 1
PEOPLE_WITH = 150
"""Faces of ATTACK, by whole people, on which the restoration is chosen."""
PHOTOS = 3
"""Photographs of each test person that are attacked: restoring means embedding anew."""


def run(job: Job) -> Artefact:
    """params: units, hunted, level, seed, source; of images also extractors. inputs: as of `aware`,
    fit:<attacker>; of images the extractors' extractor:<name>; of templates plain:<extractor>, the known
    people's embeddings before protection.

    scores:<attacker>:<attribute>: float32 (N, K) of TEST, NaN where not attacked. facts: restorations chosen.
    """
    if job.params["level"] == "template":
        return packed(*read(static_attackers(job), job.params["units"], _way_back(job), job.context))
    return _Images(job).run()


def _way_back(job: Job) -> Material:
    mine, theirs, people = known(job), here(job), faces_of(job, "known")
    restored = {}
    for name, vectors in mine.vectors.items():
        plain = job.artefact(f"plain:{name}").arrays["vectors"]
        rule = TemplateRestoration.fit(vectors, plain, people.identities)
        restored[name] = rule.apply(theirs.vectors[name])
    return Material(restored)


class _Images:
    def __init__(self, job: Job) -> None:
        self.job, self.units = job, job.params["units"]
        self.attributes = attributes_of(job.params["hunted"])
        self.attackers = static_attackers(job)
        self.extractors = {
            name: ready_matcher(job, identity, f"extractor:{name}")
            for name, identity in job.params["extractors"].items()
        }

    def run(self) -> Artefact:
        """Attackers of one extractor, and each one of images, read TEST through the restoration that served
        the best of them on people they know."""
        people = faces_of(self.job, "known")
        some = most_people(people.identities, PEOPLE_WITH)
        chosen, lost = self._choose(known(self.job).take(some), people.take(some))
        rows = first_photos(faces_of(self.job, "faces").identities, PHOTOS)
        test = here(self.job).take(rows)
        table: Table = {}
        for number, restoration in enumerate(sorted(set(chosen.values()))):
            self.job.context.report(number, len(chosen), f"restored by {restoration}")
            mine = {n: a for n, a in self.attackers.items() if chosen.get(self._group(n)) == restoration}
            found, silent = self._read(mine, test, restoration)
            table |= {name: placed(scores, rows) for name, scores in found.items()}
            lost |= silent
        return packed(table, lost, self.attributes, attacked=rows, restorations=chosen)

    def _choose(self, seen: Material, people: Faces) -> tuple[dict[str, str], dict[str, str]]:
        best: dict[str, tuple[float, str]] = {}
        lost: dict[str, str] = {}
        for restoration in RESTORATIONS:
            found, silent = self._read(self.attackers, seen, restoration)
            lost |= silent
            for name, scores in found.items():
                leak = _mean_leak(scores, people, self.attributes)
                group = self._group(name)
                best[group] = max(best.get(group, (-1.0, "")), (leak, restoration))
        return {group: restoration for group, (_, restoration) in best.items()}, lost

    def _group(self, name: str) -> str:
        """Who chooses together: attackers of one extractor, whose embeddings are dear."""
        return self.units[name]["extractor"] or name

    def _read(
        self, attackers: Mapping[str, Attacker], seen: Material, restoration: str
    ) -> tuple[Table, dict[str, str]]:
        assert seen.faces is not None
        assert seen.failed is not None
        faces = replace(seen.faces, images=RESTORATIONS[restoration](seen.faces.images))
        wanted = {self.units[name]["extractor"] for name in attackers} - {""}
        vectors = {
            name: embedded(self.extractors[name], faces, seen.failed, self.job.context)
            for name in sorted(wanted)
        }
        return read(attackers, self.units, Material(vectors, faces, seen.failed), self.job.context)


def _mean_leak(scores: Mapping[str, Any], people: Faces, attributes: tuple[Attribute, ...]) -> float:
    """How much the scores say on average of the attributes; 0 where there is nothing to tell."""
    leaks = []
    for attribute in attributes:
        if attribute.name in scores:
            values, labels = scores[attribute.name], people.labels[attribute.name]
            rows = np.isfinite(labels) & np.isfinite(values).all(axis=1)
            try:
                leaks.append(attribute_leak(labels[rows], values[rows]))
            except MetricError:  # one class only among so few people: no preference
                leaks.append(0.0)
    return float(np.mean(leaks)) if leaks else 0.0
