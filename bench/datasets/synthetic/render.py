"""From people and appearances to images, landmarks and part maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.datasets.synthetic.appearance import Appearance, draw_appearance
from bench.datasets.synthetic.identities import Population
from bench.datasets.synthetic.labels import LABELS, LANDMARKS

if TYPE_CHECKING:
    from bench.datasets.synthetic.portrait import Portrait

SIZES = range(32, 257, 16)
_PIXELS_AT_ONCE = 32 * 64 * 64  # keeps the working set of the renderer in the processor's cache
_LANES = 16
"""Vector loops treat the last, incomplete vector of an array with other instructions, which may round
otherwise. Chunks are multiples of the widest vector (512 bits of float32), so no such rest exists."""


@dataclass(frozen=True, slots=True)
class RenderedFaces:
    """N images and all that is known about them.

    Attributes:
        images: uint8 (N, H, W, 3), RGB.
        identities: int64 (N,), identity numbers.
        labels: the names of `labels.LABELS`, each float32 (N,).
        landmarks: float32 (N, 5, 2), pixel x and y of `labels.LANDMARKS`; 0 is the centre of the
            first pixel.
        parts: uint8 (N, H, W), values of `labels.Part`.
    """

    images: NDArray[np.uint8]
    identities: NDArray[np.int64]
    labels: dict[str, NDArray[np.float32]]
    landmarks: NDArray[np.float32]
    parts: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.images)


def render_faces(
    population: Population,
    images_per_identity: int,
    size: int,
    seed: int,
    rows: NDArray[np.integer] | None = None,
) -> RenderedFaces:
    """Render images of people: all of person 0, then all of person 1, and so on.

    Image k of a person is the same pixels whatever else is rendered with it.

    Args:
        population: the people.
        images_per_identity: images of each, >= 1.
        size: height and width in pixels, a multiple of 16 from 32 to 256.
        seed: seed of the images (pose, light, expression, ...); the people keep their own.
        rows: int (N,), which of the len(population) * images_per_identity images to render; all if None.

    Raises:
        ValueError: size is not supported, images_per_identity is not positive, or a row is out of
            range.
    """
    if size not in SIZES:
        raise ValueError(f"size must be a multiple of 16 from 32 to 256, got {size}")
    if images_per_identity < 1:
        raise ValueError(f"images_per_identity must be at least 1, got {images_per_identity}")
    total = len(population) * images_per_identity
    chosen = np.arange(total) if rows is None else np.asarray(rows, dtype=np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= total):
        raise ValueError(f"rows must lie in 0..{total - 1}, got {chosen.min()}..{chosen.max()}")
    person, image = np.divmod(chosen, images_per_identity)
    appearance = draw_appearance(population, person, image, seed)
    faces = RenderedFaces(
        images=np.empty((len(chosen), size, size, 3), dtype=np.uint8),
        identities=appearance.numbers,
        labels={name: appearance.labels[name] for name in LABELS},
        landmarks=np.empty((len(chosen), len(LANDMARKS), 2), dtype=np.float32),
        parts=np.empty((len(chosen), size, size), dtype=np.uint8),
    )
    step = _LANES * max(1, _PIXELS_AT_ONCE // (_LANES * size * size))
    for start in range(0, len(chosen), step):
        chunk = np.arange(start, min(start + step, len(chosen)))
        portrait = _portrait(appearance, chunk, size)
        faces.images[chunk] = portrait.images[: len(chunk)]
        faces.landmarks[chunk] = portrait.landmarks[: len(chunk)]
        faces.parts[chunk] = portrait.parts[: len(chunk)]
    return faces


def _portrait(appearance: Appearance, chunk: NDArray[np.int64], size: int) -> Portrait:
    """Draw a chunk, its last image repeated until the number of images is a multiple of _LANES."""
    from bench.datasets.synthetic.portrait import draw_portraits

    padded = np.pad(chunk, (0, -len(chunk) % _LANES), mode="edge")
    return draw_portraits(
        {name: value[padded] for name, value in appearance.values.items()},
        {name: value[padded] for name, value in appearance.colours.items()},
        appearance.noise_keys[padded],
        size,
    )
