"""Deals people out to the pools: whole people, each stratum in the pools' shares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from bench.errors import InputError
from bench.faces import ATTACK, DEVELOP, TEST, VALIDATION

SHARES: Mapping[str, float] = {DEVELOP: 0.4, VALIDATION: 0.1, ATTACK: 0.25, TEST: 0.25}
_FEWEST = 2


def deal(strata: Mapping[str, str], pools: Sequence[str], seed: int) -> dict[str, list[str]]:
    """People by pool, in random order; any first few of a pool have the strata in their shares.

    strata: person -> stratum (gender, or what else should be alike in all pools). The order depends on the
    seed and the names of the people alone, so that photos of people who are there already move nobody. Each
    of `pools` gets at least two people while there are enough.
    """
    groups: dict[str, list[str]] = {}
    for person, stratum in strata.items():
        groups.setdefault(stratum, []).append(person)
    places: list[tuple[float, bytes, str]] = []
    for people in groups.values():
        keyed = sorted((_chance(person, seed), person) for person in people)
        places += [((i + 0.5) / len(keyed), chance, person) for i, (chance, person) in enumerate(keyed)]
    order = _interleaved([person for _, _, person in sorted(places)], pools)
    return dict(zip(pools, order, strict=True))


def _interleaved(order: Sequence[str], pools: Sequence[str]) -> list[list[str]]:
    """Consecutive parts of `order` in the shares of `pools`."""
    shares = np.array([SHARES[pool] for pool in pools])
    edges = np.round(np.cumsum([0.0, *(shares / shares.sum())]) * len(order)).astype(int)
    sizes = np.diff(edges)
    while sizes.min() < _FEWEST < sizes.max():
        sizes[sizes.argmax()] -= 1
        sizes[sizes.argmin()] += 1
    stops = np.cumsum(sizes)
    return [list(order[stop - size : stop]) for size, stop in zip(sizes, stops, strict=True)]


def at_most(people: Sequence[str], photos: Mapping[str, int], limit: int, pool: str) -> list[str]:
    """The first people with at most `limit` photos together, all for 0.

    photos: person -> how many. Raises InputError where that leaves fewer than two of several people.
    """
    if not limit:
        return list(people)
    totals = np.cumsum([photos[person] for person in people])
    chosen = list(people[: int(np.searchsorted(totals, limit, side="right"))])
    if len(chosen) < _FEWEST <= len(people):
        raise InputError(f"dataset option limit={limit} leaves pool {pool} fewer than two people; raise it")
    return chosen


def _chance(person: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{person}".encode("utf-8", "surrogateescape")).digest()
