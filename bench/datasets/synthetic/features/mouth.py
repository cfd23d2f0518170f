"""Lips, teeth, smile, lipstick."""

from __future__ import annotations

from dataclasses import dataclass

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

MOUTH_BAND = (0.14, 0.76)
_CORNER_LIFT = 0.074
_GAPE = 0.064


@dataclass(frozen=True)
class MouthShape:
    """Planes (n, h, w) of the mouth band.

    Attributes:
        t: distance from the middle in units of the half width; 1 at the corners.
        arch: 1 in the middle, 0 at the corners and beyond.
        line: height of the closed mouth.
        upper_top, upper_edge, lower_edge, lower_bottom: heights of the lips' borders.
        within: mask of |t| < 1.
    """

    t: Tensor
    arch: Tensor
    line: Tensor
    upper_top: Tensor
    upper_edge: Tensor
    lower_edge: Tensor
    lower_bottom: Tensor
    within: Tensor


def half_width(p: Parameters) -> Tensor:
    return p.mouth_width * (1 + 0.22 * positive(p.smile) - 0.10 * p.mouth_open * (p.smile < 0.2))


def corner_height(p: Parameters, t: Tensor) -> Tensor:
    """How much lower (y down) the closed mouth lies at t than at rest; a smile lifts the corners."""
    return -_CORNER_LIFT * p.smile * (t * t - 0.35)


def mouth_centre(p: Parameters) -> Tensor:
    return p.eye_y + p.nose_length + p.philtrum


def mouth_shape(c: Coordinates, p: Parameters) -> MouthShape:
    width = half_width(p)
    t = c.u / width
    arch = positive(1 - t * t)
    line = mouth_centre(p) + corner_height(p, t.clamp(-1.3, 1.3))
    thin = 1 - 0.18 * positive(p.smile)
    bow = 1 - p.cupid_bow.clamp(0, 0.8) * bump(t / 0.16)
    gap = _GAPE * p.mouth_open * arch
    upper_edge = line - 0.30 * gap
    lower_edge = line + 0.85 * gap
    upper = p.upper_lip.clamp(min=0.011) * thin
    lower = p.lower_lip.clamp(min=0.014) * thin
    return MouthShape(
        t=t,
        arch=arch,
        line=line,
        upper_top=upper_edge - upper * arch**0.8 * bow,
        upper_edge=upper_edge,
        lower_edge=lower_edge,
        lower_bottom=lower_edge + lower * arch**0.75,
        within=c.cover(width * (1 - t.abs())),
    )


def mouth_relief(c: Coordinates, mouth: MouthShape, p: Parameters) -> Tensor:
    """Both lips as one swelling, the groove below them, dimples at smiling corners."""
    fullness = (p.upper_lip + p.lower_lip) / 0.095
    relief = 0.045 * fullness * mouth.arch * bump((c.v - mouth.line - 0.01) / 0.070)
    beyond = (c.side - half_width(p) - 0.02) / 0.028
    dimple = bump(beyond) * bump((c.v - mouth.line) / 0.035)
    return relief - 0.016 * positive(p.smile) * dimple


def paint_mouth(picture: Tensor, c: Coordinates, mouth: MouthShape, p: Parameters, skin: Tensor) -> Tensor:
    """Paint lips and what lies between them; return the mask of the whole mouth (n, h, w)."""
    upper = c.cover(c.v - mouth.upper_top, 1.2) * c.cover(mouth.upper_edge - c.v, 1.2) * mouth.within
    lower = c.cover(c.v - mouth.lower_edge, 1.2) * c.cover(mouth.lower_bottom - c.v, 1.2) * mouth.within
    lips = _lip_colour(p, skin)
    paint(picture, 0.88 * lips, upper)
    paint(picture, 1.05 * lips, lower)
    gap = c.cover(c.v - mouth.upper_edge) * c.cover(mouth.lower_edge - c.v) * mouth.within
    gap = gap * (p.mouth_open > 0)
    _paint_inside(picture, c, mouth, p, gap)
    closed = bump((c.v - mouth.line) / 0.012) * mouth.within * (1 - 0.8 * (p.mouth_open > 0.1))
    darken(picture, 0.60 * closed)
    corner = bump((mouth.t.abs() - 1.0) / 0.10) * bump((c.v - mouth.line) / 0.018)
    darken(picture, 0.38 * corner)
    under = bump(mouth.t / 0.62) * bump((c.v - mouth.lower_bottom - 0.018) / 0.022)
    darken(picture, 0.13 * under)
    return c.cover(c.v - mouth.upper_top) * c.cover(mouth.lower_bottom - c.v) * mouth.within


def lip_gloss(c: Coordinates, mouth: MouthShape, p: Parameters) -> Tensor:
    """Highlight on a painted lower lip."""
    middle = 0.45 * mouth.lower_bottom + 0.55 * mouth.lower_edge
    return 0.30 * p.makeup * bump((c.v - middle) / 0.012) * bump(mouth.t / 0.35)


def _lip_colour(p: Parameters, skin: Tensor) -> Tensor:
    faded = on_rgb(positive(p.wrinkles - 0.4))
    bare = skin * (rgb(0.88, 0.66, 0.65) + 0.08 * faded)
    hue = on_rgb(p.makeup_hue)
    stick = torch.cat((0.72 - 0.20 * hue, 0.12 + 0.14 * positive(hue - 0.2), 0.20 + 0.20 * hue), dim=1)
    return torch.lerp(bare, stick, 0.78 * on_rgb(p.makeup))


def _paint_inside(picture: Tensor, c: Coordinates, mouth: MouthShape, p: Parameters, gap: Tensor) -> None:
    """Dark mouth; the upper teeth show, all the more in a smile."""
    shown = 0.40 + 0.45 * positive(p.smile)
    edge = mouth.upper_edge + shown * (mouth.lower_edge - mouth.upper_edge)
    teeth = c.cover(edge - c.v) * ramp(0.98, 0.68, mouth.t.abs()) * (0.45 + 0.55 * ramp(0.0, 0.4, p.smile))
    inside = torch.lerp(rgb(0.24, 0.08, 0.08), rgb(0.95, 0.93, 0.89), on_rgb(teeth))
    paint(picture, inside, gap)
