"""Chooses the components of a run: by name, by default, and by what can run here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench import discover
from bench.components.attacker import Attacker
from bench.components.base import Component
from bench.components.dataset import Dataset
from bench.components.matcher import Matcher
from bench.components.method_base import AnyMethod, Variant
from bench.components.metric import Metric
from bench.config import ALL, DEFAULT, RunConfig
from bench.errors import BenchError, Unavailable, UsageError, unknown_name
from bench.faces import AGE, ATTACK, DEVELOP, VALIDATION, Attribute
from bench.foreign import Pretrained
from bench.ladder import ADAPTIVE, RUNGS
from bench.report.added import refuse_taken
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

    dataset: takes the place of the evaluated one, as where a plan supposes another size. Raises UsageError
    for unknown names, InputError for unusable data.
    """

    def __init__(self, config: RunConfig, dataset: Dataset | None = None) -> None:
        self.config = config
        _check_options(config)
        _check_preset(config)
        self.missing: list[Missing] = []
        self.notes: list[str] = []
        self.weights = WeightsFolder.find(config.weights)
        found = sources(config)
        self.dataset: Dataset = dataset or open_dataset(
            config.dataset, found[config.dataset], size=config.size, seed=config.seed, weights=self.weights
        )
        self.learning = Learning.of(self.dataset, config, found)

    # -- pools ---------------------------------------------------------------------------------------

    @property
    def attack_is_own(self) -> bool:
        """Whether attackers learn on people of the evaluated dataset; else on those that methods learn from
        another part of."""
        return ATTACK in self.dataset.pools()

    @cached_property
    def learnable(self) -> frozenset[str]:
        """The pools to learn on that the run has people for; noted where one is lacking."""
        found = self.learning.pools & {DEVELOP, VALIDATION}
        if self.attack_is_own or ATTACK in self.learning.pools:
            found |= {ATTACK}
        if not self.attack_is_own and ATTACK in found:
            names = " and ".join(d.id for d in self.learning.datasets)
            self.notes.append(
                f"attackers learn on people of {names}: {self.dataset.id} has nobody for {ATTACK.upper()} as "
                "it is dealt out here; that no person is in both is for the datasets' publishers to say"
            )
        return found

    def _learns(self, kind: str, name: str, component: Any) -> bool:
        """Whether there are people for a trained component to learn on; noted among the missing if not."""
        pool = DEVELOP if kind == "method" else ATTACK
        if not component.trained or pool in self.learnable:
            return True
        reason = f"{self.dataset.id} has nobody for {pool.upper()} as it is dealt out here"
        self.miss(kind, name, reason, "add --train-on with a dataset that has")
        return False

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
            if method is None or not self._learns("method", name, type(method)):
                continue
            try:
                chosen.append((method, self._variants(method, wanted.get(name, ()))))
            except BenchError:
                raise
            except (Exception, SystemExit) as error:  # a bug of one method is that method's alone
                self._broken("method", name, error)
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
        found = [m for m in (self._instance("matcher", n) for n in names) if m is not None]
        return [m for m in found if self._learns("matcher", m.id, type(m))]

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
        known = self._labelled_classes | {a.name for a in self.numbers}
        units = []
        for attacker in self._attackers:
            if attacker.predicts and not known & set(attacker.predicts):
                continue
            taught = self.taught_numbers if type(attacker).learns == "numbers" else self.taught
            if type(attacker).trained and not (
                taught and self._learns("attacker", attacker.id, type(attacker))
            ):
                continue
            readers = [None] if attacker.reads == "image" else self.extractors
            units += [Unit(attacker, e) for e in readers]
        return units

    @cached_property
    def classifiers(self) -> list[Unit]:
        """The attackers that tell classes apart."""
        return [u for u in self.units if self._answers(u.attacker, "classes", self._labelled_classes)]

    @cached_property
    def estimators(self) -> list[Unit]:
        """The attackers that estimate a number."""
        numbers = {a.name for a in self.numbers}
        return [u for u in self.units if self._answers(u.attacker, "numbers", numbers)]

    @cached_property
    def _attackers(self) -> list[Attacker]:
        """The chosen ones that can run here, whether or not they have something to say of the dataset."""
        names = self._chosen("attacker", self.config.attackers, self._default_attackers)
        return [a for a in (self._instance("attacker", n) for n in names) if a is not None]

    @staticmethod
    def _answers(attacker: Attacker, kind: str, names: Set[str]) -> bool:
        """Whether it learns attributes of a kind, or was trained elsewhere to predict one of `names`."""
        if attacker.predicts:
            return bool(names & set(attacker.predicts))
        return type(attacker).learns == kind

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

    @property
    def taught(self) -> list[Attribute]:
        """Those that attackers can learn: all, or what the people of other datasets are labelled with."""
        if self.attack_is_own:
            return self.attributes
        known = {a.name for a in self.learning.attributes()}
        return [a for a in self.attributes if a.name in known]

    def attributes_of(self, level: str) -> list[Attribute]:
        """Those that concern outputs of a level: by default of templates without what image methods add."""
        return self.attributes if level == "image" else self._attacked(self.hidden(level))

    @cached_property
    def numbers(self) -> list[Attribute]:
        """The number attributes that attackers estimate, by default all that one can: what the dataset
        labels, and on photographs without a label of it the age, against the answer on the original."""
        known = self._known_numbers
        names = self.config.attributes
        if DEFAULT not in names and ALL not in names:
            return [a for n, a in known.items() if n in names]
        learns = any(type(a).learns == "numbers" for a in self._attackers)
        predicted = {n for a in self._attackers for n in a.predicts}
        return [a for n, a in known.items() if learns or n in predicted]

    @cached_property
    def taught_numbers(self) -> list[Attribute]:
        """Those of `numbers` that the people whom attackers learn on are labelled with."""
        source = self.dataset if self.attack_is_own else self.learning
        known = {a.name for a in source.attributes()}
        return [a for a in self.numbers if a.name in known]

    @property
    def _known_numbers(self) -> dict[str, Attribute]:
        known = {a.name: a for a in self.dataset.attributes() if a.is_number}
        predicted = any(AGE.name in a.predicts for a in self._attackers)
        if self.dataset.photographs and predicted:
            known.setdefault(AGE.name, AGE)
        return known

    @property
    def _labelled_classes(self) -> set[str]:
        return {a.name for a in self.dataset.attributes() if not a.is_number}

    def _attacked(self, hidden: set[str]) -> list[Attribute]:
        known = {a.name: a for a in self.dataset.attributes() if not a.is_number}
        names = self.config.attributes
        if DEFAULT in names:
            watched = tuple(n for n in type(self.dataset).watch if n in known) or tuple(known)
            names = tuple(dict.fromkeys([*watched, *(n for n in known if n in hidden)]))
        elif ALL in names:
            names = tuple(known)
        for name in names:
            if name not in known and name not in self._known_numbers:
                raise unknown_name(f"attribute of {self.dataset.id}", name, [*known, *self._known_numbers])
        return [known[n] for n in names if n in known]

    def hidden(self, level: str) -> set[str]:
        """What the chosen outputs of methods, controls aside, hide on a level."""
        return {
            attribute
            for method, variants in self.methods
            if type(method).role == "method" and type(method).level == level
            for variant in variants
            for attribute in variant.obfuscates
        }

    @cached_property
    def metrics(self) -> list[Metric]:
        """The figures of quality that plug-ins bring. Raises UsageError for one that is called as another."""
        names = list(discover.components("metric"))
        refuse_taken(names)
        return [m for m in (self._instance("metric", n) for n in names) if m is not None]

    # -- threats -----------------------------------------------------------------------------------------

    @cached_property
    def rungs(self) -> tuple[str, ...]:
        """The adaptive rungs of the ladder that the run climbs, in order."""
        names = self.config.threats
        for name in names:
            if name not in RUNGS and name != ALL:
                raise unknown_name("threat", name, RUNGS)
        if ATTACK not in self.learnable:
            return ()  # nobody whose protected faces an attacker could learn on
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
        try:
            return component(*args, preset=self.config.preset, **self.config.options.get(name, {}))
        except BenchError:
            raise
        except (Exception, SystemExit) as error:  # a bug of one component is that component's alone
            self._broken(kind, name, error)
            return None

    def _broken(self, kind: str, name: str, error: BaseException) -> None:
        reason = f"it cannot be made: {type(error).__name__}: {error}"
        self.miss(kind, name, reason, f"python -m bench check {name} says more")

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
    known = {n for kind in ("method", "attacker", "matcher", "metric") for n in discover.components(kind)}
    for name in config.options:
        if name not in known:
            raise unknown_name("component in options", name, known)


def _check_preset(config: RunConfig) -> None:
    """Raises UsageError for a preset that nothing offers. What is chosen need not offer it: see `resolve`."""
    known = {name for kind in discover.PACKAGES for name in discover.preset_names(kind)}
    if config.preset not in known:
        raise unknown_name("preset", config.preset, known)


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
