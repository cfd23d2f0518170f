"""Re-tests what papers claim on the results of a run: held, not held, or cannot tell.

A claim is a set of inequalities, each the sign of a sum of figures. All figures of a run are resampled by one
draw of identities, so the sum is resampled as it is, and its interval is that of a paired difference. With
k inequalities each interval is of level 1 - .05 / k (Bonferroni): all of them hold together in 95 % of runs.

- held: every interval lies on the claimed side of zero.
- not held: at least one lies wholly on the other side.
- cannot tell: neither, or a figure is missing; the reason says which.

Claims are tested in the papers' setting, with true labels; each training seed gives a verdict of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.components.claim import Claim, Figure, Inequality
from bench.errors import MetricError, Unavailable, UsageError
from bench.metrics.uncertainty import LEVEL, Interval, interval
from bench.results import OK

if TYPE_CHECKING:
    import pandas as pd

    from bench.config import RunConfig
    from bench.scoring.rows import SampleKey

HELD, NOT_HELD, CANNOT_TELL = "held", "not held", "cannot tell"
TRUTH = "truth"
_KEYS = (
    *("method", "variant", "attribute", "threat", "metric", "component"),
    *("condition", "policy", "operating_point", "label_source", "seed"),
)


class Declared(NamedTuple):
    """A claim and the method beside which it stands. paper: who claims it."""

    method: str
    paper: str
    claim: Claim


class Measured(NamedTuple):
    """A figure: its value, and in each resample, (B,)."""

    value: float
    samples: NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """An answer and what decides it. value, low, high: of the deciding inequality's sum, which the claim
    wants at or above zero; None where nothing could be computed, for the `reason` given."""

    answer: str
    decided_by: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def declared(methods: Iterable[str] | None = None) -> list[Declared]:
    """The claims of all methods, or of those named, by method and in the order of their files.

    A method that cannot be imported has none: `list methods` says why. Raises UsageError when two claims
    have one id.
    """
    from bench.discover import components, load_class

    found: list[Declared] = []
    for name in components("method") if methods is None else methods:
        try:
            component = load_class("method", name)
        except Unavailable:
            continue
        # A method that derives from another one does not repeat its claims.
        own = vars(component).get("claims", ())
        found += [Declared(name, claim.paper or component.paper, claim) for claim in own]
    owners: dict[str, str] = {}
    for one in found:
        if one.claim.id in owners:
            raise UsageError(
                f"{owners[one.claim.id]} and {one.method} both declare the claim {one.claim.id}; rename one"
            )
        owners[one.claim.id] = one.method
    return found


def decide(claim: Claim, measured: Callable[[Figure], Measured]) -> Verdict:
    """The verdict on one claim. `measured` raises MetricError, with the reason, for a figure it lacks."""
    level = 1 - (1 - LEVEL) / len(claim.holds)
    parts = [_decide_one(inequality, measured, level) for inequality in claim.holds]
    for answer in (NOT_HELD, CANNOT_TELL):
        some = [part for part in parts if part.answer == answer]
        if some:
            # What is missing says more than what is undecided.
            return max(some, key=lambda part: (bool(part.reason), -(part.low or 0.0)))
    return min(parts, key=lambda part: part.low or 0.0)


def _decide_one(inequality: Inequality, measured: Callable[[Figure], Measured], level: float) -> Verdict:
    try:
        found = {figure: measured(figure) for figure in inequality.figures}
        ends = interval(inequality.margin(lambda figure: found[figure].samples), level)
    except MetricError as error:
        return Verdict(CANNOT_TELL, inequality.says, reason=str(error))
    value = float(inequality.margin(lambda figure: found[figure].value))
    return Verdict(_answer(ends, inequality.strict), inequality.says, value, ends.low, ends.high)


def _answer(ends: Interval, strict: bool) -> str:
    if ends.low > 0 or (not strict and ends.low == 0):
        return HELD
    if ends.high < 0 or (strict and ends.high == 0):
        return NOT_HELD
    return CANNOT_TELL


def retest(
    claims: Sequence[Declared], rows: pd.DataFrame, samples: Mapping[SampleKey, NDArray[np.float64]]
) -> pd.DataFrame:
    """A line for each claim and training seed, with the columns of `bench.report.claims.COLUMNS`.

    rows: tidy rows of one run. samples: the pooled figures in each resample, by row.
    """
    from bench.report.claims import to_table

    values = _values(rows)
    lines: list[dict[str, Any]] = []
    for seed in sorted({key.seed for key in samples}) or [0]:
        results = Results(values, samples, seed)
        for one in claims:
            verdict = decide(one.claim, results)
            lines.append(
                {
                    "claim": one.claim.id,
                    "method": one.method,
                    "seed": seed,
                    **vars(verdict),
                    "text": one.claim.text,
                    "paper": one.paper,
                    "source": one.claim.source,
                }
            )
    return to_table(lines)


class Results:
    """Finds the figures of claims among the results of one seed, in the papers' setting."""

    def __init__(
        self,
        values: Mapping[tuple[Any, ...], Mapping[str, Any]],
        samples: Mapping[SampleKey, NDArray[np.float64]],
        seed: int,
    ) -> None:
        setting = {"label_source": TRUTH, "seed": seed}
        self.values = {k: row for k, row in values.items() if _agrees(setting, k)}
        wanted = ((tuple(getattr(key, name) for name in _KEYS), drawn) for key, drawn in samples.items())
        self.samples = {key: drawn for key, drawn in wanted if key in self.values}

    def __call__(self, figure: Figure) -> Measured:
        """The figure's value and resamples. Raises MetricError when there is none or more than one."""
        method, variant = figure.subject
        columns = {name: getattr(figure, name) for name in _KEYS if hasattr(figure, name)}
        wanted = {"method": method, "variant": variant} | {
            name: value for name, value in columns.items() if value is not None
        }
        found = [key for key in self.values if _agrees(wanted, key)]
        drawn = [key for key in found if key in self.samples]
        if len(drawn) == 1:
            return Measured(float(self.values[drawn[0]]["value"]), self.samples[drawn[0]])
        if drawn:
            raise MetricError(f"{len(drawn)} values of {figure}: the claim must name one")
        raise MetricError(self._why_missing(figure, found))

    def _why_missing(self, figure: Figure, found: Sequence[tuple[Any, ...]]) -> str:
        here = [key for key in self.values if key[:2] == figure.subject]
        if not here:
            return f"{figure.of} is not among the results with true labels"
        lost = [self.values[key] for key in here if key in found or key[_KEYS.index("metric")] == ""]
        reasons = dict.fromkeys(str(row["reason"]) for row in lost if row["status"] != OK and row["reason"])
        if reasons:
            return f"no {figure}: {'; '.join(reasons)}"
        return f"no {figure} was {'resampled' if found else 'measured'}"


def _values(rows: pd.DataFrame) -> dict[tuple[Any, ...], dict[str, Any]]:
    """value, status and reason of every row, by `_KEYS`; absent is empty. A lost variant has no metric."""
    usable = rows[~rows["seen"] & (rows["method"].fillna("") != "")]
    named = usable[[*_KEYS, "value", "status", "reason"]].astype(object)
    records = named.where(usable[named.columns].notna(), "").to_dict("records")
    return {tuple(r[name] for name in _KEYS): {str(k): v for k, v in r.items()} for r in records}


def _agrees(wanted: Mapping[str, Any], key: tuple[Any, ...]) -> bool:
    return all(key[_KEYS.index(name)] == value for name, value in wanted.items())


def run(config: RunConfig, say: Callable[[str], None]) -> pd.DataFrame:
    """Re-test all claims on what the store holds of a run, write claims.csv beside its leaderboard, and
    return the table. Nothing is computed anew."""
    from bench.collected import collect
    from bench.planning.build import build
    from bench.report.claims import write_claims
    from bench.run import finished, folder_of
    from bench.store import Store

    plan = build(config)
    outcome = finished(plan)
    if outcome.failures:
        say(f"note: {len(outcome.failures)} of {len(plan.cells)} cells are not done; `run` completes them")
    rows, _, samples = collect(plan, outcome, Store(config.store))
    table = retest(declared(), rows, samples)
    say(f"claims: {write_claims(table, folder_of(config))}")
    return table
