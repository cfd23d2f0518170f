"""Photographs of every kind: what becomes of their pixels, and what is refused."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageFile

from bench import photographs
from bench.photographs import UnreadablePhotoError, decode

RNG = np.random.default_rng(0)
SMOOTH = np.kron(RNG.integers(0, 256, (6, 8, 3)), np.ones((10, 10, 1))).astype(np.uint8)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def close(one: NDArray[np.uint8], other: NDArray[np.uint8], within: float) -> bool:
    return one.shape == other.shape and bool(np.abs(one.astype(int) - other).mean() <= within)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "JPEG", "WEBP"])
def test_formats_are_known_by_their_bytes(kind: str) -> None:
    options = {"quality": 95} if kind in ("JPEG", "WEBP") else {}
    photo = decode(encoded(Image.fromarray(SMOOTH), kind, **options))
    assert photo.format == kind
    assert (photo.width, photo.height) == (80, 60)
    assert close(photo.pixels, SMOOTH, 0 if not options else 12)
    assert photo.notes == ()


def test_grey_palette_and_bilevel_become_rgb() -> None:
    grey = Image.fromarray(SMOOTH).convert("L")
    expected = np.repeat(np.asarray(grey)[..., None], 3, axis=2)
    assert np.array_equal(decode(encoded(grey, "PNG")).pixels, expected)
    palette = Image.fromarray(SMOOTH).quantize(256)
    assert close(decode(encoded(palette, "PNG")).pixels, SMOOTH, 3)
    two = grey.convert("1")
    assert set(np.unique(decode(encoded(two, "PNG")).pixels)) == {0, 255}


def test_cmyk_has_the_colours_it_shows() -> None:
    photo = decode(encoded(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95))
    assert close(photo.pixels, SMOOTH, 12)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    image = Image.new(mode, (20, 20), (0,) * len(mode))
    image.putpixel((3, 4), (10,) * (len(mode) - 1) + (255,))
    pixels = decode(encoded(image, "PNG")).pixels
    assert (pixels[4, 3] == 10).all()
    pixels[4, 3] = 255
    assert (pixels == 255).all()


def test_half_transparent_is_half_white() -> None:
    photo = decode(encoded(Image.new("RGBA", (9, 9), (100, 0, 0, 128)), "PNG"))
    assert np.abs(photo.pixels[0, 0].astype(int) - [177, 127, 127]).max() <= 1


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_not_cut(kind: str) -> None:
    deep = np.linspace(0, 65535, 30 * 30).reshape(30, 30).astype(np.uint16)
    pixels = decode(encoded(Image.fromarray(deep), kind)).pixels
    assert np.array_equal(pixels[..., 0], np.rint(deep / 257).astype(np.uint8))
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_sixteen_bit_colour() -> None:
    """Pillow writes none, so the file is made by hand."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    row = b"\0" + struct.pack(">3H", 65535, 257 * 100, 0) * 10
    data = chunk(b"IHDR", struct.pack(">IIBBBBB", 10, 10, 16, 2, 0, 0, 0))
    data += chunk(b"IDAT", zlib.compress(row * 10)) + chunk(b"IEND", b"")
    pixels = decode(b"\x89PNG\r\n\x1a\n" + data).pixels
    assert (pixels == [255, 100, 0]).all()


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}
    photo = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert (photo.pixels == [255, 0, 0]).all()
    assert photo.notes == ("first frame of several",)


def test_of_a_photograph_with_a_second_view_the_first() -> None:
    views = [Image.new("RGB", (30, 20), colour) for colour in ("red", "blue")]
    photo = decode(encoded(views[0], "MPO", save_all=True, append_images=views[1:]))
    assert photo.format == "MPO"
    assert photo.notes == ()
    assert close(photo.pixels, np.full((20, 30, 3), [255, 0, 0], np.uint8), 2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what a camera did to the upright picture
    stored = Image.fromarray(SMOOTH)
    if orientation in undo:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    photo = decode(encoded(stored, "PNG", exif=exif))
    assert np.array_equal(photo.pixels, SMOOTH)
    assert (photo.width, photo.height) == (80, 60)


def test_long_pictures_are_reduced_and_it_is_said() -> None:
    for kind in ("PNG", "JPEG"):
        photo = decode(encoded(Image.fromarray(SMOOTH), kind), longest=40)
        assert photo.pixels.shape == (30, 40, 3)
        assert (photo.width, photo.height) == (80, 60)
        assert photo.notes == ("reduced to 40x30",)
        assert abs(photo.pixels.mean() - SMOOTH.mean()) < 2
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = decode(encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif), longest=40)
    assert photo.pixels.shape == (40, 30, 3)
    assert (photo.width, photo.height) == (60, 80)


def test_size_is_checked_before_anything_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = encoded(Image.new("1", (30_000, 30_000)), "PNG")
    assert len(bomb) < 200_000

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    with pytest.raises(UnreadablePhotoError, match="more than 150 million pixels"):
        decode(bomb)


def test_truncated_files_are_unreadable_even_where_a_library_allows_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = Image.fromarray(RNG.integers(0, 256, (90, 90, 3), np.uint8))
    for kind in ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM"):
        data = encoded(noise, kind)
        for share in (0.3, 0.6, 0.9):
            with pytest.raises(UnreadablePhotoError):
                decode(data[: int(share * len(data))])


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b"<html>", "no picture of a known format"),
        (b"\x80\x04cos\nsystem\n", "no picture of a known format"),
        (b"\xff\xd8\xff\xe0 not really", "damaged"),
        (encoded(Image.new("RGB", (3, 100)), "PNG"), "too small for a face"),
        (encoded(Image.new("F", (30, 30)), "TIFF"), "floating-point"),
    ],
)
def test_what_is_no_picture(data: bytes, why: str) -> None:
    with pytest.raises(UnreadablePhotoError, match=why):
        decode(data)


def test_any_bytes_at_all_end_in_a_photo_or_a_reason() -> None:
    whole = encoded(Image.fromarray(SMOOTH), "JPEG")
    draws = np.random.default_rng(1)
    unreadable = 0
    for _ in range(200):
        data = bytearray(whole)
        for place in draws.integers(0, len(data), 6):
            data[place] = int(draws.integers(0, 256))
        try:
            photo = decode(bytes(data))
        except UnreadablePhotoError:
            unreadable += 1
        else:
            assert photo.pixels.dtype == np.uint8
    assert 0 < unreadable < 200


# -- ordinary JPEGs, which Pillow does not decode ------------------------------------------------------


def never(*_: object, **__: object) -> None:
    raise AssertionError("called")


def passes(*_: object, **__: object) -> None:
    raise ValueError("not one of mine")


def ordinary(mode: str, **options: Any) -> bytes:
    noisy = np.clip(SMOOTH[:57, :75] + RNG.normal(0, 9, (57, 75, 3)), 0, 255).astype(np.uint8)
    return encoded(Image.fromarray(noisy).convert(mode), "JPEG", **options)


def pillows(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        return np.array(picture.convert("RGB"))


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {"subsampling": 0, "quality": 97},
        {"subsampling": 1},
        {"subsampling": 2, "quality": 40},
        {"restart_marker_blocks": 2, "optimize": True},
    ],
    ids=["4:4:4", "4:2:2", "4:2:0", "restarts"],
)
def test_ordinary_jpegs_have_exactly_pillows_pixels(
    mode: str, progressive: bool, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = ordinary(mode, progressive=progressive, **options)
    expected = pillows(data)
    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    photo = decode(data)
    assert np.array_equal(photo.pixels, expected)
    assert photo.pixels.flags.writeable
    assert (photo.width, photo.height, photo.format, photo.notes) == (75, 57, "JPEG", ())


def test_colours_stored_as_they_are_and_upright_exif(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    files = [ordinary("RGB", keep_rgb=True), ordinary("RGB", exif=exif)]
    expected = [pillows(data) for data in files]
    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    for data, pixels in zip(files, expected, strict=True):
        assert np.array_equal(decode(data).pixels, pixels)


def test_other_jpegs_are_left_to_pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    monkeypatch.setattr(simplejpeg, "decode_jpeg", passes)
    assert decode(ordinary("CMYK")).pixels.shape == (57, 75, 3)
    assert decode(ordinary("RGB", exif=exif)).pixels.shape == (75, 57, 3)
    assert decode(ordinary("RGB"), longest=40).notes == ("reduced to 40x30",)
    with pytest.raises(UnreadablePhotoError, match="more than 0 million pixels"):
        decode(ordinary("RGB"), most_pixels=1000)


def outcome(data: bytes) -> tuple[Any, ...] | str:
    try:
        photo = decode(data)
    except UnreadablePhotoError as error:
        return str(error)
    return photo.pixels.tobytes(), photo.width, photo.height, photo.format, photo.notes


def test_damaged_jpegs_end_as_with_pillow_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes changed, ends cut off, rubbish behind: the same pixels, or the same message."""
    draws = np.random.default_rng(2)
    files = []
    for n in range(240):
        data = bytearray(ordinary("L" if n % 3 else "RGB", progressive=n % 2 == 0))
        for place in draws.integers(0, len(data), n % 4):
            data[place] = int(draws.integers(0, 256))
        if n % 5 == 0:
            del data[int(draws.integers(1, len(data))) :]
        if n % 7 == 0:
            data += draws.bytes(40)
        files.append(bytes(data))
    quick = [outcome(data) for data in files]
    monkeypatch.setattr(photographs, "_quickly", lambda *_: None)
    for data, found in zip(files, quick, strict=True):
        assert outcome(data) == found
    refused = sum(isinstance(found, str) for found in quick)
    assert 20 < refused < 220


@pytest.mark.parametrize("exif", [None, 6])
def test_a_jpeg_that_lost_a_part_of_its_codes_is_refused_and_never_filled_in(exif: int | None) -> None:
    """Pillow alone fills the rest of such a picture with grey."""
    turned = Image.Exif()
    if exif is not None:
        turned[0x0112] = exif
    data = ordinary("RGB", exif=turned)
    start = data.index(b"\xff\xda") + 14
    spoilt = data[: start + 40] + data[-2:]
    with pytest.raises(UnreadablePhotoError, match=r"damaged: .*premature end"):
        decode(spoilt)


@pytest.mark.skipif("BENCH_DATA" not in os.environ, reason="set BENCH_DATA to the folder of face packs")
def test_real_photographs_have_exactly_pillows_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    archives = [ZipFile(path) for path in sorted(Path(os.environ["BENCH_DATA"]).rglob("*.zip"))]
    files = []
    for archive in archives:
        names = sorted(name for name in archive.namelist() if name.lower().endswith((".jpg", ".jpeg")))
        files += [archive.read(name) for name in names[:: max(1, len(names) // 30)]]
    expected = [pillows(data) for data in files]
    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    assert len(files) >= 30
    for data, pixels in zip(files, expected, strict=True):
        assert np.array_equal(decode(data).pixels, pixels)
