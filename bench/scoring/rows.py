"""Makes rows of one subject, each with its interval or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import MetricError
from bench.metrics.uncertainty import IdentityDraw, Interval, interval, unit_interval
from bench.results import UNDEFINED, Row

_RATES = frozenset({"accuracy", "balanced_accuracy", "auc", "eer", "tmr", "fmr"})


@dataclass(frozen=True)
class Population:
    """The test faces as the metrics see them. identities: int64 (N,). draw: the resamples all figures
    share."""

    identities: NDArray[np.int64]
    draw: IdentityDraw


@dataclass(frozen=True)
class RowMaker:
    """Fills in what all rows of a subject share. people: number of test identities behind the resamples."""

    template: Row
    people: int

    def row(
        self, metric: str, value: float, samples: ArrayLike | Interval | None = None, **columns: Any
    ) -> Row:
        """A measured value. samples: the figure in each resample (B,), or its interval, or None for no
        interval."""
        low = high = None
        reason = columns.pop("reason", None)
        if samples is not None:
            try:
                found = self._interval(metric, value, samples)
                low, high = found.low, found.high
            except MetricError as error:
                reason = f"no interval: {error}"
        columns["flags"] = " ".join(f for f in (self.template.flags, columns.get("flags", "")) if f)
        return replace(
            self.template,
            metric=metric,
            value=float(value),
            ci_low=low,
            ci_high=high,
            reason=reason,
            **columns,
        )

    def _interval(self, metric: str, value: float, samples: ArrayLike | Interval) -> Interval:
        if isinstance(samples, Interval):
            return samples
        # Near 0 and 1 plain percentiles cover too little.
        return unit_interval(value, samples, self.people) if metric in _RATES else interval(samples)

    def undefined(self, metric: str, reason: str, **columns: Any) -> Row:
        """A metric that has no value on the data at hand, and why."""
        return replace(self.template, metric=metric, value=None, status=UNDEFINED, reason=reason, **columns)
