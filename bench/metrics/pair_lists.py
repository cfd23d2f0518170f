"""Lists of comparisons, drawn from identities or read in LFW's format, and accuracy over folds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bench.errors import InputError, MetricError, UsageError
from bench.outside import MOST_TABLE, read_text

Float = NDArray[np.float64]
Int = NDArray[np.int64]

ALL_PAIRS, PUBLISHED_PAIRS = "all", "published"
_DIGITS, _SHOWN = 9, 80


@dataclass(frozen=True)
class PairCounts:
    """How many mated and non-mated comparisons to draw."""

    mated: int
    non_mated: int


def parse_pairs(text: str) -> PairCounts | None:
    """`1000/2000` as counts of mated and non-mated comparisons; None for `all`.

    Raises UsageError for anything else.
    """
    if text == ALL_PAIRS:
        return None
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", text)
    if not found:
        raise UsageError(f"pairs are `{ALL_PAIRS}` or MATED/NON_MATED as 1000/2000, not '{text}'")
    return PairCounts(int(found[1]), int(found[2]))


def draw_pairs(identities: ArrayLike, wanted: PairCounts, seed: int) -> Int:
    """Draw comparisons of different photos without repetition, once for all methods and conditions.

    identities: int (N,), of the photos. Returns int64 (P, 2), rows of photos, mated pairs first; fewer than
    wanted when the photos make no more. Mated pairs are balanced: no identity gives two more than another
    that has some left, so people with many photos do not decide. Non-mated pairs are uniform over the pairs
    of photos of different people. Depends on the identities in their order and the seed only.
    """
    ids = np.asarray(identities)
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise InputError(f"identities must be integers (N,), got {ids.dtype} {ids.shape}")
    mated_seed, non_mated_seed = np.random.SeedSequence(seed).spawn(2)
    mated = _draw_mated(ids, wanted.mated, np.random.default_rng(mated_seed))
    non_mated = _draw_non_mated(ids, wanted.non_mated, np.random.default_rng(non_mated_seed))
    return np.concatenate([mated, non_mated])


def _draw_mated(ids: Int, n: int, rng: np.random.Generator) -> Int:
    """Round by round one pair of every identity that has some left; the last round takes some of them."""
    order = np.argsort(ids, kind="stable")
    pairs, turns = [np.empty((0, 2), np.int64)], [np.empty(0, np.int64)]
    for photos in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
        i, j = np.triu_indices(len(photos), 1)
        chosen = rng.permutation(len(i))[:n]
        pairs.append(np.stack([photos[i[chosen]], photos[j[chosen]]], axis=1))
        turns.append(np.arange(len(chosen)))
    turn = np.concatenate(turns)
    taken = np.lexsort((rng.random(len(turn)), turn))[:n]
    return np.concatenate(pairs)[np.sort(taken)]


def _draw_non_mated(ids: Int, n: int, rng: np.random.Generator) -> Int:
    """Photos of different people, each pair once. Rejection, unless a large part of all pairs is wanted."""
    sizes = np.unique(ids, return_counts=True)[1]
    there = (len(ids) ** 2 - int(np.sum(sizes**2))) // 2
    if n > there // 4:
        i, j = np.triu_indices(len(ids), 1)
        strangers = np.flatnonzero(ids[i] != ids[j])
        chosen = np.sort(rng.permutation(strangers)[:n])
        return np.stack([i[chosen], j[chosen]], axis=1)
    codes = np.empty(0, np.int64)
    while len(codes) < n:
        first, second = np.sort(rng.integers(0, len(ids), (2, 2 * n)), axis=0)
        fresh = (first * len(ids) + second)[ids[first] != ids[second]]
        codes = np.concatenate([codes, fresh])
        codes = codes[np.sort(np.unique(codes, return_index=True)[1])]
    return np.stack(np.divmod(np.sort(codes[:n]), len(ids)), axis=1)


@dataclass(frozen=True, eq=False)
class FoldedPairs:
    """Comparisons of a published list. left, right: names of photos, `Name/Name_0001`; fold: int64; (P,).

    mated: bool (P,), one person on both sides.
    """

    left: tuple[str, ...]
    right: tuple[str, ...]
    mated: NDArray[np.bool_]
    fold: Int

    def rows(self, names: ArrayLike) -> Int:
        """The list as rows of `names` (N,), for `pairs_listed`: int64 (P, 2). Raises InputError for a photo
        that `names` lacks."""
        place = {str(name): row for row, name in enumerate(np.asarray(names))}
        missing = sorted({*self.left, *self.right} - set(place))
        if missing:
            raise InputError(f"{len(missing):,} photos of the pair list are missing, first {missing[0]}")
        return np.array([[place[a], place[b]] for a, b in zip(self.left, self.right, strict=True)])


def read_pairs(path: Path) -> FoldedPairs:
    """Read a list in the format of LFW (Huang, Ramesh, Berg and Learned-Miller 2007, sec. 4).

    First line: number of folds and pairs of each kind in a fold (`10 300`, View 2), or only the latter
    (View 1). Then, for every fold, the mated pairs `name i j` and the non-mated ones `name i other j`.
    Raises InputError with the line for what does not fit.
    """
    try:
        lines = [line.split() for line in read_text(path, MOST_TABLE).rstrip().splitlines()]
    except InputError as error:
        raise InputError(f"cannot read the pair list: {error}") from error
    if not lines or not lines[0] or len(lines[0]) > 2 or not all(map(_is_number, lines[0])):
        raise InputError(f"{path}, line 1: expected the number of folds and of pairs, as `10 300`")
    folds, each = map(int, ["1", *lines[0]][-2:])
    if len(lines) - 1 != 2 * folds * each:
        raise InputError(
            f"{path}: {len(lines) - 1:,} pairs, but line 1 announces {folds} folds of 2 x {each} pairs"
        )
    places = np.arange(2 * folds * each)
    mated = places % (2 * each) < each
    photos = [_photos(path, n + 1, lines[n], bool(mated[n - 1])) for n in range(1, len(lines))]
    left, right = (tuple(photo[side] for photo in photos) for side in (0, 1))
    return FoldedPairs(left, right, mated, places // (2 * each))


def _photos(path: Path, line: int, words: list[str], mated: bool) -> tuple[str, str]:
    expected = "`name i j` (one person)" if mated else "`name i other j` (two people)"
    if len(words) != (3 if mated else 4):
        raise InputError(f"{path}, line {line}: expected {expected}, got {' '.join(words)[:_SHOWN]!r}")
    names = (words[0], words[0]) if mated else (words[0], words[2])
    numbers = words[1], words[-1]
    fits = all(map(_is_number, numbers))
    if not fits or (numbers[0] == numbers[1] if mated else names[0] == names[1]):
        raise InputError(f"{path}, line {line}: expected {expected}, got {' '.join(words)[:_SHOWN]!r}")
    left, right = (f"{name}/{name}_{int(k):04d}" for name, k in zip(names, numbers, strict=True))
    return left, right


def _is_number(text: str) -> bool:
    return text.isdecimal() and len(text) <= _DIGITS


@dataclass(frozen=True, eq=False)
class FoldAccuracy:
    """mean, standard_error: of the folds' accuracies, in [0, 1]. accuracies, thresholds: float64 (F,)."""

    mean: float
    standard_error: float
    accuracies: Float
    thresholds: Float


def fold_accuracy(scores: ArrayLike, mated: ArrayLike, folds: ArrayLike) -> FoldAccuracy:
    """Accuracy of verification by LFW's rule: each fold at the threshold that is best on all the others.

    scores: (P,), higher is more alike. mated: bool (P,). folds: int (P,). A comparison is accepted at
    score >= threshold; of several best thresholds the middle one is taken, half-way between two scores. The
    standard error is the folds' standard deviation (F - 1) over the root of F (Huang et al. 2007). Failed
    comparisons are to be removed and counted first. Raises InputError for what does not fit, MetricError
    below two folds or where the other folds lack mated or non-mated pairs.
    """
    values, truth, fold = np.asarray(scores, dtype=np.float64), np.asarray(mated), np.asarray(folds)
    if values.ndim != 1 or not values.shape == truth.shape == fold.shape or truth.dtype != bool:
        raise InputError(f"need scores, bool and folds (P,), got {values.shape} {truth.dtype} {fold.shape}")
    if not np.isfinite(values).all():
        raise InputError("scores must be finite; remove and count the failed comparisons first")
    names = np.unique(fold)
    if len(names) < 2:
        raise MetricError(f"accuracy over folds needs at least two folds, there is {len(names)}")
    thresholds = np.array([_best_threshold(values[fold != f], truth[fold != f]) for f in names])
    accuracies = np.array(
        [
            np.mean((values[fold == f] >= t) == truth[fold == f])
            for f, t in zip(names, thresholds, strict=True)
        ]
    )
    error = np.std(accuracies, ddof=1) / np.sqrt(len(names))
    return FoldAccuracy(float(accuracies.mean()), float(error), accuracies, thresholds)


def _best_threshold(scores: Float, mated: NDArray[np.bool_]) -> float:
    if mated.all() or not mated.any():
        raise MetricError("a threshold is learnt from mated and non-mated comparisons; one kind is missing")
    distinct, place = np.unique(scores, return_inverse=True)
    right = np.bincount(place, weights=np.where(mated, 1, -1))
    # Correct decisions when everything from distinct[k] on is accepted, beside those when nothing is.
    gain = np.append(np.cumsum(right[::-1])[::-1], 0)
    between = (distinct[1:] + distinct[:-1]) / 2
    candidates = np.concatenate([[distinct[0]], between, [np.nextafter(distinct[-1], np.inf)]])
    best = np.flatnonzero(gain == gain.max())
    return float(candidates[best[len(best) // 2]])
