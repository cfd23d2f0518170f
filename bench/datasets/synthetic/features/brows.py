"""Eyebrows."""

from __future__ import annotations

from torch import Tensor

from bench.datasets.synthetic.fields import Parameters, paint, positive, ramp
from bench.datasets.synthetic.geometry import Coordinates
from bench.datasets.synthetic.textures import sample, strands

BROW_BAND = (-0.48, 0.14)


def paint_brows(picture: Tensor, c: Coordinates, p: Parameters, hair: Tensor, skin: Tensor) -> Tensor:
    """Paint the brows on the skin and return their mask (n, h, w)."""
    across = c.side - p.eye_x
    t = (across + 0.004) / p.brow_width
    middle = -p.brow_height - p.brow_raise + p.brow_tilt * across
    middle = middle - p.brow_arch * (1 - 1.1 * (t - 0.22) ** 2)
    half = p.brow_thickness.clamp(min=0.009) * (1 - 0.55 * positive(t - 0.05))
    half = half * (1 - 0.30 * positive(-t - 0.6))
    distance = (c.v - p.eye_y - p.asymmetry * c.sign - middle).abs()
    mask = c.cover(half - distance, 1.6) * ramp(1.06, 0.80, t.abs())
    hairs = sample(strands(0.6 / c.pixel), 1.3 * c.u + 0.9 * c.v + p.texture_phase, 0.5 * c.v)
    density = (0.76 + 0.10 * hairs + 0.14 * p.makeup).clamp(0, 1)
    colour = 0.66 * hair + 0.05 * skin
    paint(picture, colour, mask * density * (1 - 0.25 * p.grey))
    return mask
