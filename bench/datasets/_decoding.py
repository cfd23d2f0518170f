"""Decodes the photographs of a dataset: whole, and with one frame each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.datasets._aligned import DamagedImageError
from bench.photographs import FIRST_OF_SEVERAL, UnreadablePhotoError, decode

MOST_PIXELS = 64_000_000
"""A larger picture is refused before it is decoded: a small file can ask for any amount of memory."""


def decode_photo(data: bytes, where: str) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3), as large as published, turned upright as its EXIF data say.

    where: what to call the file in a message. Raises DamagedImageError for anything that is no complete
    picture, and for an animation.
    """
    try:
        photo = decode(data, most_pixels=MOST_PIXELS, longest=0)
    except UnreadablePhotoError as error:
        raise DamagedImageError(f"{where} cannot be decoded: {error}") from error
    if FIRST_OF_SEVERAL in photo.notes:
        raise DamagedImageError(f"{where} is animated; a photograph has one frame")
    return photo.pixels
