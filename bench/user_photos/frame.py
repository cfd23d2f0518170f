"""Takes a face out of a photograph into the frame that a method learned, and puts it back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.geometry import similarities, warp

Image = NDArray[np.uint8]
Map = NDArray[np.float64]
"""Affine, (2, 3), from pixels of the photograph to pixels of the frame."""

_FEATHER = 0.24
"""Share of the radius over which a face that is put back fades into the photograph."""
_ROWS = 256


@dataclass(frozen=True)
class Frame:
    """size: side in pixels. landmarks: float64 (5, 2), where the landmarks of a face shall lie in it."""

    size: int
    landmarks: NDArray[np.float64]

    def maps(self, landmarks: NDArray[np.floating]) -> NDArray[np.float64]:
        """One similarity a face, (K, 2, 3), from landmarks (K, 5, 2) in the photograph."""
        return similarities(landmarks, self.landmarks)

    def cut(self, photo: Image, to_frame: Map) -> Image:
        """The face, uint8 (size, size, 3); what lies outside the photograph repeats its edge."""
        return warp(photo, to_frame, self.size, self.size)

    def paste(self, photo: Image, face: Image, to_frame: Map) -> None:
        """Put the circle in `face`, as `cut` returns it, into `photo` in place; its border fades.

        Within the circle something of the photograph is left in the fading border alone.
        """
        back = _inverse(to_frame)
        for rows, columns, x, y in self._bands(photo, to_frame):
            moved = back.copy()
            moved[:, 2] -= [columns.start, rows.start]
            height, width = x.shape
            new = warp(face, moved, width, height).astype(np.float32)
            t = np.clip((1 - np.hypot(x, y)) / _FEATHER, 0, 1)[..., None]
            weight = t * t * (3 - 2 * t)
            old = photo[rows, columns]
            photo[rows, columns] = np.rint(old + weight * (new - old)).astype(np.uint8)

    def black_out(self, photo: Image, to_frame: Map) -> None:
        """Blacken the whole frame of a face in `photo`, in place."""
        for rows, columns, x, y in self._bands(photo, to_frame):
            photo[rows, columns][np.maximum(np.abs(x), np.abs(y)) <= 1] = 0

    def _bands(
        self, photo: Image, to_frame: Map
    ) -> Iterator[tuple[slice, slice, NDArray[np.float32], NDArray[np.float32]]]:
        """Parts of the photograph that the frame reaches, a few rows at a time, and where in the frame each
        pixel lies: x and y from the frame's middle, its edges at -1 and 1."""
        edge = self.size - 0.5
        corners = np.array([[-0.5, -0.5], [edge, -0.5], [-0.5, edge], [edge, edge]])
        back = _inverse(to_frame)
        reached = corners @ back[:, :2].T + back[:, 2]
        height, width = photo.shape[:2]
        left, top = np.clip(np.floor(reached.min(axis=0)).astype(int), 0, [width, height])
        right, bottom = np.clip(np.ceil(reached.max(axis=0)).astype(int) + 1, 0, [width, height])
        if right <= left:
            return
        a = 2 * to_frame / self.size
        a[:, 2] += 1 / self.size - 1
        a = a.astype(np.float32)
        columns = slice(int(left), int(right))
        for start in range(int(top), int(bottom), _ROWS):
            rows = slice(start, min(start + _ROWS, int(bottom)))
            x = np.arange(columns.start, columns.stop, dtype=np.float32)
            y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
            there = (a[i, 0] * x + a[i, 1] * y + a[i, 2] for i in (0, 1))
            yield rows, columns, *there


def moved(points: NDArray[np.floating], to_frame: NDArray[np.float64]) -> NDArray[np.float32]:
    """Points (K, P, 2) of a photograph under the maps (K, 2, 3)."""
    there = np.einsum("kij,kpj->kpi", to_frame[:, :, :2], points) + to_frame[:, None, :, 2]
    return there.astype(np.float32)


def _inverse(to_frame: Map) -> Map:
    turn = np.linalg.inv(to_frame[:, :2])
    return np.concatenate([turn, -turn @ to_frame[:, 2:]], axis=1)
