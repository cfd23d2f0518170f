"""Hair of the head: three layers (behind, on the scalp, falling before the face) of one mass of strands."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.datasets.synthetic.fields import Parameters, bump, on_rgb, positive, ramp, rgb
from bench.datasets.synthetic.geometry import HEAD_CENTRE_Y, Coordinates
from bench.datasets.synthetic.shading import Light
from bench.datasets.synthetic.textures import mottle, sample, strands

_COLOURS = torch.tensor(
    [
        [0.075, 0.062, 0.058],
        [0.17, 0.115, 0.085],
        [0.33, 0.215, 0.14],
        [0.52, 0.36, 0.22],
        [0.78, 0.63, 0.42],
        [0.52, 0.24, 0.13],
    ]
)
_GREY = (0.74, 0.73, 0.72)


@dataclass(frozen=True)
class HairLayers:
    """Colour (n, 3, h, w) of the whole mass, and masks (n, h, w) of its layers.

    Attributes:
        colour: lit strands.
        behind: seen beside and below the head.
        front: on the scalp, as fringe, and before the edges of the face.
        shadow: how strongly the hair shades the skin below it.
    """

    colour: Tensor
    behind: Tensor
    front: Tensor
    shadow: Tensor


def hair_colour(p: Parameters) -> Tensor:
    """Base colour, (n, 3, 1, 1)."""
    return torch.lerp(p.palette(_COLOURS, "hair_colour"), rgb(*_GREY), on_rgb(p.grey))


def falls(p: Parameters) -> Tensor:
    """1 for long hair that hangs down, 0 for short or tied hair."""
    return ramp(0.20, 0.35, p.hair_length) * (1 - p.tied_back)


def hair_layers(c: Coordinates, p: Parameters, base: Tensor, light: Light) -> HairLayers:
    long = falls(p)
    texture = _strand_texture(c, p, long)
    front, shadow = _front(c, p, long, texture)
    return HairLayers(
        colour=_lit(c, p, base, light, texture),
        behind=_behind(c, p, long, texture),
        front=front,
        shadow=shadow,
    )


def _strand_texture(c: Coordinates, p: Parameters, long: Tensor) -> Tensor:
    """Strands fan out from the parting and then hang down; curls are clouds instead of strands."""
    up = positive(-0.15 - c.y) / (p.crown_height + p.hair_volume - 0.10)
    x = c.x - 0.8 * p.part_x * ramp(0.0, -0.6, c.y)
    across = x / torch.sqrt((1 - up * up).clamp(min=0.10))
    wave = 0.030 * p.hair_waves.clamp(0, 1.2) * torch.sin(c.y * 12 + 40 * p.texture_phase + 2 * c.x)
    fall = sample(
        strands(0.55 / c.pixel),
        0.8 * (across + wave) + p.texture_phase,
        0.35 * (c.y + c.x) + p.hair_phase,
    )
    sweep = c.x + 0.5 * p.fringe_sweep * (c.y + 0.3) + 0.05 * torch.sin(7 * c.y + 9 * p.texture_phase)
    comb = sample(
        strands(0.55 / c.pixel),
        1.1 * sweep / (1.0 - 0.5 * c.y.clamp(-1, 0)) + 3 * p.texture_phase,
        1.5 * c.y + 0.4 * c.x + p.hair_phase,
    )
    curls = sample(mottle(0.5 / c.pixel), 1.3 * c.x + p.texture_phase, 1.3 * c.y)
    straight = torch.lerp(comb, fall, 0.25 + 0.75 * long)
    return torch.lerp(straight, curls, (0.75 * ramp(0.7, 1.2, p.hair_waves)).maximum(p.afro))


def _lit(c: Coordinates, p: Parameters, base: Tensor, light: Light, texture: Tensor) -> Tensor:
    """Round mass, dark between strands, with the bright band that combed hair shows below the crown."""
    nx = (c.x / (p.head_width + 0.16)).clamp(-0.95, 0.95)
    ny = ((c.y - HEAD_CENTRE_Y) / (p.crown_height + 0.20)).clamp(-0.95, 0.0)
    nz = torch.sqrt((1 - nx * nx - ny * ny).clamp(min=0.04))
    round_light = p.ambient + p.diffuse * light.diffuse(nx, ny, nz)
    crown = c.y + 0.56 - 0.45 * (c.x - 0.25 * p.light_x) ** 2 + 0.02 * texture
    gloss = (1 - 0.75 * p.afro) * bump(crown / 0.10) * (0.55 + 0.30 * texture)
    depth = 0.72 + 0.20 * ramp(0.7, -0.5, c.y)
    value = round_light * (depth + (0.16 - 0.05 * p.grey) * texture)
    return base * on_rgb(value.clamp(min=0.15)) + on_rgb(0.11 * positive(gloss) * round_light) * (0.35 + base)


def _behind(c: Coordinates, p: Parameters, long: Tensor, texture: Tensor) -> Tensor:
    """Silhouette: a cap round the skull that goes down to the length of the hair."""
    bulk = p.hair_volume * (1 + 0.9 * p.afro) * (1 - 0.85 * p.baldness)
    width = p.head_width + 0.75 * bulk + 0.05 * long
    rise = positive(HEAD_CENTRE_Y - c.y) / (p.crown_height + HEAD_CENTRE_Y + bulk)
    across = (c.x - 0.04 * torch.sin(p.yaw)).abs()
    ragged = 0.012 * texture
    cap = 1 - torch.sqrt((across / width) ** 2 + rise * rise)
    below = positive(c.y - HEAD_CENTRE_Y)
    spread = width * (1 + 0.14 * long * ramp(0.0, 0.7, below)) + 0.02 * p.hair_waves * long
    tuck = 0.62 * (1 - long) * ramp(0.0, 0.50, below - 0.25 * p.afro)
    side = spread * (1 - tuck) - across
    ends = torch.lerp(0.16 + 0.35 * p.hair_length, 0.10 + 0.85 * p.hair_length, long)
    sides = c.cover(side + ragged, 1.8) * c.cover(ends - below + 0.025 * texture, 5)
    top = c.cover(0.55 * cap + ragged, 1.8)
    return torch.where(c.y < HEAD_CENTRE_Y, top, sides) * (1 - p.baldness)


def _front(c: Coordinates, p: Parameters, long: Tensor, texture: Tensor) -> tuple[Tensor, Tensor]:
    """Everything outside the opening that hairline, temples and side locks leave for the face."""
    ragged = 0.014 * texture
    half = p.head_width * (0.905 - 0.09 * long + 0.03 * p.tied_back)
    height = p.hairline + 0.05 * (p.hairline_squareness - 2.7) + 0.08 * p.recession.clamp(max=1)
    height = height + 0.15 * p.recession * bump((c.side - 0.25) / 0.11)
    swept = c.u + 0.22 * p.fringe_sweep * (c.v + 0.3)
    height = height - p.fringe * (0.20 + 0.05 * texture) * bump(swept / 0.42)
    start = 0.02
    up = positive(start - c.v) / height.clamp(min=0.12)
    across = c.side / half
    power = p.hairline_squareness.clamp(2.0, 4.0) * (1 + 0.5 * p.fringe)
    opening = (across.clamp(min=1e-4) ** power + up.clamp(min=1e-4) ** power) ** (1 / power)
    outside = (opening - 1) * half
    burns = torch.lerp(0.10 + 0.5 * p.hair_length.clamp(-0.3, 0.2), c.x.new_tensor(1.6), long)
    locks = c.cover(burns - c.v + 0.03 * texture, 3)
    scalp = 1 - 0.97 * p.baldness * ramp(0.05, -0.15, c.v) * ramp(0.5, 0.30, c.side)
    mask = c.cover(outside + ragged, 1.0) * 0.5 + c.cover(outside + 2 * ragged, 3.5) * 0.5
    shadow = c.cover(outside + 0.035, 5) * locks * (1 - p.baldness)
    return mask * locks * scalp, 0.22 * shadow


def before_shoulders(c: Coordinates) -> Tensor:
    """Mask of the part of the falling hair that lies before neck and clothes."""
    beside_neck = c.cover(c.x.abs() - 0.36 + 0.10 * positive(c.y - 0.5), 4)
    return beside_neck * ramp(0.0, 0.15, c.y)
