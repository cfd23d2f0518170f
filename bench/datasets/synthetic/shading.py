"""Light: from the relief of the head to how bright every pixel is."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.datasets.synthetic.fields import Parameters, on_rgb
from bench.datasets.synthetic.geometry import Coordinates

_WRAP = 0.20  # light creeps round soft skin
_STEEPEST = 2.5
_SHARPNESS = 22  # of the highlight


@dataclass(frozen=True)
class Light:
    """Direction (unit vector towards the lamp, x right, y down, z to the viewer), each (n, 1, 1)."""

    x: Tensor
    y: Tensor
    z: Tensor

    @staticmethod
    def of(p: Parameters) -> Light:
        length = torch.rsqrt(p.light_x**2 + p.light_y**2 + 1)
        return Light(p.light_x * length, p.light_y * length, length)

    def diffuse(self, nx: Tensor, ny: Tensor, nz: Tensor) -> Tensor:
        facing = nx * self.x + ny * self.y + nz * self.z
        return ((facing + _WRAP) / (1 + _WRAP)).clamp(min=0)


@dataclass(frozen=True)
class Shading:
    """diffuse, brightness (ambient + diffuse light) and highlight: planes (n, h, w)."""

    diffuse: Tensor
    brightness: Tensor
    highlight: Tensor


def shade(relief: Tensor, c: Coordinates, p: Parameters, light: Light) -> Shading:
    """Lambert light with wrap and a Blinn highlight on a height field."""
    step = 2 * c.pixel
    slope_x = torch.zeros_like(relief)
    slope_y = torch.zeros_like(relief)
    slope_x[:, :, 1:-1] = (relief[:, :, 2:] - relief[:, :, :-2]) / step
    slope_y[:, 1:-1] = (relief[:, 2:] - relief[:, :-2]) / step
    slope_x.clamp_(-_STEEPEST, _STEEPEST)
    slope_y.clamp_(-_STEEPEST, _STEEPEST)
    nz = torch.rsqrt(slope_x * slope_x + slope_y * slope_y + 1)
    nx, ny = -slope_x * nz, -slope_y * nz
    diffuse = light.diffuse(nx, ny, nz)
    half = torch.rsqrt(light.x**2 + light.y**2 + (light.z + 1) ** 2)
    glance = ((nx * light.x + ny * light.y + nz * (light.z + 1)) * half).clamp(min=0)
    return Shading(diffuse, p.ambient + p.diffuse * diffuse, glance**_SHARPNESS)


def skin_light(brightness: Tensor) -> Tensor:
    """Colour of the light on skin (n, 3, h, w): shadows turn red because blood lets red through."""
    dark = on_rgb(1 - brightness)
    red_first = torch.tensor([0.90, 1.04, 1.08]).view(1, 3, 1, 1)
    return 1 - dark * red_first
