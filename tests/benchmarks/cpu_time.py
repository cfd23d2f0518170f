"""CPU seconds of this process, which other processes lengthen less than the time on the clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def cpu_seconds(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    """What one call takes, and what it returns."""
    start = time.process_time()
    result = work(*arguments)
    return time.process_time() - start, result


def in_turns(works: Mapping[str, Callable[..., Any]], rounds: int, *arguments: Any) -> dict[str, float]:
    """Median of each, by name; they take turns, so that whatever else runs here slows all alike."""
    taken = [{name: cpu_seconds(work, *arguments)[0] for name, work in works.items()} for _ in range(rounds)]
    return {name: float(np.median([turn[name] for turn in taken])) for name in works}
