"""What the head stands on and in front of: backdrop, neck, clothes, ears."""

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


def backdrop(c: Coordinates, p: Parameters) -> Tensor:
    """Out-of-focus background, (n, 3, h, w)."""
    slope = c.x * torch.cos(p.backdrop_angle) + c.y * torch.sin(p.backdrop_angle)
    clouds = sample(mottle(7.0), 0.35 * c.x + p.backdrop_x, 0.35 * c.y + p.backdrop_y)
    blend = (0.5 + 0.45 * slope + 0.34 * p.backdrop_detail * clouds).clamp(0, 1)
    return torch.lerp(p.colour("backdrop1"), p.colour("backdrop2"), on_rgb(blend))


def paint_neck(picture: Tensor, c: Coordinates, p: Parameters, skin: Tensor) -> Tensor:
    """Neck with the shadow of the chin; returns its mask."""
    middle = c.x - 0.03 * torch.sin(p.yaw)
    half = p.neck_width + 0.25 * positive(c.y - 0.66) ** 2 + 0.9 * positive(c.y - 0.80)
    mask = c.cover(half - middle.abs(), 1.4) * c.cover(c.y - 0.25)
    round_light = 1 - 0.35 * (middle / half).clamp(-1, 1) ** 2 + 0.14 * p.light_x * middle / half
    under_chin = ramp(0.06, 0.30, c.y - p.chin_y + 0.16 + 0.45 * middle * middle)
    light = (p.ambient + 0.62 * p.diffuse) * round_light * (0.62 + 0.30 * under_chin)
    apple = p.stubble * bump(middle / 0.07) * bump((c.y - p.chin_y - 0.11) / 0.05)
    tendons = 0.10 * positive(p.sagging - 0.4) * bump((middle.abs() - 0.12) / 0.03)
    paint(picture, skin * on_rgb(light + 0.10 * apple - tendons), mask)
    return mask


def paint_clothes(picture: Tensor, c: Coordinates, p: Parameters) -> Tensor:
    """Shoulders with a round or deep neckline; returns the mask."""
    across = c.x.abs()
    shoulders = 0.66 + 0.09 * p.collar + 0.30 * ramp(0.42, 1.2, across)
    neckline = (0.13 + 0.24 * p.neckline) * ramp(0.36 + 0.08 * p.collar, 0.0, across)
    mask = c.cover(c.y - shoulders - neckline, 1.4)
    folds = sample(mottle(9.0), 0.5 * c.x + p.backdrop_y, 0.5 * c.y + p.backdrop_x)
    light = 0.72 + 0.20 * p.light_x * c.x + 0.06 * folds + 0.35 * (c.y - 0.8)
    paint(picture, p.colour("clothes") * on_rgb(light.clamp(0.3, 1.2)), mask)
    return mask


def paint_ears(picture: Tensor, c: Coordinates, p: Parameters, skin: Tensor, bare: Tensor) -> Tensor:
    """Ears at the height from brows to nose, where no hair hangs over them; returns their mask."""
    turn = torch.sin(p.yaw)
    across = (c.x.abs() - 0.985 * p.head_width + 0.05 * turn * torch.sign(c.x)) / 0.060
    down = (c.y - 0.035 - 0.06 * across) / p.ear_length
    radius = torch.sqrt(across * across + down * down)
    mask = c.cover(0.06 * (1 - radius)) * bare
    light = p.ambient + 0.62 * p.diffuse + 0.12 * p.light_x * torch.sign(c.x)
    paint(picture, skin * rgb(0.97, 0.86, 0.83) * on_rgb(light), mask)
    darken(picture, 0.28 * mask * bump(radius / 0.5))
    return mask
