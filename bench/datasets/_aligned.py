"""What datasets of aligned faces have in common: finding the images, decoding them, and their size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.datasets._image_files import FolderImages, ImageFiles, ZipImages
from bench.errors import InputError
from bench.geometry import opencv


def image_source(root: Path, name: str, subfolders: Iterable[str] = ("",)) -> ImageFiles | None:
    """The JPEG files in the folder `name` of `root` or of its `subfolders`, or in `name`.zip there, or None.

    A folder nested in a folder of the same name, as unpacking a zip leaves it, counts too.
    """
    for subfolder in subfolders:
        place = root / subfolder
        for candidate in (place / name, place / name / name):
            if candidate.is_dir():
                images = FolderImages(candidate, ".jpg")
                if images.names():
                    return images
        if (place / f"{name}.zip").is_file():
            return ZipImages(place / f"{name}.zip", ".jpg")
    return None


def join_sources(sources: Iterable[ImageFiles]) -> dict[str, ImageFiles]:
    """Where each file is. Raises InputError when two sources hold different files of one name."""
    found: dict[str, ImageFiles] = {}
    for source in sources:
        for name in source.names():
            if name in found and found[name].read(name) != source.read(name):
                raise InputError(
                    f"{name} differs between {found[name].where} and {source.where}; keep the publisher's"
                )
            found.setdefault(name, source)
    return found


class DamagedImageError(InputError):
    """An image file that is no complete JPEG."""


def decode_jpeg(files: ImageFiles, name: str, width: int, height: int, wanted: str) -> NDArray[np.uint8]:
    """BGR uint8 (height, width, 3).

    wanted: what the publisher calls images of that size, for the message about any other.
    Raises DamagedImageError, or InputError for another size.
    """
    import simplejpeg

    data = files.read(name)
    where = f"image {name} in {files.where}"
    if not data.startswith(b"\xff\xd8"):
        raise DamagedImageError(f"{where} is {'empty' if not data else 'no JPEG'}")
    # Decoders fill what is missing of a truncated JPEG with grey and say nothing.
    if not data.rstrip(b"\0").endswith(b"\xff\xd9"):
        raise DamagedImageError(
            f"{where} is truncated: it ends after {len(data)} bytes without an end marker"
        )
    _refuse_size(_announced(data, where), width, height, where, wanted)
    try:
        # Strict: what libjpeg only warns of are pixels that nobody took.
        image: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "BGR", strict=True)
    except ValueError as error:
        raise DamagedImageError(f"{where} cannot be decoded: {error}") from error
    return image


def _announced(data: bytes, where: str) -> tuple[int, int]:
    """Width and height as the JPEG's header tells them: a small file can ask for any amount of memory."""
    import simplejpeg

    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data, strict=False)
    except (ValueError, KeyError) as error:  # the latter where a header names no colours
        raise DamagedImageError(f"{where} cannot be decoded") from error
    return width, height


def _refuse_size(found: tuple[int, ...], width: int, height: int, where: str, wanted: str) -> None:
    if found != (width, height):
        raise InputError(
            f"{where} is {found[0]}x{found[1]}, not the {width}x{height} of aligned images; "
            f"use the publisher's {wanted}"
        )


def square_rgb(
    image: NDArray[np.uint8], size: int, into: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """RGB uint8 (size, size, 3) of a square BGR image: area averages when shrinking, bicubic otherwise.

    into: where to write it, contiguous and of that shape.
    """
    cv2 = opencv()
    side = image.shape[0]
    if size != side:
        interpolation = cv2.INTER_AREA if size < side else cv2.INTER_CUBIC
        image = cv2.resize(image, (size, size), interpolation=interpolation)
    rgb: NDArray[np.uint8] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=into)
    return rgb


def load_images(
    names: Sequence[str],
    files: Mapping[str, ImageFiles],
    size: int,
    square: Callable[[ImageFiles, str], NDArray[np.uint8]],
    damaged: list[str] | None,
) -> tuple[list[str], NDArray[np.uint8]]:
    """Decoded RGB images uint8 (N, size, size, 3) and the names they belong to.

    square: decodes one file to the square part (BGR) that is wanted of it.
    damaged: takes the names of the damaged images, which are then left out; None: they raise InputError.
    """
    images = np.empty((len(names), size, size, 3), np.uint8)
    kept: list[str] = []
    for name in names:
        try:
            square_rgb(square(files[name], name), size, into=images[len(kept)])
        except DamagedImageError as error:
            if damaged is None:
                raise InputError(
                    f"{error}; fetch it again, or leave such images out with "
                    "--set dataset_options.skip_damaged=true"
                ) from error
            if name not in damaged:
                damaged.append(name)
        else:
            kept.append(name)
    return kept, images[: len(kept)]
