"""Chooses the components of a run: by name, by default, and by what can run here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench import discover
from bench.components.attacker import Attacker
from bench.components.base import Component
from bench.components.dataset import Dataset
from bench.components.matcher import Matcher
from bench.components.method_base import AnyMethod, Variant
from bench.config import ALL, DEFAULT, RunConfig
from bench.errors import Unavailable, UsageError, unknown_name
from bench.faces import Attribute
from bench.foreign import Pretrained
from bench.ladder import ADAPTIVE, RUNGS
from bench.results import ORIGINAL
from bench.sources import Learning, open_dataset, sources
from bench.weights import WeightsFolder, pretrained_file
from bench.weights_catalogue import PRETRAINED

CASIA = PRETRAINED["mobilefacenet_casia_112x96_differentiable"].pretrained
"""The pretrained matcher that methods train against on photographs."""

_SAME_NETWORK = {CASIA.file: "mobilefacenet_casia"}
_EXTRACTORS = ("intel_reid", "mobilefacenet_y1", "se_resnet")


@dataclass(frozen=True)
class Missing:
    """A component that cannot run here, why, and what would make it run."""

    kind: str
    name: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Unit:
    """An attacker together with what it reads: `svm@se_resnet`, `cnn_small`."""

    attacker: Attacker
    extractor: Matcher | None

    @property
    def name(self) -> str:
        return f"{self.attacker.id}@{self.extractor.id}" if self.extractor else self.attacker.id


class Selection:
    """The components that `config` names, as far as they can run; what cannot is in `missing`, once.

    Raises UsageError for unknown names, InputError for unusable data.
    """

    def __init__(self, config: RunConfig) -> None:
        self.config = config
        _check_options(config)
        self.missing: list[Missing] = []
        self.notes: list[str] = []
        self.weights = WeightsFolder.find(config.weights)
        found = sources(config)
        self.dataset: Dataset = open_dataset(
            config.dataset, found[config.dataset], size=config.size, seed=config.seed
        )
        self.learning = Learning.of(self.dataset, config, found)

    # -- methods -------------------------------------------------------------------------------------

    @cached_property
    def methods(self) -> list[tuple[AnyMethod, tuple[Variant, ...]]]:
        """The chosen methods with their variants; `original` comes first, all else is measured against it."""
        known = discover.components("method")
        wanted = _split_variants(self.config.methods)
        if ALL in wanted:
            wanted = dict.fromkeys(known, ()) | {k: v for k, v in wanted.items() if k != ALL}
        for name in wanted:
            if name not in known:
                raise unknown_name("method", name, known)
        if ORIGINAL not in known:
            raise UsageError("the method 'original' is gone; every figure is measured against it")
        chosen = []
        for name in [ORIGINAL, *(n for n in known if n in wanted and n != ORIGINAL)]:
            method = self._instance("method", name, self.learning.attributes())
            if method is not None:
                chosen.append((method, self._variants(method, wanted.get(name, ()))))
        return chosen

    def _variants(self, method: AnyMethod, named: Sequence[str]) -> tuple[Variant, ...]:
        """The named variants, or the usual ones that the labels of the evaluated dataset allow."""
        if named:
            chosen = [method.variant(n) for n in named]
            for variant in chosen:
                if lacking := self._lacking(method, variant):
                    raise UsageError(
                        f"{method.id}:{variant.name} must be told {lacking}, which {self.dataset.id} "
                        "does not label; choose another variant or dataset"
                    )
            return tuple(chosen)
        found = [v for v in method.variants() if not self._lacking(method, v)]
        if not found:
            self.miss("method", method.id, "the dataset labels nothing that it hides", "use another dataset")
        return tuple(v for v in found if v.selected or self.config.variants == ALL)

    def _lacking(self, method: AnyMethod, variant: Variant) -> str:
        """Labels that the variant must be told, learned elsewhere, and that the evaluated dataset lacks."""
        labelled = {a.name for a in self.dataset.attributes()}
        needs = method.needs_labels if variant.needs is None else variant.needs
        return " and ".join(n for n in needs if n in method.attributes and n not in labelled)

    # -- matchers and attackers ------------------------------------------------------------------------

    @cached_property
    def matchers(self) -> list[Matcher]:
        names = self._chosen("matcher", self.config.matchers, self._default_matchers)
        return [m for m in (self._instance("matcher", n) for n in names) if m is not None]

    def _default_matchers(self) -> list[str]:
        """Pretrained ones where they belong, on photographs; else those that learn on ATTACK."""
        classes = self._classes("matcher")
        trained = [n for n, c in classes if c.trained or c.pretrained is None]
        if not self.dataset.photographs:
            return trained
        ready = [n for n, c in classes if c.pretrained and not self.seen(n) and self._runs("matcher", n, c)]
        if not ready:
            self.notes.append("no pretrained matcher is at hand; matchers are trained on the ATTACK pool")
        return ready or trained

    def seen(self, matcher: str) -> bool:
        """Whether methods train against this very network."""
        return bool(self.casia) and _SAME_NETWORK[CASIA.file] == matcher

    @cached_property
    def casia(self) -> str:
        """SHA-256 of the pretrained matcher that methods train against here, or an empty string."""
        if not self.learning.photographs:
            return ""
        try:
            pretrained_file(CASIA, self.weights)
        except Unavailable as error:
            self.notes.append(f"methods train against a matcher learned on DEVELOP: {error}")
            return ""
        return CASIA.sha256

    @cached_property
    def units(self) -> list[Unit]:
        """The attackers, those that read embeddings once for each extractor."""
        labelled = {a.name for a in self.dataset.attributes()}
        units = []
        for name in self._chosen("attacker", self.config.attackers, self._default_attackers):
            attacker = self._instance("attacker", name)
            if attacker is None or (attacker.predicts and not labelled & set(attacker.predicts)):
                continue
            readers = [None] if attacker.reads == "image" else self.extractors
            units += [Unit(attacker, e) for e in readers]
        return units

    def _default_attackers(self) -> list[str]:
        photographs = self.dataset.photographs
        return [n for n, c in self._classes("attacker") if photographs or c.pretrained is None]

    @cached_property
    def extractors(self) -> list[Matcher]:
        """The matchers whose embeddings attackers read: by default at most two, strangers to the methods."""
        by_name = {m.id: m for m in self.matchers}
        if DEFAULT not in self.config.extractors:
            for name in self.config.extractors:
                if name not in by_name:
                    raise unknown_name("extractor (one of the run's matchers)", name, by_name)
            return [by_name[n] for n in self.config.extractors]
        preferred = [n for n in _EXTRACTORS if n in by_name] or list(by_name)
        return [by_name[n] for n in preferred[: 2 if self.dataset.photographs else 1]]

    # -- attributes and quality --------------------------------------------------------------------------

    @cached_property
    def attributes(self) -> list[Attribute]:
        """The class attributes that attackers are set on: by default those that the dataset watches, and
        whatever the chosen outputs of methods hide."""
        return self._attacked(self.hidden("image") | self.hidden("template"))

    def attributes_of(self, level: str) -> list[Attribute]:
        """Those that concern outputs of a level: by default of templates without what image methods add."""
        return self.attributes if level == "image" else self._attacked(self.hidden(level))

    def _attacked(self, hidden: set[str]) -> list[Attribute]:
        known = {a.name: a for a in self.dataset.attributes() if not a.is_number}
        names = self.config.attributes
        if DEFAULT in names:
            watched = tuple(n for n in type(self.dataset).watch if n in known) or tuple(known)
            names = tuple(dict.fromkeys([*watched, *(n for n in known if n in hidden)]))
        elif ALL in names:
            names = tuple(known)
        for name in names:
            if name not in known:
                raise unknown_name(f"attribute of {self.dataset.id}", name, known)
        return [known[n] for n in names]

    def hidden(self, level: str) -> set[str]:
        """What the chosen outputs of methods, controls aside, hide on a level."""
        return {
            attribute
            for method, variants in self.methods
            if type(method).role == "method" and type(method).level == level
            for variant in variants
            for attribute in variant.obfuscates
        }

    # -- threats -----------------------------------------------------------------------------------------

    @cached_property
    def rungs(self) -> tuple[str, ...]:
        """The adaptive rungs of the ladder that the run climbs, in order."""
        names = self.config.threats
        for name in names:
            if name not in RUNGS and name != ALL:
                raise unknown_name("threat", name, RUNGS)
        return tuple(r for r in ADAPTIVE if ALL in names or r in names)

    def file(self, kind: str, name: str, pretrained: Pretrained) -> bool:
        """Whether a pretrained file is at hand; noted among the missing if not."""
        try:
            pretrained_file(pretrained, self.weights)
        except Unavailable as error:
            self.miss(kind, name, error.reason, error.remedy)
            return False
        return True

    def miss(self, kind: str, name: str, reason: str, remedy: str) -> None:
        """Note that a component cannot run."""
        missing = Missing(kind, name, reason, remedy)
        if missing not in self.missing:
            self.missing.append(missing)

    # -- by kind -----------------------------------------------------------------------------------------

    def _chosen(self, kind: str, names: Sequence[str], defaults: Callable[[], list[str]]) -> list[str]:
        known = discover.components(kind)
        picked: list[str] = []
        for name in names:
            picked += list(known) if name == ALL else defaults() if name == DEFAULT else [name]
        for name in picked:
            if name not in known:
                raise unknown_name(kind, name, known)
        return sorted(set(picked))

    def _classes(self, kind: str) -> list[tuple[str, Any]]:
        loaded = ((name, self._load(kind, name)) for name in discover.components(kind))
        return [(name, component) for name, component in loaded if component is not None]

    def _instance(self, kind: str, name: str, *args: Any) -> Any:
        component = self._load(kind, name)
        if component is None or not self._runs(kind, name, component):
            return None
        return component(*args, preset=self.config.preset, **self.config.options.get(name, {}))

    def _load(self, kind: str, name: str) -> Any:
        try:
            return discover.load_class(kind, name)
        except Unavailable as error:
            self.miss(kind, name, error.reason, error.remedy)
            return None

    def _runs(self, kind: str, name: str, component: type[Component]) -> bool:
        pretrained = getattr(component, "pretrained", None)
        return pretrained is None or self.file(kind, name, pretrained)


def _check_options(config: RunConfig) -> None:
    """Raises UsageError for options of a component that does not exist."""
    known = {n for kind in ("method", "attacker", "matcher") for n in discover.components(kind)}
    for name in config.options:
        if name not in known:
            raise unknown_name("component in options", name, known)


def _split_variants(names: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """`privacynet:gender` -> {"privacynet": ("gender",)}; a bare name means its usual variants."""
    found: dict[str, tuple[str, ...]] = {}
    bare = set()
    for entry in names:
        name, _, variant = entry.partition(":")
        found[name] = found.get(name, ()) + ((variant,) if variant else ())
        if not variant:
            bare.add(name)
    return {n: () if n in bare else v for n, v in found.items()}
