"""My idea: one sentence on what it compares."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.api import Context, Faces, Matcher, resize, to_tensor


class MyIdea(Matcher):
    """Thumbnails without their mean, as a start."""

    title = "My idea"

    def _embed(self, faces: Faces, ctx: Context) -> NDArray[np.float32]:
        """faces.images: uint8 (N, H, W, 3); return float32 (N, D), a row of NaN where it sees no face."""
        small = resize(to_tensor(faces.images), 16).flatten(1).numpy()
        return (small - small.mean(axis=1, keepdims=True)).astype(np.float32)
