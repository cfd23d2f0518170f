"""The rungs of the attackers' ladder for one output of a method, as cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench import discover
from bench.components.embedding_method import EmbeddingMethod
from bench.components.method import Method
from bench.components.method_base import AnyMethod, Variant
from bench.faces import ATTACK, TEST, Attribute
from bench.ladder import AWARE, FOLDED, GENERATOR, POOLED, RECOVERY, SCORE
from bench.planning.cells import CellMaker
from bench.planning.plan import output_name
from bench.selection import Unit
from bench.stages.faces import attribute_params
from bench.stages.scores import IMAGES, NUMBERS

_COST_OF_A_PASS = 2.0
_STAGE = {FOLDED: "folded", AWARE: "aware", RECOVERY: "recovery", SCORE: "neighbours", GENERATOR: "generator"}
_KERNEL = {
    FOLDED: "bench.threats.folding",
    RECOVERY: "bench.threats.restoration",
    SCORE: "bench.threats.neighbours",
    GENERATOR: "bench.threats.residuals",
}
"""The module with the mathematics of a rung, whose code belongs to the key."""


@dataclass
class Output:
    """One variant on its way to a score: keys of what was made of TEST, and of ATTACK for the ladder.

    images, known_images: protect cells, empty for templates and bounds. embeds, known_embeds: by matcher.
    results: role in the score cell -> key. hunted: the attributes that adaptive attackers are set on;
    numbers: those of them that are numbers.
    """

    method: AnyMethod
    variant: Variant
    images: str = ""
    embeds: dict[str, str] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)
    known_images: str = ""
    known_embeds: dict[str, str] = field(default_factory=dict)
    hunted: tuple[Attribute, ...] = ()
    numbers: tuple[Attribute, ...] = ()
    flags: str = ""

    @property
    def name(self) -> str:
        return output_name(self.method.id, self.variant)

    @property
    def in_own_space(self) -> bool:
        """Templates that cannot be compared with, nor read like, unprotected ones."""
        return isinstance(self.method, EmbeddingMethod) and not type(self.method).same_space

    @property
    def level(self) -> str:
        return type(self.method).level


class Ladder:
    """Adds the cells of the adaptive rungs that the run asks for."""

    def __init__(self, cells: CellMaker, rungs: Iterable[str]) -> None:
        self.cells, self.rungs = cells, tuple(rungs)
        units = cells.choice.units
        self.adaptive = _relearning(cells.choice.classifiers)
        self.extractors = {u.extractor.id: u.extractor for u in units if u.extractor}

    def prepare(self, output: Output) -> None:
        """Protect and embed the people that adaptive attackers learn on."""
        if not self.rungs:
            return
        cells, method, variant = self.cells, output.method, output.variant
        faces = cells.known_faces
        if isinstance(method, EmbeddingMethod):
            for name, extractor in self.extractors.items():
                plain = cells.embed(extractor, "", "ATTACK", faces=faces)
                output.known_embeds[name] = cells.template_protect(method, variant, extractor, plain, faces)
        elif isinstance(method, Method):
            output.known_images = cells.protect(method, variant, faces, ATTACK)
            for name, extractor in self.extractors.items():
                output.known_embeds[name] = cells.embed(
                    extractor, output.known_images, f"{output.name} ATTACK", faces=faces
                )

    def climb(self, outputs: list[Output]) -> None:
        """Enter every rung that makes sense for each output into its results."""
        rules: dict[str, Callable[[Output], str]] = {
            FOLDED: self.folded,
            AWARE: self.aware,
            RECOVERY: self.recovery,
            SCORE: self.score,
            GENERATOR: self.generator,
        }
        for output in outputs:
            for rung, rule in rules.items():
                if rung in self.rungs and output.hunted and (key := rule(output)):
                    output.results[rung] = key
            if output.numbers:
                self.numbers(output)
        if POOLED in self.rungs:
            for level in ("image", "template"):
                self.pooled([o for o in outputs if o.level == level and o.hunted and not o.in_own_space])

    # -- rungs -------------------------------------------------------------------------------------------

    def folded(self, output: Output) -> str:
        if output.in_own_space:
            return ""
        units = self._readers(output, self.cells.choice.classifiers)
        said = {role: key for role, key in output.results.items() if role.startswith("attack:")}
        fits = self.cells.static_fits(units)
        return self._add(FOLDED, output, units, tolerated=fits | said, sees_test=False)

    def aware(self, output: Output) -> str:
        """In a space of its own, where no static attacker can read, also on what should survive."""
        units = self._readers(output, self.adaptive)
        params = {}
        if output.in_own_space:
            params["hunted"] = attribute_params(self.cells.choice.attributes_of(output.level))
        return self._add(AWARE, output, units, params, weight=3)

    def pooled(self, outputs: list[Output]) -> None:
        """One training on all outputs, then each output scored; alone, an output is the rung `aware`."""
        if len(outputs) < 2:
            return
        attributes = list({a.name: a for o in outputs for a in o.hunted}.values())
        units = self._readers(outputs[0], self.adaptive)
        inputs: dict[str, str] = {}
        for output in outputs:
            inputs |= {f"{role}:{output.name}": key for role, key in self._known(output).items()}
        fit = self.cells.plan.add(
            "pooled_fit",
            {
                "units": self.cells.unit_params(units),
                "hunted": attribute_params(attributes),
                "outputs": [o.name for o in outputs],
                "seed": self.cells.seed,
            },
            inputs={"known": self.cells.known_faces},
            tolerated=inputs,
            title=f"train pooled attackers on {len(outputs)} {outputs[0].level} outputs",
            cost=60.0,
        )
        for output in outputs:
            params = {"units": self.cells.unit_params(units), "hunted": attribute_params(output.hunted)}
            output.results[POOLED] = self.cells.plan.add(
                "pooled",
                params,
                inputs={"faces": self.cells.faces(TEST), "fit": fit, **self._here(output)},
                title=f"{output.name} {POOLED} attackers",
            )

    def recovery(self, output: Output) -> str:
        cells, units = self.cells, self._readers(output, self.cells.choice.classifiers)
        params: dict[str, Any] = {}
        inputs: dict[str, str] = {}
        if output.level == "template":
            for name, extractor in self.extractors.items():
                inputs[f"plain:{name}"] = cells.embed(extractor, "", "ATTACK", faces=cells.known_faces)
        else:
            params["extractors"] = {n: cells.identity("matcher", m) for n, m in self.extractors.items()}
            inputs = {
                f"extractor:{n}": cells.matcher_fit(m) for n, m in self.extractors.items() if type(m).trained
            }
        return self._add(
            RECOVERY, output, units, params, inputs, tolerated=cells.static_fits(units), weight=6
        )

    def score(self, output: Output) -> str:
        return self._add(SCORE, output, ())

    def generator(self, output: Output) -> str:
        method, variant = output.method, output.variant
        if output.in_own_space:
            return ""
        first = next(iter(self.extractors.values()), None)
        units = [u for u in self.adaptive if u.extractor and u.extractor is first]
        if first is None or not units:
            return ""
        cells = self.cells
        params = {**cells.protect_params(method, variant), "extractor": first.id}
        inputs: dict[str, str] = {}
        if isinstance(method, Method):
            inputs, source = cells.weights_of(method, variant)
            params |= source | cells.inference
        elif isinstance(method, EmbeddingMethod):
            inputs = cells.template_fit(method, variant, first)
        return self._add(GENERATOR, output, units, params, inputs, weight=4)

    def numbers(self, output: Output) -> None:
        """The rungs of attackers that estimate numbers: the same fixed or learned anew as for classes."""
        units = self._readers(output, self.cells.choice.estimators)
        hunted = {"hunted": attribute_params(output.numbers)}
        if FOLDED in self.rungs and units and not output.in_own_space:
            said = {role: key for role, key in output.results.items() if role.startswith("attack:")}
            output.results[NUMBERS + FOLDED] = self._add(
                FOLDED,
                output,
                units,
                {**hunted, "source": discover.code_hash("bench.threats.line")},
                tolerated=self.cells.static_fits(units) | said,
                sees_test=False,
                what="estimators",
            )
        if AWARE in self.rungs and (units := _relearning(units)):
            output.results[NUMBERS + AWARE] = self._add(AWARE, output, units, hunted, what="estimators")

    # -- shared --------------------------------------------------------------------------------------------

    def _readers(self, output: Output, units: Iterable[Unit]) -> list[Unit]:
        """Of a template there is no image to read."""
        return [u for u in units if u.extractor or output.level == "image"]

    def _here(self, output: Output) -> dict[str, str]:
        found = {f"here:{name}": output.embeds[name] for name in self.extractors}
        return found | ({IMAGES: output.images} if output.images else {})

    def _known(self, output: Output) -> dict[str, str]:
        found = {f"known:{name}": key for name, key in output.known_embeds.items()}
        return found | ({"known_images": output.known_images} if output.known_images else {})

    def _add(
        self,
        rung: str,
        output: Output,
        units: Iterable[Unit],
        params: Mapping[str, object] | None = None,
        inputs: Mapping[str, str] | None = None,
        *,
        tolerated: Mapping[str, str] | None = None,
        weight: int = 1,
        sees_test: bool = True,
        what: str = "attackers",
    ) -> str:
        """sees_test: whether the rung looks at the output's TEST faces itself. what: who climbs it."""
        cells = self.cells
        kernel = {"source": discover.code_hash(_KERNEL[rung])} if rung in _KERNEL else {}
        return cells.plan.add(
            _STAGE[rung],
            {
                "units": cells.unit_params(units),
                "hunted": attribute_params(output.hunted),
                "level": output.level,
                "seed": cells.seed,
                **kernel,
                **(params or {}),
            },
            inputs={
                "faces": cells.faces(TEST),
                "known": cells.known_faces,
                **(self._here(output) if sees_test else {}),
                **self._known(output),
                **(inputs or {}),
            },
            tolerated=tolerated,
            title=f"{output.name} {rung} {what}",
            cost=weight * _COST_OF_A_PASS,
        )


def _relearning(units: Iterable[Unit]) -> list[Unit]:
    """Those that are trained again on protected faces."""
    return [u for u in units if type(u.attacker).adaptive and type(u.attacker).trained]
