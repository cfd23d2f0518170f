"""Fits what cells took to what they had to do: quantity = sum of coefficient x term, none below 0."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.costs.samples import Sample
from bench.costs.work import ONE, Work

SECONDS, MEMORY, STORAGE = "seconds", "memory", "storage"
"""Quantities: seconds of processor time; bytes of memory at most; bytes on disk."""
TOUCHED = "bytes read and left"
"""The term of memory beside `ONE`."""

_FLOOR = {SECONDS: 0.05, MEMORY: 1e6, STORAGE: 1e3}
"""Below these, differences do not matter however large they are in proportion."""
_ODD = 3.0
"""Times the median of cells that have the same to do, or that part of it, beyond which one is left out: cells
whose images are all alike take next to nothing."""
_COPIES, _NEARLY_ALL, _STEPS_OF_MEMORY = 4.0, 0.95, 3
_MORE = 1.2
"""A term tells sizes apart where its greatest value is so many times its least."""


@dataclass(frozen=True)
class Rates:
    """Coefficients by term for one quantity of one stage and component.

    cells: how many it is fitted to. most: greatest value of each term among them. sizes: how many different
    ones. error: median relative deviation of the fit from them.
    """

    coefficients: Mapping[str, float]
    most: Mapping[str, float]
    cells: int
    sizes: int
    error: float

    def at(self, terms: Mapping[str, float]) -> float:
        """The quantity of a cell with these terms."""
        return sum(c * terms.get(name, 0.0) for name, c in self.coefficients.items())

    def beyond(self, terms: Mapping[str, float]) -> float:
        """How many times greater the cell is than the greatest one fitted to, by the term that decides;
        1 for one within."""
        shares = {n: c * terms.get(n, 0.0) for n, c in self.coefficients.items() if n != ONE}
        total = self.at(terms)
        told = [n for n, s in shares.items() if total and s > 0.1 * total and self.most.get(n)]
        return max([1.0, *(terms[n] / self.most[n] for n in told)])


Key = tuple[str, str, str]
"""Stage, component (empty: all of the stage), quantity."""


def fit_rates(samples: Iterable[Sample]) -> dict[Key, Rates]:
    """Rates of everything that was measured, by stage and component, and by stage alone for components that
    were not. Seconds of cells that imported libraries count only where there are no others."""
    groups: dict[Key, list[tuple[Mapping[str, float], float]]] = {}
    measured = list(samples)
    warm = {(s.work.stage, s.work.component) for s in measured if not s.cold}
    for sample in measured:
        work = sample.work
        left_out = {SECONDS} if sample.cold and (work.stage, work.component) in warm else set()
        for quantity, terms, value in _observed(sample):
            if quantity in left_out:
                continue
            groups.setdefault((work.stage, "", quantity), []).append((terms, value))
            if work.component:
                groups.setdefault((work.stage, work.component, quantity), []).append((terms, value))
    found = {}
    for key, seen in groups.items():
        told, took = [t for t, _ in seen], [v for _, v in seen]
        found[key] = fitted_peak(told, took) if key[2] == MEMORY else fitted(told, took, key[2])
    return found


def memory_terms(work: Work, read: float, left: float) -> dict[str, float]:
    """Of the memory of a cell beyond the matrices that it holds and the bytes that it touches once: what it
    reads, and what it leaves, which is there as arrays and as a file to be."""
    return {ONE: 1.0, TOUCHED: read + 2 * left}


def _observed(sample: Sample) -> list[tuple[str, Mapping[str, float], float]]:
    work, left = sample.work, float(sample.stored)
    found: list[tuple[str, Mapping[str, float], float]] = [
        (STORAGE, work.storage, max(0.0, left - work.known)),
    ]
    if sample.device == "cpu":
        found.append((SECONDS, work.terms, sample.seconds))
    if sample.peak is not None:
        terms = memory_terms(work, sample.read, left)
        found.append((MEMORY, terms, max(0.0, sample.peak - work.held - terms[TOUCHED])))
    return found


def fitted(terms: Sequence[Mapping[str, float]], values: Sequence[float], quantity: str) -> Rates:
    """Non-negative least squares of relative deviations, then scaled so that their sum is met.

    terms: of each cell, values: what it took. Where the cells have fewer sizes than there are terms, the
    first are left out: what cannot be told apart is put down to the last.
    """
    names, sizes = _told_apart(terms)
    matrix = np.array([[t.get(n, 0.0) for n in names] for t in terms], float)
    found = np.asarray(values, float)
    rows = _usual(matrix, found)
    coefficients = _solve(matrix[rows], found[rows], quantity)
    made = float((matrix[rows] @ coefficients).sum())
    if made > 0:
        coefficients = coefficients * (found[rows].sum() / made)
    off = np.abs(matrix @ coefficients - found) / np.maximum(found, _FLOOR[quantity])
    return Rates(
        {n: float(c) for n, c in zip(names, coefficients, strict=True) if c > 0},
        {n: float(matrix[:, i].max()) for i, n in enumerate(names)},
        len(found),
        sizes,
        float(np.median(off)),
    )


def fitted_peak(terms: Sequence[Mapping[str, float]], values: Sequence[float]) -> Rates:
    """Memory beyond what is touched once: what nearly all cells stay under.

    What a worker kept of earlier cells is in its peak and differs from cell to cell; so the constant is a
    high quantile, and each byte that is touched counts at most as the copies of it that a stage may make.
    """
    touched, found = np.array([t[TOUCHED] for t in terms]), np.asarray(values, float)
    steps = _steps(touched)
    slope = 0.0
    if steps >= _STEPS_OF_MEMORY:
        both = np.stack([np.ones(len(touched)), touched], axis=1)
        slope = min(float(_solve(both, found, MEMORY)[1]), _COPIES)
    start = max(0.0, float(np.quantile(found - slope * touched, _NEARLY_ALL)))
    off = np.abs(start + slope * touched - found) / np.maximum(found, _FLOOR[MEMORY])
    coefficients = {ONE: start} | ({TOUCHED: slope} if slope else {})
    most = {ONE: 1.0, TOUCHED: float(touched.max())}
    return Rates(coefficients, most, len(found), steps, float(np.median(off)))


def _steps(values: Iterable[float]) -> int:
    """How many sizes there are among the values, each so much larger than the one before."""
    steps, last = 0, 0.0
    for value in sorted(set(values) - {0.0}):
        if value > _MORE * last:
            steps, last = steps + 1, value
    return steps


def _told_apart(terms: Sequence[Mapping[str, float]]) -> tuple[list[str], int]:
    """Names of the last terms, as many as the cells tell apart, and how many sizes the cells have."""
    names = list(dict.fromkeys(name for t in terms for name, value in t.items() if value))
    sizes = max([1, *(_steps(t.get(name, 0.0) for t in terms) for name in names)])
    return (names[-sizes:] if sizes < len(names) else names) or [ONE], sizes


def _usual(matrix: NDArray[np.float64], values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which cells took about what others did that had the same to do; all where there are no two others."""
    rows = np.ones(len(values), bool)
    _, group, counts = np.unique(matrix, axis=0, return_inverse=True, return_counts=True)
    for number in np.flatnonzero(counts > 2):
        alike = np.flatnonzero(group.ravel() == number)
        middle = float(np.median(values[alike]))
        rows[alike] = (values[alike] >= middle / _ODD) & (values[alike] <= middle * _ODD)
    return rows


def _solve(matrix: NDArray[np.float64], values: NDArray[np.float64], quantity: str) -> NDArray[np.float64]:
    from scipy.optimize import nnls

    weights = 1 / np.maximum(values, _FLOOR[quantity])
    # Columns of like size: squares and cubes of counts would drown the rest in rounding.
    scale = np.abs(matrix).max(axis=0)
    scale[scale == 0] = 1
    solution, _ = nnls(matrix / scale * weights[:, None], values * weights)
    return np.asarray(solution / scale, float)
