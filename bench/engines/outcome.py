"""What the execution of a plan tells: on the way, of each cell, and in the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.cells import Cell


@dataclass(frozen=True)
class Failure:
    """Why a cell has no result. `blocked` when an input of it failed first."""

    cell: Cell
    message: str
    details: str = ""
    blocked: bool = False


@dataclass(frozen=True)
class Spent:
    """What a cell took: from `started` to `ended` by the clock of the run, seconds of processor time, and
    bytes of memory at most (0: not known), see `bench.costs.meter`."""

    worker: int
    started: float
    ended: float
    processor: float
    peak_bytes: int = 0


@dataclass
class Outcome:
    """done: planned key -> key of the artefact. failures: planned key -> why. spent: of each cell that was
    computed, by planned key. elapsed: seconds that `execute` took."""

    done: dict[str, str] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    spent: dict[str, Spent] = field(default_factory=dict)
    elapsed: float = 0.0

    @property
    def computed(self) -> int:
        """Number of cells that were not in the store yet."""
        return len(self.spent)


@dataclass(frozen=True)
class Event:
    """Something to show: `start`, `progress` (share of the cell, text), `again` (it was lost and waits once
    more), `done`, `cached`, `failed`.

    worker: the number of the place it happens at. where: the machine, where there are several.
    """

    kind: str
    cell: Cell
    share: float = 0.0
    text: str = ""
    worker: int = 0
    where: str = ""
