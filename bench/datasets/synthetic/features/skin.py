"""Bare skin: base colour, blush, mottling, freckles, moles, rouge."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.datasets.synthetic.fields import (
    Parameters,
    bump,
    darken,
    on_rgb,
    paint,
    positive,
    ramp,
    rgb,
)
from bench.datasets.synthetic.geometry import Coordinates
from bench.datasets.synthetic.textures import mottle, sample

_TONES = torch.tensor(
    [
        [0.95, 0.83, 0.76],
        [0.93, 0.77, 0.67],
        [0.85, 0.66, 0.53],
        [0.68, 0.48, 0.36],
        [0.48, 0.32, 0.23],
        [0.33, 0.21, 0.155],
    ]
)
_BLUSH = (0.045, -0.045, -0.030)
_ROUGE = (0.10, -0.11, -0.07)
_MOLE_RADIUS = 0.019


def skin_colour(p: Parameters) -> Tensor:
    """Base colour of the skin, (n, 3, 1, 1)."""
    base = p.palette(_TONES, "skin_tone")
    yellow = on_rgb(p.skin_yellow) * rgb(0.004, 0.006, -0.030)
    sallow = on_rgb(positive(p.wrinkles - 0.4)) * rgb(-0.030, -0.035, -0.045)
    return (base + yellow + sallow * base).clamp(0.02, 1)


def cheek_relief(c: Coordinates, p: Parameters) -> Tensor:
    """Cheekbones, chubby or hollow cheeks, brow ridge, chin."""
    smile = positive(p.smile)
    apple = (p.cheekbone + 0.045 * smile) * bump((c.side - 0.30) / 0.13)
    relief = apple * bump((c.v - 0.15 + 0.03 * smile) / 0.11)
    below = 0.055 * p.baby_fat - 0.060 * p.hollow_cheeks
    relief += below * bump((c.side - 0.33) / 0.11) * bump((c.v - 0.34) / 0.12)
    temple = 0.030 * p.hollow_cheeks * bump((c.side - 0.43) / 0.07) * bump((c.v + 0.18) / 0.12)
    relief -= temple
    relief += p.chin_bump * bump(c.u / 0.15) * bump((c.v - p.chin_y + 0.12) / 0.09)
    relief -= 0.030 * bump(c.u / 0.16) * bump((c.v - p.chin_y + 0.215) / 0.035)
    return relief


def skin_picture(c: Coordinates, p: Parameters, skin: Tensor) -> Tensor:
    """Albedo of the bare face, (n, 3, h, w)."""
    n, height, width = c.x.shape
    picture = skin.expand(n, 3, height, width).clone()
    light_skin = 1 - 0.70 * on_rgb(p.skin_tone)
    grain = sample(
        mottle(0.45 / c.pixel * 1.25),
        c.u * 0.8 + p.texture_phase,
        c.v * 0.8 + 3.7 * p.texture_phase,
    )
    blush = bump((c.side - 0.30) / 0.13) * bump((c.v - 0.17) / 0.11) * (1 + 0.5 * positive(p.smile))
    blush += 0.5 * bump(c.u / 0.07) * bump((c.v - p.eye_y - p.nose_length) / 0.06)
    picture += rgb(*_BLUSH) * light_skin * on_rgb(blush * (0.30 + 0.9 * p.ruddiness + 0.25 * p.baby_fat))
    _rouge(picture, c, p, light_skin)
    darken(picture, 0.022 * grain * (0.5 + p.roughness + 0.8 * p.blotches))
    _spots(picture, c, p, grain)
    _moles(picture, c, p)
    return picture


def _rouge(picture: Tensor, c: Coordinates, p: Parameters, light_skin: Tensor) -> None:
    rouge = bump((c.side - 0.33) / 0.10) * bump((c.v - 0.14 + 0.45 * (c.side - 0.33)) / 0.065)
    picture += rgb(*_ROUGE) * light_skin * on_rgb(0.7 * p.makeup * rouge)


def _spots(picture: Tensor, c: Coordinates, p: Parameters, grain: Tensor) -> None:
    """Freckles across nose and cheeks; brown age spots on temples and cheeks."""
    fine = sample(mottle(0.45 / c.pixel * 1.25), c.u * 1.7 + 7 * p.texture_phase, c.v * 1.7)
    dots = positive(fine - 0.75)
    freckled = positive(p.freckles) * bump((c.v - 0.12) / 0.20) * ramp(0.50, 0.30, c.side)
    darken(picture, (0.28 * dots * freckled).clamp(max=0.6))
    aged = positive(p.blotches - 0.45) * ramp(0.16, 0.34, c.side)
    paint(picture, rgb(0.42, 0.27, 0.18), (0.42 * positive(grain - 1.0) * aged).clamp(max=0.4))


def _moles(picture: Tensor, c: Coordinates, p: Parameters) -> None:
    for x, y, depth in ((p.mole1_x, p.mole1_y, p.mole1), (p.mole2_x, p.mole2_y, p.mole2)):
        spot = bump((c.u - x) / _MOLE_RADIUS) * bump((c.v - y) / _MOLE_RADIUS)
        paint(picture, rgb(0.20, 0.11, 0.08), 0.75 * depth * spot)
