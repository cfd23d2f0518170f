"""What a training reads: images that lie on the device as bytes, and which of them come when."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.components.method import resize, to_tensor, to_uint8
from bench.distributed import share_of

if TYPE_CHECKING:
    from torch import Tensor


class Pixels:
    """Images uint8 (N, H, W, 3), moved to the device once; batches are gathered and converted there.

    size: side that batches are brought to, 0: as they are.
    """

    def __init__(self, images: NDArray[np.uint8], device: str, size: int = 0) -> None:
        import torch

        self._stored = torch.from_numpy(np.ascontiguousarray(images)).to(device)
        self._size = size or images.shape[1]

    def batch(self, rows: Tensor) -> Tensor:
        """float32 (B, 3, size, size) in [0, 1] of int64 (B,)."""
        return resize(self._stored[rows].permute(0, 3, 1, 2).float() / 255, self._size)


def rows_of_step(count: int, batch: int, seed: int, step: int) -> NDArray[np.int64]:
    """Rows (batch,) of one step: a fresh permutation of `count` rows every epoch, read without gaps."""
    start, stop = step * batch, (step + 1) * batch
    epochs = range(start // count, (stop - 1) // count + 1)
    parts = [
        _epoch(count, seed, e)[max(0, start - e * count) : max(0, min(count, stop - e * count))]
        for e in epochs
    ]
    return np.concatenate(parts)


def own_rows(count: int, batch: int, seed: int, step: int) -> NDArray[np.int64]:
    """Those of `rows_of_step` that this process works on: all but where several train together."""
    return rows_of_step(count, batch, seed, step)[share_of(batch)]


@lru_cache(maxsize=4)
def _epoch(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Kept for the steps of the epoch: with 160,000 faces a permutation takes as long as a small step."""
    order = np.random.default_rng([seed, 0, epoch]).permutation(count).astype(np.int64)
    order.setflags(write=False)
    return order


def resize_images(images: NDArray[np.uint8], size: int, *, batch: int = 256) -> NDArray[np.uint8]:
    """uint8 (N, H, W, 3) -> uint8 (N, size, size, 3), bicubic with antialiasing; unchanged at equal size."""
    if images.shape[1:3] == (size, size):
        return images
    parts = [to_uint8(resize(to_tensor(images[i : i + batch]), size)) for i in range(0, len(images), batch)]
    return np.concatenate(parts) if parts else np.zeros((0, size, size, 3), np.uint8)
