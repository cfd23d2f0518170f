"""Stage `match`: one matcher's comparisons of one variant, all pairs or a drawn list, and its searches.

Of the originals it compares original with original; of a variant, original with protected and protected with
protected, at thresholds set anew (`reset`) and at those of the originals (`fixed`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.errors import MetricError
from bench.metrics.identification import search_gallery
from bench.metrics.pair_lists import FoldAccuracy, draw_pairs, fold_accuracy, parse_pairs
from bench.metrics.pairs import AllPairs, ListedPairs, pairs_between, pairs_listed, pairs_within, to_scores
from bench.metrics.uncertainty import IdentityDraw, identity_weights
from bench.metrics.verification import Comparison, compare
from bench.metrics.verification_bootstrap import identity_counts, resampled_rates, resampled_share
from bench.stages.faces import faces_of
from bench.store import Artefact

VERSION = 4
FMR_TARGETS = (0.1, 0.01, 0.001)
FPIR_TARGETS = (0.1, 0.01)
_NOBODY_TWICE = "no two images of the test pool are known to show one person: matching is undefined"
ORIGINALS, ONE_SIDE, BOTH_SIDES = "original-original", "original-protected", "protected-protected"

Float = NDArray[np.float64]


@dataclass(frozen=True)
class _Condition:
    """What is compared under one condition: `pairs` for verification, `gallery` for identification."""

    pairs: AllPairs | ListedPairs
    gallery: AllPairs


def run(job: Job) -> Artefact:
    """params: resamples, seed, pairs (`all`, `published`, or counts to draw as `1000/2000`). inputs: faces,
    probe and reference (embeddings; the latter missing where the two cannot be compared), baseline (the
    originals' match), pairs (the published list).

    Drawn pairs come from the identities and the seed alone, so every method, matcher and condition has the
    same ones. Searches always go through the whole gallery. A published list comes in folds, over which the
    accuracy is taken as LFW does.

    arrays: `samples:<figure>` (B,) in each resample, `curve:<condition>` (2, points) FMR and TMR,
    `cmc:<condition>` (2, ranks) rank and identification rate.
    facts: values and refusals by figure, counts by condition (of a drawn list also the numbers wanted),
    thresholds by FMR where the comparisons are enough to set one.
    A figure is called `<condition> <metric> <policy> <operating point>`.
    """
    identities = faces_of(job, "faces").identities
    published = dict(job.artefact("pairs").arrays) if "pairs" in job.cell.inputs else None
    wanted = None if published else parse_pairs(job.params["pairs"])
    listed = draw_pairs(identities, wanted, job.params["seed"]) if wanted else None
    if published:
        listed = published["rows"]
    baseline = job.artefact("baseline").facts["thresholds"] if "baseline" in job.cell.inputs else None
    found = _Figures(
        draw=identity_weights(identities, job.params["resamples"], job.params["seed"]),
        fixed=baseline,
        device=job.environment.device,
        wanted={"mated_wanted": wanted.mated, "non_mated_wanted": wanted.non_mated} if wanted else {},
        folds=published["fold"] if published else None,
    )
    conditions = _conditions(job, identities, listed)
    for done, (name, condition) in enumerate(conditions.items()):
        job.context.report(done, len(conditions), name)
        found.measure(name, condition())
    if baseline is None:
        found.same_under(ORIGINALS, (ONE_SIDE, BOTH_SIDES))
    return found.artefact()


def _conditions(
    job: Job, identities: NDArray[np.int64], listed: NDArray[np.int64] | None
) -> dict[str, Callable[[], _Condition]]:
    """Conditions by name, made one at a time: each holds a copy of the embeddings."""
    probe = job.artefact("probe").arrays["vectors"]

    def condition(gallery: AllPairs, reference: NDArray[np.float32]) -> _Condition:
        pairs = gallery if listed is None else pairs_listed(reference, probe, listed, identities)
        return _Condition(pairs, gallery)

    def within() -> _Condition:
        return condition(pairs_within(probe, identities), probe)

    def between() -> _Condition:
        reference = job.artefact("reference").arrays["vectors"]
        return condition(pairs_between(reference, probe, identities), reference)

    if "baseline" not in job.cell.inputs:
        return {ORIGINALS: within}
    one_side = {ONE_SIDE: between} if "reference" in job.cell.inputs else {}
    return {**one_side, BOTH_SIDES: within}


@dataclass(frozen=True)
class _Figures:
    """Collects figures. fixed: thresholds of the originals by operating point; None for the originals.

    wanted: how many comparisons a drawn list should have, empty for all pairs. folds: int64 (P,) of a
    published list, None otherwise.
    """

    draw: IdentityDraw
    fixed: Mapping[str, float] | None
    device: str
    wanted: Mapping[str, int]
    folds: NDArray[np.int64] | None
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    thresholds: dict[str, float] = field(default_factory=dict)

    def artefact(self) -> Artefact:
        facts = {
            "values": self.values,
            "refused": self.refused,
            "counts": self.counts,
            "thresholds": self.thresholds,
        }
        return Artefact(self.arrays, facts)

    def measure(self, name: str, condition: _Condition) -> None:
        """All figures of one condition."""
        comparison = compare(condition.pairs, self.device)
        self.counts[name] = {
            "mated": comparison.n_mated,
            "non_mated": comparison.n_non_mated,
            "mated_failed": comparison.n_mated_failed,
            "non_mated_failed": comparison.n_non_mated_failed,
            "same_photo": comparison.n_same_photo,
            **self.wanted,
        }
        self._identify(name, condition.gallery)
        if comparison.n_mated and comparison.n_non_mated:
            self._verify(name, condition.pairs, comparison)
            if self.folds is not None and isinstance(condition.pairs, ListedPairs):
                self._over_folds(name, condition.pairs, self.folds[condition.pairs.places])
        else:
            self._refuse_all(name, comparison)

    def _verify(self, name: str, pairs: AllPairs | ListedPairs, comparison: Comparison) -> None:
        fixed = list((self.fixed or {}).values())
        counts = identity_counts(pairs, comparison, thresholds=fixed, device=self.device)
        rates = resampled_rates(counts, comparison, self.draw)
        self._add(f"{name} auc reset ", comparison.auc(), rates.auc())
        self._add(f"{name} eer reset ", comparison.eer(), rates.eer())
        for target in FMR_TARGETS:
            figure = f"{name} tmr reset fmr={target:g}"
            try:
                point = comparison.at_fmr(target)
            except MetricError as error:
                self.refused[figure] = str(error)
                continue
            self._add(figure, point.tmr, rates.tmr_at_fmr(target))
            if self.fixed is None:
                self.thresholds[f"fmr={target:g}"] = point.threshold
        if self.fixed is not None:
            self._at_fixed(name, comparison, rates.at_threshold)
        curve = comparison.curve()
        points = np.stack([curve.target, curve.tmr])
        self.arrays[f"curve:{name}"] = points[:, np.isfinite(curve.tmr)]

    def _over_folds(self, name: str, pairs: ListedPairs, folds: NDArray[np.int64]) -> None:
        figure = f"{name} verification_accuracy reset folds={len(np.unique(folds))}"
        scores, mated = to_scores(pairs.cells), pairs.reference_ids == pairs.probe_ids
        try:
            found = fold_accuracy(scores, mated, folds)
        except MetricError as error:
            self.refused[figure] = str(error)
            return
        self._add(figure, found.mean, resampled_share(pairs, _hits(scores, mated, folds, found), self.draw))

    def _at_fixed(
        self, name: str, comparison: Comparison, resampled: Callable[[float], tuple[Float, Float]]
    ) -> None:
        """Rates at the originals' thresholds; refused where too few originals decided the threshold."""
        assert self.fixed is not None
        for point in (f"fmr={t:g}" for t in FMR_TARGETS):
            if point not in self.fixed:
                reason = f"the originals have too few comparisons to set a threshold at {point}"
                self.refused.update({f"{name} {metric} fixed {point}": reason for metric in ("fmr", "tmr")})
                continue
            exact = comparison.at_threshold(self.fixed[point])
            fmr, tmr = resampled(self.fixed[point])
            self._add(f"{name} fmr fixed {point}", exact.fmr, fmr)
            self._add(f"{name} tmr fixed {point}", exact.tmr, tmr)

    def _identify(self, name: str, gallery: AllPairs) -> None:
        searches = search_gallery(gallery)
        self.counts[name] |= {"searches": searches.n_mated, "searches_failed": searches.n_failed_probe}
        rank_1 = f"{name} identification_rate  rank=1"
        try:
            rates = searches.cmc()
        except MetricError as error:
            reason = str(error) if searches.n_failed_probe else _NOBODY_TWICE
            self.refused.update(
                dict.fromkeys([rank_1, *(f"{name} {_tpir(t)}" for t in FPIR_TARGETS)], reason)
            )
            return
        self.arrays[f"cmc:{name}"] = np.stack([np.arange(1.0, len(rates) + 1), rates])
        self._add(rank_1, float(rates[0]), searches.resampled_rate(self.draw))
        for target in FPIR_TARGETS:
            figure = f"{name} {_tpir(target)}"
            try:
                self._add(figure, searches.at_fpir(target).tpir, searches.resampled_tpir(self.draw, target))
            except MetricError as error:
                self.refused[figure] = str(error)

    def same_under(self, condition: str, others: tuple[str, ...]) -> None:
        """Enter the figures of `condition` under others too: protected and original are the same images."""
        for other in others:
            self.counts[other] = self.counts[condition]
            tables: list[dict[str, Any]] = [self.arrays, self.values, self.refused]
            for table in tables:
                for name in [n for n in table if condition in n]:
                    table[name.replace(condition, other)] = table[name]

    def _refuse_all(self, name: str, comparison: Comparison) -> None:
        kind, lost = "non-mated", comparison.n_non_mated_failed
        if not comparison.n_mated:
            kind, lost = "mated", comparison.n_mated_failed
        reason = f"all {lost:,} {kind} comparisons were lost with failed images" if lost else _NOBODY_TWICE
        for figure in ("auc reset ", "eer reset ", *(f"tmr reset fmr={t:g}" for t in FMR_TARGETS)):
            self.refused[f"{name} {figure}"] = reason

    def _add(self, name: str, value: float, samples: Float) -> None:
        self.values[name] = value
        self.arrays[f"samples:{name}"] = samples


def _hits(
    scores: NDArray[np.float32], mated: NDArray[np.bool_], folds: NDArray[np.int64], found: FoldAccuracy
) -> NDArray[np.bool_]:
    """Which comparisons (P,) are decided rightly, each fold at its own threshold."""
    thresholds = found.thresholds[np.searchsorted(np.unique(folds), folds)]
    return np.asarray((scores >= thresholds) == mated)


def _tpir(target: float) -> str:
    return f"tpir reset fpir={target:g}"
