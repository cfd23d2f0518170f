"""Where every pixel lies on the head, and where points of the head lie in the image."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from bench.datasets.synthetic.fields import Parameters, bump, positive, ramp

VIEW = 0.77  # half the width of the image, in face units
VIEW_CENTRE_Y = 0.02
HEAD_CENTRE_Y = -0.08  # the head is an ellipse above this height and a squarer, tapering shape below
HEAD_DEPTH = 0.55
_ROUND = 2.4  # how flat the front of the head is


@dataclass(frozen=True)
class Coordinates:
    """Planes (n, h, w) of one band of rows.

    Attributes:
        x, y: upright head plane as seen, face units, y down.
        u, v: on the turned head: u = 0 is the midline of the face.
        side: |u|;  sign: -1 left in the image, +1 right.
        rho: 0 at the centre of the head, 1 at its outline.
        depth: height of the bare head above the image plane.
    """

    x: Tensor
    y: Tensor
    u: Tensor
    v: Tensor
    side: Tensor
    sign: Tensor
    rho: Tensor
    depth: Tensor
    pixel: float
    size: int

    def rows(self, top: float, bottom: float) -> tuple[slice, Coordinates]:
        """The band of image rows that holds everything of the face between heights top and bottom.

        The band is the same for every image, so that an image never depends on its company;
        callers leave room for the head's tilt.
        """
        band = slice(self._row(top), self._row(bottom))
        planes = (
            {f.name: getattr(self, f.name)[:, band]} for f in fields(self) if f.name not in ("pixel", "size")
        )
        values = {name: plane for entry in planes for name, plane in entry.items()}
        return band, Coordinates(**values, pixel=self.pixel, size=self.size)

    def _row(self, height: float) -> int:
        place = ((height - VIEW_CENTRE_Y) / VIEW + 1) / 2 * self.size
        return int(min(max(round(place), 0), self.size))

    def cover(self, distance: Tensor, softness: float = 1.0) -> Tensor:
        """Anti-aliased mask of distance > 0, its edge `softness` pixels wide."""
        return torch.sigmoid(distance / (0.55 * self.pixel * softness))


def coordinates(p: Parameters, size: int) -> Coordinates:
    """Coordinates of every pixel of n images of size x size."""
    screen = (torch.arange(size, dtype=torch.float32) + 0.5) / size * 2 - 1
    across = (screen * VIEW).view(1, 1, size) - p.shift_x
    down = (screen * VIEW + VIEW_CENTRE_Y).view(1, size, 1) - p.shift_y
    cos, sin = torch.cos(p.roll) / p.scale, torch.sin(p.roll) / p.scale
    x = across * cos + down * sin
    y = down * cos - across * sin
    rho, depth = _head(x, y, p)
    u = x * torch.cos(p.yaw) - depth * torch.sin(p.yaw)
    v = y - depth * torch.sin(p.pitch)
    return Coordinates(
        x=x,
        y=y,
        u=u,
        v=v,
        side=u.abs(),
        sign=torch.sign(u),
        rho=rho,
        depth=depth,
        pixel=2 * VIEW / size,
        size=size,
    )


def _head(x: Tensor, y: Tensor, p: Parameters) -> tuple[Tensor, Tensor]:
    """Normalised radius and depth of the bare head."""
    below = positive(y - HEAD_CENTRE_Y)
    above = positive(HEAD_CENTRE_Y - y)
    fullness = 0.030 * p.sagging * ramp(0.25, 0.55, y) + 0.030 * p.baby_fat * bump((y - 0.30) / 0.25)
    hollow = 0.035 * p.hollow_cheeks * bump((y - 0.24) / 0.13)
    cheeks = 0.35 * p.cheekbone * bump((y - 0.10) / 0.14)
    half_width = p.head_width * (1 - p.jaw_taper * ramp(0.10, 0.68, y) + cheeks + fullness - hollow)
    across = ((x - 0.05 * torch.sin(p.yaw)).abs() / half_width).clamp(1e-4, 3)
    squareness = p.jaw_squareness + 0.12 * p.sagging
    down = (below / (p.chin_y - HEAD_CENTRE_Y)).clamp(1e-4, 3)
    jaw = (across**squareness + down**squareness) ** (1 / squareness)
    up = (above / (p.crown_height + HEAD_CENTRE_Y)).clamp(max=3)
    skull = torch.sqrt(across * across + up * up)
    rho = torch.where(y > HEAD_CENTRE_Y, jaw, skull)
    dome = torch.sqrt(1 - rho.clamp(max=0.995) ** _ROUND)
    return rho, HEAD_DEPTH * dome - positive(rho - 0.995)  # keeps falling, so that the rim stays dark


def project(u: Tensor, v: Tensor, p: Parameters, size: int) -> Tensor:
    """Pixel positions (n, k, 2) of points (u, v) of the face, given as (n, 1, k) planes.

    Inverts `coordinates`; the depth of a point is found by fixed-point steps, which halve the
    error or better because heads turn by less than .4 radians.
    """
    x, y = u, v
    for _ in range(8):
        depth = _head(x, y, p)[1]
        x = (u + depth * torch.sin(p.yaw)) / torch.cos(p.yaw)
        y = v + depth * torch.sin(p.pitch)
    across = p.scale * (x * torch.cos(p.roll) - y * torch.sin(p.roll)) + p.shift_x
    down = p.scale * (x * torch.sin(p.roll) + y * torch.cos(p.roll)) + p.shift_y
    place = torch.stack((across, down - VIEW_CENTRE_Y), dim=-1).squeeze(1)
    return (place / VIEW + 1) / 2 * size - 0.5
