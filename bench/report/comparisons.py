"""Differences between all methods of a board, paired: same people, same resamples."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import MetricError, UsageError
from bench.metrics.uncertainty import Interval, paired_difference
from bench.report.tables import label

if TYPE_CHECKING:
    import pandas as pd

    from bench.scoring.rows import SampleKey

HIGHER, LOWER, CANNOT_TELL = "higher", "lower", "cannot tell"
_GROUP = (
    *("level", "attribute", "label_source", "seed"),
    *("component", "condition", "policy", "operating_point"),
)
_FOUND = ("first", "second", "difference", "low", "high", "verdict", "reason")


def paired_table(samples: Mapping[SampleKey, NDArray[np.float64]], metric: str, threat: str) -> pd.DataFrame:
    """How much every method differs from every other one in `metric` on one rung: a line a pair.

    samples: pooled figures in each resample, (B,), all of one draw of identities. Compared is what agrees in
    level, attribute, label source, seed and operating point, which are the first columns. first, second:
    variants as typed, in alphabetical order. difference: first less second, mean over the resamples. low,
    high: its 95 % interval, of each pair by itself. verdict: whether `first` is higher or lower beyond doubt,
    or `cannot tell`, with the reason where there is no interval. Raises UsageError when there is nothing of
    that metric on that rung.
    """
    import pandas as pd

    groups: dict[tuple[Any, ...], dict[str, NDArray[np.float64]]] = {}
    for key, drawn in samples.items():
        if (key.metric, key.threat) == (metric, threat):
            where = tuple(getattr(key, name) for name in _GROUP)
            groups.setdefault(where, {})[label(key.method, key.variant)] = drawn
    if not groups:
        raise UsageError(f"nothing pooled was resampled of {metric} under {threat}; look at `list metrics`")
    lines = [
        (*where, first, second, *_difference(group[first], group[second]))
        for where, group in sorted(groups.items())
        for first, second in combinations(sorted(group), 2)
    ]
    return pd.DataFrame.from_records(lines, columns=[*_GROUP, *_FOUND])


def _difference(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[Any, ...]:
    try:
        ends = paired_difference(first, second)
    except MetricError as error:
        return np.nan, np.nan, np.nan, CANNOT_TELL, str(error)
    return float(np.nanmean(first - second)), ends.low, ends.high, _verdict(ends), ""


def _verdict(ends: Interval) -> str:
    return HIGHER if ends.low > 0 else LOWER if ends.high < 0 else CANNOT_TELL
