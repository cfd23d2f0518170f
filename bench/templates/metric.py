"""My idea: one sentence on what it sees in an image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.api import Context, Metric


class MyIdea(Metric):
    """Mean absolute change of a pixel, as a start."""

    title = "My idea"
    what = "Mean absolute change of a pixel, of 255 levels."
    unit = "levels"
    higher_is = "worse"

    def _measure(
        self, originals: NDArray[np.uint8], protected: NDArray[np.uint8], ctx: Context
    ) -> NDArray[np.float32]:
        """originals, protected: uint8 (N, H, W, 3); return a value an image (N,)."""
        change = np.abs(originals.astype(np.float32) - protected.astype(np.float32))
        return change.mean(axis=(1, 2, 3))
