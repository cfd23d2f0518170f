"""What a run consists of: cells, and the outputs that they score."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.cells import Cell, Source, stage_version
from bench.components.dataset import Dataset
from bench.components.method_base import DEFAULT_VARIANT, Variant
from bench.config import RunConfig
from bench.selection import Missing

STAGE_COSTS = {
    "faces": 8.0,
    "pairs": 0.2,
    "auxiliary": 60.0,
    "fit": 300.0,
    "matcher_fit": 60.0,
    "told": 1.0,
    "protect": 2.0,
    "embed": 2.0,
    "attacker_fit": 8.0,
    "attack": 1.0,
    "oracle": 0.1,
    "template_fit": 4.0,
    "template_protect": 0.3,
    "pooled": 1.0,
    "match": 0.6,
    "niqe_fit": 1.0,
    "quality": 4.0,
    "metric": 1.0,
    "score": 2.0,
}
"""Rough core-seconds of a cell: for the order of work and the first guess of the time left."""


_TOLD_APART = 3
"""Components of a kind that are said to be unavailable one by one."""


@dataclass(frozen=True)
class Subject:
    """One variant that is scored, and the keys of its images (if any) and scores."""

    method: str
    role: str
    variant: Variant
    protect: str
    score: str
    level: str
    label_source: str
    seed: int

    @property
    def name(self) -> str:
        return output_name(self.method, self.variant)


@dataclass
class Plan:
    """cells: planned key -> cell, inputs before their readers. subjects: what is scored. learning: datasets
    that methods learn on. sources: files and options of datasets, where the configuration does not tell them.
    """

    config: RunConfig
    dataset: Dataset
    cells: dict[str, Cell] = field(default_factory=dict)
    subjects: list[Subject] = field(default_factory=list)
    missing: list[Missing] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    learning: tuple[Dataset, ...] = ()
    sources: Mapping[str, Source] | None = None

    def unavailable(self) -> Iterator[str]:
        """Lines on what cannot run here: each with its remedy, or many of a kind together by name."""
        for kind in dict.fromkeys(m.kind for m in self.missing):
            found = [m for m in self.missing if m.kind == kind]
            if len(found) <= _TOLD_APART:
                yield from (f"unavailable: {kind} {m.name}: {m.reason}; {m.remedy}" for m in found)
            else:
                names = ", ".join(m.name for m in found)
                yield f"unavailable: {len(found)} of kind {kind}: {names}; the report tells each one's remedy"

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
            STAGE_COSTS[stage] if cost is None else cost,
            stage_version(stage),
        )
        key = cell.key
        self.cells.setdefault(key, cell)
        return key


def output_name(method: str, variant: Variant) -> str:
    """As typed: `san:op`, or `grey` where there is only one."""
    return method if variant.name == DEFAULT_VARIANT else f"{method}:{variant.name}"
