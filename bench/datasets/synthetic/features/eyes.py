"""Eyes, lids, lashes, eye make-up."""

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

EYE_BAND = (-0.34, 0.32)  # rows that eyes may lie in, whatever the pose
_IRISES = torch.tensor(
    [
        [0.17, 0.10, 0.06],
        [0.33, 0.20, 0.10],
        [0.36, 0.38, 0.20],
        [0.30, 0.44, 0.60],
        [0.45, 0.52, 0.56],
    ]
)
_PUPIL_RADIUS = 0.021
_LASH = (0.07, 0.05, 0.05)


@dataclass(frozen=True)
class EyeShape:
    """Planes (n, h, w) of the eye band.

    Attributes:
        across, down: offset from the centre of the eye, tilted with it.
        t: across in units of the half width.
        upper, lower: height of the lids' edges above / below the centre.
        opening: mask of the visible eyeball.
    """

    across: Tensor
    down: Tensor
    t: Tensor
    upper: Tensor
    lower: Tensor
    opening: Tensor


def eye_shape(c: Coordinates, p: Parameters) -> EyeShape:
    smile = positive(p.smile)
    across = c.side - p.eye_x
    down = c.v - p.eye_y - p.asymmetry * c.sign + p.eye_tilt * across
    t = across / p.eye_width
    arch = positive(1 - t * t)
    height = p.eye_height.clamp(min=0.018) * p.lid_opening * (1 - 0.12 * p.hooding)
    upper = -height * (1 - 0.16 * smile) * arch**0.72 * (1 - 0.14 * t)
    upper = upper + 0.012 * p.hooding * positive(t)
    lower = height * (0.60 - 0.34 * smile) * arch * (1 + 0.18 * t)
    opening = c.cover(down - upper) * c.cover(lower - down) * c.cover(p.eye_width - across.abs())
    return EyeShape(across, down, t, upper, lower, opening)


def eye_relief(c: Coordinates, p: Parameters) -> Tensor:
    """Sockets, brow ridge, eyeballs under the lids, the bulge of a smiling lower lid."""
    across = c.side - p.eye_x
    down = c.v - p.eye_y
    relief = -p.socket * bump(across / 0.15) * bump((down + 0.01) / 0.085)
    ridge = bump(across / 0.20) * bump((down + 0.85 * p.brow_height) / 0.05)
    relief += 1.5 * p.brow_ridge * ridge
    relief += 0.030 * bump(across / 0.085) * bump(down / 0.060)
    relief += 0.012 * positive(p.smile) * bump(across / 0.09) * bump((down - 0.065) / 0.022)
    return relief


def paint_lids(picture: Tensor, eye: EyeShape, p: Parameters) -> None:
    """Lid crease, hooded skin and eye shadow; call before light falls on the skin."""
    above = eye.down - eye.upper
    shadow = bump((above + 0.036) / 0.042) * bump(eye.t / 1.08) * (1 - eye.opening)
    shadow = shadow * ramp(0.03, -0.02, eye.down)
    hue = on_rgb(p.makeup_hue)
    colour = torch.cat((0.46 - 0.24 * hue, 0.24 + 0.10 * hue, 0.28 + 0.28 * hue), dim=1)
    paint(picture, colour, 0.60 * p.makeup * shadow)
    crease = bump((above + 0.027) / 0.010) * bump(eye.t / 0.88)
    darken(picture, 0.42 * p.lid_crease.clamp(0, 1.2) * crease)
    hood = bump((above + 0.012) / 0.020) * bump((eye.t - 0.55) / 0.55)
    darken(picture, 0.28 * p.hooding * hood * (1 - eye.opening))
    darken(picture, 0.16 * bump((eye.t + 1.0) / 0.22) * bump(eye.down / 0.035))


def paint_eyes(face: Tensor, c: Coordinates, eye: EyeShape, p: Parameters, light: Tensor) -> None:
    """Eyeballs and lashes on the lit face; light is the brightness plane of the band."""
    gaze_x = c.u - c.sign * p.eye_x - p.gaze_x
    gaze_y = eye.down + 0.006 - p.gaze_y
    radius = torch.sqrt(gaze_x * gaze_x + gaze_y * gaze_y)
    rim = radius / p.iris_radius
    iris = p.palette(_IRISES, "eye_colour") * on_rgb(0.70 + 0.55 * rim.clamp(0, 1))
    iris = iris * on_rgb(1 - 0.55 * bump((rim - 1) / 0.22))
    ball = rgb(0.93, 0.91, 0.90) * on_rgb(
        1 - 0.30 * bump((eye.down - eye.upper) / 0.024) - 0.22 * bump((eye.t.abs() - 1) / 0.35)
    )
    ball = torch.lerp(ball, iris, on_rgb(c.cover(p.iris_radius - radius)))
    darken(ball, 0.92 * c.cover(_PUPIL_RADIUS - radius))
    glint_x = gaze_x + 0.016 - 0.020 * p.light_x
    ball = ball * on_rgb(0.34 + 0.68 * light.clamp(0.4, 1.2))
    ball = ball + on_rgb(0.75 * bump(glint_x / 0.012) * bump((gaze_y + 0.018) / 0.012))
    paint(face, ball, eye.opening)
    _paint_lashes(face, c, eye, p)


def _paint_lashes(face: Tensor, c: Coordinates, eye: EyeShape, p: Parameters) -> None:
    width = 0.0085 + 0.007 * p.makeup + 0.10 * c.pixel
    upper = bump((eye.down - eye.upper - 0.001) / width) * ramp(1.24, 1.0, eye.t.abs())
    wing = bump((eye.down - eye.upper + 0.014) / 0.011) * bump((eye.t - 1.10) / 0.16)
    lashes = upper * (0.58 + 0.40 * p.makeup) + 0.8 * p.makeup * wing
    paint(face, rgb(*_LASH), (0.92 * lashes).clamp(max=0.95))
    lower = bump((eye.down - eye.lower) / 0.010) * ramp(1.1, 0.9, eye.t.abs())
    darken(face, 0.30 * (0.5 + 0.7 * p.makeup) * lower)
