"""Nose: relief, nostrils, extent."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.datasets.synthetic.fields import Parameters, bump, darken, paint, ramp, rgb
from bench.datasets.synthetic.geometry import Coordinates

NOSE_BAND = (-0.46, 0.60)
_SLIDE = 1.2  # how far the tip leads when the head turns, per height above the face


@dataclass(frozen=True)
class NoseShape:
    """Planes (n, h, w) of the nose band.

    Attributes:
        down: 0 at the eyes, 1 at the base of the nose.
        below: height below the base.
        across: distance from the middle of the nose, which moves with the turn of the head.
        profile: height of its back.
    """

    down: Tensor
    below: Tensor
    across: Tensor
    profile: Tensor


def nose_shape(c: Coordinates, p: Parameters) -> NoseShape:
    base = p.eye_y + p.nose_length
    down = ((c.v - p.eye_y) / p.nose_length).clamp(0, 1)
    profile = down**1.3 * ramp(0.0, 0.070, base + 0.042 - c.v) * p.nose_projection
    profile = profile + 0.45 * p.nose_bridge * bump((c.v - p.eye_y - 0.01) / 0.11)
    across = c.u - _SLIDE * torch.sin(p.yaw) * profile - p.nose_bend * down
    return NoseShape(down, c.v - base, across, profile)


def nose_relief(nose: NoseShape, p: Parameters) -> Tensor:
    width = 0.030 + 0.036 * nose.down + 0.4 * p.nose_bridge + 0.04 * (1 - nose.down) ** 4
    relief = nose.profile * bump(nose.across / width)
    wing = bump((nose.across.abs() - 0.72 * p.nose_width) / 0.040)
    relief += 0.052 * wing * bump((nose.below + 0.005) / 0.046)
    tip = bump(nose.across / (1.25 * p.nose_bulb)) * bump((nose.below + 0.012) / 0.052)
    return relief + 0.058 * tip


def paint_nose(picture: Tensor, nose: NoseShape, p: Parameters) -> None:
    """Nostrils and the soft shadow under the nose."""
    nostril = bump((nose.across.abs() - 0.42 * p.nose_width) / 0.025)
    nostril = nostril * bump((nose.below - 0.022) / 0.014)
    paint(picture, rgb(0.16, 0.07, 0.05), 0.68 * nostril)
    darken(picture, 0.20 * bump(nose.across / 0.09) * bump((nose.below - 0.045) / 0.024))
    crease = bump((nose.across.abs() - 0.98 * p.nose_width) / 0.016)
    darken(picture, 0.20 * crease * bump((nose.below + 0.005) / 0.040))


def nose_part(c: Coordinates, nose: NoseShape, p: Parameters) -> Tensor:
    """Bool plane: bridge to base, as wide as the wings at the bottom."""
    half = 0.040 + (p.nose_width - 0.040) * ramp(0.45, 0.90, nose.down)
    return (nose.across.abs() < half) & (c.v > p.eye_y - 0.02) & (nose.below < 0.035)


def nose_tip(p: Parameters) -> tuple[Tensor, Tensor]:
    """(u, v) of the tip, each (n, 1, 1)."""
    rise = p.nose_projection * 0.9
    return _SLIDE * torch.sin(p.yaw) * rise + p.nose_bend, p.eye_y + p.nose_length - 0.015
