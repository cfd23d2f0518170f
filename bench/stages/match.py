"""Stage `match`: one matcher's comparisons of one variant, all pairs, exactly.

Of the originals it compares original with original; of a variant, original with protected and protected with
protected, at thresholds set anew (`reset`) and at those of the originals (`fixed`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cells import Job
from bench.errors import MetricError
from bench.metrics.pairs import AllPairs, pairs_between, pairs_within
from bench.metrics.uncertainty import IdentityDraw, identity_weights
from bench.metrics.verification import Comparison, compare
from bench.metrics.verification_bootstrap import identity_counts, resampled_rates
from bench.stages.faces import faces_of
from bench.store import Artefact

VERSION = 2
FMR_TARGETS = (0.1, 0.01, 0.001)
_NOBODY_TWICE = "no two images of the test pool are known to show one person: matching is undefined"
ORIGINALS, ONE_SIDE, BOTH_SIDES = "original-original", "original-protected", "protected-protected"


def run(job: Job) -> Artefact:
    """params: resamples, seed. inputs: faces, probe and reference (embeddings; the latter missing where the
    two cannot be compared), baseline (the originals' match).

    arrays: `samples:<figure>` (B,) in each resample, `curve:<condition>` (2, points) FMR and TMR.
    facts: values and refusals by figure, counts by condition, thresholds by FMR.
    A figure is called `<condition> <metric> <policy> <operating point>`.
    """
    identities = faces_of(job, "faces").identities
    probe = job.artefact("probe").arrays["vectors"]
    draw = identity_weights(identities, job.params["resamples"], job.params["seed"])
    if "baseline" in job.cell.inputs:
        thresholds = job.artefact("baseline").facts["thresholds"]
        sets = {BOTH_SIDES: pairs_within(probe, identities)}
        if "reference" in job.cell.inputs:
            reference = job.artefact("reference").arrays["vectors"]
            sets = {ONE_SIDE: pairs_between(reference, probe, identities), **sets}
    else:
        thresholds = {}
        sets = {ORIGINALS: pairs_within(probe, identities)}
    found = _Figures()
    for done, (condition, pairs) in enumerate(sets.items()):
        job.context.report(done, len(sets), condition)
        found.measure(condition, pairs, thresholds, draw)
    if "baseline" not in job.cell.inputs:
        found.same_under(ORIGINALS, (ONE_SIDE, BOTH_SIDES))
    return found.artefact()


class _Figures:
    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}
        self.values: dict[str, float] = {}
        self.refused: dict[str, str] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self.thresholds: dict[str, float] = {}

    def artefact(self) -> Artefact:
        facts = {
            "values": self.values,
            "refused": self.refused,
            "counts": self.counts,
            "thresholds": self.thresholds,
        }
        return Artefact(self.arrays, facts)

    def measure(
        self, condition: str, pairs: AllPairs, thresholds: Mapping[str, float], draw: IdentityDraw
    ) -> None:
        """All figures of one condition; `thresholds` are the originals', by operating point."""
        comparison = compare(pairs)
        self.counts[condition] = {
            "mated": comparison.n_mated,
            "non_mated": comparison.n_non_mated,
            "mated_failed": comparison.n_mated_failed,
            "same_photo": comparison.n_same_photo,
        }
        if not comparison.n_mated:
            self._refuse(condition, comparison)
            return
        self.thresholds = {f"fmr={t:g}": float(comparison.thresholds_at([t])[0]) for t in FMR_TARGETS}
        fixed = list(thresholds.values())
        rates = resampled_rates(identity_counts(pairs, comparison, thresholds=fixed), comparison, draw)
        self._add(f"{condition} auc reset ", comparison.auc(), rates.auc())
        self._add(f"{condition} eer reset ", comparison.eer(), rates.eer())
        for target in FMR_TARGETS:
            name = f"{condition} tmr reset fmr={target:g}"
            try:
                self._add(name, comparison.at_fmr(target).tmr, rates.tmr_at_fmr(target))
            except MetricError as error:
                self.refused[name] = str(error)
        for point, threshold in thresholds.items():
            exact = comparison.at_threshold(threshold)
            fmr, tmr = rates.at_threshold(threshold)
            self._add(f"{condition} fmr fixed {point}", exact.fmr, fmr)
            self._add(f"{condition} tmr fixed {point}", exact.tmr, tmr)
        curve = comparison.curve()
        points = np.stack([curve.target, curve.tmr])
        self.arrays[f"curve:{condition}"] = points[:, np.isfinite(curve.tmr)]

    def same_under(self, condition: str, others: tuple[str, ...]) -> None:
        """Enter the figures of `condition` under others too: protected and original are the same images."""
        for other in others:
            self.counts[other] = self.counts[condition]
            tables: list[dict[str, Any]] = [self.arrays, self.values, self.refused]
            for table in tables:
                for name in [n for n in table if condition in n]:
                    table[name.replace(condition, other)] = table[name]

    def _refuse(self, condition: str, comparison: Comparison) -> None:
        lost = comparison.n_mated_failed
        reason = f"all {lost:,} mated comparisons were lost with failed images" if lost else _NOBODY_TWICE
        for figure in ("auc reset ", "eer reset ", *(f"tmr reset fmr={t:g}" for t in FMR_TARGETS)):
            self.refused[f"{condition} {figure}"] = reason

    def _add(self, name: str, value: float, samples: NDArray[np.float64]) -> None:
        self.values[name] = value
        self.arrays[f"samples:{name}"] = samples
