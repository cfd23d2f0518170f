"""The unit of work of a run, and what a stage is given to do it."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from bench.components.base import Context
from bench.store import Artefact, Store, digest

T = TypeVar("T")

STAGES = (
    "faces",
    "pairs",
    "auxiliary",
    "fit",
    "matcher_fit",
    "told",
    "protect",
    "embed",
    "attacker_fit",
    "attack",
    "oracle",
    "template_fit",
    "template_protect",
    "folded",
    "aware",
    "pooled_fit",
    "pooled",
    "recovery",
    "neighbours",
    "generator",
    "match",
    "niqe_fit",
    "quality",
    "metric",
    "score",
)
"""Modules of `bench.stages`, each with a VERSION and `run(job) -> Artefact`."""


@dataclass(frozen=True)
class Cell:
    """One unit of work: a stage, its parameters, and the keys of the cells it reads.

    inputs: role -> key, all of which must be done. tolerated: role -> key of inputs whose failure this cell
    survives; the ones that are there join `inputs` before the work starts, so the key tells what was read.
    title: for people. cost: rough seconds on one core, for the order of work and the time left. memory: rough
    bytes of a worker at most during it, 0 where unknown, for what may be worked on side by side.
    """

    stage: str
    params: Mapping[str, Any]
    inputs: Mapping[str, str] = field(default_factory=dict)
    tolerated: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    cost: float = 1.0
    version: int = 0
    memory: float = 0.0

    @property
    def key(self) -> str:
        """SHA-256 over the explicit list of what determines the result."""
        return digest(
            {
                "stage": self.stage,
                "version": self.version,
                "params": self.params,
                "inputs": dict(self.inputs) | dict(self.tolerated),
            }
        )

    @property
    def needs(self) -> tuple[str, ...]:
        """Keys of all that it reads or would read, once for each role."""
        return (*self.inputs.values(), *self.tolerated.values())

    def without(self, failed: set[str]) -> Cell:
        """This cell with every tolerated input either read or, when it failed, left out."""
        there = {role: key for role, key in self.tolerated.items() if key not in failed}
        return replace(self, inputs={**self.inputs, **there}, tolerated={})


@dataclass(frozen=True)
class Source:
    """Where the files of a dataset are, and its options."""

    roots: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Environment:
    """Where a worker finds things; sources: of each dataset, by name.

    None of it may influence a result: options of a dataset are in the fingerprints of its pools.
    """

    store: Path
    sources: Mapping[str, Source] = field(default_factory=dict)
    weights: Path | None = None
    device: str = "cpu"


class Recent:
    """The objects used last, up to a number of bytes: faces and fitted components that many cells share."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.items: OrderedDict[tuple[str, ...], tuple[Any, int]] = OrderedDict()
        self.held = 0

    def get(self, key: tuple[str, ...], make: Callable[[], tuple[T, int]]) -> T:
        """The object under `key`, made by `make() -> (object, bytes)` when it is not at hand."""
        if key in self.items:
            self.items.move_to_end(key)
            value: T = self.items[key][0]
            return value
        made, size = make()
        self.items[key] = (made, size)
        self.held += size
        while self.held > self.limit and len(self.items) > 1:
            _, (_, dropped) = self.items.popitem(last=False)
            self.held -= dropped
        return made


@dataclass(frozen=True)
class Job:
    """What a stage receives: the cell, its inputs, and the context for components."""

    cell: Cell
    store: Store
    environment: Environment
    context: Context
    recent: Recent

    @property
    def params(self) -> Mapping[str, Any]:
        return self.cell.params

    def artefact(self, role: str) -> Artefact:
        """The finished input called `role`, kept at hand for the next cells of this worker."""
        key = self.cell.inputs[role]

        def load() -> tuple[Artefact, int]:
            found = self.store.load(key)
            return found, sum(a.nbytes for a in found.arrays.values())

        return self.recent.get(("artefact", key), load)

    def once(self, kind: str, role: str, make: Callable[[], T]) -> T:
        """An object derived from the input `role` (or from the cell's own parameters), made once a worker."""
        key = self.cell.inputs.get(role, "") or digest(self.params)
        return self.recent.get((kind, key), lambda: (make(), 4_000_000))


@cache
def stage_version(stage: str) -> int:
    """VERSION of a stage, read from its source so that planning imports none of its dependencies."""
    import ast
    from importlib.util import find_spec

    spec = find_spec(f"bench.stages.{stage}")
    assert spec is not None
    assert spec.origin is not None
    for node in ast.parse(Path(spec.origin).read_bytes()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "VERSION":
            return int(ast.literal_eval(node.value))
    raise AssertionError(f"stage {stage} has no VERSION")


def run_cell(job: Job) -> Artefact:
    """Do the work of one cell."""
    stage = importlib.import_module(f"bench.stages.{job.cell.stage}")
    result: Artefact = stage.run(job)
    return result
