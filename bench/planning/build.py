"""Turns a configuration into cells: what must be computed, and in which order."""

from __future__ import annotations

from typing import Any, NamedTuple

from bench import discover
from bench.components.dataset import Dataset
from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Method
from bench.components.method_base import AnyMethod, Variant
from bench.config import RunConfig
from bench.errors import UsageError
from bench.faces import TEST, Attribute, kept
from bench.ladder import STATIC
from bench.planning.cells import CellMaker, hidden_by, hidden_numbers, tells_labels
from bench.planning.ladder import Ladder, Output
from bench.planning.plan import Plan, Subject
from bench.quick import MEANING
from bench.selection import Selection
from bench.stages.faces import attribute_params
from bench.stages.scores import NUMBERS


def build(config: RunConfig, dataset: Dataset | None = None) -> Plan:
    """The plan of a run. dataset: takes the place of the evaluated one, for a plan that nobody runs. Raises
    UsageError for unknown names, InputError for unusable data."""
    choice = Selection(config, dataset)
    learning = choice.learning.datasets
    plan = Plan(config, choice.dataset, missing=choice.missing, notes=choice.notes, learning=learning)
    if config.quick:
        plan.notes.append(MEANING)
    for seed in range(config.seed, config.seed + config.seeds):
        for number, source in enumerate(dict.fromkeys(config.label_source)):
            _Planner(plan, choice, seed, source).run(repeat=number > 0)
    if config.inference != "exact":
        plan.notes.append(
            "networks are evaluated on the path that measures fastest on this machine, which deviates from "
            "fp32 by at most one grey level, or .001 in 1 - cosine; the report's environment names each path"
        )
    if config.seeds > 1 and any(c.params.get("weights") for c in plan.cells.values() if c.stage == "protect"):
        plan.notes.append(
            "shipped weights are of one training, so seeds vary attackers, matchers and noise alone; "
            "--set shipped=false trains the methods with every seed"
        )
    return plan


class Learner(NamedTuple):
    """What is trained: a method's part, or a matcher. kind: `method` or `matcher`."""

    kind: str
    name: str
    part: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.part}".rstrip()


def build_fits(config: RunConfig) -> tuple[Plan, dict[Learner, str]]:
    """The plan that trains the chosen methods anew, and the key of each fit cell; with matchers named and no
    methods, the plan that trains those.

    Of a method with parts, those that the chosen variants need. Template-level methods are left out: they
    learn in the run, on the embeddings of its matchers.
    """
    choice = Selection(config.model_copy(update={"shipped": False}))
    plan = Plan(config, choice.dataset, missing=choice.missing, notes=choice.notes)
    cells = CellMaker(plan, choice, config.seed, "truth")
    if "matchers" in config.model_fields_set and "methods" not in config.model_fields_set:
        asked = config.matchers
        fits = {Learner("matcher", m.id): cells.matcher_fit(m) for m in choice.matchers if type(m).trained}
    else:
        asked = config.methods
        fits = {
            Learner("method", m.id, v.part): cells.fit(m, v.part)
            for m, variants in choice.methods
            for v in variants
            if isinstance(m, Method) and type(m).trained
        }
    if not fits:
        raise UsageError(f"nothing to train among {', '.join(asked)}")
    return plan, fits


class _Planner:
    """Plans one seed and one label source; the first output is that of the originals."""

    def __init__(self, plan: Plan, choice: Selection, seed: int, label_source: str) -> None:
        self.plan, self.choice, self.config = plan, choice, choice.config
        self.cells = CellMaker(plan, choice, seed, label_source)
        self.ladder = Ladder(self.cells, choice.rungs)
        self.outputs: list[Output] = []

    def run(self, *, repeat: bool) -> None:
        """repeat: another label source went before, so only what is told labels differs."""
        for method, variants in self.choice.methods:
            for variant in variants:
                if not self.outputs or not repeat or tells_labels(method, variant):
                    self._output(method, variant)
        self.ladder.climb(self.outputs)
        for output in self.outputs[1:] if repeat else self.outputs:
            self._subject(output)

    def _output(self, method: AnyMethod, variant: Variant) -> None:
        output = Output(
            method, variant, hunted=self._hunted(method, variant), numbers=self._numbers(method, variant)
        )
        if isinstance(method, EmbeddingMethod):
            self._template(output, method)
        elif isinstance(method, Method):
            (self._bound if variant.oracle else self._image)(output, method)
        if not variant.oracle:
            self.ladder.prepare(output)
        self.outputs.append(output)

    def _hunted(self, method: AnyMethod, variant: Variant) -> tuple[Attribute, ...]:
        """What adaptive attackers are set on: of a control, only what some chosen method hides."""
        if variant.oracle:
            return ()
        level = type(method).level
        taught = {a.name for a in self.choice.taught}
        attributes = [a for a in self.choice.attributes_of(level) if a.name in taught]
        if type(method).role == "control" and (hidden := self.choice.hidden(level)):
            attributes = [a for a in attributes if a.name in hidden]
        return tuple(hidden_by(method, variant, attributes))

    def _numbers(self, method: AnyMethod, variant: Variant) -> tuple[Attribute, ...]:
        """The same of numbers; of templates in a space of their own, which none but attackers that learned
        on them can read, also those that should survive."""
        labelled = {a.name for a in self.choice.dataset.attributes()}
        numbers = [a for a in self.choice.taught_numbers if a.name in labelled]
        if variant.oracle or (isinstance(method, EmbeddingMethod) and not type(method).same_space):
            return () if variant.oracle else tuple(numbers)
        if type(method).role == "control" and (hidden := self.choice.hidden(type(method).level)):
            numbers = [a for a in numbers if not kept((a.name,), hidden)]
        return tuple(hidden_numbers(method, variant, numbers))

    # -- one output --------------------------------------------------------------------------------------

    def _image(self, output: Output, method: Method) -> None:
        cells, name = self.cells, output.name
        output.images = cells.protect(method, output.variant)
        output.embeds = {m.id: cells.embed(m, output.images, name) for m in self.choice.matchers}
        original = self.outputs[0] if self.outputs else output
        for matcher, probe in output.embeds.items():
            baseline = "" if original is output else original.results[f"match:{matcher}"]
            output.results[f"match:{matcher}"] = cells.match(
                matcher, probe, original.embeds[matcher], baseline, name
            )
        self._static(output)
        if self.config.quality_images:
            output.results["quality"] = cells.quality(output.images, original.images, name)
            output.results |= cells.metrics(output.images, original.images, name)

    def _template(self, output: Output, method: EmbeddingMethod) -> None:
        cells, original = self.cells, self.outputs[0]
        for matcher in self.choice.matchers:
            plain = original.embeds[matcher.id]
            found = cells.template_protect(method, output.variant, matcher, plain)
            output.embeds[matcher.id] = found
            output.results[f"match:{matcher.id}"] = cells.match(
                matcher.id,
                found,
                "" if output.in_own_space else plain,
                original.results[f"match:{matcher.id}"],
                output.name,
            )
        if not output.in_own_space:
            self._static(output)

    def _static(self, output: Output) -> None:
        attacks = self.cells.attacks(output.images, output.embeds, output.name)
        output.results |= {f"attack:{reader}": key for reader, key in attacks.items()}

    def _bound(self, output: Output, method: Method) -> None:
        """A variant without images: each attacker gets, face by face, the member that it reads worst."""
        cells, members = self.cells, []
        for name in output.variant.oracle:
            member = Output(method, method.variant(name))
            member.images = cells.protect(method, member.variant)
            member.embeds = {m.id: cells.embed(m, member.images, member.name) for m in self.choice.extractors}
            members.append((name, cells.attacks(member.images, member.embeds, member.name)))
        for reader in members[0][1]:
            output.results[f"attack:{reader}"] = self.plan.add(
                "oracle",
                {"attribute": output.variant.obfuscates[0]},
                inputs={
                    "faces": cells.faces(TEST),
                    **{f"member:{name}": attacks[reader] for name, attacks in members},
                },
                title=f"{output.name} attack {reader}",
            )
        output.flags = "bound"

    # -- its score ---------------------------------------------------------------------------------------

    def _subject(self, output: Output) -> None:
        original = self.outputs[0]
        params = self._score_params(output)
        # Every result beside the originals' own; the static attackers' always, for what they read there.
        theirs = {r: k for r, k in original.results.items() if r in output.results or r.startswith("attack:")}
        score = self.plan.add(
            "score",
            params,
            inputs={"faces": self.cells.faces(TEST)} | ({"images": output.images} if output.images else {}),
            tolerated=output.results | {f"original:{r}": k for r, k in theirs.items()},
            title=f"score {output.name}",
        )
        role = type(output.method).role
        self.plan.subjects.append(
            Subject(
                output.method.id,
                role,
                output.variant,
                output.images,
                score,
                output.level,
                params["label_source"],
                self.cells.seed,
            )
        )

    def _score_params(self, output: Output) -> dict[str, Any]:
        method, variant = output.method, output.variant
        attributes = self.choice.attributes_of(output.level)
        names = [a.name for a in attributes]
        hidden = [a.name for a in hidden_by(method, variant, attributes)]
        units = [u for u in self.choice.units if u.extractor or output.level == "image"]
        return {
            "method": method.id,
            "variant": variant.name,
            "method_role": type(method).role,
            "level": output.level,
            "flags": output.flags,
            "dataset": self.choice.dataset.id,
            "attributes": attribute_params(attributes),
            "obfuscates": hidden,
            "kept": list(kept(names, variant.obfuscates or type(method).obfuscates)),
            "attackers": [u.name for u in units],
            **self._number_params(output),
            "rungs": [STATIC, *(r for r in self.choice.rungs if r in output.results)],
            "matchers": {m.id: self.choice.seen(m.id) for m in self.choice.matchers},
            "label_source": self.cells.label_source if tells_labels(method, variant) else "truth",
            "resamples": self.config.resamples,
            "seed": self.cells.seed,
            "draw_seed": self.config.seed,
            # Reached through the configuration; how figures are drawn does not change them.
            "source": discover.code_hash("bench.stages.score", ("bench.protocols", "bench.report")),
        }

    def _number_params(self, output: Output) -> dict[str, Any]:
        """Of what the numbers' rows are made; nothing where there are none, as for a bound without images."""
        if not self.choice.numbers or output.variant.oracle:
            return {}
        numbers = self.choice.numbers
        hidden = hidden_numbers(output.method, output.variant, numbers)
        return {
            "numbers": attribute_params(numbers),
            "numbers_hidden": [a.name for a in hidden],
            "numbers_rungs": [r for r in self.choice.rungs if NUMBERS + r in output.results],
            "classifiers": [u.name for u in self.choice.classifiers],
            "estimators": [u.name for u in self.choice.estimators],
        }
