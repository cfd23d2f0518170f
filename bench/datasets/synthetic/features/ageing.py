"""Furrows, folds and bags: how a face shows its years (and its smile)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.datasets.synthetic.fields import Parameters, bump, darken, positive, ramp
from bench.datasets.synthetic.geometry import Coordinates
from bench.datasets.synthetic.textures import mottle, sample


@dataclass(frozen=True)
class Folds:
    """Depth of all furrows and darkness under the eyes, planes (n, h, w)."""

    depth: Tensor
    under_eyes: Tensor


def folds(c: Coordinates, p: Parameters) -> Folds:
    depth = _nasolabial(c, p) + _marionette(c, p)
    band, upper = c.rows(-0.70, 0.32)
    depth[:, band] += _forehead(upper, p) + _frown(upper, p) + _crows_feet(upper, p)
    bags = _bags(c, p)
    return Folds(depth + bags * 0.030 * p.eye_bags, bags * (0.02 + 0.23 * p.eye_bags))


def sag_relief(c: Coordinates, p: Parameters) -> Tensor:
    """Jowls beside the chin, and the loose skin above the nasolabial fold."""
    mouth = p.eye_y + p.nose_length + p.philtrum
    jowl = bump((c.side - 0.30) / 0.08) * bump((c.v - mouth - 0.14) / 0.08)
    pouch = bump((c.side - 0.24) / 0.07) * bump((c.v - mouth + 0.12) / 0.09)
    return positive(p.sagging - 0.2) * (0.040 * jowl + 0.022 * pouch)


def shade_folds(picture: Tensor, marks: Folds) -> None:
    """Light does not reach the bottom of a furrow."""
    darken(picture, (3.4 * positive(marks.depth) + marks.under_eyes).clamp(max=0.6))


def _nasolabial(c: Coordinates, p: Parameters) -> Tensor:
    nose = p.eye_y + p.nose_length
    mouth = nose + p.philtrum
    smile = positive(p.smile)
    line = p.nose_width + 0.030 + 0.50 * (c.v - nose) + 0.030 * smile
    fold = bump((c.side - line) / 0.022) * ramp(nose - 0.07, nose + 0.01, c.v)
    fold = fold * ramp(mouth + 0.09, mouth - 0.03, c.v)
    return fold * (0.005 + 0.038 * p.wrinkles + 0.030 * smile)


def _marionette(c: Coordinates, p: Parameters) -> Tensor:
    mouth = p.eye_y + p.nose_length + p.philtrum
    line = p.mouth_width + 0.025 + 0.25 * (c.v - mouth)
    fold = bump((c.side - line) / 0.020) * ramp(mouth, mouth + 0.05, c.v)
    return fold * ramp(mouth + 0.24, mouth + 0.12, c.v) * 0.030 * positive(p.sagging - 0.3)


def _forehead(c: Coordinates, p: Parameters) -> Tensor:
    top = p.eye_y - p.brow_height
    wobble = 0.012 * sample(mottle(12.0), c.u * 0.9 + p.texture_phase, c.v * 0.5)
    waves = torch.sin((c.v + 0.12 * c.u * c.u + wobble) * 66)
    field = ramp(top - 0.04, top - 0.09, c.v) * ramp(0.40, 0.14, c.side)
    return 0.011 * positive(waves) * field * positive(p.wrinkles - 0.15)


def _frown(c: Coordinates, p: Parameters) -> Tensor:
    brows = p.eye_y - p.brow_height
    fold = bump((c.side - 0.045) / 0.014) * bump((c.v - brows - 0.01) / 0.055)
    return 0.022 * fold * positive(p.wrinkles - 0.25)


def _crows_feet(c: Coordinates, p: Parameters) -> Tensor:
    out = c.side - p.eye_x - p.eye_width
    down = c.v - p.eye_y
    fan = positive(torch.sin(down / (out.clamp(min=0) + 0.07) * 9))
    field = bump((out - 0.065) / 0.045) * bump(down / 0.09)
    return 0.018 * fan * field * positive(p.wrinkles - 0.25 + 0.35 * positive(p.smile))


def _bags(c: Coordinates, p: Parameters) -> Tensor:
    across = c.side - p.eye_x + 0.01
    under = c.v - p.eye_y - 0.090 - 0.010 * p.sagging + 3.2 * across * across
    return bump(under / 0.022) * bump(across / 0.085)
