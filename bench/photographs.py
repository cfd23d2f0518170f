"""Decodes a photograph: any usual format and mode to upright 8-bit RGB, or the reason why not."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_BYTES = 400_000_000
MOST_PIXELS = 150_000_000
"""Larger ones are refused before they are decoded: a small file can ask for any amount of memory. Within
these bounds a picture takes at most some 1.5 GB, and a JPEG of any size some .2 GB."""
WORKING_SIDE = 6000
"""Pixels of a side to which longer pictures are reduced, by averaging over areas, unless told otherwise."""

FIRST_OF_SEVERAL = "first frame of several"
"""The note on a picture from an animation."""

_LEAST_SIDE = 8
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM")
_MADE_UP = ("premature end", "Premature end", "bad Huffman code")
"""What libjpeg says of a picture that it completes by itself."""
_DEEP = ("I", "I;16", "I;16L", "I;16B", "I;16N")


class UnreadablePhotoError(BenchError):
    """The file is no complete picture that can be read."""


@dataclass(frozen=True)
class Photo:
    """pixels: uint8 (H, W, 3) RGB, upright. width, height: of the upright picture in the file, before it was
    reduced. format: as sniffed from its bytes. notes: what was done to it that a user may not expect.
    """

    pixels: NDArray[np.uint8]
    width: int
    height: int
    format: str
    notes: tuple[str, ...] = ()


def decode(data: bytes, *, most_pixels: int = MOST_PIXELS, longest: int = WORKING_SIDE) -> Photo:
    """The picture in `data`, whatever the file is called; of an animation the first frame.

    most_pixels: more are refused. longest: side in pixels to which longer pictures are reduced, 0: never.
    Grey, palette, CMYK and 16-bit pictures become 8-bit RGB, what is transparent becomes white; colour
    profiles are not applied. Raises UnreadablePhotoError for anything else, and for truncated files.
    """
    from PIL import Image, ImageFile, UnidentifiedImageError

    if not data:
        raise UnreadablePhotoError("the file is empty")
    # Other libraries set this for their own use; a face must not be looked for in made-up grey.
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
                _refuse(picture.size, most_pixels)
                return _quickly(picture, data, longest) or _decoded(picture, data, longest)
    except UnreadablePhotoError:
        raise
    except UnidentifiedImageError as error:
        raise UnreadablePhotoError(f"no picture of a known format ({', '.join(_FORMATS)})") from error
    except Image.DecompressionBombError as error:
        raise UnreadablePhotoError(_too_large("the picture", most_pixels)) from error
    except Exception as error:  # decoders raise whatever a broken file leads them to
        raise UnreadablePhotoError(f"damaged: {error or type(error).__name__}") from error


def _refuse(size: tuple[int, int], most_pixels: int) -> None:
    if size[0] * size[1] > most_pixels:
        raise UnreadablePhotoError(_too_large(f"{size[0]}x{size[1]}", most_pixels))
    if min(size) < _LEAST_SIDE:
        raise UnreadablePhotoError(f"{size[0]}x{size[1]}, too small for a face")


def _too_large(what: str, most_pixels: int) -> str:
    return f"{what} has more than {most_pixels // 1_000_000} million pixels"


def _quickly(picture: Image, data: bytes, longest: int) -> Photo | None:
    """An ordinary JPEG of 8-bit grey or colour, upright, not to be reduced and without any fault, in half of
    Pillow's time; the same decoder, libjpeg-turbo, gives the same pixels. None where Pillow has to judge."""
    width, height = picture.size
    if picture.format != "JPEG" or picture.mode not in ("L", "RGB") or not _lies_upright(picture):
        return None
    if longest and max(width, height) > longest:
        return None

    import simplejpeg

    try:
        # Strict: what libjpeg warns of is an error, and goes to Pillow.
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError:
        return None
    return Photo(pixels, width, height, "JPEG")


def _refuse_made_up(data: bytes) -> None:
    """Raises UnreadablePhotoError where pixels of a JPEG are missing: Pillow fills them and says nothing."""
    import simplejpeg

    try:
        # An eighth of the size: every code is read, little else is done.
        simplejpeg.decode_jpeg(data, "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    except (ValueError, KeyError) as error:  # of other faults, and of CMYK, Pillow judges
        if any(sign in str(error) for sign in _MADE_UP):
            raise UnreadablePhotoError(f"damaged: {error}") from error


def _lies_upright(picture: Image) -> bool:
    from PIL import ExifTags

    try:
        return picture.getexif().get(ExifTags.Base.Orientation, 1) == 1
    except Exception:  # as in `_upright`, which says so in a note
        return False


def _decoded(picture: Image, data: bytes, longest: int) -> Photo:
    from PIL import Image

    kind, (width, height), notes = str(picture.format), picture.size, []
    # An MPO is a JPEG with further views behind it; its first picture is the photograph.
    if getattr(picture, "is_animated", False) and kind != "MPO":
        notes.append(FIRST_OF_SEVERAL)
    share = min(1.0, (longest or max(width, height)) / max(width, height))
    working = (max(1, round(width * share)), max(1, round(height * share)))
    if share < 1:
        picture.draft(None, working)  # type: ignore[arg-type]
    picture.load()
    if kind == "JPEG":
        _refuse_made_up(data)
    upright, note = _upright(picture)
    notes += note
    if upright.size != picture.size:
        width, height, working = height, width, working[::-1]
    image = _rgb(upright)
    if share < 1:
        image = image.resize(working, Image.Resampling.BOX)
        notes.append(f"reduced to {working[0]}x{working[1]}")
    return Photo(np.array(image, np.uint8), width, height, kind, tuple(notes))


def _upright(picture: Image) -> tuple[Image, list[str]]:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture), []
    except Exception as error:  # as any other part of a file, EXIF data may be anything at all
        return picture, [f"EXIF data are damaged, taken as upright: {error or type(error).__name__}"]


def _rgb(picture: Image) -> Image:
    from PIL import Image

    if picture.mode == "F":
        raise UnreadablePhotoError("floating-point pixels of unknown range")
    if picture.mode in _DEEP:
        deep = np.asarray(picture).astype(np.float32)
        grey = np.clip(np.rint(deep / 257), 0, 255).astype(np.uint8)
        return Image.fromarray(grey).convert("RGB")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        ground = Image.new("RGB", picture.size, "white")
        ground.paste(picture, mask=picture.getchannel("A"))
        return ground
    return picture.convert("RGB")
