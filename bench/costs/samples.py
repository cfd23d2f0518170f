"""What the cells in a store took, beside the work that each of them was."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.costs.meter import OF_CELL
from bench.costs.work import Made, Work, work_of
from bench.store import CARD, DATA

_MODULES = 20
"""More modules than this make an import worth noticing."""


@dataclass(frozen=True)
class Sample:
    """One cell that was computed. seconds: of processor time. stored: bytes on disk, card included.

    read: bytes of the inputs. peak: bytes of memory, None where the machine did not tell it cell by cell.
    device: that the worker was given. cold: whether it imported libraries on the way, as a worker's first
    cells do.
    """

    work: Work
    seconds: float
    stored: int
    read: int
    peak: int | None
    device: str
    machine: Mapping[str, Any]
    cold: bool = False


def samples_of(store: Path) -> list[Sample]:
    """Those of a store's cells that say what they took and what they read, in order of key.

    Cells of earlier versions say neither, and damaged ones are passed over: here nothing depends on any one
    of them, and `run` sets them aside when it needs them.
    """
    cards = dict(_cards(store))
    reader = _Reader(store, cards)
    return [found for key in cards if (found := reader.sample(key)) is not None]


def stored_bytes(store: Path, key: str) -> int:
    """Bytes that a cell takes on disk; 0 where it is not there."""
    path = store / "cells" / key[:2] / key
    try:
        return (path / DATA).stat().st_size + (path / CARD).stat().st_size
    except OSError:
        return 0


def _cards(store: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((store / "cells").glob(f"*/*/{CARD}")):
        try:
            card = json.loads(path.read_bytes())
            told = card["provenance"]
            if isinstance(told["inputs"], dict) and isinstance(told["spent"]["processor"], float):
                yield path.parent.name, card
        except (OSError, ValueError, KeyError, TypeError):
            continue


class _Reader:
    def __init__(self, store: Path, cards: Mapping[str, dict[str, Any]]) -> None:
        self.store, self.cards = store, cards
        self.works: dict[str, Work | None] = {}

    def sample(self, key: str) -> Sample | None:
        told, work = self.cards[key]["provenance"], self.work(key)
        if work is None:
            return None
        spent, sizes = told["spent"], [stored_bytes(self.store, k) for k in set(told["inputs"].values())]
        return Sample(
            work,
            float(spent["processor"]),
            stored_bytes(self.store, key),
            sum(sizes),
            int(spent["peak_bytes"]) if spent.get("peak_of") == OF_CELL else None,
            str(spent["device"]),
            told,
            spent.get("imported", 0) > _MODULES,
        )

    def work(self, key: str) -> Work | None:
        """None where the cell, or one that it read, is not there to be looked at."""
        if key not in self.works:
            self.works[key] = None  # a circle, which no run can leave, ends here
            self.works[key] = self._work(key)
        return self.works[key]

    def _work(self, key: str) -> Work | None:
        if key not in self.cards:
            return None
        card = self.cards[key]
        told, facts = card["provenance"], card["facts"]
        inputs: dict[str, Made] = {}
        for role, other in told["inputs"].items():
            if (found := self.work(other)) is None:
                return None
            inputs[role] = found.made
        faces = Made(facts["images"], facts["people"]) if told["stage"] == "faces" else None
        return work_of(told["stage"], told["params"], inputs, faces)
