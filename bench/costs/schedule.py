"""How long a plan takes on so many places, by handing its cells out as the engine does."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """core: seconds on one core. gpu: seconds on the accelerator, during which it also holds a core's place.
    needs: tasks that must be done before."""

    core: float
    gpu: float
    needs: tuple[str, ...]

    @property
    def seconds(self) -> float:
        return self.core + self.gpu


@dataclass(frozen=True)
class Schedule:
    """elapsed: seconds from the first cell to the last. longest: of the longest chain of cells that wait for
    one another, which no number of places makes shorter."""

    elapsed: float
    longest: float


def schedule(tasks: Mapping[str, Task], workers: int, gpus: int = 0) -> Schedule:
    """Hand tasks out to `workers`, of which at most `gpus` at a time work on an accelerator; whoever the
    longest chain of work waits for goes first. Needs that are no tasks are done. Tasks come after their
    needs.
    """
    readers: dict[str, list[str]] = {key: [] for key in tasks}
    open_needs = {}
    for key, task in tasks.items():
        needs = {need for need in task.needs if need in tasks}
        open_needs[key] = len(needs)
        for need in needs:
            readers[need].append(key)
    chain: dict[str, float] = {}
    for key in reversed(list(tasks)):
        chain[key] = tasks[key].seconds + max((chain[r] for r in readers[key]), default=0.0)
    return Schedule(
        _elapsed(tasks, readers, open_needs, chain, workers, gpus), max(chain.values(), default=0.0)
    )


def _elapsed(
    tasks: Mapping[str, Task],
    readers: Mapping[str, Iterable[str]],
    open_needs: dict[str, int],
    chain: Mapping[str, float],
    workers: int,
    gpus: int,
) -> float:
    """One queue for tasks that need the accelerator, one for the others."""
    queues: dict[bool, list[tuple[float, str]]] = {True: [], False: []}
    free = {True: gpus, False: workers}
    running: list[tuple[float, str]] = []
    now = 0.0

    def ready(key: str) -> None:
        heapq.heappush(queues[tasks[key].gpu > 0], (-chain[key], key))

    for key, count in open_needs.items():
        if not count:
            ready(key)
    while running or any(queues.values()):
        while free[False]:
            open_queues = [q for on_gpu, q in queues.items() if q and (not on_gpu or free[True])]
            if not open_queues:
                break
            _, key = heapq.heappop(min(open_queues, key=lambda q: q[0]))
            free[False] -= 1
            free[True] -= tasks[key].gpu > 0
            heapq.heappush(running, (now + tasks[key].seconds, key))
        if not running:
            raise ValueError("tasks that need an accelerator, and none to run them on")
        now, key = heapq.heappop(running)
        free[False] += 1
        free[True] += tasks[key].gpu > 0
        for reader in readers[key]:
            open_needs[reader] -= 1
            if not open_needs[reader]:
                ready(reader)
    return now
