"""Drawing a chunk of faces with torch: relief, light, paint, hair, camera."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.datasets.synthetic.features import (
    ageing,
    beard,
    brows,
    eyes,
    glasses,
    hair,
    mouth,
    nose,
    skin,
    surroundings,
)
from bench.datasets.synthetic.fields import Parameters, on_rgb, paint
from bench.datasets.synthetic.geometry import Coordinates, coordinates, project
from bench.datasets.synthetic.labels import Part
from bench.datasets.synthetic.shading import Light, shade, skin_light


@dataclass(frozen=True)
class Portrait:
    """images uint8 (n, h, w, 3), landmarks float32 (n, 5, 2), parts uint8 (n, h, w)."""

    images: NDArray[np.uint8]
    landmarks: NDArray[np.float32]
    parts: NDArray[np.uint8]


class _PartMap:
    """Labels of pixels; later parts lie over earlier ones."""

    def __init__(self, c: Coordinates) -> None:
        self.values = torch.zeros(c.x.shape, dtype=torch.uint8)

    def add(self, part: Part, mask: Tensor, rows: slice = slice(None)) -> None:
        self.values[:, rows].masked_fill_(mask > 0.5, int(part))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Threads would cut planes at other places, and the cuts round otherwise; see `render._LANES`."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@torch.no_grad()
@_one_thread()
def draw_portraits(
    values: Mapping[str, NDArray[np.float32]],
    colours: Mapping[str, NDArray[np.float32]],
    noise_keys: NDArray[np.uint64],
    size: int,
) -> Portrait:
    """Draw n faces; every argument's first axis is n.

    Runs on one thread whatever torch is set to: the same bytes on one core and on many.
    """
    p = Parameters(values, colours)
    c = coordinates(p, size)
    light = Light.of(p)
    skin_tone, hair_tone = skin.skin_colour(p), hair.hair_colour(p)
    face_parts = _PartMap(c)
    face = _draw_face(c, p, light, skin_tone, hair_tone, face_parts)
    layers = hair.hair_layers(c, p, hair_tone, light)

    parts = _PartMap(c)
    picture = surroundings.backdrop(c, p)
    paint(picture, 0.72 * layers.colour, layers.behind)
    parts.add(Part.HAIR, layers.behind)
    parts.add(Part.NECK_AND_CLOTHES, surroundings.paint_neck(picture, c, p, skin_tone))
    parts.add(Part.NECK_AND_CLOTHES, surroundings.paint_clothes(picture, c, p))
    parts.add(Part.EARS, surroundings.paint_ears(picture, c, p, skin_tone, 1 - hair.falls(p)))
    over_shoulders = layers.behind * hair.before_shoulders(c)
    paint(picture, layers.colour, over_shoulders)
    parts.add(Part.HAIR, over_shoulders)

    head = c.cover(0.5 * (1 - c.rho))
    face.mul_(on_rgb(1 - layers.shadow))
    paint(picture, face, head)
    parts.values = torch.where(head > 0.5, face_parts.values, parts.values)
    front = layers.front * c.cover(0.5 * (1.02 - c.rho))
    paint(picture, layers.colour, front)
    parts.add(Part.HAIR, front)
    band, middle = c.rows(*glasses.GLASSES_BAND)
    glasses.paint_glasses(picture[:, :, band], middle, p)
    return Portrait(
        images=_photograph(picture, p, noise_keys),
        landmarks=landmarks(p, size).numpy(),
        parts=parts.values.numpy(),
    )


def _draw_face(
    c: Coordinates, p: Parameters, light: Light, tone: Tensor, hair_tone: Tensor, parts: _PartMap
) -> Tensor:
    """The lit face without hair, (n, 3, h, w); fills the part map inside the head."""
    eye_rows, eye_c = c.rows(*eyes.EYE_BAND)
    nose_rows, nose_c = c.rows(*nose.NOSE_BAND)
    mouth_rows, mouth_c = c.rows(*mouth.MOUTH_BAND)
    eye = eyes.eye_shape(eye_c, p)
    nose_form = nose.nose_shape(nose_c, p)
    lips = mouth.mouth_shape(mouth_c, p)
    furrows = ageing.folds(c, p)

    relief = c.depth + skin.cheek_relief(c, p) + ageing.sag_relief(c, p) - furrows.depth
    relief += eyes.eye_relief(c, p)
    relief[:, nose_rows] += nose.nose_relief(nose_form, p)
    relief[:, mouth_rows] += mouth.mouth_relief(mouth_c, lips, p)
    lit = shade(relief, c, p, light)

    face = skin.skin_picture(c, p, tone)
    parts.values.fill_(int(Part.SKIN))
    ageing.shade_folds(face, furrows)
    beard_rows, beard_c = c.rows(*beard.BEARD_BAND)
    beard.paint_beard(face[:, :, beard_rows], beard_c, p, hair_tone, tone)
    nose.paint_nose(face[:, :, nose_rows], nose_form, p)
    parts.add(Part.NOSE, nose.nose_part(nose_c, nose_form, p).float(), nose_rows)
    eyes.paint_lids(face[:, :, eye_rows], eye, p)
    brow_rows, brow_c = c.rows(*brows.BROW_BAND)
    brow = brows.paint_brows(face[:, :, brow_rows], brow_c, p, hair_tone, tone)
    parts.add(Part.EYEBROWS, brow, brow_rows)
    mouth_mask = mouth.paint_mouth(face[:, :, mouth_rows], mouth_c, lips, p, tone)
    parts.add(Part.MOUTH, mouth_mask, mouth_rows)

    face.mul_(skin_light(lit.brightness))
    gloss = lit.highlight * p.oiliness * (1 - 0.5 * p.beard) * (1 - 0.25 * p.roughness)
    gloss[:, mouth_rows] += mouth.lip_gloss(mouth_c, lips, p)
    face += on_rgb(0.62 * gloss)
    eyes.paint_eyes(face[:, :, eye_rows], eye_c, eye, p, lit.brightness[:, eye_rows])
    parts.add(Part.EYES, eye.opening, eye_rows)
    return face


def landmarks(p: Parameters, size: int) -> Tensor:
    """Pixel positions (n, 5, 2) of eyes, nose tip and mouth corners."""
    corner = mouth.half_width(p)
    corner_y = mouth.mouth_centre(p) + mouth.corner_height(p, torch.ones_like(corner))
    tip_u, tip_v = nose.nose_tip(p)
    u = torch.cat((-p.eye_x, p.eye_x, tip_u, -corner, corner), dim=2)
    v = torch.cat((p.eye_y - p.asymmetry, p.eye_y + p.asymmetry, tip_v, corner_y, corner_y), dim=2)
    return project(u, v, p, size)


def _photograph(picture: Tensor, p: Parameters, noise_keys: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Exposure, white balance, gamma, lens blur and sensor noise; uint8 (n, h, w, 3)."""
    warmth = on_rgb(p.warmth)
    balance = torch.cat((1 + warmth, torch.ones_like(warmth), 1 - warmth), dim=1)
    picture = (picture * (balance * on_rgb(p.exposure))).clamp_(1e-4, 1)
    picture = torch.exp(torch.log(picture) * on_rgb(p.gamma))
    picture = _blur(picture, on_rgb(p.blur))
    noise = _sensor_noise(noise_keys, picture.shape[1:])
    picture.add_(noise.mul_(on_rgb(p.noise)))
    picture = picture.clamp_(0, 1).mul_(255).add_(0.5).to(torch.uint8)
    return picture.permute(0, 2, 3, 1).contiguous().numpy()


def _blur(picture: Tensor, amount: Tensor) -> Tensor:
    """Blend with a [1 2 1] x [1 2 1] / 16 filter; borders repeat."""
    wide = torch.nn.functional.pad(picture, (1, 1, 1, 1), mode="replicate")
    rows = wide[:, :, :-2] + 2 * wide[:, :, 1:-1] + wide[:, :, 2:]
    smooth = (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) / 16
    return torch.lerp(picture, smooth, amount)


def _sensor_noise(keys: NDArray[np.uint64], shape: torch.Size) -> Tensor:
    """Standard normal noise (n, 3, h, w), each image from its own generator."""
    noise = np.empty((len(keys), *shape), dtype=np.float32)
    for plane, key in zip(noise, keys, strict=True):
        generator = np.random.Generator(np.random.Philox(key=int(key)))
        generator.standard_normal(out=plane, dtype=np.float32)
    return torch.from_numpy(noise)
