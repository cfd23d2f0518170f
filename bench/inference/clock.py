"""Timing of calls whose work goes on after they return."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

_LEAST_BLOCKS = 3
_MOST_LATENCIES = 50


class Clock(Protocol):
    """What `measure` reads the time with."""

    def now(self) -> float:
        """Seconds from any fixed moment."""
        ...

    def synchronise(self) -> None:
        """Return once all work that was asked for is done."""
        ...


class DeviceClock:
    """The machine's clock, and waiting for a torch device: `cpu`, `cuda` or `cuda:1`."""

    def __init__(self, device: str) -> None:
        self._device = device

    def now(self) -> float:
        return time.perf_counter()

    def synchronise(self) -> None:
        if self._device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self._device)


@dataclass(frozen=True)
class Timing:
    """seconds: of a call among others, median over blocks of calls; low, high: quartiles over the blocks.

    p50, p95: percentiles of calls that were waited for one by one, in seconds. calls: how many were timed.
    """

    seconds: float
    low: float
    high: float
    p50: float
    p95: float
    calls: int


def measure(
    call: Callable[[], Any],
    clock: Clock,
    *,
    seconds: float = 0.5,
    blocks: int = 7,
    block_seconds: float = 0.05,
    warm_up: int = 2,
) -> Timing:
    """Time `call` for about `seconds`, at least three times, after `warm_up` calls that do not count.

    A block is as many calls as take `block_seconds`, asked for back to back and waited for together: that
    is throughput. Latencies are of calls waited for one by one; a call that fills a block is both.
    """
    for _ in range(warm_up):
        call()
    one = _timed(call, 1, clock)
    count = max(1, math.ceil(block_seconds / max(one, 1e-9)))
    started = clock.now()
    times: list[float] = []
    while len(times) < blocks and (len(times) < _LEAST_BLOCKS or clock.now() - started < seconds):
        times.append(_timed(call, count, clock) / count)
    latencies = times
    if count > 1:
        wanted = min(_MOST_LATENCIES, max(_LEAST_BLOCKS, round(seconds / 2 / max(one, 1e-9))))
        latencies = [_timed(call, 1, clock) for _ in range(wanted)]
    low, middle, high = np.percentile(times, [25, 50, 75]).tolist()
    p50, p95 = np.percentile(latencies, [50, 95]).tolist()
    total = len(times) * count + (len(latencies) if count > 1 else 0)
    return Timing(middle, low, high, p50, p95, total)


def _timed(call: Callable[[], Any], count: int, clock: Clock) -> float:
    """Seconds that `count` calls take, with nothing else under way before or after."""
    clock.synchronise()
    start = clock.now()
    for _ in range(count):
        call()
    clock.synchronise()
    return clock.now() - start
