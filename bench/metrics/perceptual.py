"""The distance of feature maps that LPIPS is the sum of (Zhang et al., CVPR 2018, equation 1)."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

_PIXELS = 512
"""At once, so that their channels stay in the processor's cache."""
_NOTHING = np.float32(1e-10)
"""The `lpips` package adds it to norms."""


def layer_distance(a: NDArray[np.float32], b: NDArray[np.float32], head: NDArray[np.float32]) -> float:
    """Of two maps (C, h, w): each pixel's channels at unit length, squared differences summed with weights
    `head` (C,), mean over the pixels. Exactly 0 for equal maps."""
    channels = len(head)
    return float(_distance(a.reshape(channels, -1), b.reshape(channels, -1), head))


# Not "contract": with fused products the difference of equal maps would be what rounding leaves.
@njit(nogil=True, cache=True, fastmath={"reassoc", "nsz"})
def _distance(a, b, head):  # type: ignore[no-untyped-def]
    channels, pixels = a.shape
    scale_a, scale_b = np.empty(_PIXELS, np.float32), np.empty(_PIXELS, np.float32)
    total = 0.0
    for start in range(0, pixels, _PIXELS):
        count = min(_PIXELS, pixels - start)
        one, other = scale_a[:count], scale_b[:count]
        one[:] = 0
        other[:] = 0
        for c in range(channels):
            x, y = a[c, start : start + count], b[c, start : start + count]
            for i in range(count):
                one[i] += x[i] * x[i]
                other[i] += y[i] * y[i]
        for i in range(count):
            one[i] = np.float32(1) / (np.sqrt(one[i]) + _NOTHING)
            other[i] = np.float32(1) / (np.sqrt(other[i]) + _NOTHING)
        for c in range(channels):
            x, y = a[c, start : start + count], b[c, start : start + count]
            squares = np.float32(0)
            for i in range(count):
                difference = x[i] * one[i] - y[i] * other[i]
                squares += difference * difference
            total += head[c] * squares
    return total / pixels
