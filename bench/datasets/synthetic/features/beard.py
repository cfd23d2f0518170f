"""Stubble, moustache, beard."""

from __future__ import annotations

from torch import Tensor

from bench.datasets.synthetic.features.mouth import mouth_centre
from bench.datasets.synthetic.fields import Parameters, bump, on_rgb, paint, positive, ramp, rgb
from bench.datasets.synthetic.geometry import Coordinates
from bench.datasets.synthetic.textures import mottle, sample, strands

BEARD_BAND = (0.0, 0.86)


def paint_beard(picture: Tensor, c: Coordinates, p: Parameters, hair: Tensor, skin: Tensor) -> None:
    mouth = mouth_centre(p)
    lips = bump(c.u / (0.95 * p.mouth_width)) * bump((c.v - mouth - 0.012) / 0.050)
    below_cheek = c.v - mouth + 0.06 + 1.35 * positive(c.side - 0.24)
    jaw = ramp(-0.05, 0.11, below_cheek)
    lip_hair = bump((c.v - mouth + 0.070 + 0.10 * c.side) / 0.034) * ramp(0.24, 0.15, c.side)
    field = jaw.maximum(lip_hair) * (1 - 0.85 * lips)
    grain = sample(mottle(0.45 / c.pixel * 1.25), 2.1 * c.u, 2.1 * c.v + p.texture_phase)
    shadow = skin * rgb(0.50, 0.55, 0.60)
    paint(picture, shadow, (field * p.stubble * (0.60 + 0.06 * grain)).clamp(0, 1))
    hairs = sample(strands(0.6 / c.pixel), 1.2 * c.u + p.texture_phase, 0.7 * c.v)
    colour = hair * on_rgb(0.78 + 0.13 * hairs)
    cover = ramp(0.25, 0.75, jaw * (1 - 0.9 * lips) + 0.08 * hairs) * p.beard
    cover = cover.maximum(ramp(0.30, 0.75, lip_hair + 0.08 * hairs) * p.moustache * (1 - 0.8 * lips))
    paint(picture, colour, 0.93 * cover)
