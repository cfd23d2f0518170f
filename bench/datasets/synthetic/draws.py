"""Named random numbers that depend on nothing but a seed, a name and integer keys.

A sequential generator would make somebody's nose depend on how many people were drawn before.
Here every number is a hash of (seed, name, keys), so a person or an image looks the same in
whatever selection it is asked for, and a new trait disturbs no existing one. The hash is the
finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    with np.errstate(over="ignore"):
        values = values + _GOLDEN
        values = (values ^ (values >> np.uint64(30))) * _MIX_1
        values = (values ^ (values >> np.uint64(27))) * _MIX_2
        return values ^ (values >> np.uint64(31))


class Draws:
    """Random columns for n keys; the same (seed, name, key) always gives the same number.

    Args:
        seed: any integer.
        keys: one or more int arrays of shape (n,); together they name what is drawn for.
    """

    def __init__(self, seed: int, *keys: NDArray[np.int64]) -> None:
        state = np.full(len(keys[0]), seed & 0xFFFFFFFFFFFFFFFF, dtype=np.uint64)
        for key in keys:
            state = _mix(state ^ _mix(key.astype(np.uint64)))
        self._state = state

    def bits(self, name: str) -> NDArray[np.uint64]:
        """64 random bits a key, shape (n,)."""
        digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
        return _mix(self._state ^ np.uint64(int.from_bytes(digest, "little")))

    def uniform(self, name: str, low: float = 0.0, high: float = 1.0) -> Floats:
        """Uniform numbers in [low, high), shape (n,)."""
        unit: Floats = (self.bits(name) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        return low + (high - low) * unit

    def normal(self, name: str, sd: float = 1.0, limit: float = 2.2) -> Floats:
        """Normal numbers of mean 0, cut at +-limit standard deviations (Box-Muller), shape (n,)."""
        radius = np.sqrt(-2.0 * np.log1p(-self.uniform(name + "/radius")))
        angle = 2.0 * np.pi * self.uniform(name + "/angle")
        cut: Floats = np.clip(radius * np.cos(angle), -limit, limit)
        return sd * cut

    def chance(self, name: str, probability: float | Floats) -> NDArray[np.bool_]:
        """True with the given probability, shape (n,)."""
        return self.uniform(name) < probability

    def choice(self, name: str, probabilities: Sequence[float]) -> NDArray[np.int64]:
        """Indices 0..len-1 with the given probabilities (they add up to 1), shape (n,)."""
        edges = np.cumsum(probabilities)[:-1]
        return np.searchsorted(edges, self.uniform(name), side="right").astype(np.int64)
