"""Rows on what attackers still read of an attribute, and what they no longer read of those to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import MetricError
from bench.faces import Attribute
from bench.metrics import attributes as drift
from bench.metrics import privacy
from bench.metrics.uncertainty import (
    ResampledRoc,
    leak_interval,
    resampled_balanced_accuracy,
    resampled_mean,
    resampled_reduction,
    resampled_roc,
)
from bench.results import Row
from bench.scoring.rows import Population, RowMaker

READS_AT = 0.75
"""AUC on originals from which an attacker counts as able to read the attribute; weaker ones are flagged and
left out of the pool, since what cannot read originals proves nothing about protected faces."""
WEAK, OVER_FLIPPED = "weak_attacker", "over_flipped"
POOL = "pool"
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """What one attacker says of one attribute. protected, original: float (N, K), NaN where it has no
    answer."""

    attacker: str
    protected: NDArray[np.floating]
    original: NDArray[np.floating]


@dataclass(frozen=True)
class _Judged:
    """One attacker's figures: exact, and in each resample (B,)."""

    attacker: str
    labels: NDArray[np.int64]
    identities: NDArray[np.int64]
    protected: Float
    original: Float
    n_failed: int
    reads: bool
    before: Float
    after: Float

    @property
    def chance(self) -> float:
        return 1 / self.protected.shape[1]

    @property
    def r_or(self) -> float:
        return privacy.balanced_accuracy(self.labels, privacy.decide(self.original))

    @property
    def r_adv(self) -> float:
        return privacy.balanced_accuracy(self.labels, privacy.decide(self.protected))

    @property
    def flags(self) -> str:
        return "" if self.reads else WEAK


def obfuscated_rows(
    make: RowMaker,
    attribute: Attribute,
    labels: NDArray[np.floating],
    readings: Sequence[Reading],
    people: Population,
) -> list[Row]:
    """How well each attacker, and the pool, reads an attribute that should be hidden.

    labels: float (N,), NaN where unknown. The pool holds the attackers that can read originals (`READS_AT`):
    its `reduction` and `balanced_accuracy` are means, its `leak` is the worst case with the maximum taken
    inside
    each resample, its `auc` and `eer` are those of the attacker that leaks most.
    """
    rows: list[Row] = []
    judged = [_judge(r, labels, people) for r in readings]
    rocs: list[tuple[_Judged, ResampledRoc, float]] = []
    for one in judged:
        roc = resampled_roc(people.draw, one.identities, one.labels, one.protected)
        found = _attacker_rows(make, one, roc, people)
        rows += found
        if one.reads:
            rocs.append((one, roc, privacy.attribute_leak(one.labels, one.protected)))
    shared = {"component": POOL, "component_kind": "attacker", "attribute": attribute.name}
    if not rocs:
        reason = f"no attacker reads {attribute.name} off the originals (AUC >= {READS_AT})"
        names = ("reduction", "balanced_accuracy", "leak", "auc", "eer")
        return rows + [make.undefined(m, reason, **shared) for m in names]
    return rows + _pool_rows(make, rocs, shared)


def kept_rows(
    make: RowMaker,
    attribute: Attribute,
    labels: NDArray[np.floating],
    readings: Sequence[Reading],
    people: Population,
) -> list[Row]:
    """What each attacker, and the pool, lost on an attribute that should survive: CAC and the drift of its
    answers."""
    rows: list[Row] = []
    pooled: list[tuple[float, Float]] = []
    for reading in readings:
        one = _judge(reading, labels, people)
        shared = {
            "component": one.attacker,
            "n": len(one.labels),
            "n_failed": one.n_failed,
            "flags": one.flags,
        }
        loss = drift.cac(one.r_or, one.r_adv)
        samples = one.before - one.after
        rows.append(make.row("cac", loss, samples, higher_is="worse", **shared))
        rows += _drift_rows(make, one, shared)
        if one.reads:
            pooled.append((loss, samples))
    shared = {"component": POOL}
    if not pooled:
        reason = f"no attacker reads {attribute.name} off the originals (AUC >= {READS_AT})"
        return [*rows, make.undefined("cac", reason, **shared)]
    mean = float(np.mean([loss for loss, _ in pooled]))
    samples = np.mean([s for _, s in pooled], axis=0)
    return [*rows, make.row("cac", mean, samples, higher_is="worse", n=len(labels), **shared)]


def _judge(reading: Reading, labels: NDArray[np.floating], people: Population) -> _Judged:
    labelled = np.isfinite(labels)
    answered = np.isfinite(reading.protected).all(axis=1) & np.isfinite(reading.original).all(axis=1)
    rows = labelled & answered
    if len(np.unique(labels[rows])) < 2:
        raise MetricError(
            f"{reading.attacker}: {int((labelled & ~answered).sum())} failures leave fewer than two classes"
        )
    known = labels[rows].astype(np.int64)
    identities = people.identities[rows]
    protected, original = (s[rows].astype(np.float64) for s in (reading.protected, reading.original))
    before, after = (
        resampled_balanced_accuracy(people.draw, identities, known, privacy.decide(s))
        for s in (original, protected)
    )
    return _Judged(
        attacker=reading.attacker,
        labels=known,
        identities=identities,
        protected=protected,
        original=original,
        n_failed=int((labelled & ~answered).sum()),
        reads=privacy.auc(known, original) >= READS_AT,
        before=before,
        after=after,
    )


def _attacker_rows(make: RowMaker, one: _Judged, roc: ResampledRoc, people: Population) -> list[Row]:
    shared: dict[str, Any] = {
        "component_kind": "attacker",
        "component": one.attacker,
        "n": len(one.labels),
        "n_failed": one.n_failed,
        "flags": one.flags,
    }
    decided = privacy.decide(one.protected)
    hits = resampled_mean(people.draw, one.identities, decided == one.labels)
    worse = {"higher_is": "worse", **shared}
    rows = [
        make.row("accuracy", privacy.accuracy(one.labels, decided), hits, **worse),
        make.row("balanced_accuracy", one.r_adv, one.after, **worse),
        make.row("auc", privacy.auc(one.labels, one.protected), roc.auc, **shared),
        make.row("eer", privacy.eer(one.labels, one.protected), roc.eer, **shared),
        make.row("leak", privacy.attribute_leak(one.labels, one.protected), leak_interval([roc]), **worse),
    ]
    try:
        value = privacy.reduction(one.r_or, one.r_adv, one.chance)
    except MetricError as error:
        return [*rows, make.undefined("reduction", str(error), **shared)]
    samples = resampled_reduction(one.before, one.after, one.chance)
    return [*rows, make.row("reduction", value, samples, **shared)]


def _pool_rows(
    make: RowMaker, rocs: Sequence[tuple[_Judged, ResampledRoc, float]], shared: dict[str, Any]
) -> list[Row]:
    judged = [one for one, _, _ in rocs]
    reductions = [privacy.reduction(one.r_or, one.r_adv, one.chance) for one in judged]
    reduction_samples = np.mean(
        [resampled_reduction(one.before, one.after, one.chance) for one in judged], axis=0
    )
    strongest, roc, leak = max(rocs, key=lambda found: found[2])
    area = privacy.auc(strongest.labels, strongest.protected)
    # Only what cannot be chance is called a flip.
    over = _all_above(reduction_samples, 1) or _all_above(-roc.auc, -0.5)
    columns = {
        **shared,
        "n": max(len(one.labels) for one in judged),
        "n_failed": max(one.n_failed for one in judged),
        "flags": OVER_FLIPPED if over else "",
    }
    by = f"strongest attacker: {strongest.attacker}"
    worse = {"higher_is": "worse", **columns}
    accuracies = np.mean([one.after for one in judged], axis=0)
    return [
        make.row("reduction", float(np.mean(reductions)), reduction_samples, **columns),
        make.row("balanced_accuracy", float(np.mean([j.r_adv for j in judged])), accuracies, **worse),
        make.row("leak", leak, leak_interval([r for _, r, _ in rocs]), reason=by, **worse),
        make.row("auc", area, roc.auc, reason=by, **columns),
        make.row("eer", privacy.eer(strongest.labels, strongest.protected), roc.eer, reason=by, **columns),
    ]


def _drift_rows(make: RowMaker, one: _Judged, shared: dict[str, Any]) -> list[Row]:
    """Drift of the attacker's probabilities; its temperature is set on the originals and kept."""
    try:
        temperature = drift.fit_temperature(one.original, one.labels)
    except MetricError as error:
        names = ("attribute_mse", "attribute_cross_entropy")
        return [make.undefined(name, str(error), **shared) for name in names]
    before = drift.probabilities(one.original, temperature)
    after = drift.probabilities(one.protected, temperature)
    shared = {**shared, "higher_is": "worse"}
    return [
        make.row("attribute_mse", drift.drift_mse(before, after), **shared),
        make.row("attribute_cross_entropy", drift.drift_cross_entropy(before, after), **shared),
    ]


def _all_above(samples: Float, bound: float) -> bool:
    """Whether the 95 % interval of resampled figures lies above `bound`."""
    return bool(np.nanpercentile(samples, 2.5) > bound)
