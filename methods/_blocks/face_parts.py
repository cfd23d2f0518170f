"""Where the parts of a face are, and which attribute each of them shows (Li et al., ACM MM 2021, section 3).

Faces that come with a part map are parsed by it. For others the parts are drawn around the five landmarks,
in units of the distance between the eyes and along the axes of the face, so they turn and grow with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench.api import InputError, Request
from bench.faces import PART_NAMES

if TYPE_CHECKING:
    from torch import Tensor

PART_ATTRIBUTES = {
    "hair": "receding_hairline",
    "eyebrows": "bushy_eyebrows",
    "eyes": "narrow_eyes",
    "nose": "big_nose",
    "mouth": "big_lips",
}
"""The five parts, from top to bottom, and the attribute that stands for each."""

_HALF_EYES = 0.5
_HAIR_DOWN_TO = 0.25
"""Lower end of the hair region below the eyes: the temples. What hangs lower differs too much to be drawn."""


def parsed(request: Request, size: int) -> Tensor:
    """The part map of each face of a batch, uint8 (N, size, size) numbered by `bench.faces.PART_NAMES`.

    From the faces' own map where they have one, else from their landmarks. A face whose landmarks are not
    finite has none of the five parts. Raises InputError when there is neither.
    """
    if request.parts is not None:
        return request.parts
    if request.landmarks is None:
        raise InputError(
            "finding the parts of a face takes a part map or landmarks, and this dataset gives neither; "
            "ask for an output that names its parts, such as `eyes+nose`"
        )
    return landmark_parts(request.landmarks, size)


def part_masks(parts: Tensor, names: Iterable[str]) -> Tensor:
    """float32 (N, P, H, W), 1 where the map (N, H, W) says the part, for each of `names`."""
    import torch

    return torch.stack([parts == PART_NAMES.index(name) for name in names], 1).float()


def landmark_parts(landmarks: Tensor, size: int) -> Tensor:
    """Ellipses around five landmarks: uint8 (N, size, size), background wherever none of the parts is.

    landmarks: float32 (N, 5, 2) as in `bench.faces.Faces`, in pixels of the map. Proportions are means of
    the embedded faces' part maps, checked on photographs. Parts never overlap: where two ellipses would, the
    lower part has the pixel.
    """
    import torch

    x, y = _face_coordinates(landmarks, size)
    tip = torch.stack(_in_face(landmarks, landmarks[:, 2]), 1)
    left, right = (torch.stack(_in_face(landmarks, landmarks[:, i]), 1) for i in (3, 4))
    mouth, half_mouth = (left + right) / 2, (right - left).norm(dim=1) / 2
    height = tip[:, 1].clamp(min=0.2)

    def ellipse(cx: Tensor | float, cy: Tensor | float, rx: Tensor | float, ry: Tensor | float) -> Tensor:
        return ((x - _column(cx)) / _column(rx)).square() + ((y - _column(cy)) / _column(ry)).square() <= 1

    def pair(cy: float, rx: float, ry: float) -> Tensor:
        return ellipse(-_HALF_EYES, cy, rx, ry) | ellipse(_HALF_EYES, cy, rx, ry)

    around_face = ellipse(0.0, 0.1, 1.5, 1.95) & ~ellipse(0.0, 0.4, 1.0, 1.35)
    regions = {
        "hair": around_face & (y < _HAIR_DOWN_TO),
        "eyebrows": pair(-0.34, 0.34, 0.13),
        "eyes": pair(-0.02, 0.25, 0.14),
        "nose": ellipse(0.66 * tip[:, 0], 0.66 * height, 0.25, 0.62 * height),
        "mouth": ellipse(mouth[:, 0], mouth[:, 1] + 0.06, 1.05 * half_mouth, 0.22),
    }
    parts = torch.zeros(x.shape, dtype=torch.uint8, device=x.device)
    for name, region in regions.items():
        parts[region] = PART_NAMES.index(name)
    return parts


def _face_coordinates(landmarks: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """x and y (N, size, size) of each pixel's centre in the frame of its face; see `_in_face`."""
    import torch

    line = torch.arange(size, dtype=torch.float32, device=landmarks.device)
    rows, columns = torch.meshgrid(line, line, indexing="ij")
    pixels = torch.stack([columns, rows], -1).view(1, -1, 2)
    x, y = _in_face(landmarks, pixels.expand(len(landmarks), -1, -1))
    return x.view(-1, size, size), y.view(-1, size, size)


def _in_face(landmarks: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Coordinates of `points` (N, 2) or (N, K, 2), origin between the eyes, x along them, y down the face.

    The unit is the distance between the eyes.
    """
    left, right = landmarks[:, 0], landmarks[:, 1]
    across = right - left
    square = across.square().sum(1)
    offset = points - ((left + right) / 2).view(-1, *[1] * (points.ndim - 2), 2)
    along = across.view(-1, *[1] * (points.ndim - 2), 2)
    scale = square.view(-1, *[1] * (points.ndim - 2))
    x = (offset * along).sum(-1) / scale
    y = (offset[..., 1] * along[..., 0] - offset[..., 0] * along[..., 1]) / scale
    return x, y


def _column(value: Tensor | float) -> Tensor | float:
    return value if isinstance(value, float) else value[:, None, None]
