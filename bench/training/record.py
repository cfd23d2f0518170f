"""The losses of a training: left on the device, read some steps at a time, told, and watched."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.components.base import Context, State
from bench.distributed import gathered
from bench.errors import BenchError

if TYPE_CHECKING:
    from torch import Tensor

REPORT_SECONDS = 0.5
"""Between two movements of the progress bar."""

_MOST_STEPS = 500
_RECENT = 20


class LossRecord:
    """Losses by name of every step done.

    Reading a loss waits for the device, so they are read together: as often as the steps so far say is
    needed to tell of progress, or to save (`every` seconds), in time. Of several processes, which share out
    each batch, the mean is kept.
    """

    def __init__(self, ctx: Context, steps: int, name: str, every: float) -> None:
        self._ctx, self._steps, self._name = ctx, steps, name
        self._every = min(REPORT_SECONDS, every)
        self._read: list[dict[str, float]] = []
        self._waiting: list[Mapping[str, Tensor]] = []
        self._block = 1
        self._told_at, self._read_at = -math.inf, time.monotonic()

    @property
    def done(self) -> int:
        """Number of steps."""
        return len(self._read) + len(self._waiting)

    def add(self, losses: Mapping[str, Tensor]) -> None:
        """Scalars of the step that was just done; an empty mapping where there was nothing to learn."""
        self._waiting.append({name: value.detach() for name, value in losses.items()})

    def due(self) -> bool:
        """Whether it is time to read."""
        return len(self._waiting) >= self._block or self.done == self._steps

    def read(self) -> None:
        """Read what waits and tell of progress. Raises BenchError for a loss that is not finite.

        Until then the state of a training may be broken: save it, or give it away, only after reading.
        """
        if not self._waiting:
            return
        rows, first = _values(self._waiting), len(self._read)
        seconds = (time.monotonic() - self._read_at) / len(rows)
        told = gathered((rows, seconds))
        rows = [_mean_row(shares) for shares in zip(*(theirs for theirs, _ in told), strict=True)]
        self._refuse_broken(rows, first)
        self._read += rows
        self._waiting.clear()
        # The first process's clock, or the others would read at another step.
        self._block = max(1, min(_MOST_STEPS, int(self._every / max(told[0][1], 1e-9))))
        self._tell()
        self._read_at = time.monotonic()

    def column(self, name: str) -> NDArray[np.float64]:
        """Values of one loss, of the steps that have it."""
        return np.array([row[name] for row in self._read if name in row])

    def names(self) -> list[str]:
        """Of all losses, in the order in which they came up."""
        return _names(self._read)

    def curves(self, points: int) -> dict[str, list[float]]:
        """By name, at most `points` means in order."""
        return {name: means(self.column(name), points) for name in self.names()}

    def arrays(self) -> State:
        """All that was read, for a checkpoint."""
        columns = {
            f"loss/{name}": np.array([row.get(name, math.nan) for row in self._read]) for name in self.names()
        }
        return {"done": np.array(len(self._read)), **columns}

    def restore(self, stored: State) -> None:
        """Take up what `arrays` returned; other arrays, or none, do not matter."""
        columns = {k.removeprefix("loss/"): v for k, v in stored.items() if k.startswith("loss/")}
        self._read = [
            {k: float(v[i]) for k, v in columns.items() if not math.isnan(v[i])}
            for i in range(int(stored.get("done", 0)))
        ]
        if len(counts := set(gathered(len(self._read)))) > 1:
            raise BenchError(
                f"the processes found checkpoints of {self._name} at different steps ({sorted(counts)}); "
                "put --store on storage that all of them share"
            )

    def _refuse_broken(self, rows: list[dict[str, float]], first: int) -> None:
        for step, row in enumerate(rows, first):
            if broken := [name for name, value in row.items() if not math.isfinite(value)]:
                raise BenchError(
                    f"training of {self._name} diverged at step {step} (loss {', '.join(broken)}); "
                    "lower its learning rate"
                )

    def _tell(self) -> None:
        now = time.monotonic()
        if self.done == self._steps or now - self._told_at >= REPORT_SECONDS:
            recent = self._read[-_RECENT:]
            text = ", ".join(
                f"{name} {np.mean([row[name] for row in recent if name in row]):.3f}"
                for name in _names(recent)
            )
            self._ctx.report(self.done, self._steps, f"training {self._name}: {text}")
            self._told_at = now


def means(values: NDArray[np.float64], points: int) -> list[float]:
    """Means of at most `points` parts of equal length, in order."""
    return [float(part.mean()) for part in np.array_split(values, min(points, len(values)))]


def _values(waiting: list[Mapping[str, Tensor]]) -> list[dict[str, float]]:
    """All at once, so that there is one wait and one copy."""
    import torch

    scalars = [value.double() for losses in waiting for value in losses.values()]
    values = iter(torch.stack(scalars).tolist() if scalars else [])
    return [{name: next(values) for name in losses} for losses in waiting]


def _mean_row(shares: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """Of each loss the mean over the processes that have it; NaN where any is."""
    shares = list(shares)
    if len(shares) == 1:
        return dict(shares[0])
    found = {name: [share[name] for share in shares if name in share] for name in _names(shares)}
    return {name: sum(values) / len(values) for name, values in found.items()}


def _names(rows: Iterable[Mapping[str, float]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
