"""Turns a configuration into cells: what must be computed, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bench import discover, shipped
from bench.cells import Cell, stage_version
from bench.components.dataset import Dataset
from bench.components.matcher import Matcher
from bench.components.method import DEFAULT_VARIANT, Method, Variant
from bench.config import RunConfig
from bench.errors import UsageError
from bench.faces import ATTACK, DEVELOP, TEST, VALIDATION, kept
from bench.selection import Missing, Selection, Unit
from bench.stages.faces import attribute_params

_COST = {
    "faces": 8.0,
    "auxiliary": 60.0,
    "fit": 300.0,
    "matcher_fit": 60.0,
    "protect": 2.0,
    "embed": 2.0,
    "attacker_fit": 8.0,
    "attack": 0.3,
    "match": 0.6,
    "quality": 4.0,
    "score": 1.0,
}
"""Rough core-seconds of a cell: for the order of work and the first guess of the time left."""
_PIXEL_ATTACKER_COST = 40.0
_CHEAP_FIT_COST = 2.0


@dataclass(frozen=True)
class Subject:
    """One line of the leaderboard: a method's variant, and the keys of its images and scores."""

    method: str
    role: str
    variant: Variant
    protect: str
    score: str

    @property
    def name(self) -> str:
        return _name(self.method, self.variant)


@dataclass
class Plan:
    """cells: planned key -> cell, inputs before their readers. subjects: what is scored."""

    config: RunConfig
    dataset: Dataset
    cells: dict[str, Cell] = field(default_factory=dict)
    subjects: list[Subject] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(
        self,
        stage: str,
        params: Mapping[str, Any],
        *,
        title: str,
        inputs: Mapping[str, str] | None = None,
        tolerated: Mapping[str, str] | None = None,
        cost: float | None = None,
    ) -> str:
        """Add a cell unless it is there; returns its key."""
        cell = Cell(
            stage,
            dict(params),
            dict(inputs or {}),
            dict(tolerated or {}),
            title,
            _COST[stage] if cost is None else cost,
            stage_version(stage),
        )
        key = cell.key
        self.cells.setdefault(key, cell)
        return key


def build(config: RunConfig) -> Plan:
    """The plan of a run. Raises UsageError for unknown names, InputError for unusable data."""
    return _Planner(config).run()


def build_fits(config: RunConfig) -> tuple[Plan, dict[str, str]]:
    """The plan that trains the chosen methods anew, and method -> key of its fit cell."""
    planner = _Planner(config)
    fits = {m.id: planner.fit(m) for m, _ in planner.choice.methods() if type(m).trained}
    if not fits:
        raise UsageError(f"nothing to train among {', '.join(config.methods)}")
    return planner.plan, fits


@dataclass(frozen=True)
class _Baseline:
    """Keys of what the originals left: images, embeddings by matcher, results by role."""

    protect: str
    embeds: Mapping[str, str]
    results: Mapping[str, str]


class _Planner:
    def __init__(self, config: RunConfig) -> None:
        self.config = config
        self.choice = Selection(config)
        self.dataset = self.choice.dataset
        self.plan = Plan(config, self.dataset, missing=self.choice.missing, notes=self.choice.notes)

    def run(self) -> Plan:
        baseline: _Baseline | None = None
        for method, variants in self.choice.methods():
            for variant in variants:
                left = self.subject(method, variant, baseline)
                baseline = baseline or left
        return self.plan

    # -- data and training -------------------------------------------------------------------------------

    def faces(self, pool: str) -> str:
        params = {
            "dataset": self.dataset.id,
            "source": discover.source_hash("dataset", self.dataset.id),
            "fingerprint": self.dataset.fingerprint(pool),
            "size": self.dataset.size,
            "seed": self.dataset.seed,
            "pool": pool,
        }
        return self.plan.add("faces", params, title=f"faces {pool}")

    @cached_property
    def auxiliaries(self) -> dict[str, str]:
        from bench.auxiliaries import CASIA, NETWORKS

        cells = {}
        for name in NETWORKS:
            pretrained = self.choice.casia if name == "matcher" else ""
            network = CASIA if pretrained else name
            params = {
                "network": network,
                # Metrics only report how the networks fared; they do not shape them.
                "source": discover.code_hash("bench.auxiliaries", ("bench.metrics",)),
                "pretrained": pretrained,
                "seed": self.config.seed,
            }
            cells[f"auxiliary:{network}"] = self.plan.add(
                "auxiliary", params, inputs=self.learning, title=f"auxiliary {network}"
            )
        return cells

    @property
    def learning(self) -> dict[str, str]:
        return {"develop": self.faces(DEVELOP), "validation": self.faces(VALIDATION)}

    def fit(self, method: Method) -> str:
        inputs, cost = self.learning, _CHEAP_FIT_COST
        if type(method).uses_auxiliaries:
            inputs, cost = inputs | self.auxiliaries, _COST["fit"]
        params = {**self.method_params(method), "seed": self.config.seed}
        return self.plan.add("fit", params, inputs=inputs, title=f"train {method.id}", cost=cost)

    def method_params(self, method: Method) -> dict[str, Any]:
        return {
            "method": method.id,
            "source": discover.source_hash("method", method.id),
            "settings": method.settings,
            "attributes": attribute_params(list(method.attributes.values())),
        }

    def matcher_fit(self, matcher: Matcher) -> str:
        params = {**self.identity("matcher", matcher), "seed": self.config.seed}
        inputs = {"faces": self.faces(ATTACK)}
        return self.plan.add("matcher_fit", params, inputs=inputs, title=f"train matcher {matcher.id}")

    def attacker_fit(self, unit: Unit) -> str:
        params = {
            **self.identity("attacker", unit.attacker),
            "attributes": attribute_params(self.choice.attributes),
            "seed": self.config.seed,
        }
        inputs, cost = {"faces": self.faces(ATTACK)}, _PIXEL_ATTACKER_COST
        if unit.extractor:
            inputs["embeddings"] = self.embed(unit.extractor, "", "ATTACK", ATTACK)
            cost = _COST["attacker_fit"]
        return self.plan.add(
            "attacker_fit", params, inputs=inputs, title=f"train attacker {unit.name}", cost=cost
        )

    def identity(self, kind: str, component: Any) -> dict[str, Any]:
        """What determines a matcher's or attacker's answers, beside what it learned."""
        pretrained = type(component).pretrained
        return {
            kind: component.id,
            "source": discover.source_hash(kind, component.id),
            "settings": component.settings,
            "pretrained": pretrained.sha256 if pretrained else "",
        }

    # -- one subject -------------------------------------------------------------------------------------

    def subject(self, method: Method, variant: Variant, baseline: _Baseline | None) -> _Baseline:
        """Add all cells of one variant; without a baseline it is itself the originals."""
        name = _name(method.id, variant)
        protect = self.protect(method, variant, name)
        embeds = {m.id: self.embed(m, protect, name) for m in self.choice.matchers}
        results = {f"match:{m}": self.match(m, embeds, baseline, name) for m in embeds}
        for unit in self.choice.units:
            results[f"attack:{unit.name}"] = self.attack(unit, protect, embeds, name)
        results["quality"] = self.quality(protect, baseline.protect if baseline else protect, name)
        left = _Baseline(protect, embeds, results)
        score = self.score(method, variant, left, baseline or left, name)
        self.plan.subjects.append(Subject(method.id, type(method).role, variant, protect, score))
        return left

    def protect(self, method: Method, variant: Variant, name: str) -> str:
        inputs = {"faces": self.faces(TEST)}
        weights = ""
        if type(method).trained:
            develop = self.dataset.fingerprint(DEVELOP)
            weights = shipped.matching(method.id, method.settings, develop, self.dataset.size)
            if not weights:
                inputs["fit"] = self.fit(method)
        params = {
            **self.method_params(method),
            "variant": variant.name,
            "label_source": self.config.label_source,
            "seed": self.config.seed,
            "weights": weights,
        }
        return self.plan.add("protect", params, inputs=inputs, title=f"protect {name}")

    def embed(self, matcher: Matcher, images: str, name: str, pool: str = TEST) -> str:
        inputs = {"faces": self.faces(pool)} | ({"images": images} if images else {})
        if type(matcher).trained:
            inputs["fit"] = self.matcher_fit(matcher)
        return self.plan.add(
            "embed", self.identity("matcher", matcher), inputs=inputs, title=f"{name} embed {matcher.id}"
        )

    def match(self, matcher: str, embeds: Mapping[str, str], baseline: _Baseline | None, name: str) -> str:
        reference = (baseline.embeds if baseline else embeds)[matcher]
        inputs = {"faces": self.faces(TEST), "reference": reference, "probe": embeds[matcher]}
        if baseline:
            inputs["baseline"] = baseline.results[f"match:{matcher}"]
        params = {"resamples": self.config.resamples, "seed": self.config.seed}
        return self.plan.add("match", params, inputs=inputs, title=f"{name} match {matcher}")

    def attack(self, unit: Unit, protect: str, embeds: Mapping[str, str], name: str) -> str:
        inputs = {"faces": self.faces(TEST), "images": protect}
        if unit.extractor:
            inputs["embeddings"] = embeds[unit.extractor.id]
        if type(unit.attacker).trained:
            inputs["fit"] = self.attacker_fit(unit)
        params = self.identity("attacker", unit.attacker)
        return self.plan.add("attack", params, inputs=inputs, title=f"{name} attack {unit.name}")

    def quality(self, protect: str, originals: str, name: str) -> str:
        from bench.quality_networks import NEEDED

        files = {k: p for k, p in NEEDED.items() if self.choice.file("quality", k, p)}
        params = {
            "images": self.config.quality_images,
            "networks": {k: p.sha256 for k, p in files.items()},
            "source": discover.code_hash("bench.quality_networks"),
        }
        inputs = {"faces": self.faces(TEST), "images": protect, "originals": originals}
        return self.plan.add("quality", params, inputs=inputs, title=f"{name} quality")

    def score(self, method: Method, variant: Variant, left: _Baseline, baseline: _Baseline, name: str) -> str:
        names = [a.name for a in self.choice.attributes]
        # An output that hides nothing (SAN-SM) is a yardstick beside those of its method that do.
        hidden = variant.obfuscates or type(method).obfuscates
        params = {
            "method": method.id,
            "variant": variant.name,
            "method_role": type(method).role,
            "dataset": self.dataset.id,
            "attributes": attribute_params(self.choice.attributes),
            "obfuscates": [a for a in hidden if a in names],
            "kept": list(kept(names, hidden)),
            "attackers": [u.name for u in self.choice.units],
            "matchers": {m.id: self.choice.seen(m.id) for m in self.choice.matchers},
            "label_source": self.config.label_source,
            "resamples": self.config.resamples,
            "seed": self.config.seed,
            "source": discover.code_hash("bench.stages.score"),
        }
        tolerated = dict(left.results) | {f"original:{r}": k for r, k in baseline.results.items()}
        inputs = {"faces": self.faces(TEST), "images": left.protect}
        return self.plan.add("score", params, inputs=inputs, tolerated=tolerated, title=f"score {name}")


def _name(method: str, variant: Variant) -> str:
    return method if variant.name == DEFAULT_VARIANT else f"{method}:{variant.name}"
