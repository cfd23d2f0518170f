"""Piece-wise affine warps between sets of points: Delaunay triangles on the target, one affine map each."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample

_FLAT = 1e-6
"""Twice the area in square pixels below which a triangle covers no pixel."""


def with_frame(landmarks: Tensor, size: int) -> Tensor:
    """Landmarks (N, K, 2) in pixels of `size` x `size` images, and eight points that hold the border still.

    Returns (N, K + 8, 2): the landmarks, moved inside where they lie outside the image, then corners and
    middles of the sides.
    """
    end = size - 1.0
    places = [
        (x, y) for y in (0.0, end / 2, end) for x in (0.0, end / 2, end) if (x, y) != (end / 2, end / 2)
    ]
    border = torch.tensor(places, dtype=landmarks.dtype, device=landmarks.device)
    inside = landmarks.clamp(1.0, max(1.0, end - 1.0))
    return torch.cat([inside, border.expand(len(landmarks), -1, -1)], 1)


class PiecewiseAffine:
    """Takes images whose points lie anywhere to where the points of `target` lie.

    target: float32 (N, P, 2), x and y in pixels with centres at integers, border points included.
    """

    def __init__(self, target: Tensor, size: int) -> None:
        self._size = size
        triangles = _triangulate(target)
        self._corners, self._weights = _locate(target, triangles, size)

    def __call__(self, images: Tensor, source: Tensor) -> Tensor:
        """`images` (N, C, size, size), whose points are `source` (N, P, 2), with them moved to the target.

        Bilinear; pixels outside an image repeat its edge. Where source and target are equal the images
        come back unchanged, up to the rounding of coordinates.
        """
        n, pixels, _ = self._corners.shape
        chosen = source.gather(1, self._corners.reshape(n, -1, 1).expand(-1, -1, 2))
        points = (chosen.reshape(n, pixels, 3, 2) * self._weights[..., None]).sum(2)
        grid = points * (2 / max(1, self._size - 1)) - 1
        grid = grid.reshape(n, self._size, self._size, 2)
        return grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _triangulate(points: Tensor) -> Tensor:
    """Delaunay triangles of each set of points (N, P, 2): int64 (N, T, 3), short lists repeat their first."""
    from scipy.spatial import Delaunay

    found = [Delaunay(p).simplices for p in points.cpu().double().numpy()]
    most = max(len(t) for t in found)
    padded = [np.concatenate([t, t[:1].repeat(most - len(t), axis=0)]) for t in found]
    return torch.from_numpy(np.stack(padded).astype(np.int64)).to(points.device)


def _locate(points: Tensor, triangles: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The triangle of every pixel: its points' indices (N, size^2, 3), and the pixel's barycentric
    coordinates in it (N, size^2, 3)."""
    steps = torch.arange(size, dtype=points.dtype, device=points.device)
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    pixels = torch.stack([x.flatten(), y.flatten()], 1)[None]
    n = len(points)
    depth = points.new_full((n, size * size), -torch.inf)
    weights = points.new_zeros(n, size * size, 3)
    place = torch.zeros(n, size * size, dtype=torch.long, device=points.device)
    for index in range(triangles.shape[1]):
        corners = points.gather(1, triangles[:, index, :, None].expand(-1, -1, 2))
        inside = _barycentric(pixels, corners)
        least = inside.amin(2)
        # Numerically a pixel on an edge may lie in no triangle: take the one it is least outside of.
        deeper = least > depth
        depth = torch.where(deeper, least, depth)
        weights = torch.where(deeper[..., None], inside, weights)
        place = place.masked_fill(deeper, index)
    return triangles.gather(1, place[..., None].expand(-1, -1, 3)), weights


def _barycentric(pixels: Tensor, corners: Tensor) -> Tensor:
    """Coordinates (N, Q, 3) of pixels (1, Q, 2) in triangles (N, 3, 2); -inf in flat triangles."""
    first = corners[:, None, 0]
    along, across = corners[:, None, 1] - first, corners[:, None, 2] - first
    offset = pixels - first
    area = _cross(along, across)
    flat = area.abs() < _FLAT
    area = torch.where(flat, torch.ones_like(area), area)
    second, third = _cross(offset, across) / area, _cross(along, offset) / area
    found = torch.stack([1 - second - third, second, third], 2)
    return found.masked_fill(flat[..., None], -torch.inf)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]
