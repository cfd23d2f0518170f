"""Uncertainty: intervals from resampling identities, for every metric of stored predictions and scores.

Photos of one person are alike, so photos are not independent draws: intervals from resampled images are
too narrow (they covered 74 % instead of 95 % with eight photos a person). Here whole identities are drawn
with replacement (cluster bootstrap). One draw, made once from the test pool, serves every method, attacker
and metric, so differences are paired and the maximum over attackers can be taken inside each resample.

Figures within [0, 1] get `unit_interval`, others (differences, Reduction, errors in years) the percentiles of
`interval`. Neither says anything of the spread over training seeds, which is `seed_spread`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, logit, ndtr, ndtri, stdtrit

from bench.errors import InputError, MetricError
from bench.metrics.privacy import check_predictions, leak, one_vs_rest

Float = NDArray[np.float64]
Int = NDArray[np.int64]

LEVEL = 0.95
MAX_UNDEFINED = 0.05
"""An interval is refused when the figure is undefined in a larger share of the resamples."""
_STILL = 1e-12
"""Spread below which a resampled figure counts as constant: rounding, no draw moves it."""


@dataclass(frozen=True, eq=False)
class IdentityDraw:
    """How often each identity was drawn in each resample.

    identities: int64 (I,), ascending. weights: int32 (B, I), each row adds up to I.
    """

    identities: Int
    weights: NDArray[np.int32]

    def codes(self, identities: ArrayLike) -> Int:
        """Column of `weights` of each sample's identity, int64 (N,). Raises InputError for an unknown one."""
        wanted = np.asarray(identities)
        found = np.minimum(np.searchsorted(self.identities, wanted), len(self.identities) - 1)
        unknown = self.identities[found] != wanted
        if unknown.any():
            raise InputError(f"identity {wanted[unknown][0]} is not among the resampled identities")
        return found.astype(np.int64)


@dataclass(frozen=True)
class Interval:
    """[low, high] and the number of resamples in which the figure had no value."""

    low: float
    high: float
    n_undefined: int = 0


@dataclass(frozen=True, eq=False)
class ResampledRoc:
    """AUC and EER of each one-vs-rest problem in each resample, (problems, B); NaN where a class is absent.

    Two classes are one problem. auc, eer, leak: (B,), the means over problems, as in `bench.metrics.privacy`.
    n_identities: identities behind the scores; infinite where it is not known.
    """

    areas: Float
    error_rates: Float
    n_identities: float = math.inf

    @property
    def auc(self) -> Float:
        return np.mean(self.areas, axis=0)

    @property
    def eer(self) -> Float:
        return np.mean(self.error_rates, axis=0)

    @property
    def leak(self) -> Float:
        return np.mean(leak(self.areas), axis=0)


def identity_weights(identities: ArrayLike, resamples: int = 1000, seed: int = 0) -> IdentityDraw:
    """Draw as many identities as there are, with replacement, `resamples` times.

    identities: (N,), of every sample of the pool, failed ones included: draw once, use for every metric.
    Depends on the set of identities and the seed, not on order. Raises MetricError below two identities.
    """
    names = np.unique(np.asarray(identities)).astype(np.int64)
    if len(names) < 2:
        raise MetricError(f"an interval over identities needs at least two, there is {len(names)}")
    shares = np.full(len(names), 1 / len(names))
    weights = np.random.default_rng(seed).multinomial(len(names), shares, size=resamples)
    return IdentityDraw(names, weights.astype(np.int32))


def resampled_mean(draw: IdentityDraw, identities: ArrayLike, values: ArrayLike) -> Float:
    """Mean of `values` (N,) in each resample, (B,): accuracy from hits, MAE from absolute errors, LPIPS, ...

    NaN where a resample holds no sample.
    """
    found = np.asarray(values, dtype=np.float64)
    codes = _codes(draw, identities, len(found))
    if not np.isfinite(found).all():
        raise InputError("values must be finite; remove and count the failed samples first")
    return _weighted_share(draw, codes, found, np.ones(len(found)))


def resampled_accuracy(
    draw: IdentityDraw, identities: ArrayLike, labels: ArrayLike, predictions: ArrayLike
) -> Float:
    """Accuracy in each resample, (B,)."""
    known, guessed = check_predictions(labels, predictions)
    return resampled_mean(draw, identities, known == guessed)


def resampled_balanced_accuracy(
    draw: IdentityDraw, identities: ArrayLike, labels: ArrayLike, predictions: ArrayLike
) -> Float:
    """Balanced accuracy over the classes of `labels` in each resample, (B,); NaN where a class is absent."""
    known, guessed = check_predictions(labels, predictions)
    codes = _codes(draw, identities, len(known))
    recalls = [
        _weighted_share(draw, codes, (known == c) & (guessed == c), known == c) for c in np.unique(known)
    ]
    return np.mean(recalls, axis=0)


def resampled_roc(
    draw: IdentityDraw, identities: ArrayLike, labels: ArrayLike, scores: ArrayLike
) -> ResampledRoc:
    """AUC and EER of scores (N,) or (N, K) in each resample, by the rules of `privacy.auc` and `eer`."""
    problems = one_vs_rest(labels, scores)
    codes = _codes(draw, identities, len(problems[0][1]))
    walks = [_walk(draw.weights, codes, positive, score) for _, positive, score in problems]
    areas, rates = (np.stack(figures) for figures in zip(*walks, strict=True))
    return ResampledRoc(areas, rates, len(np.unique(codes)))


def resampled_reduction(r_or: ArrayLike, r_adv: ArrayLike, r_random: float) -> Float:
    """`privacy.reduction` elementwise, (B,), of accuracies resampled by one draw; NaN where undefined."""
    before, after = np.asarray(r_or, dtype=np.float64), np.asarray(r_adv, dtype=np.float64)
    margin = np.where(before > r_random, before - r_random, np.nan)
    return (before - after) / margin


def worst_case(samples: ArrayLike) -> Float:
    """Maximum over attackers inside each resample: (A, B) -> (B,). NaN where an attacker has no value.

    The attacker that wins may change from one resample to the next, which is what "the worst" means.
    """
    found = np.asarray(samples, dtype=np.float64)
    if found.ndim != 2 or len(found) == 0:
        raise InputError(f"samples must be (attackers, resamples), got {found.shape}")
    return np.max(found, axis=0)


def interval(samples: ArrayLike, level: float = LEVEL) -> Interval:
    """Percentile interval of resampled figures (B,).

    Raises MetricError when more than 5 % of the resamples have no value (a class or a margin that hangs
    on one or two identities): the interval of the rest would be of a different quantity.
    """
    found = np.asarray(samples, dtype=np.float64)
    lost = _count_undefined(found)
    low, high = np.nanpercentile(found, [50 * (1 - level), 50 * (1 + level)])
    return Interval(float(low), float(high), lost)


def leak_interval(attackers: Sequence[ResampledRoc], level: float = LEVEL) -> Interval:
    """Interval of the worst leak of an attribute over one or more attackers, resampled by one draw.

    The worst of many coins leaks for sure: of 70 attackers that read nothing off 80 identities of eight
    photos the value is .26 on average, of one .09, and percentiles of `worst_case` begin far above 0. Some
    attacker's own 95 % interval excludes an AUC of .5 in 80 % of such runs. So the lower end is that of the
    attacker with the highest once the bounds of all AUCs hold together (max-t from the resamples: Romano and
    Wolf, Econometrica 2005); it is above 0 in 5 % of them. The upper end is the percentile of `worst_case`,
    which the same bias makes cautious. Raises MetricError as `interval`.
    """
    ends = interval(worst_case([one.leak for one in attackers]), level)
    return Interval(min(_surely_leaked(attackers, level), ends.high), ends.high, ends.n_undefined)


def _surely_leaked(attackers: Sequence[ResampledRoc], level: float) -> float:
    """The highest of the attackers' lower bounds of the leak, which hold for all of them together."""
    areas = np.concatenate([one.areas for one in attackers])
    areas = areas[:, np.isfinite(areas).all(axis=0)]
    centres, spreads = areas.mean(axis=1), areas.std(axis=1)
    moves = spreads > _STILL
    reach = float(ndtri(0.5 * (1 + level)))
    if moves.any():
        deviations = np.abs(areas[moves].T - centres[moves]) / spreads[moves]
        reach = max(reach, float(np.quantile(np.max(deviations, axis=1), level)))
    # Few identities make fat tails, as in `unit_interval`.
    freedom = min(one.n_identities for one in attackers) - 1
    reach = -float(stdtrit(freedom, ndtr(-reach)))
    slopes = np.where(moves, centres * (1 - centres), 1)
    half = np.where(moves, reach * spreads / slopes, 0)
    low, high = expit(logit(centres) - half), expit(logit(centres) + half)
    least = 2 * np.maximum(0, np.maximum(low - 0.5, 0.5 - high))
    firsts = np.cumsum([0, *(len(one.areas) for one in attackers)])
    return max(float(np.mean(least[a:b])) for a, b in pairwise(firsts))


def paired_difference(first: ArrayLike, second: ArrayLike, level: float = LEVEL) -> Interval:
    """Interval of first - second, both (B,) from the same `IdentityDraw`. 0 outside: they differ."""
    one, other = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != other.shape:
        raise InputError(f"paired samples differ in shape: {one.shape} and {other.shape}")
    return interval(one - other, level)


class Spread(NamedTuple):
    """A figure over training seeds: mean, standard deviation, and ends of the interval of the mean."""

    mean: float
    sd: float
    low: float
    high: float


def seed_spread(values: ArrayLike, level: float = LEVEL) -> Spread:
    """Spread of one figure over seeds, (S,): what training again would change, on the same test people.

    sd: of one run, S - 1 in the denominator. low, high: Student's t interval of the mean over seeds, which
    takes runs to be normal draws; with S = 3 it reaches 2.5 sd to either side. Raises MetricError below two
    seeds, InputError for a value that is not finite.
    """
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1 or not np.isfinite(found).all():
        raise InputError(f"the figures of the seeds must be finite and (S,), got {found}")
    if len(found) < 2:
        raise MetricError(
            f"a spread over seeds needs at least two, there is {len(found)}; run with --seeds 3"
        )
    mean, sd = float(np.mean(found)), float(np.std(found, ddof=1))
    half = float(stdtrit(len(found) - 1, 0.5 * (1 + level))) * sd / np.sqrt(len(found))
    return Spread(mean, sd, float(mean - half), float(mean + half))


def wilson(successes: float, trials: float, level: float = LEVEL) -> Interval:
    """Wilson's score interval of a rate (Wilson 1927); never empty at 0 or 1. Trials are independent."""
    if not 0 <= successes <= trials or trials <= 0:
        raise InputError(f"{successes} successes in {trials} trials is not a rate")
    z = float(ndtri(0.5 * (1 + level)))
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(share * (1 - share) / trials + z * z / (4 * trials**2))
    return Interval(float(max(0.0, centre - half)), float(min(1.0, centre + half)))


def unit_interval(value: float, samples: ArrayLike, n_identities: int, level: float = LEVEL) -> Interval:
    """Interval within [0, 1] of an accuracy, AUC, EER, TMR or FMR: logit scale, spread from the resamples.

    value: the figure itself. samples: (B,). Percentiles of a figure near 0 or 1 lean towards that end: with
    100 identities of eight photos they covered an AUC of .98 in 88 % and a balanced accuracy of .93 in 92 %
    of 3,000 simulations, this form in 92 % and 94 %; between .5 and .86 percentiles cover 94 %, this 95 %.
    Student's t with n_identities - 1 degrees of freedom. At exactly 0 or 1 resampling cannot vary, and
    Wilson's interval is given, with identities, not photos, as trials. Raises MetricError as `interval`.
    """
    if not 0 <= value <= 1:
        raise InputError(f"the figure must lie in [0, 1], got {value}")
    found = np.asarray(samples, dtype=np.float64)
    lost = _count_undefined(found)
    if value in (0.0, 1.0):
        ends = wilson(value * n_identities, n_identities, level)
        return Interval(ends.low, ends.high, lost)
    spread = float(np.nanstd(found)) / (value * (1 - value))
    half = float(stdtrit(n_identities - 1, 0.5 * (1 + level))) * spread
    low, high = expit(logit(value) + np.array([-half, half]))
    return Interval(float(low), float(high), lost)


def _count_undefined(samples: Float) -> int:
    lost = int(np.isnan(samples).sum())
    if lost > MAX_UNDEFINED * len(samples):
        raise MetricError(
            f"undefined in {lost} of {len(samples)} resamples: too few identities of a class for an interval"
        )
    return lost


def _codes(draw: IdentityDraw, identities: ArrayLike, n: int) -> Int:
    codes = draw.codes(identities)
    if codes.shape != (n,):
        raise InputError(f"{len(codes)} identities for {n} samples")
    return codes


def _weighted_share(draw: IdentityDraw, codes: Int, part: ArrayLike, whole: ArrayLike) -> Float:
    """Sum of `part` over sum of `whole` in each resample: sums by identity, then one product each."""
    n = len(draw.identities)
    weights = draw.weights.astype(np.float64)
    top = weights @ np.bincount(codes, weights=part, minlength=n)
    bottom = weights @ np.bincount(codes, weights=whole, minlength=n)
    return np.divide(top, bottom, out=np.full(len(weights), np.nan), where=bottom > 0)


def _walk(
    weights: NDArray[np.int32], codes: Int, positive: NDArray[np.bool_], scores: Float
) -> tuple[Float, Float]:
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    ends = np.append(ordered[1:] != ordered[:-1], True)
    areas, rates = _walk_scores(weights, codes[order], positive[order], ends)
    return areas, rates


@njit(nogil=True, cache=True)
def _walk_scores(weights, codes, positive, ends):  # type: ignore[no-untyped-def]
    """AUC and EER of each row of `weights` by one walk up the sorted scores.

    `ends` marks the last sample of each distinct score. Counts are integers, so nothing is rounded before
    the last division. Same rules as `bench.metrics.roc`.
    """
    n_resamples = weights.shape[0]
    areas = np.full(n_resamples, np.nan)
    rates = np.full(n_resamples, np.nan)
    for b in range(n_resamples):
        row = weights[b]
        n_positive = 0
        n_negative = 0
        for k in range(len(codes)):
            if positive[k]:
                n_positive += row[codes[k]]
            else:
                n_negative += row[codes[k]]
        if n_positive == 0 or n_negative == 0:
            continue
        twice_area = 0
        missed = 0
        rejected = 0
        here_positive = 0
        here_negative = 0
        gap = n_positive * n_negative
        rate = np.nan
        for k in range(len(codes)):
            if positive[k]:
                here_positive += row[codes[k]]
            else:
                here_negative += row[codes[k]]
            if ends[k]:
                twice_area += here_positive * (2 * rejected + here_negative)
                next_gap = gap - here_negative * n_positive - here_positive * n_negative
                if gap > 0 and next_gap <= 0:
                    share = gap / (gap - next_gap)
                    rate = (missed + share * here_positive) / n_positive
                missed += here_positive
                rejected += here_negative
                gap = next_gap
                here_positive = 0
                here_negative = 0
        areas[b] = twice_area / (2 * n_positive * n_negative)
        rates[b] = rate
    return areas, rates
