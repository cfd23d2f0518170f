"""Estimates of cells: from what was measured here, else on the reference machine, else by a guess."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from bench.costs.fit import MEMORY, SECONDS, STORAGE, TOUCHED, Key, Rates, fit_rates, memory_terms
from bench.costs.samples import Sample
from bench.costs.table import Table
from bench.costs.work import ONE, Work

HERE, REFERENCE, SCALED, GUESS, TABLE = (
    "measured here",
    "reference machine",
    "reference, at this machine's pace",
    "guess",
    "throughput table",
)
"""Where an estimate is from, the surest first, but for `TABLE`, a rate of `bench throughput` on a GPU."""
FAR = 4.0
"""Times the greatest measured cell beyond which an estimate is said to be extrapolated."""

_NEAR = 1.25
"""Own cells of one size speak for cells up to so many times larger or smaller."""
_ENOUGH = 20
"""Cells in common with the reference from which this machine's pace is taken for stages it has not run."""
_TRAININGS = {"fit": ("trained megapixels", 2.5), "auxiliary": ("step megapixels", 15_000.0)}
"""Core-seconds a unit of a term: a `quick` method trains five minutes, an auxiliary one, at 64 px."""
_PROCESS = 450e6
"""Bytes of a worker that has imported torch, where nothing was measured."""


@dataclass(frozen=True)
class Figure:
    """An estimate, where it is from, and how many times beyond what was measured it lies (1: within)."""

    value: float
    basis: str
    beyond: float = 1.0


@dataclass(frozen=True)
class Cost:
    """Of one cell. core_seconds: of a processor core. gpu_seconds: of the accelerator. memory: bytes at most
    while it works. storage: bytes that it leaves."""

    core_seconds: Figure
    gpu_seconds: Figure
    memory: Figure
    storage: Figure

    @property
    def seconds(self) -> float:
        """How long it takes on places of its own."""
        return self.core_seconds.value + self.gpu_seconds.value


NOTHING = Figure(0.0, "")


@dataclass
class Model:
    """own: rates of the cells in the user's store. shipped: of the reference machine, or of `--rates`.

    guesses: stage -> core-seconds where neither knows the stage. pace: how many times as long as on the
    reference machine cells take here, by stage and component, and under ("", "") over all.
    """

    own: Mapping[Key, Rates]
    shipped: Mapping[Key, Rates]
    guesses: Mapping[str, float] = field(default_factory=dict)
    pace: Mapping[tuple[str, str], float] = field(default_factory=dict)
    own_sizes: Mapping[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, samples: Sequence[Sample], shipped: Table, guesses: Mapping[str, float]) -> Model:
        return cls(fit_rates(samples), shipped.rates, guesses, *_paces(samples, shipped.rates))

    def seconds(self, work: Work) -> Figure:
        """Of processor time."""
        own = self.own.get((work.stage, work.component, SECONDS))
        theirs = self.shipped.get((work.stage, work.component, SECONDS))
        if own and (own.sizes > 1 or self._near(work)):
            return Figure(own.at(work.terms), HERE, own.beyond(work.terms))
        if theirs:
            pace, basis = self.pace.get((work.stage, work.component)), SCALED
            if pace is None:
                pace = self.pace.get(("", ""))
            if pace is None:
                pace, basis = 1.0, REFERENCE
            return Figure(pace * theirs.at(work.terms), basis, theirs.beyond(work.terms))
        if own:  # of another size, and nothing tells how it grows but the terms
            return Figure(own.at(work.terms), HERE, max(FAR, own.beyond(work.terms)))
        return self._guess(work)

    def storage(self, work: Work) -> Figure:
        """Bytes that the cell leaves: what follows from shapes, and the rest as measured."""
        for rates, basis in ((self.own, HERE), (self.shipped, REFERENCE)):
            if found := rates.get((work.stage, work.component, STORAGE)):
                return Figure(work.known + found.at(work.storage), basis, found.beyond(work.storage))
        for rates in (self.own, self.shipped):
            if found := rates.get((work.stage, "", STORAGE)):
                return Figure(work.known + found.at(work.storage), GUESS, found.beyond(work.storage))
        return Figure(work.known, GUESS)

    def memory(self, work: Work, read: float, left: float) -> Figure:
        """Most bytes of a worker during the cell. read, left: bytes of its inputs and of its result."""
        terms = memory_terms(work, read, left)
        once = work.held + terms[TOUCHED]
        for rates, basis in ((self.own, HERE), (self.shipped, REFERENCE)):
            if found := rates.get((work.stage, work.component, MEMORY)):
                return Figure(once + found.at(terms), basis, found.beyond(terms))
        for rates in (self.own, self.shipped):
            if found := rates.get((work.stage, "", MEMORY)):
                return Figure(once + found.at(terms), GUESS, found.beyond(terms))
        return Figure(once + _PROCESS, GUESS)

    def _guess(self, work: Work) -> Figure:
        """As other components of the stage take on average, else a figure for the whole stage; of a training
        by steps, which is like no other fit, as its steps are long."""
        if found := _TRAININGS.get(work.stage):
            term, each = found
            if value := work.terms.get(term, 0.0) * each:
                return Figure(value, GUESS)
        for rates in (self.own, self.shipped):
            others = rates.get((work.stage, "", SECONDS))
            if others and (value := others.at(work.terms)):
                return Figure(value, GUESS, others.beyond(work.terms))
        return Figure(self.guesses.get(work.stage, 1.0), GUESS)

    def _near(self, work: Work) -> bool:
        least, most = self.own_sizes.get((work.stage, work.component), (math.inf, 0.0))
        return least / _NEAR <= _size(work) <= most * _NEAR


def estimate(works: Mapping[str, Work], inputs: Mapping[str, Iterable[str]], model: Model) -> dict[str, Cost]:
    """What every cell costs on processors. inputs: key -> keys that it reads, each before its readers."""
    found: dict[str, Cost] = {}
    for key, work in works.items():
        storage = model.storage(work)
        read = sum(found[k].storage.value for k in set(inputs[key]) if k in found)
        memory = model.memory(work, read, storage.value)
        found[key] = Cost(model.seconds(work), NOTHING, memory, storage)
    return found


def _size(work: Work) -> float:
    """What tells a large cell from a small one of the same component: its term that grows most."""
    return next((v for n, v in reversed(list(work.terms.items())) if v and n != ONE), 1.0)


def _paces(
    samples: Sequence[Sample], shipped: Mapping[Key, Rates]
) -> tuple[dict[tuple[str, str], float], dict[tuple[str, str], tuple[float, float]]]:
    ratios: dict[tuple[str, str], list[tuple[float, float]]] = {}
    sizes: dict[tuple[str, str], list[float]] = {}
    for sample in (s for s in samples if s.device == "cpu"):
        name = sample.work.stage, sample.work.component
        sizes.setdefault(name, []).append(_size(sample.work))
        if rates := shipped.get((*name, SECONDS)):
            ratios.setdefault(name, []).append((sample.seconds, rates.at(sample.work.terms)))
    pace = {n: p for n, seen in ratios.items() if (p := _ratio(seen))}
    if sum(map(len, ratios.values())) >= _ENOUGH and pace:
        pace["", ""] = float(median(pace.values()))
    return pace, {name: (min(seen), max(seen)) for name, seen in sizes.items()}


def _ratio(seen: Sequence[tuple[float, float]]) -> float:
    """Seconds of all over what the reference makes of them; 0 where that is nothing."""
    theirs = sum(t for _, t in seen)
    return sum(s for s, _ in seen) / theirs if theirs > 0 else 0.0
