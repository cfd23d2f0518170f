"""Decides which cell is worked on next and what becomes of it; where and how is the affair of `Places`.

Cells whose inputs are done run in the order of the longest work that still hangs on them, so that all places
end together. A place that is lost takes one cell with it, which is tried again elsewhere; a stored artefact
that cannot be read is made again. The effort for a cell does not grow with the number of cells.
"""

from __future__ import annotations

import heapq
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from bench.cells import Cell
from bench.engines.outcome import Event, Failure, Outcome, Spent
from bench.engines.work import Report
from bench.store import Store, StoreError

MOST_DEATHS = 2
"""Workers that may die of one cell before it counts as failed."""

MOST_LOST_NODES = 5
"""Machines that may go while they work on one cell, before it counts as what brings them down."""

MOST_DAMAGES = 3
"""Times that one artefact may be found damaged in a run; a disk that spoils all it is given must end it."""


class Places(Protocol):
    """Where cells are worked on, each place one at a time. Places have numbers; they may come and go."""

    def need(self, cell: Cell) -> int:
        """What kind of place `cell` needs: 0 any, above it rarer ones."""

    def free(self, cell: Cell) -> int | None:
        """A place that can take `cell` now."""

    def start(self, place: int, cell: Cell) -> None:
        """Set a free place to work."""

    def wait(self) -> Iterable[tuple[int, Report]]:
        """What the places have to say, after waiting for it a second at most."""

    def where(self, place: int) -> str:
        """The machine of a place, where there are several."""

    def close(self) -> None:
        """Stop all work."""


def execute(cells: Iterable[Cell], store: Store, places: Places, notify: Callable[[Event], None]) -> Outcome:
    """Make every cell of the plan that the store lacks. cells: inputs before their readers.

    `places` are closed in any case: KeyboardInterrupt stops all work and passes on. Raises StoreError when
    what is made cannot be stored, as no further cell could be.
    """
    try:
        return _Schedule({c.key: c for c in cells}, store, places, notify).finish()
    finally:
        places.close()


@dataclass(frozen=True)
class _Running:
    planned: str
    cell: Cell
    started: float


class _Schedule:
    """open: of each cell that waits, how many of its inputs are not settled. cells: those that could start,
    as they would be made; ready: their planned keys as heaps by the kind of place that they need."""

    def __init__(
        self,
        planned: dict[str, Cell],
        store: Store,
        places: Places,
        notify: Callable[[Event], None],
    ) -> None:
        self.planned, self.store, self.places, self.notify = planned, store, places, notify
        self.outcome = Outcome()
        self.began = time.monotonic()
        self.readers = _readers(planned)
        self.weight = _critical_path(planned, self.readers)
        self.running: dict[int, _Running] = {}
        self.made_at: dict[str, float] = {}
        self.deaths: Counter[str] = Counter()
        self.lost_nodes: Counter[str] = Counter()
        self.damages: Counter[str] = Counter()
        self.remaking: set[str] = set()
        self.open: dict[str, int] = {}
        self.cells: dict[str, Cell] = {}
        self.ready: defaultdict[int, list[tuple[float, str]]] = defaultdict(list)

    def finish(self) -> Outcome:
        self._take_stock()
        while True:
            self._hand_out()
            if not self.cells and not self.running:
                break
            for place, report in self.places.wait():
                self._heard(place, report)
        self.outcome.elapsed = self._now()
        return self.outcome

    def _now(self) -> float:
        return time.monotonic() - self.began

    # -- what is ready -----------------------------------------------------------------------------

    def _take_stock(self) -> None:
        """Work out anew what waits for what, from what is settled and what is being worked on."""
        settled = self.outcome.done.keys() | self.outcome.failures.keys()
        running = {work.planned for work in self.running.values()}
        self.cells.clear()
        self.ready.clear()
        self.open = {
            key: sum(need in self.planned and need not in settled for need in cell.needs)
            for key, cell in self.planned.items()
            if key not in settled and key not in running
        }
        self._consider([key for key, number in self.open.items() if number == 0])

    def _consider(self, keys: list[str]) -> None:
        """Settle, of cells that wait for nothing more, what the store has, and make the others ready."""
        while keys:
            planned = keys.pop()
            if planned not in self.open:
                continue
            del self.open[planned]
            cell = self._resolved(self.planned[planned])
            if self.store.has(cell.key):
                keys += self._settle(planned, cell, "cached")
            else:
                self._make_ready(planned, cell)

    def _make_ready(self, planned: str, cell: Cell) -> None:
        self.cells[planned] = cell
        heapq.heappush(self.ready[self.places.need(cell)], (-self.weight[planned], planned))

    def _resolved(self, cell: Cell) -> Cell:
        """The cell with its inputs under the keys that they were really made as."""
        cell = cell.without({k for k in cell.tolerated.values() if k in self.outcome.failures})
        return replace(cell, inputs={r: self.outcome.done.get(k, k) for r, k in cell.inputs.items()})

    def _settle(self, planned: str, cell: Cell, kind: str) -> list[str]:
        """Take note of a finished cell; those that now wait for nothing more."""
        self.outcome.done[planned] = cell.key
        self.made_at[planned] = self._now()
        self.remaking.discard(cell.key)
        self.notify(Event(kind, cell, 1.0))
        return self._released(planned)

    def _released(self, planned: str) -> list[str]:
        released = []
        for reader in self.readers[planned]:
            if reader in self.open:
                self.open[reader] -= 1
                if self.open[reader] == 0:
                    released.append(reader)
        return released

    def _fail(self, planned: str, cell: Cell, report: Report) -> None:
        self.outcome.failures[planned] = Failure(cell, report.text, report.details)
        self.notify(Event("failed", cell, text=report.text))
        released = self._released(planned)
        blocked = [planned]
        while blocked:
            failed = blocked.pop()
            for reader in self.readers[failed]:
                cell = self.planned[reader]
                if reader in self.open and failed in cell.inputs.values():
                    del self.open[reader]
                    self.outcome.failures[reader] = Failure(cell, report.text, blocked=True)
                    blocked.append(reader)
                    released += self._released(reader)
        self._consider(released)

    # -- handing out and listening -----------------------------------------------------------------

    def _hand_out(self) -> None:
        """Start what there are places for, the scarcer kind of place first."""
        for need in sorted(self.ready, reverse=True):
            heap = self.ready[need]
            while heap and (place := self.places.free(self.cells[heap[0][1]])) is not None:
                planned = heapq.heappop(heap)[1]
                cell = self.cells.pop(planned)
                self.running[place] = _Running(planned, cell, self._now())
                self.places.start(place, cell)
                self.notify(Event("start", cell, worker=place, where=self.places.where(place)))

    def _heard(self, place: int, report: Report) -> None:
        work = self.running[place]
        if report.kind == "progress":
            where = self.places.where(place)
            self.notify(Event("progress", work.cell, report.share, report.text, place, where))
            return
        del self.running[place]
        if report.kind == "done":
            took = (work.started, self._now(), report.processor, report.peak_bytes)
            self.outcome.spent[work.planned] = Spent(place, *took)
            self._consider(self._settle(work.planned, work.cell, "done"))
        elif report.kind == "lost":
            self._lost(work, report)
        elif report.kind == "damaged":
            self._damaged(work, report)
        elif report.kind == "unwritable":
            raise StoreError(report.text)
        else:
            self._fail(work.planned, work.cell, report)

    def _lost(self, work: _Running, report: Report) -> None:
        count, most = (self.lost_nodes, MOST_LOST_NODES) if report.of_node else (self.deaths, MOST_DEATHS)
        count[work.planned] += 1
        if count[work.planned] < most:
            self.notify(Event("again", work.cell))
            self._make_ready(work.planned, work.cell)
        elif report.of_node:
            text = f"{most} machines went while they worked on it, the last: {report.text}"
            self._fail(work.planned, work.cell, replace(report, text=text))
        else:
            text = f"its worker died twice ({report.text}); too little memory?"
            self._fail(work.planned, work.cell, replace(report, text=text))

    def _damaged(self, work: _Running, report: Report) -> None:
        """Put the cell back, and the one whose artefact was damaged before it.

        Damage that another reader has told of already, before this one started, does not count again.
        """
        origins = [planned for planned, key in self.outcome.done.items() if key == report.key]
        since = [origin for origin in origins if self.made_at[origin] > work.started]
        if report.key not in self.remaking and (not origins or since != origins):
            self.damages[report.key] += 1
            if self.damages[report.key] > MOST_DAMAGES:
                self._fail(work.planned, work.cell, report)
                return
            for origin in origins:
                del self.outcome.done[origin]
                self.remaking.add(report.key)
        self.notify(Event("again", work.cell))
        self._take_stock()


def _readers(planned: Mapping[str, Cell]) -> dict[str, list[str]]:
    """The cells that read each one, once for each role they read it in."""
    readers: dict[str, list[str]] = {key: [] for key in planned}
    for key, cell in planned.items():
        for need in cell.needs:
            if need in readers:
                readers[need].append(key)
    return readers


def _critical_path(planned: Mapping[str, Cell], readers: Mapping[str, list[str]]) -> dict[str, float]:
    """For every cell its own cost and that of the longest chain of work that waits for it."""
    weight: dict[str, float] = {}
    for key in reversed(list(planned)):  # plans list inputs before their readers
        weight[key] = planned[key].cost + max((weight[r] for r in readers[key]), default=0.0)
    return weight
