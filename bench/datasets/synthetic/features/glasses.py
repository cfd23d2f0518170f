"""Eyeglasses."""

from __future__ import annotations

from torch import Tensor

from bench.datasets.synthetic.fields import Parameters, bump, on_rgb, paint, rgb
from bench.datasets.synthetic.geometry import Coordinates

GLASSES_BAND = (-0.36, 0.36)


def paint_glasses(picture: Tensor, c: Coordinates, p: Parameters) -> None:
    """Frames, temples and a faint tint of the lenses, on the finished face."""
    half_width, half_height = 0.150 * p.glasses_size, 0.108 * p.glasses_size
    across, down = c.side - p.eye_x - 0.005, c.v - p.eye_y - 0.012
    power = p.glasses_squareness
    lens = (across.abs() / half_width) ** power + (down.abs() / half_height) ** power
    lens = (lens + 1e-9) ** (1 / power)
    rim = bump((lens - 1) / (0.075 + 0.35 * c.pixel))
    bridge = bump((down + 0.022) / 0.014) * (across < 0.01 - half_width)
    temple = bump((down + 0.030) / 0.014) * (across > half_width) * c.cover(1.02 - c.rho)
    frame = rim.maximum(bridge).maximum(temple) * p.glasses * (c.rho < 1.06)
    colour = rgb(0.30, 0.20, 0.14) * on_rgb(1 - 0.8 * p.glasses_dark)
    paint(picture, rgb(0.90, 0.93, 0.95), 0.07 * p.glasses * c.cover(1 - lens))
    paint(picture, colour, 0.88 * frame)
