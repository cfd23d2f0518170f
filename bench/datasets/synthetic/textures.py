"""Periodic noise textures: what makes skin, hair and backdrops look unlike plastic."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

_SIDE = 256
_SEED = 20_240_601


def _filtered_noise(spectrum_of: str, finest: float) -> Tensor:
    rng = np.random.default_rng(_SEED)
    along = np.fft.fftfreq(_SIDE, 1 / _SIDE)[:, None]
    across = np.fft.fftfreq(_SIDE, 1 / _SIDE)[None, :]
    if spectrum_of == "strands":
        gain = np.exp(-((along / 2.5) ** 2)) / (2.0 + np.abs(across)) ** 0.45
        radius = np.abs(across)
    else:
        radius = np.hypot(along, across)
        gain = 1.0 / (2.0 + radius) ** 1.15
    gain = gain * np.exp(-((radius / finest) ** 2))
    gain[0, 0] = 0
    noise = np.fft.ifft2(np.fft.fft2(rng.standard_normal((_SIDE, _SIDE))) * gain).real
    noise = np.clip(noise / noise.std(), -2.5, 2.5)
    wrapped = np.pad(noise, ((0, 1), (0, 1)), mode="wrap").astype(np.float32)
    return torch.from_numpy(wrapped)[None, None]


@lru_cache(maxsize=16)
def strands(finest: float) -> Tensor:
    """Strand texture (1, 1, side+1, side+1): x runs across the strands, y along them.

    Unit variance, periodic, band-limited to `finest` cycles per period so that small images do not alias.
    """
    return _filtered_noise("strands", finest)


@lru_cache(maxsize=16)
def mottle(finest: float) -> Tensor:
    """Cloud-like texture (1, 1, side+1, side+1): unit variance, periodic, band-limited as `strands`."""
    return _filtered_noise("mottle", finest)


def sample(texture: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Texture at planes x, y (n, h, w), in periods; bilinear."""
    grid = torch.stack((x - x.floor(), y - y.floor()), dim=-1).mul_(2).sub_(1)
    n, height, width = x.shape
    values = torch.nn.functional.grid_sample(
        texture, grid.view(1, n * height, width, 2), mode="bilinear", align_corners=True
    )
    return values.view(n, height, width)
