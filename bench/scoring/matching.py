"""Rows on how well faces still match, by matcher and for the pool."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.results import Row
from bench.scoring.rows import RowMaker

POOL = "pool"
HEADLINE = "fmr=0.01"
TOO_FEW_PAIRS = "too_few_pairs"
"""Flag of a figure that is refused because too few comparisons or searches would decide it."""
_SEARCHES = frozenset({"identification_rate", "tpir"})
_BETTER = frozenset({"tmr", "auc", "verification_accuracy"}) | _SEARCHES
_COUNTED: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "fmr": (("non_mated",), ("non_mated_failed",)),
    "verification_accuracy": (("mated", "non_mated"), ("mated_failed", "non_mated_failed")),
} | dict.fromkeys(_SEARCHES, (("searches",), ("searches_failed",)))
"""Metric -> what is counted, and what was lost; mated comparisons for all others."""


@dataclass(frozen=True)
class Matched:
    """What the stage `match` found for one matcher. figures: name -> (value, samples (B,)); refused: name
    -> reason.

    A name reads `<condition> <metric> <policy> <operating point>`. seen: methods trained against this
    matcher.
    """

    matcher: str
    seen: bool
    figures: Mapping[str, tuple[float, NDArray[np.float64]]]
    refused: Mapping[str, str]
    counts: Mapping[str, Mapping[str, int]]


def matching_rows(make: RowMaker, found: list[Matched], originals: list[Matched]) -> list[Row]:
    """Every figure of every matcher, their mean over the unseen ones, and the share of the originals' TMR
    kept."""
    rows: list[Row] = []
    for one in found:
        rows += _matcher_rows(make, one)
    unseen = [m for m in found if not m.seen]
    common = set.intersection(*(set(m.figures) for m in unseen)) if unseen else set()
    for name in sorted(common):
        value, samples = _mean([m.figures[name] for m in unseen])
        rows.append(_row(make, name, POOL, value, samples, reason=_left_out(unseen[0], name)))
    refused = {name: reason for m in reversed(unseen) for name, reason in m.refused.items()}
    rows += [_refused(make, name, reason, POOL) for name, reason in sorted(refused.items())]
    return rows + _kept_share(make, unseen, [m for m in originals if not m.seen])


def _matcher_rows(make: RowMaker, one: Matched) -> list[Row]:
    rows = []
    for name, (value, samples) in one.figures.items():
        condition, metric = name.split(" ")[:2]
        counted, lost = _COUNTED.get(metric, (("mated",), ("mated_failed",)))
        counts = one.counts[condition]
        rows.append(
            _row(
                make,
                name,
                one.matcher,
                value,
                samples,
                seen=one.seen,
                n=sum(counts[kind] for kind in counted),
                n_failed=sum(counts[kind] for kind in lost),
                reason=_left_out(one, name),
            )
        )
    return rows + [_refused(make, n, why, one.matcher, seen=one.seen) for n, why in one.refused.items()]


def _refused(make: RowMaker, name: str, reason: str, matcher: str, *, seen: bool = False) -> Row:
    metric, columns = _columns(name)
    columns["flags"] = " ".join(f for f in (make.template.flags, TOO_FEW_PAIRS) if f)
    return make.undefined(metric, reason, component_kind="matcher", component=matcher, seen=seen, **columns)


def _left_out(one: Matched, name: str) -> str | None:
    """What a figure of verification leaves out: a photo against itself, pairs that a drawn list lacks."""
    condition, metric = name.split(" ")[:2]
    counts = one.counts[condition]
    if metric in _SEARCHES:
        return None
    parts = []
    if same := counts.get("same_photo", 0):
        parts.append(f"{same:,} pairs of a photo with its own protected version are left out")
    for kind in ("mated", "non_mated"):
        wanted = counts.get(f"{kind}_wanted", 0)
        if wanted and (drawn := counts[kind] + counts[f"{kind}_failed"]) < wanted:
            parts.append(f"the photos make {drawn:,} of {wanted:,} {kind.replace('_', '-')} pairs")
    return "; ".join(parts) or None


def _kept_share(make: RowMaker, found: list[Matched], originals: list[Matched]) -> list[Row]:
    """TMR at FMR 1 % as a share of the originals' own, mean over matchers: original against protected for
    images, protected against protected for templates, of which a gallery never holds others."""
    condition = "protected-protected" if make.template.level == "template" else "original-protected"
    before = {m.matcher: m.figures.get(f"original-original tmr reset {HEADLINE}") for m in originals}
    shares = []
    for one in found:
        name = f"{condition} tmr reset {HEADLINE}"
        after = one.figures.get(name, one.figures.get(f"original-original tmr reset {HEADLINE}"))
        base = before.get(one.matcher)
        if after and base and base[0] > 0:
            shares.append((after[0] / base[0], after[1] / np.where(base[1] > 0, base[1], np.nan)))
    if "bound" in make.template.flags:
        columns = {"condition": condition, "policy": "reset", "operating_point": HEADLINE}
        reason = "nothing was matched: a bound over several outputs has no images"
        return [
            make.undefined(m, reason, component_kind="matcher", component=POOL, **columns)
            for m in ("tmr", "tmr_kept")
        ]
    if not shares:
        reason = f"no unseen matcher has a TMR at {HEADLINE} on originals and protected faces"
        return [make.undefined("tmr_kept", reason, component_kind="matcher", component=POOL)]
    value, samples = _mean(shares)
    return [
        make.row(
            "tmr_kept",
            value,
            samples,
            component_kind="matcher",
            component=POOL,
            condition=condition,
            policy="reset",
            operating_point=HEADLINE,
            higher_is="better",
        )
    ]


def _mean(figures: list[tuple[float, NDArray[np.float64]]]) -> tuple[float, NDArray[np.float64]]:
    return float(np.mean([v for v, _ in figures])), np.mean([s for _, s in figures], axis=0)


def _row(
    make: RowMaker,
    name: str,
    matcher: str,
    value: float,
    samples: NDArray[np.float64],
    **columns: Any,
) -> Row:
    metric, found = _columns(name)
    higher_is = "better" if metric in _BETTER else "worse"
    return make.row(
        metric,
        value,
        samples,
        component_kind="matcher",
        component=matcher,
        higher_is=higher_is,
        **found,
        **columns,
    )


def _columns(name: str) -> tuple[str, dict[str, Any]]:
    condition, metric, policy, point = name.split(" ")
    return metric, {"condition": condition, "policy": policy or None, "operating_point": point or None}
