"""Rows on what attackers still read of an attribute, and what they no longer read of those to be kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
    worst_case,
)
from bench.results import Row
from bench.scoring.rows import POOL, Population, RowMaker

READS_AT = 0.75
"""AUC on originals from which an attacker counts as able to read the attribute; weaker ones are flagged and
left out of the means, since what cannot read originals proves nothing about protected faces."""
WEAK, OVER_FLIPPED = "weak_attacker", "over_flipped"
Float = NDArray[np.float64]


@dataclass(frozen=True)
class Reading:
    """What one attacker says of one attribute. protected, original: float (N, K), NaN where it has no
    answer. attacked: bool (N,), the faces it was set on; None: all."""

    attacker: str
    protected: NDArray[np.floating]
    original: NDArray[np.floating]
    attacked: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Judged:
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
    roc: ResampledRoc

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
    def leak(self) -> float:
        return privacy.attribute_leak(self.labels, self.protected)

    @property
    def flags(self) -> str:
        return "" if self.reads else WEAK


def obfuscated_rows(
    make: RowMaker,
    attribute: Attribute,
    judged: Sequence[Judged],
    people: Population,
    *,
    adaptive: bool = False,
) -> list[Row]:
    """How well each attacker of one rung, and their pool, reads an attribute that should be hidden.

    `reduction`, `folded_reduction` and `balanced_accuracy` of the pool are means over the attackers that can
    read originals (`READS_AT`); its `leak` is the worst case with the maximum taken inside each resample, its
    `auc` and `eer` are those of the attacker that leaks most. The worst is sought among all attackers that
    learned on protected faces (adaptive), else among those that can read originals.
    """
    rows: list[Row] = []
    for one in judged:
        rows += _attacker_rows(make, one, people, full=not adaptive)
    able = [one for one in judged if one.reads]
    candidates = list(judged) if adaptive else able
    shared = {"component": POOL, "component_kind": "attacker", "attribute": attribute.name}
    if not candidates:
        reason = f"no attacker reads {attribute.name} off the originals (AUC >= {READS_AT})"
        names = ("reduction", "balanced_accuracy", "leak", "auc", "eer")
        return rows + [make.undefined(m, reason, **shared) for m in names]
    columns = {
        **shared,
        "n": max(len(one.labels) for one in candidates),
        "n_failed": max(one.n_failed for one in candidates),
        "flags": OVER_FLIPPED if _over_flipped(candidates, able) else "",
    }
    return rows + _means(make, able, columns) + strongest_rows(make, candidates, columns)


def strongest_rows(
    make: RowMaker, candidates: Sequence[Judged], columns: Mapping[str, Any], where: str = ""
) -> list[Row]:
    """The worst leak over the candidates, and the AUC and EER of the one behind it."""
    strongest = max(candidates, key=lambda one: one.leak)
    rocs = [one.roc for one in candidates]
    by = f"strongest attacker: {strongest.attacker}{where}"
    area = privacy.auc(strongest.labels, strongest.protected)
    draws = worst_case([roc.leak for roc in rocs])
    worse: dict[str, Any] = {"higher_is": "worse", "reason": by, **columns}
    return [
        make.row("leak", strongest.leak, lambda: leak_interval(rocs), draws=draws, **worse),
        make.row("auc", area, strongest.roc.auc, reason=by, **columns),
        make.row(
            "eer",
            privacy.eer(strongest.labels, strongest.protected),
            strongest.roc.eer,
            reason=by,
            **columns,
        ),
    ]


def kept_rows(
    make: RowMaker,
    attribute: Attribute,
    labels: NDArray[np.floating],
    readings: Sequence[Reading],
    people: Population,
) -> list[Row]:
    """What each attacker, and the pool, lost on an attribute that should survive: CAC, how well each still
    reads it (AUC, EER), and the drift of its answers."""
    rows: list[Row] = []
    pooled: list[tuple[float, Float]] = []
    for reading in readings:
        one = judge(reading, labels, people)
        shared: dict[str, Any] = {
            "component": one.attacker,
            "n": len(one.labels),
            "n_failed": one.n_failed,
            "flags": one.flags,
        }
        loss = drift.cac(one.r_or, one.r_adv)
        samples = one.before - one.after
        rows.append(make.row("cac", loss, samples, higher_is="worse", **shared))
        rows.append(make.row("auc", privacy.auc(one.labels, one.protected), one.roc.auc, **shared))
        rows.append(make.row("eer", privacy.eer(one.labels, one.protected), one.roc.eer, **shared))
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


def judge(reading: Reading, labels: NDArray[np.floating], people: Population) -> Judged:
    """Figures of one attacker. labels: float (N,), NaN where unknown.

    Raises MetricError when failures leave fewer than two classes.
    """
    labelled = np.isfinite(labels)
    if reading.attacked is not None:
        labelled &= reading.attacked
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
    return Judged(
        attacker=reading.attacker,
        labels=known,
        identities=identities,
        protected=protected,
        original=original,
        n_failed=int((labelled & ~answered).sum()),
        reads=privacy.auc(known, original) >= READS_AT,
        before=before,
        after=after,
        roc=resampled_roc(people.draw, identities, known, protected),
    )


def _attacker_rows(make: RowMaker, one: Judged, people: Population, *, full: bool) -> list[Row]:
    """Rows of one attacker; full: as a static one, also with its plain accuracy and EER, the papers' columns,
    and flagged if it cannot read originals. One that learned on protected faces counts all the same."""
    shared: dict[str, Any] = {
        "component_kind": "attacker",
        "component": one.attacker,
        "n": len(one.labels),
        "n_failed": one.n_failed,
        "flags": one.flags if full else "",
    }
    worse = {"higher_is": "worse", **shared}
    rows = [
        make.row("balanced_accuracy", one.r_adv, one.after, **worse),
        make.row("auc", privacy.auc(one.labels, one.protected), one.roc.auc, **shared),
        make.row("leak", one.leak, lambda: leak_interval([one.roc]), **worse),
    ]
    if full:
        decided = privacy.decide(one.protected)
        hits = resampled_mean(people.draw, one.identities, decided == one.labels)
        rows.append(make.row("accuracy", privacy.accuracy(one.labels, decided), hits, **worse))
        rows.append(make.row("eer", privacy.eer(one.labels, one.protected), one.roc.eer, **shared))
    if not one.reads and not full:
        return rows
    try:
        value = privacy.reduction(one.r_or, one.r_adv, one.chance)
    except MetricError as error:
        return [*rows, make.undefined("reduction", str(error), **shared)]
    samples = resampled_reduction(one.before, one.after, one.chance)
    return [*rows, make.row("reduction", value, samples, **shared)]


def _means(make: RowMaker, able: Sequence[Judged], columns: Mapping[str, Any]) -> list[Row]:
    """Mean Reduction, folded Reduction and balanced accuracy over the attackers that can read originals.

    One that ranks originals well and yet decides them no better than chance has no margin to lose, and so no
    Reduction: it stands in the rows by itself.
    """
    able = [one for one in able if one.r_or > one.chance]
    if not able:
        return []
    reductions = [privacy.reduction(one.r_or, one.r_adv, one.chance) for one in able]
    samples = _reduction_samples(able)
    accuracies = np.mean([one.after for one in able], axis=0)
    return [
        make.row("reduction", float(np.mean(reductions)), np.mean(samples, axis=0), **columns),
        make.row(
            "folded_reduction",
            float(np.mean([1 - abs(1 - value) for value in reductions])),
            np.mean(1 - np.abs(1 - samples), axis=0),
            higher_is="better",
            **columns,
        ),
        make.row(
            "balanced_accuracy",
            float(np.mean([one.r_adv for one in able])),
            accuracies,
            higher_is="worse",
            **columns,
        ),
    ]


def _reduction_samples(able: Sequence[Judged]) -> Float:
    return np.array([resampled_reduction(one.before, one.after, one.chance) for one in able])


def _over_flipped(candidates: Sequence[Judged], able: Sequence[Judged]) -> bool:
    """Whether answers are inverted rather than hidden, beyond chance."""
    strongest = max(candidates, key=lambda one: one.leak)
    if _all_above(-strongest.roc.auc, -0.5):
        return True
    decided = [one for one in able if one.r_or > one.chance]
    return bool(decided) and _all_above(np.mean(_reduction_samples(decided), axis=0), 1)


def _drift_rows(make: RowMaker, one: Judged, shared: dict[str, Any]) -> list[Row]:
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
