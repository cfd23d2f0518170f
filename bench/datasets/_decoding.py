"""Decodes photographs of any usual format to upright RGB, or says what is wrong with the file."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.datasets._aligned import DamagedImageError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PIXELS = 64_000_000
"""A larger picture is refused before it is decoded: a small file can ask for any amount of memory."""

_LEAST_SIDE = 8
_FORMATS = ("JPEG", "PNG", "PPM", "BMP", "TIFF", "WEBP")
_DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")


def decode_photo(data: bytes, where: str) -> NDArray[np.uint8]:
    """RGB uint8 (H, W, 3), turned upright as its EXIF data say.

    Grey, CMYK, palette and 16-bit pictures become 8-bit RGB, transparent parts become white. where: what to
    call the file in a message. Raises DamagedImageError for anything that is no complete picture.
    """
    from PIL import Image, ImageFile, ImageOps

    if not data:
        raise DamagedImageError(f"{where} is empty")
    # Some libraries set this when they are imported; what is missing would then be grey, and nobody told.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                _refuse(picture, where)
                picture.load()
                return _rgb(ImageOps.exif_transpose(picture), where)
    except DamagedImageError:
        raise
    except Image.DecompressionBombError as error:
        raise DamagedImageError(f"{where} is larger than {MOST_PIXELS:,} pixels") from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise DamagedImageError(f"{where} cannot be decoded ({error or type(error).__name__})") from error


def _refuse(picture: Image, where: str) -> None:
    width, height = picture.size
    if width * height > MOST_PIXELS:
        raise DamagedImageError(f"{where} is {width}x{height}, larger than {MOST_PIXELS:,} pixels")
    if min(width, height) < _LEAST_SIDE:
        raise DamagedImageError(f"{where} is {width}x{height}, too small for a face")
    # Pillow turns a JPEG with a second view or a preview behind it into an MPO; its first picture counts.
    if getattr(picture, "is_animated", False) and picture.format != "MPO":
        raise DamagedImageError(f"{where} is animated; a photograph has one frame")


def _rgb(picture: Image, where: str) -> NDArray[np.uint8]:
    from PIL import Image

    if picture.mode == "F":
        raise DamagedImageError(f"{where} has floating-point pixels of unknown range")
    if picture.mode in _DEEP:
        deep = np.asarray(picture).astype(np.float64)
        grey = np.clip(np.rint(deep / 257), 0, 255).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"), np.uint8)
