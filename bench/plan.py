"""Turns a configuration into cells: what must be computed, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench import discover, shipped
from bench.cells import Cell, stage_version
from bench.components.dataset import Dataset
from bench.components.embedding_method import EmbeddingMethod
from bench.components.matcher import Matcher
from bench.components.method import Method
from bench.components.method_base import DEFAULT_VARIANT, AnyMethod, Variant
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
    "oracle": 0.1,
    "template_fit": 4.0,
    "template_protect": 0.3,
    "match": 0.6,
    "quality": 4.0,
    "score": 1.0,
}
"""Rough core-seconds of a cell: for the order of work and the first guess of the time left."""
_PIXEL_ATTACKER_COST = 40.0
_CHEAP_FIT_COST = 2.0
_TEMPLATES, _VALIDATION_TEMPLATES = 2000, 500
"""Faces that template-level methods learn from and are chosen on, taken by whole people."""
STATIC, AWARE = "static", "aware"
"""Rungs of the attackers' ladder: learned on originals, or on what this variant makes of other people."""


@dataclass(frozen=True)
class Subject:
    """One line of the leaderboard: a method's variant, and the keys of its images (if any) and scores."""

    method: str
    role: str
    variant: Variant
    protect: str
    score: str
    level: str = "image"

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


def build_fits(config: RunConfig) -> tuple[Plan, dict[tuple[str, str], str]]:
    """The plan that trains the chosen methods anew, and (method, part) -> key of its fit cell.

    Of a method with parts, those that the chosen variants need. Template-level methods are left out: they
    learn in the run, on the embeddings of its matchers.
    """
    planner = _Planner(config)
    fits = {
        (m.id, v.part): planner.fit(m, v.part)
        for m, variants in planner.choice.methods()
        for v in variants
        if isinstance(m, Method) and type(m).trained
    }
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
                if baseline is None:
                    assert isinstance(method, Method)
                    baseline = self.subject(method, variant, None)
                elif isinstance(method, EmbeddingMethod):
                    self.template_subject(method, variant, baseline)
                elif isinstance(method, Method):
                    add = self.bound if variant.oracle else self.subject
                    add(method, variant, baseline)
        return self.plan

    # -- data and training -------------------------------------------------------------------------------

    def faces(self, pool: str, most: int = 0, dataset: Dataset | None = None) -> str:
        """most: whole people with about so many faces; 0: all. dataset: the evaluated one if None."""
        dataset = dataset or self.dataset
        params = {
            "dataset": dataset.id,
            "source": discover.source_hash("dataset", dataset.id),
            "fingerprint": dataset.fingerprint(pool),
            "size": dataset.size,
            "seed": dataset.seed,
            "pool": pool,
        } | ({"most": most} if most else {})
        where = "" if dataset is self.dataset else f" of {dataset.id}"
        return self.plan.add("faces", params, title=f"faces {pool}{where}")

    def learned(self, pool: str, most: int = 0) -> str:
        """The faces of DEVELOP or VALIDATION that methods learn on: one dataset's, or the join of several."""
        learning = self.choice.learning
        if not learning.is_joined:
            return self.faces(pool, most)
        names = [d.id for d in learning.datasets]
        params = {
            "joined": names,
            "source": discover.code_hash("bench.joined"),
            "pool": pool,
        } | ({"most": most} if most else {})
        inputs = {f"part:{d.id}": self.faces(pool, dataset=d) for d in learning.datasets}
        inputs["frame"] = self.faces(DEVELOP)
        return self.plan.add("faces", params, inputs=inputs, title=f"faces {pool} of {' + '.join(names)}")

    def auxiliaries(self, method: Method) -> dict[str, str]:
        """Role -> key of the networks that `method` trains against, and of its judges."""
        from bench.auxiliaries import CASIA, NETWORKS

        cells = {}
        for name in (*NETWORKS, *type(method).extra_auxiliaries):
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
        return {"develop": self.learned(DEVELOP), "validation": self.learned(VALIDATION)}

    def fit(self, method: Method, part: str = "") -> str:
        inputs, cost = self.learning, _CHEAP_FIT_COST
        if method.needs_auxiliaries:
            inputs, cost = inputs | self.auxiliaries(method), _COST["fit"]
        params = {**self.method_params(method), "part": part, "seed": self.config.seed}
        title = f"train {method.id}" + (f" {part}" if part else "")
        return self.plan.add("fit", params, inputs=inputs, title=title, cost=cost)

    def method_params(self, method: AnyMethod) -> dict[str, Any]:
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

    def attacker_fit(self, unit: Unit, templates: str = "", name: str = "") -> str:
        """templates: protected embeddings of ATTACK to learn from instead of plain ones."""
        attributes = self.choice.template_attributes if templates else self.choice.attributes
        params = {
            **self.identity("attacker", unit.attacker),
            "attributes": attribute_params(attributes),
            "seed": self.config.seed,
        }
        inputs, cost = {"faces": self.faces(ATTACK)}, _PIXEL_ATTACKER_COST
        if unit.extractor:
            inputs["embeddings"] = templates or self.embed(unit.extractor, "", "ATTACK", ATTACK)
            cost = _COST["attacker_fit"]
        title = f"train attacker {unit.name}" + (f" on {name}" if name else "")
        return self.plan.add("attacker_fit", params, inputs=inputs, title=title, cost=cost)

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
            develop = self.choice.learning.fingerprint(DEVELOP)
            weights = shipped.matching(method.id, variant.part, method.settings, develop, self.dataset.size)
            if not weights:
                inputs["fit"] = self.fit(method, variant.part)
        params = {
            **self.method_params(method),
            "part": variant.part,
            "variant": variant.name,
            "label_source": self.config.label_source,
            "seed": self.config.seed,
            "weights": weights,
        }
        return self.plan.add("protect", params, inputs=inputs, title=f"protect {name}")

    def embed(self, matcher: Matcher, images: str, name: str, pool: str = TEST, faces: str = "") -> str:
        inputs = {"faces": faces or self.faces(pool)} | ({"images": images} if images else {})
        if type(matcher).trained:
            inputs["fit"] = self.matcher_fit(matcher)
        return self.plan.add(
            "embed", self.identity("matcher", matcher), inputs=inputs, title=f"{name} embed {matcher.id}"
        )

    def match(
        self,
        matcher: str,
        embeds: Mapping[str, str],
        baseline: _Baseline | None,
        name: str,
        *,
        comparable: bool = True,
    ) -> str:
        """comparable: the protected embeddings can be compared with the originals'."""
        inputs = {"faces": self.faces(TEST), "probe": embeds[matcher]}
        if comparable:
            inputs["reference"] = (baseline.embeds if baseline else embeds)[matcher]
        if baseline:
            inputs["baseline"] = baseline.results[f"match:{matcher}"]
        params = {"resamples": self.config.resamples, "seed": self.config.seed}
        return self.plan.add("match", params, inputs=inputs, title=f"{name} match {matcher}")

    def attack(self, unit: Unit, protect: str, embeds: Mapping[str, str], name: str, fit: str = "") -> str:
        """protect: key of the images, or empty for templates. fit: of the attacker, unless the usual one."""
        inputs = {"faces": self.faces(TEST)} | ({"images": protect} if protect else {})
        if unit.extractor:
            inputs["embeddings"] = embeds[unit.extractor.id]
        if type(unit.attacker).trained:
            inputs["fit"] = fit or self.attacker_fit(unit)
        params = self.identity("attacker", unit.attacker)
        return self.plan.add("attack", params, inputs=inputs, title=f"{name} attack {unit.name}")

    # -- a bound over several outputs --------------------------------------------------------------------

    def bound(self, method: Method, variant: Variant, baseline: _Baseline) -> None:
        """Add the cells of a variant that has no images: each attacker gets the member it reads worst."""
        name = _name(method.id, variant)
        members = {}
        for member in variant.oracle:
            known = method.variant(member)
            images = self.protect(method, known, _name(method.id, known))
            embeds = {
                m.id: self.embed(m, images, _name(method.id, known))
                for m in {u.extractor.id: u.extractor for u in self.choice.units if u.extractor}.values()
            }
            members[member] = images, embeds, _name(method.id, known)
        results = {}
        for unit in self.choice.units:
            attacks = {f"member:{m}": self.attack(unit, *found) for m, found in members.items()}
            results[f"attack:{unit.name}"] = self.plan.add(
                "oracle",
                {"attribute": variant.obfuscates[0]},
                inputs={"faces": self.faces(TEST), **attacks},
                title=f"{name} attack {unit.name}",
            )
        first = next(iter(members.values()))[0]
        left = _Baseline(first, {}, results)
        score = self.score(method, variant, left, baseline, name, flags="bound")
        self.plan.subjects.append(Subject(method.id, type(method).role, variant, "", score))

    # -- one template-level subject ----------------------------------------------------------------------

    def template_subject(self, method: EmbeddingMethod, variant: Variant, baseline: _Baseline) -> None:
        """Add all cells of one variant of a method that changes every matcher's embeddings."""
        name = _name(method.id, variant)
        same = type(method).same_space
        embeds, results = {}, {}
        for matcher in self.choice.matchers:
            learned = self.template_fit(method, variant, matcher)
            embeds[matcher.id] = self.template_protect(
                method, variant, baseline.embeds[matcher.id], self.faces(TEST), learned, name
            )
            results[f"match:{matcher.id}"] = self.match(matcher.id, embeds, baseline, name, comparable=same)
        for unit in self.choice.units:
            if unit.extractor is None:
                continue
            fit = ""
            if not same:
                faces = self.faces(ATTACK)
                plain = self.embed(unit.extractor, "", "ATTACK", ATTACK)
                learned = self.template_fit(method, variant, unit.extractor)
                known = self.template_protect(method, variant, plain, faces, learned, f"{name} ATTACK")
                fit = self.attacker_fit(unit, known, name)
            results[f"attack:{unit.name}"] = self.attack(unit, "", embeds, name, fit)
        left = _Baseline("", embeds, results)
        score = self.score(method, variant, left, baseline, name, threat=STATIC if same else AWARE)
        subject = Subject(method.id, type(method).role, variant, "", score, level="template")
        self.plan.subjects.append(subject)

    def template_fit(self, method: EmbeddingMethod, variant: Variant, matcher: Matcher) -> str:
        if not type(method).trained:
            return ""
        inputs = {}
        for role, pool, most in (
            ("develop", DEVELOP, _TEMPLATES),
            ("validation", VALIDATION, _VALIDATION_TEMPLATES),
        ):
            inputs[role] = self.learned(pool, most)
            inputs[f"{role}_vectors"] = self.embed(matcher, "", pool.upper(), faces=inputs[role])
        params = {**self.method_params(method), "part": variant.part, "seed": self.config.seed}
        title = f"train {method.id} on {matcher.id}"
        return self.plan.add("template_fit", params, inputs=inputs, title=title)

    def template_protect(
        self, method: EmbeddingMethod, variant: Variant, vectors: str, faces: str, fit: str, name: str
    ) -> str:
        params = {
            **self.method_params(method),
            "part": variant.part,
            "variant": variant.name,
            "label_source": self.config.label_source,
            "seed": self.config.seed,
        }
        inputs = {"faces": faces, "vectors": vectors} | ({"fit": fit} if fit else {})
        return self.plan.add("template_protect", params, inputs=inputs, title=f"protect {name}")

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

    def score(
        self,
        method: AnyMethod,
        variant: Variant,
        left: _Baseline,
        baseline: _Baseline,
        name: str,
        *,
        threat: str = STATIC,
        flags: str = "",
    ) -> str:
        template = type(method).level == "template"
        attributes = self.choice.template_attributes if template else self.choice.attributes
        names = [a.name for a in attributes]
        # An output that hides nothing (SAN-SM) is a yardstick beside those of its method that do.
        hidden = variant.obfuscates or type(method).obfuscates
        params = {
            "method": method.id,
            "variant": variant.name,
            "method_role": type(method).role,
            "level": type(method).level,
            "threat": threat,
            "flags": flags,
            "dataset": self.dataset.id,
            "attributes": attribute_params(attributes),
            "obfuscates": [a for a in hidden if a in names],
            "kept": list(kept(names, hidden)),
            "attackers": [u.name for u in self.choice.units],
            "matchers": {m.id: self.choice.seen(m.id) for m in self.choice.matchers},
            "label_source": self.config.label_source,
            "resamples": self.config.resamples,
            "seed": self.config.seed,
            "source": discover.code_hash("bench.stages.score"),
        }
        tolerated = dict(left.results) | {
            f"original:{r}": k for r, k in baseline.results.items() if r in left.results
        }
        inputs = {"faces": self.faces(TEST)} | ({"images": left.protect} if left.protect else {})
        return self.plan.add("score", params, inputs=inputs, tolerated=tolerated, title=f"score {name}")


def _name(method: str, variant: Variant) -> str:
    return method if variant.name == DEFAULT_VARIANT else f"{method}:{variant.name}"
