"""Small building blocks of the renderer: soft shapes, and tensors addressed by name.

A *plane* is a float32 tensor (n, h, w): one value per pixel of n images. A *parameter* is
(n, 1, 1) and a *colour* (n, 3, 1, 1); both broadcast against planes and pictures (n, 3, h, w).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Parameters:
    """Values of n images: `p.nose_width` is (n, 1, 1), `p.colour("clothes")` is (n, 3, 1, 1)."""

    def __init__(
        self,
        values: Mapping[str, NDArray[np.float32]],
        colours: Mapping[str, NDArray[np.float32]],
    ) -> None:
        self._values = {name: torch.from_numpy(v).view(-1, 1, 1) for name, v in values.items()}
        self._colours = {name: torch.from_numpy(v).view(-1, 3, 1, 1) for name, v in colours.items()}

    def __getattr__(self, name: str) -> Tensor:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(f"no parameter named {name!r}") from None

    def colour(self, name: str) -> Tensor:
        return self._colours[name]

    def palette(self, colours: Tensor, position: str) -> Tensor:
        """Colour at position 0..1 of a palette (k, 3)."""
        place = self._values[position].view(-1).clamp(0, 1) * (len(colours) - 1)
        index = place.floor().long().clamp(0, len(colours) - 2)
        part = (place - index)[:, None]
        return torch.lerp(colours[index], colours[index + 1], part).view(-1, 3, 1, 1)


def rgb(red: float, green: float, blue: float) -> Tensor:
    """A fixed colour, (1, 3, 1, 1)."""
    return torch.tensor([red, green, blue]).view(1, 3, 1, 1)


def on_rgb(plane: Tensor) -> Tensor:
    """(n, h, w) -> (n, 1, h, w), to meet pictures."""
    return plane.unsqueeze(1)


def bump(distance: Tensor) -> Tensor:
    """Bell of height 1 and half-width about .8: exp(-d^2)."""
    return torch.exp(-distance * distance)


def ramp(low: float | Tensor, high: float | Tensor, value: Tensor) -> Tensor:
    """Smooth step from 0 at low to 1 at high (low may exceed high: then it falls)."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def positive(value: Tensor) -> Tensor:
    return value.clamp(min=0)


def paint(picture: Tensor, colour: Tensor, cover: Tensor) -> None:
    """Lay colour over picture (n, 3, h, w) where cover (n, h, w) is 1, in place."""
    picture.lerp_(colour.expand_as(picture) if colour.shape[-1] == 1 else colour, on_rgb(cover))


def darken(picture: Tensor, amount: Tensor) -> None:
    """Multiply picture by 1 - amount, in place."""
    picture.mul_(on_rgb(1 - amount))
