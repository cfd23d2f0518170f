"""Makes rows of one subject, each with its interval or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import MetricError
from bench.metrics.uncertainty import IdentityDraw, Interval, interval, unit_interval
from bench.results import UNDEFINED, Row

_RATES = frozenset(
    {
        *("accuracy", "balanced_accuracy", "auc", "eer"),
        *("tmr", "fmr", "identification_rate", "tpir", "verification_accuracy"),
    }
)


@dataclass(frozen=True)
class Population:
    """The test faces as the metrics see them. identities: int64 (N,). draw: the resamples all figures
    share."""

    identities: NDArray[np.int64]
    draw: IdentityDraw


POOL = "pool"
"""The component that stands for all unseen ones."""


class SampleKey(NamedTuple):
    """What tells two pooled figures apart; absent is empty."""

    method: str
    variant: str
    level: str
    attribute: str
    label_source: str
    threat: str
    seed: int
    metric: str
    component: str
    condition: str
    policy: str
    operating_point: str


def sample_key(row: Row) -> SampleKey:
    """The key of a row."""
    values = (getattr(row, name) for name in SampleKey._fields)
    return SampleKey._make("" if value is None else value for value in values)


def sample_name(row: Row) -> str:
    """The key of a row as the name of an array."""
    return "|".join(str(part) for part in sample_key(row))


@dataclass(frozen=True)
class RowMaker:
    """Fills in what all rows of a subject share. people: number of test identities behind the resamples.

    resampled: of rows on the whole pool and on quality, the figure in each resample (B,), by `sample_name`:
        what paired differences between methods are made from.
    """

    template: Row
    people: int
    resampled: dict[str, NDArray[np.float64]] = field(default_factory=dict)

    def row(
        self,
        metric: str,
        value: float,
        samples: ArrayLike | Callable[[], Interval] | None = None,
        *,
        draws: ArrayLike | None = None,
        **columns: Any,
    ) -> Row:
        """A measured value. samples: the figure in each resample (B,), or what gives its interval, or None
        for no interval; one that is undefined is told in the row. draws: the resamples where `samples` gives
        an interval."""
        low = high = None
        reason = columns.pop("reason", None)
        if samples is not None:
            try:
                found = self._interval(metric, value, samples)
                low, high = found.low, found.high
            except MetricError as error:
                reason = f"{reason}; no interval: {error}" if reason else f"no interval: {error}"
        columns["flags"] = " ".join(f for f in (self.template.flags, columns.get("flags", "")) if f)
        row = replace(
            self.template,
            metric=metric,
            value=float(value),
            ci_low=low,
            ci_high=high,
            reason=reason,
            **columns,
        )
        drawn = samples if draws is None and not callable(samples) else draws
        if drawn is not None and (row.component == POOL or row.component_kind == "quality"):
            self.resampled[sample_name(row)] = np.asarray(drawn, dtype=np.float64)
        return row

    def _interval(self, metric: str, value: float, samples: ArrayLike | Callable[[], Interval]) -> Interval:
        if callable(samples):
            return samples()
        # Near 0 and 1 plain percentiles cover too little.
        return unit_interval(value, samples, self.people) if metric in _RATES else interval(samples)

    def undefined(self, metric: str, reason: str, **columns: Any) -> Row:
        """A metric that has no value on the data at hand, and why."""
        return replace(self.template, metric=metric, value=None, status=UNDEFINED, reason=reason, **columns)
