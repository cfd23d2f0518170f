"""How each stage's cell is described: its parameters, its inputs, its title."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from bench import discover, shipped
from bench.components.dataset import Dataset
from bench.components.embedding_method import EmbeddingMethod
from bench.components.matcher import Matcher
from bench.components.method import Method
from bench.components.method_base import AnyMethod, Variant
from bench.faces import ATTACK, DEVELOP, TEST, VALIDATION, Attribute, kept
from bench.metrics.pair_lists import PUBLISHED_PAIRS
from bench.planning.plan import Plan, output_name
from bench.selection import Selection, Unit
from bench.stages.faces import attribute_params
from bench.stages.scores import IMAGES
from bench.store import digest
from bench.weights import checksum

if TYPE_CHECKING:
    from bench.quality.measures import Measure

_CHEAP_FIT_COST, _DEAR_FIT_COST = 2.0, 300.0
_EMBEDDING_ATTACKER_COST, _PIXEL_ATTACKER_COST = 8.0, 40.0
_QUALITY = (
    *("bench.quality.perceptual", "bench.quality.naturalness", "bench.quality.features"),
    *("bench.metrics.quality", "bench.metrics.distribution"),
)
"""The modules with the mathematics of quality, whose code belongs to the key."""
_TEMPLATES, _VALIDATION_TEMPLATES = 2000, 500
"""Faces that template-level methods learn from and are chosen on, taken by whole people."""


class CellMaker:
    """Cells of one seed and one label source of a run; methods add one to the plan and return its key."""

    def __init__(self, plan: Plan, choice: Selection, seed: int, label_source: str) -> None:
        self.plan, self.choice, self.config = plan, choice, choice.config
        self.dataset = choice.dataset
        self.seed, self.label_source = seed, label_source

    @property
    def inference(self) -> dict[str, str]:
        """How networks of methods and matchers are evaluated, where that decides what comes out."""
        return {} if self.config.inference == "exact" else {"inference": self.config.inference}

    # -- faces -------------------------------------------------------------------------------------------

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
        """Faces of the datasets that methods learn on: one dataset's, or the join of several."""
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
        inputs["frame"] = self.faces(DEVELOP if DEVELOP in self.dataset.pools() else TEST)
        return self.plan.add("faces", params, inputs=inputs, title=f"faces {pool} of {' + '.join(names)}")

    @property
    def learning(self) -> dict[str, str]:
        pools = (DEVELOP, VALIDATION)
        return {pool: self.learned(pool, self._most(pool)) for pool in pools}

    def _most(self, pool: str, most: int = 0) -> int:
        """How many faces of a pool methods learn from: `most`, or the run's limit if that is less; 0: all."""
        limit = -(-self.config.learning_images // (1 if pool == DEVELOP else 4))
        return min(most or limit, limit or most)

    def attack_faces(self, most: int = 0) -> str:
        """The people that attackers and matchers learn on: the evaluated dataset's, if it has any."""
        return self.faces(ATTACK, most) if self.choice.attack_is_own else self.learned(ATTACK, most)

    @property
    def known_faces(self) -> str:
        """The people of ATTACK whose protected faces adaptive attackers learn on."""
        return self.attack_faces(self.config.adaptive_images)

    # -- training ----------------------------------------------------------------------------------------

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
                "seed": self.seed,
                **self._precision,
            }
            cells[f"auxiliary:{network}"] = self.plan.add(
                "auxiliary", params, inputs=self.learning, title=f"auxiliary {network}"
            )
        return cells

    def fit(self, method: Method, part: str = "") -> str:
        inputs, cost = self.learning, _CHEAP_FIT_COST
        if method.needs_auxiliaries:
            inputs, cost = inputs | self.auxiliaries(method), _DEAR_FIT_COST
        params = {**self.method_params(method), "part": part, "seed": self.seed, **self._precision}
        title = f"train {method.id}" + (f" {part}" if part else "")
        return self.plan.add("fit", params, inputs=inputs, title=title, cost=cost)

    @property
    def _precision(self) -> dict[str, str]:
        """Of a training, where it is not the usual one."""
        chosen = self.config.train_precision
        return {} if chosen == "fp32" else {"precision": chosen}

    def method_params(self, method: AnyMethod) -> dict[str, Any]:
        return {
            "method": method.id,
            "source": discover.source_hash("method", method.id),
            "settings": method.settings,
            "attributes": attribute_params(list(method.attributes.values())),
        }

    def matcher_fit(self, matcher: Matcher) -> str:
        """A matcher that has learned: from what ships, where that is of this training, else trained."""
        params = {**self.identity("matcher", matcher), "seed": self.seed}
        weights = ""
        if self.config.shipped and self.choice.attack_is_own:
            fingerprint, size = self.dataset.fingerprint(ATTACK), self.dataset.size
            weights = shipped.matching_matcher(matcher.id, matcher.settings, fingerprint, size, self.seed)
        if weights:
            params["weights"] = weights
            return self.plan.add("matcher_fit", params, title=f"take matcher {matcher.id}", cost=0.1)
        inputs = {"faces": self.attack_faces()}
        return self.plan.add("matcher_fit", params, inputs=inputs, title=f"train matcher {matcher.id}")

    def attacker_fit(self, unit: Unit) -> str:
        params = {
            **self.identity("attacker", unit.attacker),
            "attributes": attribute_params(
                self.choice.taught_numbers if type(unit.attacker).learns == "numbers" else self.choice.taught
            ),
            "seed": self.seed,
        }
        inputs, cost = {"faces": self.attack_faces()}, _PIXEL_ATTACKER_COST
        if unit.extractor:
            inputs["embeddings"] = self.embed(unit.extractor, "", "ATTACK", faces=self.attack_faces())
            cost = _EMBEDDING_ATTACKER_COST
        return self.plan.add(
            "attacker_fit", params, inputs=inputs, title=f"train attacker {unit.name}", cost=cost
        )

    def static_fits(self, units: Iterable[Unit]) -> dict[str, str]:
        """Role -> key of the static attackers that were trained."""
        return {f"fit:{u.name}": self.attacker_fit(u) for u in units if type(u.attacker).trained}

    def identity(self, kind: str, component: Any) -> dict[str, Any]:
        """What determines the answers of a matcher, attacker or metric, beside what it learned."""
        pretrained = type(component).pretrained
        return {
            kind: component.id,
            "source": discover.source_hash(kind, component.id),
            "settings": component.settings,
            "pretrained": checksum(pretrained, self.choice.weights) if pretrained else "",
        }

    def unit_params(self, units: Iterable[Unit]) -> dict[str, Any]:
        """Unit name -> what it is, for stages that work with several attackers."""
        return {
            u.name: {
                **self.identity("attacker", u.attacker),
                "extractor": u.extractor.id if u.extractor else "",
                "trained": type(u.attacker).trained,
            }
            for u in units
        }

    # -- protected images and templates --------------------------------------------------------------------

    def protect(self, method: Method, variant: Variant, faces: str = "", pool: str = TEST) -> str:
        """faces: some of `pool`; all if empty."""
        name = output_name(method.id, variant)
        faces = faces or self.faces(pool)
        inputs = {"faces": faces} | self.told(method, variant, faces, pool)
        source, params = self.weights_of(method, variant)
        params |= self.inference
        title = f"protect {name}" + ("" if pool == TEST else f" {pool.upper()}")
        return self.plan.add(
            "protect", self.protect_params(method, variant) | params, inputs=inputs | source, title=title
        )

    def weights_of(self, method: Method, variant: Variant) -> tuple[dict[str, str], dict[str, str]]:
        """Where the variant's weights come from: inputs (a fit) and parameters (what ships)."""
        weights = ""
        if type(method).trained:
            develop = self.choice.learning.fingerprint(DEVELOP)
            if self.config.shipped:
                weights = shipped.matching(
                    method.id, variant.part, method.settings, develop, self.dataset.size
                )
            if not weights:
                return {"fit": self.fit(method, variant.part)}, {"weights": ""}
        return {}, {"weights": weights}

    def protect_params(self, method: AnyMethod, variant: Variant) -> dict[str, Any]:
        return {
            **self.method_params(method),
            "part": variant.part,
            "variant": variant.name,
            "seed": self.seed,
        }

    def told(self, method: AnyMethod, variant: Variant, faces: str, pool: str) -> dict[str, str]:
        """The labels a method is told where they are not the true ones."""
        if self.label_source == "truth" or not tells_labels(method, variant):
            return {}
        known = {a.name for a in self.dataset.attributes()}
        attributes = [a for n, a in method.attributes.items() if n in method.needs_labels and n in known]
        params = {
            "label_source": self.label_source,
            "attributes": attribute_params(attributes),
            "seed": self.seed,
        }
        inputs = {"faces": faces}
        if self.label_source == "predicted":
            extractor = self.choice.extractors[0]
            inputs["vectors"] = self.embed(extractor, "", pool.upper(), faces=faces)
            inputs["develop"] = self.learned(DEVELOP, self._most(DEVELOP, _TEMPLATES))
            inputs["develop_vectors"] = self.embed(extractor, "", "DEVELOP", faces=inputs["develop"])
            params["source"] = discover.source_hash("attacker", "svm")
        return {"told": self.plan.add("told", params, inputs=inputs, title=f"labels {self.label_source}")}

    def embed(self, matcher: Matcher, images: str, name: str, *, faces: str = "") -> str:
        """images: a protect cell of `faces`, or empty for the faces' own. faces: those of TEST if empty."""
        inputs = {"faces": faces or self.faces(TEST)} | ({"images": images} if images else {})
        if type(matcher).trained:
            inputs["fit"] = self.matcher_fit(matcher)
        return self.plan.add(
            "embed",
            {**self.identity("matcher", matcher), **self.inference},
            inputs=inputs,
            title=f"{name} embed {matcher.id}",
        )

    def template_fit(self, method: EmbeddingMethod, variant: Variant, matcher: Matcher) -> dict[str, str]:
        if not type(method).trained:
            return {}
        inputs = {}
        for role, pool, most in (
            ("develop", DEVELOP, _TEMPLATES),
            ("validation", VALIDATION, _VALIDATION_TEMPLATES),
        ):
            inputs[role] = self.learned(pool, self._most(pool, most))
            inputs[f"{role}_vectors"] = self.embed(matcher, "", pool.upper(), faces=inputs[role])
        params = {**self.method_params(method), "part": variant.part, "seed": self.seed}
        title = f"train {method.id} on {matcher.id}"
        return {"fit": self.plan.add("template_fit", params, inputs=inputs, title=title)}

    def template_protect(
        self, method: EmbeddingMethod, variant: Variant, matcher: Matcher, vectors: str, faces: str = ""
    ) -> str:
        """vectors: the matcher's embeddings of `faces`, of TEST if empty."""
        where = f" {ATTACK.upper()}" if faces else ""
        pool = ATTACK if faces else TEST
        inputs = {"faces": faces or self.faces(TEST), "vectors": vectors}
        inputs |= self.told(method, variant, inputs["faces"], pool)
        return self.plan.add(
            "template_protect",
            self.protect_params(method, variant),
            inputs=inputs | self.template_fit(method, variant, matcher),
            title=f"protect {output_name(method.id, variant)} on {matcher.id}{where}",
        )

    # -- what is measured ----------------------------------------------------------------------------------

    def attacks(self, images: str, embeds: Mapping[str, str], name: str) -> dict[str, str]:
        """Reader -> key of the static attackers' scores; images: a protect cell, or empty for templates."""
        readers: dict[str, list[Unit]] = {}
        for unit in self.choice.units:
            if unit.extractor or images:
                readers.setdefault(unit.extractor.id if unit.extractor else IMAGES, []).append(unit)
        return {
            reader: self.plan.add(
                "attack",
                {"units": self.unit_params(units)},
                inputs={"faces": self.faces(TEST)}
                | ({"images": images} if reader == IMAGES else {"embeddings": embeds[reader]}),
                tolerated=self.static_fits(units),
                title=f"{name} attack {reader}",
            )
            for reader, units in readers.items()
        }

    @property
    def published_pairs(self) -> str:
        """The comparisons that the dataset's publisher lists."""
        listed = self.dataset.pairs()
        params = {
            "dataset": self.dataset.id,
            "source": discover.source_hash("dataset", self.dataset.id),
            "size": self.dataset.size,
            "seed": self.dataset.seed,
            "list": digest([listed.left, listed.right, listed.fold.tolist()]),
        }
        inputs = {"faces": self.faces(TEST)}
        return self.plan.add("pairs", params, inputs=inputs, title=f"published pairs of {self.dataset.id}")

    def match(self, matcher: str, probe: str, reference: str, baseline: str, name: str) -> str:
        """probe, reference: embeddings; reference is empty where the two cannot be compared. baseline: the
        originals' match, empty for the originals themselves."""
        inputs = {"faces": self.faces(TEST), "probe": probe}
        inputs |= {"reference": reference} if reference else {}
        inputs |= {"baseline": baseline} if baseline else {}
        inputs |= {"pairs": self.published_pairs} if self.config.pairs == PUBLISHED_PAIRS else {}
        params = {
            "resamples": self.config.resamples,
            "seed": self.config.seed,
            "pairs": self.config.pairs,
        }
        return self.plan.add("match", params, inputs=inputs, title=f"{name} match {matcher}")

    def quality(self, protect: str, originals: str, name: str) -> str:
        from bench.quality.measures import BY_IMAGE, BY_SET, SET_FACTOR

        params = {
            "images": self.config.quality_images,
            "set_images": SET_FACTOR * self.config.quality_images,
            "networks": self._files_of(BY_IMAGE),
            "sets": self._files_of(BY_SET),
            "resamples": self.config.resamples,
            "seed": self.config.seed,
            "source": [discover.code_hash(module) for module in _QUALITY],
        }
        inputs = {"faces": self.faces(TEST), "images": protect, "originals": originals}
        inputs |= {"niqe_fit": self.niqe_fit()} if self.choice.attack_is_own else {}
        return self.plan.add("quality", params, inputs=inputs, title=f"{name} quality")

    def metrics(self, protect: str, originals: str, name: str) -> dict[str, str]:
        """Role -> key of the figures of quality that plug-ins bring."""
        inputs = {"faces": self.faces(TEST), "images": protect, "originals": originals}
        cells = {}
        for metric in self.choice.metrics:
            most, images = type(metric).most, self.config.quality_images
            params = self.identity("metric", metric) | {"images": min(most, images) if most else images}
            title = f"{name} quality {metric.id}"
            cells[f"metric:{metric.id}"] = self.plan.add("metric", params, inputs=inputs, title=title)
        return cells

    def _files_of(self, measures: Mapping[str, Measure]) -> dict[str, list[str]]:
        """Metric -> checksums of its files, of those whose files are all at hand."""
        weights = self.choice.weights
        return {
            name: [checksum(p, weights) for p in measure.files]
            for name, measure in measures.items()
            if all(self.choice.file("quality", name, p) for p in measure.files)
        }

    def niqe_fit(self) -> str:
        params = {"source": discover.code_hash("bench.metrics.niqe")}
        inputs = {"faces": self.known_faces}
        return self.plan.add("niqe_fit", params, inputs=inputs, title="fit NIQE's model")


def tells_labels(method: AnyMethod, variant: Variant) -> bool:
    """Whether the variant is told a label at all."""
    needs = method.needs_labels if variant.needs is None else variant.needs
    return any(n in method.attributes for n in needs)


def hidden_by(method: AnyMethod, variant: Variant, attributes: Iterable[Attribute]) -> list[Attribute]:
    """What of `attributes` the variant should hide.

    An output that hides nothing (SAN-SM) is a yardstick beside those of its method that do, on what these
    hide.
    """
    hidden = variant.obfuscates or type(method).obfuscates
    return [a for a in attributes if a.name in hidden]


def hidden_numbers(method: AnyMethod, variant: Variant, numbers: Iterable[Attribute]) -> list[Attribute]:
    """What of `numbers` the variant should hide, be it under another name: age by its group, or young."""
    hidden = variant.obfuscates or type(method).obfuscates
    return [a for a in numbers if not kept((a.name,), hidden)]
